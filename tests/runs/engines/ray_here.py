"""A real Ray of two nodes on this machine, each with one core.

``RAY_HERE=http://…:8265`` in the environment has the tests use one that is there already.
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
from contextlib import ExitStack, contextmanager
from pathlib import Path

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
def node(ip: str, log: Path, *words: str) -> Iterator[subprocess.Popen]:
    with log.open("ab") as file:
        process = subprocess.Popen(
            [RAY, "start", "--block", "--num-cpus=1", f"--node-ip-address={ip}",
             "--object-store-memory=80000000", "--disable-usage-stats", *words],
            stdout=file, stderr=file, start_new_session=True,
            env={**os.environ, "RAY_JOB_START_TIMEOUT_SECONDS": str(GIVES_UP_S)},
        )  # fmt: skip
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)


@contextmanager
def ray_here(seconds: float = 120) -> Iterator[str]:
    """The address of the dashboard, once both nodes are there."""
    if given := os.environ.get("RAY_HERE"):
        yield given
        return
    # Names of sockets lie beneath it, and must be short.
    folder = Path(tempfile.mkdtemp(prefix="ray", dir="/tmp"))
    port, dashboard = free_port(), free_port()
    address = f"http://127.0.0.1:{dashboard}"
    with ExitStack() as nodes:
        nodes.callback(shutil.rmtree, folder, ignore_errors=True)
        head = ("--head", f"--port={port}", f"--dashboard-port={dashboard}", f"--temp-dir={folder}")
        log = folder / "start.log"
        nodes.enter_context(node(NODES[0], log, *head))
        end = time.monotonic() + seconds
        wait_until(end, log, lambda: socket.create_connection(("127.0.0.1", port), 1).close())
        nodes.enter_context(node(NODES[1], log, f"--address=127.0.0.1:{port}"))
        wait_until(end, log, lambda: both_are_there(address))
        yield address


def both_are_there(address: str) -> None:
    with urllib.request.urlopen(f"{address}/api/v0/nodes?detail=true", timeout=5) as told:
        if told.read().count(b'"ALIVE"') != len(NODES):
            raise OSError("not yet")


def wait_until(end: float, log: Path, look) -> None:
    while True:
        try:
            look()
            return
        except OSError:
            if time.monotonic() > end:
                raise AssertionError(f"Ray did not come up:\n{log.read_text()[-2000:]}") from None
            time.sleep(0.2)


if __name__ == "__main__":
    with ray_here() as found:
        print(found, flush=True)
        signal.sigwait({signal.SIGINT, signal.SIGTERM})
