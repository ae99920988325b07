"""Images and labels in an ``.npz`` archive → a dataset, a few megabytes at a time.

``numpy.load`` would hold whole arrays in memory. The format is that of NEP 1 (NumPy's .npy
files); nothing is ever unpickled.
"""

import io
import math
import sys
import tempfile
import zipfile
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np

from bloodcell.classes import CLASSES, LABEL_NAMES, label_id
from bloodcell.data.imaging.decode import MAX_BYTES, MAX_PIXELS, MIN_SIDE, fit, printable
from bloodcell.data.readers.archive import open_member
from bloodcell.data.readers.manifest import Given
from bloodcell.data.readers.names import NameMap
from bloodcell.data.readers.sizing import (
    choose_size,
    crop_text,
    require_pairs,
    require_space,
    size_histogram,
)
from bloodcell.data.store.dataset import Dataset, new_dataset, open_dataset
from bloodcell.errors import BadInput
from bloodcell.progress import Progress
from bloodcell.workspace import Workspace

__all__ = ["ArrayMember", "import_arrays", "read_labels"]

# Key before "_images" and "_labels" in MedMNIST files (Yang et al. 2023) → part of the dataset.
_PARTS = {"train": "train", "val": "validation", "test": "test"}

CHUNK_BYTES = 4 * 2**20
# Rows stored in columns (Fortran order) are gathered with a read a column: larger chunks.
GATHERED_BYTES = 32 * 2**20
LONGEST_HEADER = 10_000
_LENGTHS = {(1, 0): 2, (2, 0): 4}  # bytes of the header length in each version of the format

_EXPECTED = "expected class ids 0 to 7, class names, or one-hot rows of 8"
_ASK = "give each image one of the eight classes"
_LONGEST_TEXT = 4096  # bytes a label


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


def read_labels(array: ArrayMember) -> np.ndarray:
    """Read labels as class ids.

    Args:
        array: (N,) or (N, 1) of integers, of floats with integral values, or of class names in
            any spelling that :func:`bloodcell.classes.label_id` knows (text or bytes); or (N, 8)
            one-hot of any number type or bool.

    Returns:
        int64, N, 0 to 7, or OTHER for the name ``other``.

    Raises:
        BadInput: any other form or value; the message names the first one.
    """
    n, kind = len(array), array.dtype.kind
    one_hot = array.shape == (n, len(CLASSES)) and kind in "biuf"
    if not one_hot and array.shape not in ((n,), (n, 1)):
        raise BadInput(
            f"{array.called} has the shape {array.shape}, expected (N,), (N, 1) or one-hot "
            f"(N, {len(CLASSES)}): {_ASK}."
        )
    if kind not in ("biuf" if one_hot else "iufUS") or array.dtype.itemsize > _LONGEST_TEXT:
        raise BadInput(f"{array.called} has the dtype {array.dtype}, {_EXPECTED}: {_ASK}.")
    read = _from_one_hot if one_hot else _from_names if kind in "US" else _from_numbers
    labels = np.empty(n, np.int64)
    seen = 0
    for start, rows in array.chunks():
        labels[start : start + len(rows)] = read(array, start, rows)
        seen += len(rows)
    if seen != n:
        raise BadInput(f"{array.called} holds only empty text, {_EXPECTED}: {_ASK}.")
    return labels


def _from_one_hot(array: ArrayMember, start: int, rows: np.ndarray) -> np.ndarray:
    wrong = ~(np.isin(rows, (0, 1)).all(axis=1) & (rows.sum(axis=1, dtype=float) == 1))
    if wrong.any():
        at = int(np.argmax(wrong))
        raise BadInput(
            f"{array.called} has the row {start + at} {rows[at].tolist()}, expected a single 1 "
            f"among zeros: {_ASK}."
        )
    return rows.argmax(axis=1)


def _from_numbers(array: ArrayMember, start: int, rows: np.ndarray) -> np.ndarray:
    values = rows.reshape(len(rows))
    # NaN fails both comparisons.
    right = (values >= 0) & (values < len(CLASSES)) & (values == np.floor(values))
    if not right.all():
        at = int(np.argmin(right))
        raise BadInput(
            f"{array.called} has the label {values[at]} at index {start + at}, {_EXPECTED}: {_ASK}."
        )
    return values.astype(np.int64)


