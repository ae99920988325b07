"""Images and labels in an ``.npz`` archive → a dataset, a few megabytes at a time.

``numpy.load`` would hold whole arrays in memory. The format is that of NEP 1 (NumPy's .npy
files); nothing is ever unpickled.
"""

import io
import json
import math
import sys
import tempfile
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np

from bloodcell.classes import CLASSES, label_id
from bloodcell.data.imaging.decode import MAX_BYTES, MAX_PIXELS, MIN_SIDE, fit, printable
from bloodcell.data.readers.archive import ZipFiles, open_member
from bloodcell.data.readers.keys import choose_keys, names_classes, names_parts
from bloodcell.data.readers.manifest import Given
from bloodcell.data.readers.names import SKIP, NameMap, part_of, unknown_names
from bloodcell.data.readers.sizing import (
    Darkness,
    choose_size,
    crop_text,
    listed,
    nothing_to_train_on,
    require_pairs,
    require_space,
    size_histogram,
)
from bloodcell.data.readers.strays import sift
from bloodcell.data.store.dataset import PARTS, Dataset, new_dataset, open_dataset
from bloodcell.errors import BadInput
from bloodcell.progress import Progress
from bloodcell.workspace import Workspace

__all__ = ["ArrayMember", "ClassNames", "import_arrays", "read_labels"]

CHUNK_BYTES = 4 * 2**20
# Rows stored in columns (Fortran order) are gathered with a read a column: larger chunks.
GATHERED_BYTES = 16 * 2**20
LONGEST_HEADER = 10_000
_LENGTHS = {(1, 0): 2, (2, 0): 4}  # bytes of the header length in each version of the format

_EXPECTED = "expected class ids 0 to 7, class names, or one-hot rows of 8"
_ASK = "give each image one of the eight classes"
_LONGEST_TEXT = 4096  # bytes a label
_MOST_CLASSES = 1000
# Images of a class that is not wanted.
LEFT_OUT = -2
# Rounding in another program may leave values this far outside of their range.
TOLERANCE = 1e-3


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

    def __init__(self, archive: zipfile.ZipFile, info: zipfile.ZipInfo, scratch: Path, key: str):
        self.key = key
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

    def whole(self) -> np.ndarray:
        """All of a small array, of any shape."""
        with open_member(self._archive, self._info) as member:
            _read_fully(member, self._offset, self.called)
            data = _read_fully(member, self._info.file_size - self._offset, self.called)
        return np.frombuffer(data, self.dtype).reshape(
            self.shape, order="F" if self._fortran else "C"
        )

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


@dataclass(frozen=True)
class ClassNames:
    """Names beside numbers: the array `key` of a file says what the number k is called."""

    key: str
    names: tuple[str, ...]


def read_labels(
    array: ArrayMember, classes: ClassNames | None = None, names: NameMap | None = None
) -> np.ndarray:
    """Read labels as class ids.

    Args:
        array: (N,) or (N, 1) of integers, of floats with integral values, or of class names in
            any spelling that :func:`bloodcell.classes.label_id` knows (text or bytes); or (N, 8)
            one-hot of any number type or bool.
        classes: what the file says that its numbers, or the columns of one-hot rows, are.
        names: what a person says of class names.

    Returns:
        int64, N: 0 to 7, OTHER for the name ``other``, or LEFT_OUT.

    Raises:
        UnknownNames: names of classes are none of the eight.
        BadInput: any other form or value; the message names the first one.
    """
    names = names or NameMap()
    n, kind = len(array), array.dtype.kind
    many = len(CLASSES) if classes is None else len(classes.names)
    one_hot = array.shape == (n, many) and kind in "biuf"
    # Numbers in a column are no rows of one class.
    one_hot = one_hot and (many > 1 or kind == "b")
    if not one_hot and array.shape not in ((n,), (n, 1)):
        raise BadInput(
            f"{array.called} has the shape {array.shape}, expected (N,), (N, 1) or one-hot "
            f"(N, {many}): {_ASK}."
        )
    if kind not in ("biuf" if one_hot else "iufUS") or array.dtype.itemsize > _LONGEST_TEXT:
        raise BadInput(f"{array.called} has the dtype {array.dtype}, {_EXPECTED}: {_ASK}.")
    read = _from_one_hot if one_hot else _texts if kind in "US" else _from_numbers
    found, seen = [], 0
    for start, rows in array.chunks():
        found.append(read(array, start, rows, many, classes))
        seen += len(rows)
    if seen != n:
        raise BadInput(f"{array.called} holds only empty text, {_EXPECTED}: {_ASK}.")
    if kind not in "US" and classes is None:
        return np.concatenate(found) if found else np.zeros(0, np.int64)
    if kind in "US":
        called = np.concatenate(found) if found else np.zeros(0, object)
    else:
        called = np.array(classes.names, object)[np.concatenate(found)]
    return _by_name(array, called, names)


