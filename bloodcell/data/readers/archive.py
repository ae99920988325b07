"""Zip archives from anywhere, read without trusting them and without unpacking them.

Members are read into memory one at a time and never written to the disk under their own name.
Refused are paths that leave the archive, links, encryption, nested archives, and what unpacks
to far more than photographs do (a "zip bomb").
"""

import errno
import io
import itertools
import re
import stat
import struct
import zipfile
import zlib
from collections.abc import Container, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from bloodcell.data.imaging.decode import MAX_BYTES, printable
from bloodcell.errors import BadInput

__all__ = [
    "MAX_MEMBERS",
    "MAX_RATIO",
    "MAX_TOTAL",
    "RATIO_MATTERS_ABOVE",
    "ZipFiles",
    "is_folder",
    "open_archive",
    "open_member",
    "tidy",
]

MAX_MEMBERS = 2_000_000
MAX_TOTAL = 64 * 2**30
# Deflate reaches 1 to 1032 on zeros; photographs stay below 1 to 5, drawn images below 1 to 100.
MAX_RATIO = 200
RATIO_MATTERS_ABOVE = 16 * 2**20

# What zipfile raises on bytes that only look like an archive.
_DAMAGE = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    EOFError,
    ValueError,
    OverflowError,
    NotImplementedError,
    RuntimeError,
)

_DRIVE = re.compile(r"[A-Za-z]:")


@contextmanager
def open_archive(path: Path, content: bytes | None = None) -> Iterator[zipfile.ZipFile]:
    """Open a zip archive after checking all that its table of contents says.

    Args:
        path: the archive.
        content: its bytes if it does not lie on disk.

    Raises:
        BadInput: it is damaged, or holds what no honest archive of images holds.
    """
    with _readable(path.name):
        archive = zipfile.ZipFile(path if content is None else io.BytesIO(content))
    with archive:
        archive.filename = str(path)
        _check_contents(archive, path.name)
        yield archive


