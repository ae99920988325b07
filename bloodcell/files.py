"""Write files so that a crash never leaves half of one.

Everything is written under a temporary name in the same folder and renamed when complete:
a reader sees the old file or the new one, never a part. What a killed process left behind is
swept away by the next write to that folder.
"""

import errno
import hashlib
import io
import json
import os
import platform
import re
import shutil
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

import numpy as np
import psutil

from bloodcell.errors import (
    BadInput,
    NameTaken,
    NoSpace,
    NotFound,
    ReadOnly,
    is_out_of_space,
    is_read_only,
)

__all__ = [
    "CHECKSUM",
    "bytes_of",
    "check_checksum",
    "decoded",
    "format_bytes",
    "load_array",
    "move",
    "new_folder",
    "os_errors_explained",
    "read_arrays",
    "read_json",
    "replacing",
    "sweep_leftovers",
    "temporary_beside",
    "unless_read_only",
    "with_checksum",
    "write_array",
    "write_json",
    "write_text",
]

# Machines (and containers) that share a folder cannot see each other's processes.
_HOST = hashlib.blake2b(platform.node().encode(), digest_size=4).hexdigest()
_TEMPORARY = re.compile(r"\..+\.(\d{1,9})-([0-9a-f]{8})-[0-9a-f]{8}\.tmp(\.[^.]*)?")
FORGOTTEN_S = 24 * 3600.0
CHECKSUM = "checksum"


def temporary_beside(path: Path) -> Path:
    """A new name beside `path` that is swept away once this process is gone."""
    # The suffix stays last: Keras chooses its format by it.
    mark = f"{os.getpid()}-{_HOST}-{uuid.uuid4().hex[:8]}"
    return path.with_name(f".{path.stem}.{mark}.tmp{path.suffix}")


def _refused(error: OSError) -> type[BadInput]:
    return ReadOnly if is_read_only(error) else BadInput


@contextmanager
def unless_read_only() -> Iterator[None]:
    """A block whose write is let be where the place may only be read."""
    with suppress(ReadOnly):
        yield