def _by_name(array: ArrayMember, called: np.ndarray, names: NameMap) -> np.ndarray:
    """int64, N: labels of class names (object, N)."""
    texts, where, counts = np.unique(called.astype(str), return_inverse=True, return_counts=True)
    meant = [_label(text, names) for text in texts.tolist()]
    unknown = {
        t: int(k) for t, m, k in zip(texts.tolist(), meant, counts, strict=True) if m is None
    }
    if unknown:
        at = int(np.argmax(np.isin(called.astype(str), list(unknown))))
        raise unknown_names(
            array.called, unknown, "classes", f"{printable(str(called[at]))!r} at index {at}"
        )
    return np.array(meant, np.int64)[where]


def _label(text: str, names: NameMap) -> int | None:
    said = [value for value in names.match([text]).values() if value not in PARTS]
    if said:
        return LEFT_OUT if said[-1] == SKIP else label_id(said[-1])
    return label_id(text)


def _from_one_hot(
    array: ArrayMember, start: int, rows: np.ndarray, many: int, classes: ClassNames | None
) -> np.ndarray:
    wrong = ~(np.isin(rows, (0, 1)).all(axis=1) & (rows.sum(axis=1, dtype=float) == 1))
    if wrong.any():
        at = int(np.argmax(wrong))
        raise BadInput(
            f"{array.called} has the row {start + at} {rows[at].tolist()}, expected a single 1 "
            f"among zeros: {_ASK}."
        )
    return rows.argmax(axis=1)


def _from_numbers(
    array: ArrayMember, start: int, rows: np.ndarray, many: int, classes: ClassNames | None
) -> np.ndarray:
    values = rows.reshape(len(rows))
    # NaN fails both comparisons.
    right = (values >= 0) & (values < many) & (values == np.floor(values))
    if not right.all():
        at = int(np.argmin(right))
        expected = _EXPECTED
        if classes is not None:
            expected = f"expected 0 to {many - 1}, as many as {printable(classes.key)} has names"
        raise BadInput(
            f"{array.called} has the label {values[at]} at index {start + at}, {expected}: {_ASK}."
        )
    return values.astype(np.int64)


def _texts(
    array: ArrayMember, start: int, rows: np.ndarray, many: int, classes: ClassNames | None
) -> np.ndarray:
    return np.array(_decoded(array, rows), object)


def _decoded(array: ArrayMember, rows: np.ndarray) -> list[str]:
    """The texts of an array of text or bytes.

    Raises:
        BadInput: they are none.
    """
    if rows.dtype.kind == "U":
        # NumPy checks no code point, and Python fails inside on one that is none.
        points = np.ascontiguousarray(rows).view(np.dtype("u4").newbyteorder(rows.dtype.byteorder))
        if points.size and points.max() > sys.maxunicode:
            raise BadInput(f"{array.called} holds text that is no Unicode: {_ASK}.")
    flat = rows.reshape(rows.size).tolist()
    return [t if isinstance(t, str) else t.decode("utf-8", "replace") for t in flat]


def _small_text(array: ArrayMember, most: int) -> list[str] | None:
    """The texts of an array with at most `most` of them, or None for any other array."""
    size = math.prod(array.shape)
    if array.dtype.kind not in "US" or not 0 < size <= most or not array.dtype.itemsize:
        return None
    if array.dtype.itemsize > _LONGEST_TEXT and array.shape:
        return None
    return _decoded(array, array.whole())


