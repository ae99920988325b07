"""A table that was dropped on the page, read as the package reads a file."""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from bloodcell.errors import BadInput

__all__ = ["read_upload"]

Table = TypeVar("Table")


def read_upload(read: Callable[[Path], Table], content: bytes, name: str) -> Table:
    """What `read` makes of a file with this content; its errors name the upload.

    Raises:
        BadInput: by `read`.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "table.csv"
        path.write_bytes(content)
        try:
            return read(path)
        except BadInput as error:
            raise BadInput(str(error).replace(str(path), name)) from error
