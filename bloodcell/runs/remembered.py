"""What was read from a file, read anew only when the file has changed.

A workspace of a thousand runs is listed every few seconds, and nearly all of them ended long ago.
A file is known by its modification time, size and inode; what was changed in the last seconds is
read each time, since a clock that ticks coarsely may hide the next change.
"""

import os
import time
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

__all__ = ["remembered"]

T = TypeVar("T")

# Also the ticks of a file server, and a clock that is a little ahead of ours.
YOUNG_S = 5.0
MOST = 50_000
_known: OrderedDict[tuple[str, Callable[[Path], Any]], tuple[tuple[int, int, int], Any]] = (
    OrderedDict()
)


def remembered(path: Path, read: Callable[[Path], T]) -> T:
    """The value of ``read(path)``, which is called only if the file is not as it was.

    The value is shared: whoever asks for it must not change it. What `read` raises is not kept.

    Raises:
        OSError: there is no such file, or it cannot be asked for.
    """
    key = (os.fspath(path), read)
    try:
        found = os.stat(path)
    except ValueError as error:
        # A name that no file can have, from a damaged list.
        raise FileNotFoundError(f"{path!r} is no path") from error
    mark = (found.st_mtime_ns, found.st_size, found.st_ino)
    # Another thread may take it away in between.
    known = _known.get(key)
    if known is not None and known[0] == mark:
        return known[1]
    value = read(path)
    if abs(time.time() - found.st_mtime) > YOUNG_S:
        _known[key] = (mark, value)
        while len(_known) > MOST:
            _known.popitem(last=False)
    return value
