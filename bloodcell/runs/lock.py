"""Locks of the operating system: it lets go of them when their process dies, however it dies."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

__all__ = ["acquire", "locked"]

EVERY_S = 0.02


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
    """Hold the lock on `path`; False if another process still holds it after `wait_s` seconds."""
    end = time.monotonic() + wait_s
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        while not (got := acquire(file)) and time.monotonic() < end:
            time.sleep(EVERY_S)
        yield got