def _class_names(
    members: list[ArrayMember], labels: list[ArrayMember], source: str
) -> ClassNames | None:
    """What a file says that its numbers are, in an array of names or a text of JSON.

    Raises:
        BadInput: there are several such arrays that differ.
    """
    found = None
    for member in members:
        # As many names as images, with repetitions, are labels in words and no list of classes.
        texts = _small_text(member, _MOST_CLASSES)
        texts = _listed(texts[0]) if texts is not None and not member.shape else texts
        if texts is None or len(set(texts)) < len(texts):
            continue
        known = sum(label_id(text) is not None for text in texts)
        if not known and not names_classes(member.key):
            continue
        again = ClassNames(member.key, tuple(texts))
        if found is not None and found.names != again.names:
            raise BadInput(
                f"{printable(source)} names its classes twice, in {found.key} and in {again.key}, "
                "and not alike: keep one of them."
            )
        found = found or again
    return found


def _listed(text: str) -> list[str] | None:
    """The names in a JSON list, or in an object number → name or name → number."""
    try:
        value = json.loads(text)
    except ValueError:
        return [part.strip() for part in text.split(",")] if "," in text else None
    if isinstance(value, dict):
        if all(isinstance(v, int) for v in value.values()):
            value = {str(v): k for k, v in value.items()}
        try:
            value = [value[str(k)] for k in range(len(value))]
        except KeyError:
            return None
    if isinstance(value, list) and value and all(isinstance(v, str) for v in value):
        return value
    return None


def _check_words(member: ArrayMember, labels: ArrayMember, names: NameMap) -> np.ndarray | None:
    """int64, N: labels that an array of words says beside numbers, or None if it says none.

    Raises:
        BadInput: a number stands beside several words.
    """
    if member.dtype.kind not in "US" or member.shape not in ((len(labels),), (len(labels), 1)):
        return None
    words = np.concatenate(
        [np.array(_decoded(member, rows), object) for _, rows in member.chunks()]
    )
    if all(label_id(word) is None for word in set(words)):
        return None
    numbers = np.concatenate([rows.reshape(len(rows), -1) for _, rows in labels.chunks()])
    pairs = {(tuple(n), w) for n, w in zip(numbers.tolist(), words, strict=True)}
    if len(pairs) != len({n for n, _ in pairs}):
        raise BadInput(
            f"{member.called} and {labels.key} contradict each other (a number stands beside "
            "several names), expected one name a number: keep the one that is right."
        )
    return _by_name(member, words, names)


