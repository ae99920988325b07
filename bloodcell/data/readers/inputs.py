"""Photographs as people hand them over: files, folders, zips of them."""

import os
from pathlib import Path

from bloodcell.data.readers.archive import ZipFiles, open_archive
from bloodcell.data.readers.strays import sift
from bloodcell.errors import BadInput, BloodCellError, NotFound

__all__ = ["MOST_IN_ZIP", "gathered", "unpacked"]

MOST_IN_ZIP = 10_000
MOST_BYTES = 2 * 2**30
_ZIP = (b"PK\x03\x04", b"PK\x05\x06")

File = tuple[str, bytes | BloodCellError]


def gathered(names: list[str], strays: list[str] | None = None) -> list[File]:
    """The content of files, and of all files under folders; what cannot be read says why.

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
                found.append((called, file.read_bytes()))
            except (OSError, ValueError) as error:
                found.append((called, _not_found(file, error)))
    return found


def unpacked(files: list[File], strays: list[str] | None = None) -> list[File]:
    """The same, with a zip replaced by the files in it; nothing is written to the disk.

    Args:
        files: names and contents.
        strays: takes the names of what was passed over in zips, being no photograph.
    """
    found: list[File] = []
    for name, content in files:
        if isinstance(content, bytes) and content.startswith(_ZIP):
            found += _members(name, content, strays)
        else:
            found.append((name, content))
    return found


def _under(folder: Path, strays: list[str] | None) -> list[Path]:
    every = sorted(
        Path(at, name).relative_to(folder).as_posix()
        for at, _, names in os.walk(folder, onerror=_raised)
        for name in names
    )
    kept, passed = sift(every)
    if strays is not None:
        strays += [str(folder / file) for file in passed]
    return sorted(folder / file for file in kept)


def _raised(error: OSError) -> None:
    raise error


def _members(name: str, content: bytes, strays: list[str] | None) -> list[File]:
    found: list[File] = []
    try:
        with open_archive(Path(name), content) as archive:
            inside = ZipFiles(archive)
            wanted, passed = sift(inside.files)
            if strays is not None:
                strays += [f"{name}/{file}" for file in passed]
            _check(name, wanted, sum(i.file_size for i in archive.infolist()))
            for file in wanted:
                try:
                    found.append((f"{name}/{file}", inside.read(file)))
                except BloodCellError as error:
                    found.append((f"{name}/{file}", error))
    except BloodCellError as error:
        return [(name, error)]
    return found


def _check(name: str, files: list[str], total: int) -> None:
    if not files:
        raise BadInput(f"{name} is an archive without a photograph in it: put photographs into it.")
    if len(files) > MOST_IN_ZIP or total > MOST_BYTES:
        raise BadInput(
            f"{name} holds {len(files):,} files of {total / 2**20:,.0f} MiB, expected at most "
            f"{MOST_IN_ZIP:,} files of {MOST_BYTES // 2**20:,} MiB: divide it into several."
        )


def _not_found(path: Path, error: Exception) -> NotFound:
    reason = getattr(error, "strerror", None) or "it cannot be read"
    return NotFound(f"{path}: {reason}: check the path.")
