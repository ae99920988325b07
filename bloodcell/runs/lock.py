"""Locks of the operating system: it lets go of them when their process dies, however it dies."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from bloodcell.errors import NameTaken, NotFound
from bloodcell.files import os_errors_explained
from bloodcell.runs.run import Run

__all__ = ["acquire", "hold", "is_locked", "locked"]

EVERY_S = 0.02
DYING_S = 10.0


def acquire(file: IO) -> bool:
    """Lock an open file for this process without waiting; False if another one holds it."""
    try:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


@contextmanager
def locked(path: Path, wait_s: float) -> Iterator[bool]:
    """Hold the lock on `path`; False if another process still holds it after `wait_s` seconds.

    Raises:
        ReadOnly: one may not write there.
    """
    end = time.monotonic() + wait_s
    with os_errors_explained(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("a")
    with file:
        while not (got := acquire(file)) and time.monotonic() < end:
            time.sleep(EVERY_S)
        yield got


def is_locked(path: Path) -> bool:
    """Whether a process holds the lock on `path`; nothing is made or changed."""
    try:
        with path.open("r") as file:
            return not acquire(file)
    except OSError:
        return False


@contextmanager
def hold(run: Run) -> Iterator[None]:
    """Hold a run for this process; the operating system lets go of it if the process dies.

    Raises:
        NameTaken: another process holds it.
        NotFound: the run is gone.
        ReadOnly: one may not write there.
    """
    end = time.monotonic() + DYING_S
    if not run.path.is_dir():
        raise NotFound(f"{run.path} is not there any more: it was deleted meanwhile.")
    with os_errors_explained(run.lock_path):
        file = run.lock_path.open("a")
    with file:
        while not acquire(file):
            # A killed process may be gone for everyone but the system, which still holds its files.
            if run.status()["state"] != "lost" or time.monotonic() > end:
                raise NameTaken(
                    f"Run {run.id} is being carried out by another process: "
                    f"watch it, or stop it first with `python -m bloodcell stop {run.id}`."
                )
            time.sleep(0.05)
        yield
