"""Which process carries a run out, and whether it still lives.

A pid alone proves nothing: dead children stay as zombies, pids are used again, and a folder may
come from another machine. So the host and the moment the process began are written down too.
"""

import platform
import sys
import time
from pathlib import Path
from typing import Any

import psutil

__all__ = ["SILENCE_S", "find_process", "is_alive", "is_recent", "this_process"]

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


def find_process(said: dict[str, Any]) -> psutil.Process | None:
    """The process that wrote `said` about itself, or None if it is gone or not of this host."""
    try:
        if said["host"] != platform.node():
            return None
        # psutil would take None for this very process.
        if said["pid"] is None:
            return None
        process = psutil.Process(said["pid"])
        mark = said.get("process_mark")
        if mark and (now := _mark(process.pid)):
            same = mark == now
        else:
            same = abs(process.create_time() - said["process_started"]) < 1.0
        return process if same and process.status() != psutil.STATUS_ZOMBIE else None
    except (psutil.Error, KeyError, TypeError, ValueError):
        return None


def is_alive(said: dict[str, Any]) -> bool:
    """Whether the process that wrote `said` still works; for another host, by its heartbeat."""
    if said.get("host") != platform.node():
        return is_recent(said.get("heartbeat"))
    return find_process(said) is not None


def is_recent(moment: float | None) -> bool:
    """Whether `moment` (seconds since 1970) is now or just was.

    One in the future is not: then the clock was set back, and it says nothing.
    """
    return moment is not None and abs(time.time() - moment) < SILENCE_S
