"""An array inside an ``.npz`` archive, read a few rows at a time.

``numpy.load`` would hold the whole array in memory. The format is that of NEP 1 (NumPy's .npy
files); nothing is ever unpickled.
"""

import io
import math
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import numpy as np

from bloodcell.data.imaging.decode import printable
from bloodcell.data.readers.archive import open_member
from bloodcell.errors import BadInput

__all__ = ["ArrayMember"]

CHUNK_BYTES = 4 * 2**20
# Rows stored in columns (Fortran order) are gathered with a read a column: larger chunks.
GATHERED_BYTES = 32 * 2**20
LONGEST_HEADER = 10_000
_LENGTHS = {(1, 0): 2, (2, 0): 4}  # bytes of the header length in each version of the format


class ArrayMember:
    """One array of an open ``.npz``: its header, and its rows as a stream.

    Attributes:
        key: its name in the archive.
        called: key and archive, for messages.
        shape: as saved.
        dtype: as saved; never holds Python objects.

    Raises:
        BadInput: it is no array, holds Python objects, or is cut off.
    """

    def __init__(self, archive: zipfile.ZipFile, info: zipfile.ZipInfo, scratch: Path):
        self.key = info.filename.removesuffix(".npy")
        self.called = f"{printable(self.key)} in {printable(Path(str(archive.filename)).name)}"
        self._archive = archive
        self._info = info
        self._scratch = scratch
        self._gathered: io.BufferedRandom | None = None
        with open_member(archive, info) as member:
            self.shape, self._fortran, self.dtype, self._offset = self._read_header(member)
        promised = self._offset + math.prod(self.shape) * self.dtype.itemsize
        if promised != info.file_size:
            raise BadInput(
                f"{self.called} has {info.file_size:,} bytes where its header promises "
                f"{promised:,}: save or download the file again."
            )

    def __len__(self) -> int:
        return self.shape[0] if self.shape else 0

    @property
    def scratch_bytes(self) -> int:
        """How much disk space reading the rows takes for a while."""
        return self._info.file_size if self._by_column else 0

    @property
    def _by_column(self) -> bool:
        return self._fortran and len(self.shape) > 1

    def chunks(self) -> Iterator[tuple[int, np.ndarray]]:
        """(first row, rows) of the whole array in order; rows have the array's dtype.

        Raises:
            BadInput: the archive is damaged.
        """
        row_bytes = math.prod(self.shape[1:]) * self.dtype.itemsize
        if not len(self) or not row_bytes:
            return
        if self._by_column:
            yield from self._columns(max(1, GATHERED_BYTES // row_bytes))
            return
        step = max(1, CHUNK_BYTES // row_bytes)
        with open_member(self._archive, self._info) as member:
            _read_fully(member, self._offset, self.called)
            for start in range(0, len(self), step):
                n = min(step, len(self) - start)
                data = _read_fully(member, n * row_bytes, self.called)
                yield start, np.frombuffer(data, self.dtype).reshape(n, *self.shape[1:])

    def close(self) -> None:
        if self._gathered is not None:
            self._gathered.close()

    def _columns(self, step: int) -> Iterator[tuple[int, np.ndarray]]:
        """Gather rows from a file without a name: a mapped one would count as memory in use."""
        if self._gathered is None:
            self._scratch.mkdir(parents=True, exist_ok=True)
            self._gathered = tempfile.TemporaryFile(dir=self._scratch)  # noqa: SIM115
            with open_member(self._archive, self._info) as member:
                for start in range(0, self._info.file_size, CHUNK_BYTES):
                    n = min(CHUNK_BYTES, self._info.file_size - start)
                    self._gathered.write(_read_fully(member, n, self.called))
            self._gathered.flush()
        raw = self._gathered.raw  # many short reads far apart: a buffer would only be in the way
        item, columns = self.dtype.itemsize, math.prod(self.shape[1:])
        for start in range(0, len(self), step):
            n = min(step, len(self) - start)
            block = np.empty((columns, n), self.dtype)
            for column, row in enumerate(block.view(np.uint8)):
                raw.seek(self._offset + (column * len(self) + start) * item)
                raw.readinto(row)
            yield start, block.reshape(*reversed(self.shape[1:]), n).T

    def _read_header(self, member: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype, int]:
        """(shape, Fortran order, dtype, bytes before the first value)."""
        start = member.read(8)
        if start[:6] != b"\x93NUMPY" or len(start) < 8:
            raise BadInput(
                f"{self.called} is no NumPy array (it begins with {start[:6]!r}): "
                "save the file again with numpy.savez."
            )
        version = (start[6], start[7])
        if version not in _LENGTHS:
            raise BadInput(
                f"{self.called} has a header of version {version[0]}.{version[1]}, expected a "
                "plain array (version 1.0 or 2.0): save it again with numpy.savez."
            )
        width = member.read(_LENGTHS[version])
        length = int.from_bytes(width, "little")
        if length > LONGEST_HEADER:
            raise BadInput(
                f"{self.called} has a header of {length:,} bytes, expected at most "
                f"{LONGEST_HEADER:,}: save it again as a plain array."
            )
        text = member.read(length)
        read = {
            (1, 0): np.lib.format.read_array_header_1_0,
            (2, 0): np.lib.format.read_array_header_2_0,
        }[version]
        try:
            shape, fortran, dtype = read(io.BytesIO(width + text), max_header_size=LONGEST_HEADER)
        except Exception as error:  # NumPy parses it as Python text, which fails in many ways
            raise BadInput(
                f"{self.called} has a header that cannot be read: save it again with numpy.savez."
            ) from error
        if dtype.hasobject:
            raise BadInput(
                f"{self.called} holds Python objects (dtype {dtype}), expected plain numbers or "
                "text: convert it with astype before saving, objects are never opened."
            )
        if dtype.names or dtype.subdtype or any(n < 0 for n in shape):
            raise BadInput(
                f"{self.called} has dtype {dtype} and shape {shape}, expected a plain array: "
                "save it again with numpy.savez."
            )
        return shape, fortran, dtype, 8 + len(width) + length


def _read_fully(member: IO[bytes], n: int, called: str) -> bytes:
    data = member.read(n)
    if len(data) < n:
        raise BadInput(f"{called} is cut off: save or download the file again.")
    return data
