"""A real Ray of two nodes on this machine, each with one core.

``RAY_HERE=http://…:8265`` in the environment has the tests use one that is there already;
``python -m tests.runs.engines.ray_here`` is such a one, with Ray's own patience, until a SIGINT or
SIGTERM.
"""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import psutil

__all__ = ["GIVES_UP_S", "RAY", "ray_here"]

RAY = Path(sys.executable).with_name("ray")
# As short as this, so that a test sees Ray give up on a job that waits.
GIVES_UP_S = 8
NODES = ("127.0.0.1", "127.0.0.2")


def free_port() -> int:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        return held.getsockname()[1]


@contextmanager
def node(ip: str, log: Path, gives_up: str, *words: str) -> Iterator[subprocess.Popen]:
    with log.open("ab") as file:
        process = subprocess.Popen(
            [RAY, "start", "--block", "--num-cpus=1", f"--node-ip-address={ip}",
             f"--dashboard-agent-listen-port={free_port()}", "--object-store-memory=80000000",
             "--disable-usage-stats", *words],
            stdout=file, stderr=file, start_new_session=True,
            env={**os.environ, "RAY_JOB_START_TIMEOUT_SECONDS": gives_up},
        )  # fmt: skip
    try:
        yield process
    finally:
        left = []
        with suppress(psutil.Error):
            left = psutil.Process(process.pid).children(recursive=True)
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(20)
        # Whatever outlives it would keep its ports.
        for child in (*left, process):
            with suppress(psutil.Error, OSError):
                child.kill()
        process.wait()


@contextmanager
def ray_here(seconds: float = 240, gives_up_s: int = GIVES_UP_S) -> Iterator[str]:
    """The address of the dashboard, once both nodes are there.

    Args:
        seconds: to wait for them.
        gives_up_s: after which Ray gives up on a job that waits.
    """
    if given := os.environ.get("RAY_HERE"):
        yield given
        return
    # Names of sockets lie beneath it, and must be short.
    folder = Path(tempfile.mkdtemp(prefix="ray", dir="/tmp"))
    port, dashboard = free_port(), free_port()
    address, log = f"http://127.0.0.1:{dashboard}", folder / "start.log"
    end = time.monotonic() + seconds
    with ExitStack() as nodes:
        nodes.callback(shutil.rmtree, folder, ignore_errors=True)
        head = ("--head", f"--port={port}", f"--dashboard-port={dashboard}", f"--temp-dir={folder}")
        for ip, words, n in ((NODES[0], head, 1), (NODES[1], (f"--address=127.0.0.1:{port}",), 2)):
            process = nodes.enter_context(node(ip, log, str(gives_up_s), *words))
            while not are_there(address, n):
                if process.poll() is not None:
                    # On a machine that is busy, Ray itself gives up after half a minute.
                    process = nodes.enter_context(node(ip, log, str(gives_up_s), *words))
                if time.monotonic() > end:
                    raise AssertionError(f"Ray did not come up:\n{log.read_text()[-2000:]}")
                time.sleep(0.5)
        yield address


def are_there(address: str, n: int) -> bool:
    """Whether so many nodes are at work."""
    try:
        with urllib.request.urlopen(f"{address}/api/v0/nodes?detail=true", timeout=10) as told:
            return told.read().count(b'"ALIVE"') == n
    except OSError:
        return False


if __name__ == "__main__":
    # Like Ctrl-C: the nodes are taken down. Were it blocked instead, they would not hear it either.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    with suppress(KeyboardInterrupt), ray_here(gives_up_s=900) as found:
        print(found, flush=True)
        signal.pause()