def _ready(folder: Path) -> None:
    """Make a folder that can be written to, without the leftovers of killed processes."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        if is_out_of_space(error):
            raise NoSpace(
                f"{folder} could not be made because the disk is full: free some space and repeat."
            ) from error
        raise _refused(error)(
            f"{folder} cannot be a folder to write to ({error.strerror}): choose another place "
            "(the workspace is that of --home or $BLOODCELL_HOME)."
        ) from error
    sweep_leftovers(folder)


@contextmanager
def os_errors_explained(path: Path) -> Iterator[None]:
    """What the disk refuses about `path`, as a sentence.

    Raises:
        NotFound: it is gone: somebody deleted or renamed it meanwhile.
        ReadOnly: one may not write there.
        NoSpace: the disk is full.
        BadInput: anything else that the system says.
    """
    try:
        yield
    except FileNotFoundError as error:
        raise NotFound(
            f"{path} is not there any more: it was deleted or renamed meanwhile; open it by its "
            "present name."
        ) from error
    except OSError as error:
        if is_out_of_space(error):
            raise NoSpace(
                f"{path} could not be written because the disk is full: free some space and repeat."
            ) from error
        raise _refused(error)(
            f"{path} cannot be changed ({error.strerror}): choose a place that may be written to "
            "(the workspace is that of --home or $BLOODCELL_HOME)."
        ) from error


@contextmanager
def _explained(path: Path, temporary: Path) -> Iterator[None]:
    """What the disk refuses, as a sentence about `path`, for which `temporary` stands in."""
    try:
        yield
    except OSError as error:
        if is_out_of_space(error):
            raise NoSpace(
                f"{path} could not be written because the disk is full: free some space and repeat."
            ) from error
        if error.filename is not None and os.fspath(error.filename) == str(temporary):
            raise _refused(error)(
                f"{path} cannot be written to ({error.strerror}): choose another place."
            ) from error
        raise


@contextmanager
def replacing(path: Path, within: Path | None = None) -> Iterator[Path]:
    """A temporary path beside `path`, of the same suffix, that takes its place at a good end.

    Args:
        within: a folder above it that must be there. Of a dataset or a run that somebody deletes
            or renames meanwhile, nothing is made anew.

    Raises:
        BadInput: it is a folder, or its folder cannot be made or written to (then ReadOnly where
            one may only read).
        NoSpace: the disk is full; `path` is as it was.
        NotFound: there is no `within`.
    """
    if within is not None and not within.is_dir():
        raise NotFound(
            f"{within} is not there any more, so {path.name} was not written: it was deleted or "
            "renamed meanwhile; open it by its present name."
        )
    if path.is_dir():
        raise BadInput(f"{path} is a folder, expected the name of a file to write.")
    _ready(path.parent)
    temporary = temporary_beside(path)
    try:
        with _explained(path, temporary):
            yield temporary
            os.replace(temporary, path)
    finally:
        # What could not be made cannot always be asked for either: a name too long.
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """A temporary folder beside `path` that becomes `path` when the block ends well.

    Whatever happens in the block, `path` is there whole or not at all.

    Raises:
        BadInput: the folder it is to lie in cannot be made or written to.
        NameTaken: somebody else made `path` meanwhile.
        NoSpace: the disk is full.
    """
    _ready(path.parent)
    temporary = temporary_beside(path)
    try:
        with _explained(path, temporary):
            temporary.mkdir()
            yield temporary
            try:
                os.rename(temporary, path)
            except OSError as error:
                if error.errno in (errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR, errno.EACCES):
                    raise NameTaken(
                        f"{path} was made by someone else meanwhile: choose another name."
                    ) from error
                raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def move(source: Path, target: Path) -> None:
    """Give a file or folder another place, whole, and never into or over something else.

    Raises:
        NameTaken: there is something at `target`.
        NotFound: there is nothing at `source` any more.
        ReadOnly, NoSpace, BadInput: what the disk refuses.
    """
    _ready(target.parent)
    with os_errors_explained(source):
        try:
            if source.is_dir() and not source.is_symlink():
                # Of a file or a folder with something in it, the system makes no target.
                os.rename(source, target)
            else:
                _move_file(source, target)
        except OSError as error:
            if error.errno in (errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR, errno.EISDIR):
                raise NameTaken(
                    f"{target} was made by someone else meanwhile: choose another name."
                ) from error
            if error.errno != errno.EXDEV:
                raise
            # To another disk, behind a link or a mount.
            with new_folder(target) as copy:
                shutil.copytree(source, copy, symlinks=True, dirs_exist_ok=True)
            shutil.rmtree(source)


def _move_file(source: Path, target: Path) -> None:
    """A rename would write over another file: a link does not."""
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError as error:
        if error.errno in (errno.EEXIST, errno.ENOENT):
            raise
        # A disk without links.
        if os.path.lexists(target):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), target) from error
        os.rename(source, target)
    else:
        source.unlink()


def bytes_of(path: Path) -> int:
    """Bytes of a file, or of all files in a folder; what goes meanwhile is not counted."""
    total = 0
    for each in (path, *path.rglob("*")):
        with suppress(OSError):
            total += each.stat().st_size if each.is_file() else 0
    return total


def format_bytes(n: float) -> str:
    """ "85 MB", "1.6 GB"."""
    return f"{n / 1e9:.1f} GB" if n >= 1e9 else f"{max(n / 1e6, 1):.0f} MB"


def sweep_leftovers(folder: Path) -> None:
    """Remove temporary files and folders in `folder` whose writing process is gone.

    Those of another machine are left for a day: its processes cannot be seen from here.
    """
    for leftover in folder.iterdir():
        found = _TEMPORARY.fullmatch(leftover.name)
        if not found:
            continue
        if found[2] == _HOST:
            gone = not psutil.pid_exists(int(found[1]))
        else:
            try:
                gone = time.time() - leftover.lstat().st_mtime > FORGOTTEN_S
            except FileNotFoundError:
                continue
        if gone and leftover.is_dir() and not leftover.is_symlink():
            shutil.rmtree(leftover, ignore_errors=True)
        elif gone:
            # One that may not be removed is in nobody's way.
            with suppress(OSError):
                leftover.unlink(missing_ok=True)


def load_array(source: Path | IO[bytes], mmap_mode: str | None = None) -> np.ndarray:
    """The array in a ``.npy`` file, without objects.

    NumPy reads its header as Python text: damage to it raises nearly anything.

    Raises:
        OSError: it cannot be read.
        ValueError: it is damaged, or something else.
    """
    try:
        found = np.load(source, mmap_mode=mmap_mode, allow_pickle=False)
    except (OSError, ValueError):
        raise
    except Exception as error:
        raise ValueError(f"its header cannot be read: {error}") from error
    if not isinstance(found, np.ndarray):
        raise ValueError("an archive, not one array")
    return found


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """The arrays in an ``.npz`` file, without objects, each held against the zip's checksum.

    Raises:
        OSError: it cannot be read.
        ValueError: it is damaged, or something else.
    """
    try:
        with np.load(path, allow_pickle=False) as held:
            return {name: held[name] for name in held.files}
    except OSError:
        raise
    # Damage to a zip, too, raises nearly anything.
    except Exception as error:
        raise ValueError(f"it is damaged: {error}") from error


def write_array(path: Path, array: np.ndarray) -> None:
    """Write a small array as ``.npy``.

    ``np.save`` to a path reports a full disk as an OSError without a number, which
    `is_out_of_space` could not tell from any other.
    """
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    path.write_bytes(buffer.getbuffer())


def write_text(path: Path, text: str, within: Path | None = None) -> None:
    """Write `text` as UTF-8, whole or not at all; `within` as in :func:`replacing`."""
    with replacing(path, within) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any, within: Path | None = None) -> None:
    """Write `value` as indented JSON, whole or not at all; `within` as in :func:`replacing`."""
    text = json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False)
    write_text(path, text + "\n", within)


def decoded(data: bytes) -> str:
    """Text in UTF-8, or in what the mark at its beginning says, as Windows programs write it.

    Raises:
        UnicodeDecodeError: it is none.
    """
    utf_16 = data.startswith((b"\xff\xfe", b"\xfe\xff"))
    return data.decode("utf-16" if utf_16 else "utf-8-sig")


def with_checksum(value: dict[str, Any]) -> dict[str, Any]:
    """A JSON object with a checksum of all the rest of it, for :func:`check_checksum`."""
    rest = {k: v for k, v in value.items() if k != CHECKSUM}
    text = json.dumps(rest, sort_keys=True, ensure_ascii=False)
    return rest | {CHECKSUM: hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()}


def check_checksum(value: dict[str, Any], called: str) -> None:
    """Refuse an object that is not as it was written; files of earlier versions have no checksum.

    Args:
        called: the file, for the sentence.

    Raises:
        BadInput: it was changed or damaged since.
    """
    if CHECKSUM in value and value[CHECKSUM] != with_checksum(value)[CHECKSUM]:
        raise BadInput(
            f"{called} is not as it was written (its checksum does not fit): restore it from a "
            f"copy; if you changed it on purpose, remove its {CHECKSUM}."
        )


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Raises:
        BadInput: the file is not JSON.
        FileNotFoundError: there is no such file.
    """
    try:
        return json.loads(decoded(path.read_bytes()))
    # A number of very many digits is a ValueError of Python itself.
    except (ValueError, RecursionError) as error:
        raise BadInput(
            f"{path} is not readable as JSON ({error}): restore it from a copy or remove it."
        ) from error