def _from_names(array: ArrayMember, start: int, rows: np.ndarray) -> np.ndarray:
    if rows.dtype.kind == "U":
        # NumPy checks no code point, and Python fails inside on one that is none.
        points = np.ascontiguousarray(rows).view(np.dtype("u4").newbyteorder(rows.dtype.byteorder))
        if points.max() > sys.maxunicode:
            raise BadInput(f"{array.called} holds text that is no Unicode: {_ASK}.")
    names, where = np.unique(rows.reshape(len(rows)), return_inverse=True)
    texts = [t if isinstance(t, str) else t.decode("utf-8", "replace") for t in names.tolist()]
    ids = [label_id(text) for text in texts]
    unknown = np.array([i is None for i in ids])[where]
    if unknown.any():
        at = int(np.argmax(unknown))
        raise BadInput(
            f"{array.called} has the class {printable(texts[where[at]])!r} at index {start + at}, "
            f"expected one of {', '.join(LABEL_NAMES)}: {_ASK}."
        )
    return np.array(ids, np.int64)[where]


@dataclass(frozen=True)
class _Pair:
    """Images, their class ids, and the part that the file says they are."""

    images: ArrayMember
    labels: np.ndarray
    part: str


def import_arrays(
    workspace: Workspace,
    archive: zipfile.ZipFile,
    name: str,
    *,
    size: int | None,
    crop: int | None,
    progress: Progress,
    given: Given = Given(),  # noqa: B008
    names: NameMap | None = None,
    parts: bool = True,
) -> Dataset:
    """Import ``images`` and ``labels``, or MedMNIST's ``train_images`` and so on.

    Images are uint8, or float in [0, 1] or [0, 255] (the maximum over all of them decides), of
    shape (N, H, W), or (N, H, W, C) with 1, 3 or 4 channels.

    Raises:
        BadInput: a key is missing, or a shape, dtype or value is none of the above.
    """
    source = Path(str(archive.filename)).name
    if given.level or given.manifest is not None:
        raise BadInput(
            f"{printable(source)} holds arrays, which have neither folders nor files to name: "
            "leave out --level and --manifest, or import a folder or zip of images."
        )
    with ExitStack() as stack:
        members = []
        for images_key, labels_key, part in _choose_keys(archive, source):
            images = _member(archive, images_key, workspace, stack)
            labels = _member(archive, labels_key, workspace, stack)
            _check_images(images)
            if len(images) != len(labels):
                raise BadInput(
                    f"{images.called} holds {len(images):,} images and {labels_key} "
                    f"{len(labels):,} labels, expected one label an image: mend the file."
                )
            members.append((images, labels, part))
        sizes: Counter[tuple[int, int]] = Counter()
        for images, _, _ in members:
            sizes[images.shape[1:3]] += len(images)
        side = size or _side(sizes, crop)
        # Before anything is read: a small archive may promise more than the disk can hold.
        scratch = sum(images.scratch_bytes for images, _, _ in members)
        require_space(workspace.datasets, sizes.total() * side * side * 3 + scratch)
        pairs = [_Pair(images, read_labels(labels), part) for images, labels, part in members]
        counts = Counter(np.concatenate([pair.labels for pair in pairs]).tolist())
        require_pairs(counts, printable(source))
        laboratory = given.laboratory
        return _write(workspace, pairs, source, name, side, crop, sizes, laboratory, progress)


def _write(
    workspace: Workspace,
    pairs: list[_Pair],
    source: str,
    name: str,
    side: int,
    crop: int | None,
    sizes: Counter[tuple[int, int]],
    laboratory: str,
    progress: Progress,
) -> Dataset:
    scale, values = _value_range(pairs, progress)
    total = sizes.total()
    extra: dict[str, Any] = {
        "source_sizes": size_histogram(sizes),
        "source_values": values,
        "skipped": [],
    }
    text = crop_text(sizes, crop)
    origin = {"laboratory": laboratory} if laboratory else {}
    with new_dataset(
        workspace, name, (side, side), printable(source), text, extra, tuple(origin)
    ) as writer:
        for pair in pairs:
            for start, rows in pair.images.chunks():
                for i, image in enumerate(_rgb(rows, scale), start):
                    progress(len(writer), total, "images")
                    cut = fit(image, side, crop)
                    called = f"{pair.images.key}[{i}]"
                    writer.add(cut, pair.labels[i], called, pair.part, origin)
        progress(total, total, "images")
    return open_dataset(workspace, str(workspace.datasets / name))


def _choose_keys(archive: zipfile.ZipFile, source: str) -> list[tuple[str, str, str]]:
    """(key of images, key of labels, part) of each pair to import."""
    keys = {info.filename.removesuffix(".npy") for info in archive.infolist()}
    if {"images", "labels"} <= keys:
        return [("images", "labels", "")]
    if "images" in keys or "labels" in keys:
        wanted = [("images", "labels", "")]
    else:
        wanted = [(f"{k}_images", f"{k}_labels", part) for k, part in _PARTS.items()]
        # A file may come without one of the parts, but not with half of one.
        wanted = [pair for pair in wanted if keys & set(pair[:2])]
    missing = [key for pair in wanted for key in pair[:2] if key not in keys]
    if missing or not wanted:
        shown = ", ".join(printable(k) for k in sorted(keys)[:12]) or "none"
        lacks = f"{printable(source)} has no {' and no '.join(missing or ['images and labels'])}"
        raise BadInput(
            f"{lacks} (its keys: {shown}), expected images and labels, or train_images, "
            "train_labels, val_images, val_labels, test_images and test_labels: "
            "save it with these names."
        )
    return wanted


