"""What a run in progress takes of its machine, read from outside."""

import shutil
import subprocess
import time
from dataclasses import dataclass

import psutil

from bloodcell.runs.process import find_process
from bloodcell.runs.run import ACTIVE, Run

__all__ = ["Gpu", "Resources", "gpus", "resources"]

NVIDIA_SMI_S = 5.0
MEBIBYTE = 2**20


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


def resources(run: Run, before: Resources | None = None) -> Resources | None:
    """What the process of a run takes now; None if it does not run on this machine.

    Args:
        before: what this function returned some seconds ago.
    """
    status = run.status()
    process = find_process(status) if status["state"] in ACTIVE else None
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