@contextmanager
def open_member(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Iterator[IO[bytes]]:
    """Open a member for reading; damage found in the block becomes BadInput."""
    with _readable(_called(archive, info.filename)), archive.open(info) as member:
        yield member


class ZipFiles:
    """The files of an open zip archive, as a tree of images."""

    def __init__(self, archive: zipfile.ZipFile):
        self._archive = archive
        self._members: dict[str, zipfile.ZipInfo] = {}
        self.folders: list[str] = []
        self.notes: list[str] = []
        self.name = Path(str(archive.filename)).name
        again: list[str] = []
        for info in archive.infolist():
            path = tidy(info.filename)
            if is_folder(info):
                if path:
                    self.folders.append(path)
                continue
            if path in self._members:
                # Whoever unpacks it keeps one of them; which one was meant cannot be known.
                again.append(path)
            self._members[_unused(path, self._members)] = info
        if again:
            self.notes.append(
                f"{printable(self.name)} holds {len(again):,} names more than once (for example "
                f"{printable(again[0])!r}): all of these files were read."
            )
        self.files: list[str] = list(self._members)

    def info(self, file: str) -> zipfile.ZipInfo:
        """The member that a file is."""
        return self._members[file]

    def read(self, file: str, limit: int | None = None) -> bytes:
        """The first `limit` bytes of a file, or all of it with its checksum verified.

        Raises:
            BadInput: the member is damaged or too large for an image.
        """
        info = self._members[file]
        _check_member_size(info, self.name)
        # Asking for the declared size bounds what a lying header can make zlib produce.
        wanted = info.file_size if limit is None else min(limit, info.file_size)
        with open_member(self._archive, info) as member:
            data = member.read(wanted)
        if len(data) < wanted:
            raise BadInput(
                f"{_called(self._archive, file)} is cut off ({len(data):,} of {wanted:,} bytes): "
                "pack the archive again."
            )
        return data


@contextmanager
def _readable(what: str) -> Iterator[None]:
    try:
        yield
    except _DAMAGE as error:
        raise _damaged(what, error) from error
    except OSError as error:
        # A damaged table of contents sends zipfile to places before the file's beginning.
        if error.errno == errno.EINVAL:
            raise _damaged(what, error) from error
        raise


def _damaged(what: str, error: Exception) -> BadInput:
    why = printable(str(error), 120).rstrip(".")
    return BadInput(
        f"{printable(what)} is damaged or cut off ({why}), expected a whole zip archive: "
        "copy or download it again."
    )


def _called(archive: zipfile.ZipFile, member: str) -> str:
    return f"{printable(member)} in {printable(Path(str(archive.filename)).name)}"


def _slashes(name: str) -> str:
    # Some Windows programs write backslashes, against the zip specification (4.4.17.1).
    return name.replace("\\", "/")


def tidy(name: str) -> str:
    """The path of a member without ``./``, doubled slashes, or one at its end."""
    return "/".join(part for part in _slashes(name).split("/") if part not in ("", "."))


def is_folder(info: zipfile.ZipInfo) -> bool:
    """Whether a member stands for a folder, whichever slash it is written with."""
    of_dos = bool(info.external_attr & 0x10) and info.create_system == 0
    return _slashes(info.filename).endswith(("/", "/.")) or (of_dos and not info.file_size)


def _unused(path: str, taken: Container[str]) -> str:
    """`path`, or with a number before its suffix if it is taken."""
    stem, dot, suffix = path.rpartition(".")
    if not stem or "/" in suffix:
        stem, dot, suffix = path, "", ""
    numbered = (f"{stem} ({i}){dot}{suffix}" for i in itertools.count(2))
    return path if path not in taken else next(p for p in numbered if p not in taken)


def _check_contents(archive: zipfile.ZipFile, name: str) -> None:
    name = printable(name)
    members = archive.infolist()
    if len(members) > MAX_MEMBERS:
        raise BadInput(
            f"{name} holds {len(members):,} files, expected at most {MAX_MEMBERS:,}: "
            "import it in several parts."
        )
    total = sum(info.file_size for info in members)
    if total > MAX_TOTAL:
        raise BadInput(
            f"{name} would unpack to {total / 2**30:,.0f} GiB, expected at most "
            f"{MAX_TOTAL // 2**30} GiB: import it in several parts."
        )
    for info in members:
        _check_member(info, name)


def _check_member(info: zipfile.ZipInfo, archive: str) -> None:
    path = _slashes(info.filename)
    shown = f"{archive} holds {printable(info.filename)!r}"
    if not path:
        raise BadInput(f"{archive} holds a file without a name: pack the archive again.")
    if path.startswith("/") or _DRIVE.match(path) or ".." in path.split("/"):
        raise BadInput(
            f"{shown}, a path that leads out of the archive, expected paths inside it: "
            "do not use this archive unless you know who made it."
        )
    kind = stat.S_IFMT(info.external_attr >> 16)
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        what = "a link" if kind == stat.S_IFLNK else "a special file"
        raise BadInput(
            f"{shown}, which is {what}, expected plain files and folders: "
            "pack the images themselves."
        )
    if info.flag_bits & 0x1:
        raise BadInput(f"{shown}, which is encrypted: pack the archive without a password.")
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        # bzip2 and LZMA are unpacked without a bound on what comes out.
        method = zipfile.compressor_names.get(info.compress_type, str(info.compress_type))
        raise BadInput(
            f"{shown}, packed with the method {method}, expected plain zip (deflate or store): "
            "pack the archive again."
        )


def _check_member_size(info: zipfile.ZipInfo, archive: str) -> None:
    """Bounds for a member that is read whole; arrays, which are streamed, have none."""
    shown = f"{printable(info.filename)} in {printable(archive)}"
    if info.file_size > MAX_BYTES:
        raise BadInput(
            f"{shown} would unpack to {info.file_size / 2**20:,.0f} MiB, expected an image of at "
            f"most {MAX_BYTES // 2**20} MiB: take it out of the archive."
        )
    ratio = info.file_size / max(info.compress_size, 1)
    if info.file_size > RATIO_MATTERS_ABOVE and ratio > MAX_RATIO:
        raise BadInput(
            f"{shown} would unpack to {ratio:,.0f} times its size, expected at most {MAX_RATIO} "
            "times: take it out of the archive."
        )