def _member(
    archive: zipfile.ZipFile, key: str, workspace: Workspace, stack: ExitStack
) -> ArrayMember:
    member = ArrayMember(archive, archive.getinfo(f"{key}.npy"), workspace.home)
    return stack.enter_context(closing(member))


def _check_images(array: ArrayMember) -> None:
    shape, dtype = array.shape, array.dtype
    if not (dtype == np.uint8 or (dtype.kind == "f" and dtype.itemsize <= 8)):
        raise BadInput(
            f"{array.called} has the dtype {dtype}, expected uint8, or float in [0, 1] or "
            "[0, 255]: convert it before saving."
        )
    if len(shape) not in (3, 4) or (len(shape) == 4 and shape[3] not in (1, 3, 4)):
        hint = ""
        if len(shape) == 4 and shape[1] in (1, 3, 4):
            hint = " (the channels seem to come first: use transpose(0, 2, 3, 1))"
        raise BadInput(
            f"{array.called} has the shape {shape}, expected (N, H, W), or (N, H, W, C) with 1, 3 "
            f"or 4 channels{hint}: reshape it before saving."
        )
    if not len(array):
        raise BadInput(f"{array.called} holds no image (shape {shape}): save at least 2 a class.")
    bytes_each = math.prod(shape[1:]) * dtype.itemsize
    if min(shape[1:3]) < MIN_SIDE or shape[1] * shape[2] > MAX_PIXELS or bytes_each > MAX_BYTES:
        raise BadInput(
            f"{array.called} holds images of {shape[2]}×{shape[1]} pixels, expected {MIN_SIDE} a "
            f"side to {MAX_PIXELS // 10**6} million and {MAX_BYTES // 2**20} MiB in all: "
            "save them at another size."
        )


def _side(sizes: Counter[tuple[int, int]], crop: int | None) -> int:
    # Arrays are of one shape already: the largest square of a part is worth keeping.
    return choose_size(Counter({(min(hw), min(hw)): n for hw, n in sizes.items()}), crop)


def _value_range(pairs: list[_Pair], progress: Progress) -> tuple[float, str]:
    """(factor that brings values to 0–255, name of the range).

    Raises:
        BadInput: types are mixed, or a value is not finite, negative or above 255.
    """
    kinds = {pair.images.dtype.kind for pair in pairs}
    if kinds == {"u"}:
        return 1.0, "uint8"
    if len(kinds) > 1:
        found = ", ".join(f"{p.images.key} {p.images.dtype}" for p in pairs)
        raise BadInput(
            f"{pairs[0].images.called} and its companions differ in dtype ({found}), expected one "
            "for all: convert them before saving."
        )
    total, done, highest = sum(len(p.labels) for p in pairs), 0, 0.0
    for pair in pairs:
        for start, rows in pair.images.chunks():
            progress(done, total, "image values")
            highest = max(highest, _highest(pair.images, start, rows))
            done += len(rows)
    progress(total, total, "image values")
    if 1.0 < highest < 2.0:
        raise BadInput(
            f"{pairs[0].images.called} has a highest value of {highest:g}, which fits neither "
            "[0, 1] nor [0, 255]: clip or scale the images before saving."
        )
    return (255.0, "float in [0, 1]") if highest <= 1.0 else (1.0, "float in [0, 255]")


def _highest(array: ArrayMember, start: int, rows: np.ndarray) -> float:
    low, high = float(rows.min()), float(rows.max())
    if low >= 0 and high <= 255:  # false for NaN too
        return high
    flat = rows.reshape(len(rows), -1)
    right = (flat >= 0) & (flat <= 255)
    at = int(np.argmin(right.all(axis=1)))
    raise BadInput(
        f"{array.called} has the value {flat[at][~right[at]][0]} in image {start + at}, expected "
        "all values in [0, 1] or [0, 255]: mend or scale the images before saving."
    )


def _rgb(rows: np.ndarray, scale: float) -> np.ndarray:
    """uint8, n×H×W×3 from a chunk of any accepted shape and dtype."""
    if rows.dtype.kind == "f":
        wide = rows.astype(np.result_type(rows.dtype, np.float32), copy=False)
        rows = np.rint(wide * scale).astype(np.uint8)
    if rows.ndim == 3:
        rows = rows[..., None]
    return np.broadcast_to(rows, (*rows.shape[:3], 3)) if rows.shape[3] == 1 else rows[..., :3]
