"""Photographs as people hand them over: files, folders, zips of them.

What a thing is and how large is looked at before it is read, and it is read when its turn comes:
however much is handed over, one photograph at a time is in memory.
"""

import os
import stat
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from bloodcell.data.imaging.decode import MAX_BYTES, printable
from bloodcell.data.readers.archive import (
    MAX_RATIO,
    RATIO_MATTERS_ABOVE,
    ZipFiles,
    open_archive,
)
from bloodcell.data.readers.strays import is_of_system, sift
from bloodcell.errors import BadInput, BloodCellError, NotFound

__all__ = ["Content", "File", "content_of", "gathered", "unpacked"]

# Of all zips that are handed over together.
MOST_IN_ZIPS = 10_000
MOST_BYTES = 2 * 2**30
_ZIP = (b"PK\x03\x04", b"PK\x05\x06")
_KINDS = {
    stat.S_ISFIFO: "a pipe",
    stat.S_ISCHR: "a device",
    stat.S_ISBLK: "a device",
    stat.S_ISSOCK: "a socket",
}

# The bytes, what reads them, or why they cannot be had.
Content = bytes | Callable[[], bytes] | BloodCellError
File = tuple[str, Content]


def content_of(content: Content) -> bytes:
    """The bytes of a file.

    Raises:
        BloodCellError: they cannot be had.
    """
    if isinstance(content, BloodCellError):
        raise content
    return content() if callable(content) else content


class _OnDisk:
    """A file that is read when it is called, if it is one and small enough.

    Raises:
        BadInput: it is a pipe or a device.
        NotFound: there is none, or it may not be read.
    """

    def __init__(self, path: Path):
        self.path = path
        try:
            self._check(path.stat())
        except (OSError, ValueError) as error:
            raise _not_found(path, error) from error

    def _check(self, found: os.stat_result) -> None:
        for is_kind, words in _KINDS.items():
            if is_kind(found.st_mode):
                raise BadInput(f"{self.path} is {words}, expected a file: save it to one first.")

    def __call__(self) -> bytes:
        try:
            size = self.path.stat().st_size
            if size > MAX_BYTES:
                raise BadInput(
                    f"{self.path} has {size / 2**20:,.0f} MiB, expected at most "
                    f"{MAX_BYTES // 2**20} MiB: save a smaller cut of it."
                )
            return self.begin(MAX_BYTES + 1)
        except (OSError, ValueError) as error:
            raise _not_found(self.path, error) from error

    def begin(self, length: int) -> bytes:
        with self.path.open("rb") as file:
            return file.read(length)


def gathered(names: list[str], strays: list[str] | None = None) -> list[File]:
    """Files, and all files under folders; what cannot be read says why.

    Args:
        names: of files and folders.
        strays: takes the names of what was passed over in folders, being no photograph.
    """
    found: list[File] = []
    for name in names:
        path = Path(name)
        try:
            inside = _under(path, strays) if path.is_dir() else [path]
        except OSError as error:
            found.append((name, _not_found(path, error)))
            continue
        if not inside:
            found.append((name, BadInput(f"{name} is a folder without a photograph in it.")))
        for file in inside:
            # A file is called what it was asked for by, so that answers find their questions.
            called = name if file is path else str(file)
            try:
                found.append((called, _OnDisk(file)))
            except BloodCellError as error:
                found.append((called, error))
    return found


def unpacked(files: list[File], strays: list[str] | None = None) -> list[File]:
    """The same, with a zip replaced by the files in it; nothing is written to the disk.

    Args:
        files: names and contents.
        strays: takes the names of what was passed over in zips, being no photograph.
    """
    found: list[File] = []
    room = _Room()
    for name, content in files:
        try:
            found += _members(name, content, room, strays) or [(name, content)]
        except BloodCellError as error:
            found.append((name, error))
    return found


class _Room:
    """How much the zips of one drop may still unpack to, all together."""

    def __init__(self) -> None:
        self.files = self.bytes = 0

    def take(self, name: str, files: int, size: int, packed: int) -> None:
        """Count a zip.

        Raises:
            BadInput: it is one too many, or unpacks to far more than photographs do.
        """
        ratio = size / max(packed, 1)
        if size > RATIO_MATTERS_ABOVE and ratio > MAX_RATIO:
            raise BadInput(
                f"{name} would unpack to {ratio:,.0f} times its size, expected at most {MAX_RATIO} "
                "times: do not use it unless you know who made it."
            )
        self.files, self.bytes = self.files + files, self.bytes + size
        if self.files > MOST_IN_ZIPS or self.bytes > MOST_BYTES:
            together = f"{name} and the zips before it hold" if self.files > files else name
            verb = "" if self.files > files else " holds"
            raise BadInput(
                f"{together}{verb} {self.files:,} files of {self.bytes / 2**20:,.0f} MiB, expected "
                f"at most {MOST_IN_ZIPS:,} files of {MOST_BYTES // 2**20:,} MiB: take fewer at "
                "once."
            )


def _members(name: str, content: Content, room: _Room, strays: list[str] | None) -> list[File]:
    """The files in a zip; none if it is no zip."""
    on_disk = isinstance(content, _OnDisk)
    if not on_disk and not isinstance(content, bytes):
        return []
    try:
        head = content.begin(4) if on_disk else content[:4]
    except OSError as error:
        raise _not_found(content.path, error) from error
    if head not in _ZIP:
        return []
    opened = ExitStack()
    archive = opened.enter_context(
        open_archive(content.path) if on_disk else open_archive(Path(name), content)
    )
    inside = ZipFiles(archive)
    wanted, passed = sift(inside.files)
    if strays is not None:
        strays += [f"{name}/{file}" for file in passed]
    if not wanted:
        raise BadInput(f"{name} is an archive without a photograph in it: put photographs into it.")
    size = content.path.stat().st_size if on_disk else len(content)
    room.take(printable(name), len(wanted), sum(i.file_size for i in archive.infolist()), size)

    def reader(file: str) -> Callable[[], bytes]:
        # The archive stays open for as long as one of its files may be asked for.
        return lambda _open=opened: inside.read(file)

    return [(f"{name}/{file}", reader(file)) for file in wanted]


def _under(folder: Path, strays: list[str] | None) -> list[Path]:

    def unreadable(error: OSError) -> None:
        # The bins of Windows may only be read by those whom they belong to.
        if not is_of_system(Path(error.filename).relative_to(folder).as_posix()):
            raise error

    every = sorted(
        Path(at, name).relative_to(folder).as_posix()
        for at, _, names in os.walk(folder, onerror=unreadable)
        for name in names
    )
    kept, passed = sift(every)
    if strays is not None:
        strays += [str(folder / file) for file in passed]
    return sorted(folder / file for file in kept)


def _not_found(path: Path, error: Exception) -> NotFound:
    reason = getattr(error, "strerror", None) or "it cannot be read"
    return NotFound(f"{path}: {reason}: check the path.")
