"""The process that carries a run out: which it is, whether it lives, what it takes, what it runs.

A pid alone proves nothing: dead children stay as zombies, pids are used again, and a folder may
come from another machine. So the host and the moment the process began are written down too.
"""

import os
import platform
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import psutil

from bloodcell import __version__

__all__ = [
    "ROOT",
    "SILENCE_S",
    "Gpu",
    "Resources",
    "environment",
    "find_process",
    "git_commit",
    "gpus",
    "is_alive",
    "is_recent",
    "parse_gpus",
    "resources",
    "this_process",
]

# The clone, or the folder that packages are installed in.
ROOT = Path(__file__).parents[2]
LIBRARIES = ("tensorflow", "keras", "keras-cv", "numpy", "opencv-python-headless", "ai-edge-litert")
NVIDIA_SMI_S = 5.0
MEBIBYTE = 2**20

# A process on another machine cannot be looked at; its heartbeat comes every few seconds.
SILENCE_S = 120.0


def _mark(pid: int) -> str:
    """What tells this process from any other of that pid, on Linux; "" where it is not known.

    The start in ticks since boot, which stays when somebody sets the clock; psutil's
    `create_time` is this added to the clock.
    """
    if sys.platform != "linux":
        return ""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        # The second field is the program's name in brackets, and may hold anything.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return f"{boot}:{fields[19]}"
    except (OSError, IndexError):
        return ""


def this_process() -> dict[str, Any]:
    """The keys of ``status.json`` by which others recognise this process."""
    me = psutil.Process()
    return {
        "pid": me.pid,
        "process_started": me.create_time(),
        "process_mark": _mark(me.pid),
        "host": platform.node(),
    }


def find_process(status: dict[str, Any]) -> psutil.Process | None:
    """The process that wrote `status` about itself, or None if it is gone or not of this host."""
    try:
        if status["host"] != platform.node():
            return None
        # psutil would take None for this very process.
        if status["pid"] is None:
            return None
        process = psutil.Process(status["pid"])
        mark = status.get("process_mark")
        if mark and (now := _mark(process.pid)):
            same = mark == now
        else:
            same = abs(process.create_time() - status["process_started"]) < 1.0
        return process if same and process.status() != psutil.STATUS_ZOMBIE else None
    except (psutil.Error, KeyError, TypeError, ValueError):
        return None


def is_alive(status: dict[str, Any]) -> bool:
    """Whether the process that wrote `status` still works; for another host, by its heartbeat."""
    if status.get("host") != platform.node():
        return is_recent(status.get("heartbeat"))
    return find_process(status) is not None


def is_recent(moment: float | None) -> bool:
    """Whether `moment` (seconds since 1970) is now or just was.

    One in the future is not: then the clock was set back, and it says nothing.
    """
    return moment is not None and abs(time.time() - moment) < SILENCE_S


def environment() -> dict[str, Any]:
    """The versions and the machine that a run is made with."""
    versions = {"bloodcell": __version__, "python": platform.python_version()}
    for library in LIBRARIES:
        try:
            versions[library] = version(library)
        except PackageNotFoundError:
            versions[library] = ""
    return {
        "versions": versions,
        "git_commit": git_commit(ROOT),
        "platform": platform.platform(),
        "cores": os.cpu_count(),
        "memory_bytes": psutil.virtual_memory().total,
    }


def git_commit(root: Path) -> str:
    """The commit of the clone at `root` that this program runs from; "" for anything else.

    A package that was installed lies in a repository of its own at most: its environment's folder
    may be in one of somebody else, whose commit says nothing of this program.
    """
    # A hook of git tells its children about another repository.
    environment = {k: v for k, v in os.environ.items() if not k.startswith("GIT_")}

    def git(*words: str) -> list[str]:
        return subprocess.run(
            ["git", *words],
            cwd=root,
            env=environment,
            capture_output=True,
            text=True,
            timeout=5,
            check=True,
        ).stdout.splitlines()

    try:
        top, commit = git("rev-parse", "--show-toplevel", "HEAD")
        git("ls-files", "--error-unmatch", "bloodcell/__init__.py")
    except (OSError, ValueError, subprocess.SubprocessError):
        return ""
    return commit if Path(top).resolve() == root.resolve() else ""


@dataclass(frozen=True)
class Gpu:
    """One graphics processor, with all that runs on it.

    Attributes:
        name: of the model.
        share: how much of the time it works, 0 to 1; None where it is not told.
        memory, memory_total: bytes.
    """

    name: str
    share: float | None
    memory: int
    memory_total: int


@dataclass(frozen=True)
class Resources:
    """What the process of a run takes.

    Attributes:
        cpu: cores in use, 0 to `cores`: since the figures before, else since the process began.
        cores: of the machine.
        memory: resident bytes. memory_total: of the machine.
        cpu_seconds, at: for the next figures (`at` on the monotonic clock).
        pid: of the process.
    """

    cpu: float
    cores: int
    memory: int
    memory_total: int
    cpu_seconds: float
    at: float
    pid: int


def resources(status: dict[str, Any], before: Resources | None = None) -> Resources | None:
    """What the process of a run with this status takes now; None if it does not run here.

    Args:
        before: what this function returned some seconds ago.
    """
    process = find_process(status) if status["state"] in ("running", "stopping") else None
    if process is None:
        return None
    try:
        with process.oneshot():
            times, memory = process.cpu_times(), process.memory_info().rss
            age = time.time() - process.create_time()
    except psutil.Error:
        return None
    spent, now, cores = times.user + times.system, time.monotonic(), psutil.cpu_count() or 1
    if before is not None and before.pid == process.pid and now > before.at:
        cpu = (spent - before.cpu_seconds) / (now - before.at)
    else:
        cpu = spent / age if age > 0 else 0.0
    return Resources(
        cpu=min(max(cpu, 0.0), float(cores)),
        cores=cores,
        memory=memory,
        memory_total=psutil.virtual_memory().total,
        cpu_seconds=spent,
        at=now,
        pid=process.pid,
    )


def gpus() -> list[Gpu]:
    """The NVIDIA graphics processors of this machine, as ``nvidia-smi`` tells; else none.

    It takes a tenth of a second and more where there is one: ask every few seconds at most.
    """
    if shutil.which("nvidia-smi") is None:
        return []
    wanted = "name,utilization.gpu,memory.used,memory.total"
    try:
        told = subprocess.run(
            ["nvidia-smi", f"--query-gpu={wanted}", "--format=csv,noheader,nounits"],
            capture_output=True,
            text=True,
            timeout=NVIDIA_SMI_S,
            check=True,
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return []
    return parse_gpus(told)


def parse_gpus(told: str) -> list[Gpu]:
    """Read lines of ``name, percent, MiB used, MiB in all``; what is not told is "[N/A]"."""
    found = []
    for line in told.splitlines():
        parts = [p.strip() for p in line.rsplit(",", 3)]
        if len(parts) != 4:
            continue
        name, share, used, total = parts
        if used.isdigit() and total.isdigit():
            busy = int(share) / 100 if share.isdigit() else None
            found.append(Gpu(name, busy, int(used) * MEBIBYTE, int(total) * MEBIBYTE))
    return found
