"""Locks of the operating system: it lets go of them when their process dies, however it dies."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from bloodcell.errors import NameTaken, NotFound
from bloodcell.files import os_errors_explained

__all__ = ["acquire", "changing", "is_locked", "locked"]

EVERY_S = 0.02
CHANGE_S = 10.0


def acquire(file: IO, *, shared: bool = False) -> bool:
    """Lock an open file for this process without waiting; False if another one holds it.

    Args:
        shared: only as long as nobody holds it alone. NFS gives no other to a file that was opened
            for reading.
    """
    try:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            kind = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
            fcntl.flock(file, kind | fcntl.LOCK_NB)
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
            return not acquire(file, shared=True)
    except OSError:
        return False


@contextmanager
def changing(path: Path, within: Path | None = None) -> Iterator[None]:
    """A block that reads, changes and writes the file `path`, while no other such block does.

    Args:
        within: a folder above it that must be there, as in :func:`bloodcell.files.replacing`.

    Raises:
        NameTaken: another process does not let go of it.
        NotFound: there is no `within`.
        ReadOnly: one may not write there.
    """
    if within is not None and not within.is_dir():
        raise NotFound(
            f"{within} is not there any more, so {path.name} was not changed: it was deleted or "
            "renamed meanwhile; open it by its present name."
        )
    # Hidden: beside a file that is replaced by another one, which would not be locked.
    with locked(path.with_name(f".{path.name}.lock"), CHANGE_S) as got:
        if not got:
            raise NameTaken(f"{path} is being changed by another process: repeat in a moment.")
        yield
