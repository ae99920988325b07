"""Write files so that a crash never leaves half of one.

Everything is written under a temporary name in the same folder and renamed when complete:
a reader sees the old file or the new one, never a part.
"""

import json
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

from bloodcell.errors import BadInput, NoSpace, is_out_of_space

__all__ = ["new_folder", "read_json", "replacing", "sweep_leftovers", "write_json", "write_text"]


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path beside `path` that takes its place when the block ends well.

    Raises:
        NoSpace: the disk is full; `path` is as it was.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{uuid.uuid4().hex[:8]}.tmp")
    try:
        yield temporary
        os.replace(temporary, path)
    except OSError as error:
        if is_out_of_space(error):
            raise NoSpace(
                f"{path} could not be written because the disk is full: free some space and repeat."
            ) from error
        raise
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """A temporary folder beside `path` that becomes `path` when the block ends well.

    Whatever happens in the block, `path` is there whole or not at all.

    Raises:
        NoSpace: the disk is full.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    sweep_leftovers(path.parent)
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{uuid.uuid4().hex[:8]}.tmp")
    temporary.mkdir()
    try:
        yield temporary
        os.rename(temporary, path)
    except OSError as error:
        if is_out_of_space(error):
            raise NoSpace(
                f"{path} could not be written because the disk is full: free some space and repeat."
            ) from error
        raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def sweep_leftovers(folder: Path) -> None:
    """Remove temporary files and folders in `folder` whose writing process is gone."""
    for leftover in folder.glob(".*.tmp"):
        owner = leftover.name.removesuffix(".tmp").rpartition(".")[2].partition("-")[0]
        if owner.isdigit() and not psutil.pid_exists(int(owner)):
            if leftover.is_dir():
                shutil.rmtree(leftover, ignore_errors=True)
            else:
                leftover.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write `text` as UTF-8, whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any) -> None:
    """Write `value` as indented JSON, whole or not at all."""
    write_text(path, json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n")


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Raises:
        BadInput: the file is not JSON.
        FileNotFoundError: there is no such file.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise BadInput(
            f"{path} is not readable as JSON ({error}): restore it from a copy or remove it."
        ) from error