@dataclass(frozen=True)
class _Pair:
    """Images, their labels (0 to 7, OTHER or LEFT_OUT), and the part of each, or ""."""

    images: ArrayMember
    labels: np.ndarray
    parts: list[str]


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

    Images are uint8, or float in [0, 1] or [0, 255] (the maximum over all of a part decides), of
    shape (N, H, W), or (N, H, W, C) with 1, 3 or 4 channels. Names of classes beside numbers
    (``class_names`` and the like) are used.

    Args:
        names: what a person says of class names and of the keys of parts.
        parts: whether to keep the parts that the file gives.

    Raises:
        UnknownNames: names of classes are none of the eight.
        BadInput: a key is missing, or a shape, dtype or value is none of the above.
    """
    source = Path(str(archive.filename)).name
    if given.level or given.manifest is not None:
        raise BadInput(
            f"{printable(source)} holds arrays, which have neither folders nor files to name: "
            "leave out --level and --manifest, or import a folder or zip of images."
        )
    names = names or NameMap()
    tree = ZipFiles(archive)
    files, strays = sift(tree.files)
    shared = _shared_folder(files)
    infos = {f.removeprefix(shared).removesuffix(".npy"): tree.info(f) for f in files}
    chosen, unused, used = choose_keys(infos, source, names, parts)
    with ExitStack() as stack:

        def opened(key: str) -> ArrayMember:
            member = ArrayMember(archive, infos[key], workspace.home, key)
            return stack.enter_context(closing(member))

        members = []
        for keys in chosen:
            images, labels = opened(keys.images), opened(keys.labels)
            _check_images(images)
            if len(images) != len(labels):
                raise BadInput(
                    f"{images.called} holds {len(images):,} images and {keys.labels} "
                    f"{len(labels):,} labels, expected one label an image: mend the file."
                )
            members.append((images, labels, keys.part))
        sizes: Counter[tuple[int, int]] = Counter()
        for images, _, _ in members:
            sizes[images.shape[1:3]] += len(images)
        side = size or _side(sizes, crop)
        # Before anything is read: a small archive may promise more than the disk can hold.
        scratch = sum(images.scratch_bytes for images, _, _ in members)
        require_space(workspace.datasets, sizes.total() * side * side * 3 + scratch)
        beside = _beside(unused, opened)
        pairs, taken = _labelled(members, beside, source, names, parts)
        names.require_used(used | _used_names(pairs, members, taken, names), source)
        counts = Counter(np.concatenate([pair.labels for pair in pairs]).tolist())
        left_out = counts.pop(LEFT_OUT, 0)
        require_pairs(counts, printable(source))
        notes = list(tree.notes)
        if rest := [printable(key) for key in unused if key not in taken]:
            notes.append(f"Arrays that were not used: {', '.join(rest[:12])}.")
        given_parts = {part for pair in pairs for part in pair.parts} - {""}
        if given_parts and PARTS[0] not in given_parts:
            notes.append(nothing_to_train_on(given_parts))
        extra: dict[str, Any] = {
            "source_sizes": size_histogram(sizes),
            "passed_over": listed(strays),
            "left_out": left_out,
            "notes": notes,
        }
        laboratory = given.laboratory
        cut = (side, crop, crop_text(sizes, crop))
        return _write(workspace, pairs, source, name, cut, laboratory, extra, progress)


def _shared_folder(files: list[str]) -> str:
    """The folder, with a slash behind it, that all files lie in, or ""."""
    tops = {f.rpartition("/")[0] for f in files}
    top = next(iter(tops))
    return f"{top}/" if len(tops) == 1 and top else ""


def _beside(unused: list[str], opened: Callable[[str], ArrayMember]) -> list[ArrayMember]:
    """The other arrays of a file, but for those that hold objects.

    Raises:
        BadInput: one says by its key that it names classes, and cannot be read.
    """
    found = []
    for key in unused:
        try:
            found.append(opened(key))
        except BadInput:
            if names_classes(key):
                raise
    return found


def _labelled(
    members: list[tuple[ArrayMember, ArrayMember, str]],
    beside: list[ArrayMember],
    source: str,
    names: NameMap,
    parts: bool,
) -> tuple[list[_Pair], set[str]]:
    """Labels and parts, and the keys of the other arrays that say something of them."""
    taken: set[str] = set()
    numbers = [labels for _, labels, _ in members if labels.dtype.kind not in "US"]
    classes = _class_names(beside, numbers, source) if numbers else None
    if classes is not None:
        taken.add(classes.key)
    pairs = []
    for images, labels, part in members:
        found = None
        if classes is None and labels.dtype.kind not in "US":
            for member in beside:
                found = _check_words(member, labels, names) if found is None else found
                if found is not None:
                    taken.add(member.key)
                    break
        if found is None:
            found = read_labels(labels, classes, names)
        of_each = [part] * len(found)
        if not part and parts:
            for member in beside:
                if names_parts(member.key) and member.shape == (len(found),):
                    of_each = _parts_of_each(member) or of_each
                    taken |= {member.key} if any(of_each) else set()
        pairs.append(_Pair(images, found, of_each))
    return pairs, taken


def _parts_of_each(member: ArrayMember) -> list[str] | None:
    """The part of each image that an array of text names, or None if it names others."""
    if member.dtype.kind not in "US":
        return None
    texts = [text for _, rows in member.chunks() for text in _decoded(member, rows)]
    known = {text: part_of(text) for text in set(texts)}
    return None if None in known.values() else [known[text] for text in texts]


def _used_names(
    pairs: list[_Pair],
    members: list[tuple[ArrayMember, ArrayMember, str]],
    taken: set[str],
    names: NameMap,
) -> set[tuple[str, ...]]:
    """Entries of a map that are about classes: they count as used where there are names at all."""
    worded = bool(taken) or any(labels.dtype.kind in "US" for _, labels, _ in members)
    return {k for k, value in names.chosen.items() if value not in PARTS} if worded else set()


def _write(
    workspace: Workspace,
    pairs: list[_Pair],
    source: str,
    name: str,
    cut: tuple[int, int | None, str],
    laboratory: str,
    extra: dict[str, Any],
    progress: Progress,
) -> Dataset:
    side, crop, text = cut
    ranges = [_value_range(pair, progress) for pair in pairs]
    spoken = [f"{p.images.key} {r[1]}" for p, r in zip(pairs, ranges, strict=True)]
    alike = len({r[1] for r in ranges}) == 1
    total, dark = sum(int((p.labels != LEFT_OUT).sum()) for p in pairs), Darkness()
    extra |= {"source_values": ranges[0][1] if alike else ", ".join(spoken), "skipped": []}
    if not alike:
        extra["notes"].append(f"Values were scaled for each part: {', '.join(spoken)}.")
    origin = {"laboratory": laboratory} if laboratory else {}
    with new_dataset(
        workspace, name, (side, side), printable(source), text, extra, tuple(origin)
    ) as writer:
        for pair, (scale, _) in zip(pairs, ranges, strict=True):
            brightest = 0
            for start, rows in pair.images.chunks():
                brightest = max(brightest, int(rows.max()))
                for i, image in enumerate(_rgb(rows, scale), start):
                    if pair.labels[i] == LEFT_OUT:
                        continue
                    progress(len(writer), total, "images")
                    square = fit(image, side, crop)
                    called = f"{pair.images.key}[{i}]"
                    dark.look_at(square, called)
                    writer.add(square, pair.labels[i], called, pair.parts[i], origin)
            if pair.images.dtype == np.uint8 and brightest <= 1:
                raise BadInput(
                    f"{pair.images.called} is of uint8 and holds nothing above {brightest}, "
                    "expected values up to 255: they were in [0, 1] before they were made whole "
                    "numbers, so multiply by 255 first."
                )
        extra["notes"] += dark.notes("check the range of their values before saving")
        progress(total, total, "images")
    return open_dataset(workspace, str(workspace.datasets / name))


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


def _value_range(pair: _Pair, progress: Progress) -> tuple[float, str]:
    """(factor that brings the values of a part to 0–255, name of the range).

    Raises:
        BadInput: a value is not finite, negative or above 255.
    """
    if pair.images.dtype == np.uint8:
        return 1.0, "uint8"
    total, highest = len(pair.labels), 0.0
    for start, rows in pair.images.chunks():
        progress(start, total, "image values")
        highest = max(highest, _highest(pair.images, start, rows))
    progress(total, total, "image values")
    if 1.0 + TOLERANCE < highest < 2.0:
        raise BadInput(
            f"{pair.images.called} has a highest value of {highest:g}, which fits neither "
            "[0, 1] nor [0, 255]: clip or scale the images before saving."
        )
    if highest <= 1.0 + TOLERANCE:
        return 255.0, "float in [0, 1]"
    return 1.0, "float in [0, 255]"


def _highest(array: ArrayMember, start: int, rows: np.ndarray) -> float:
    low, high = float(rows.min()), float(rows.max())
    if low >= -TOLERANCE and high <= 255 + TOLERANCE:  # false for NaN too
        return high
    flat = rows.reshape(len(rows), -1)
    right = (flat >= -TOLERANCE) & (flat <= 255 + TOLERANCE)
    at = int(np.argmin(right.all(axis=1)))
    raise BadInput(
        f"{array.called} has the value {flat[at][~right[at]][0]} in image {start + at}, expected "
        "all values in [0, 1] or [0, 255]: mend or scale the images before saving."
    )


def _rgb(rows: np.ndarray, scale: float) -> np.ndarray:
    """uint8, n×H×W×3 from a chunk of any accepted shape and dtype."""
    if rows.dtype.kind == "f":
        wide = rows.astype(np.result_type(rows.dtype, np.float32), copy=False)
        rows = np.rint(np.clip(wide * scale, 0, 255)).astype(np.uint8)
    if rows.ndim == 3:
        rows = rows[..., None]
    return np.broadcast_to(rows, (*rows.shape[:3], 3)) if rows.shape[3] == 1 else rows[..., :3]
