"""Images and labels in an ``.npz`` archive → a dataset, a few megabytes at a time."""

import math
import zipfile
from collections import Counter
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bloodcell.data.imaging.decode import MAX_BYTES, MAX_PIXELS, MIN_SIDE, fit, printable
from bloodcell.data.readers.labels import read_labels
from bloodcell.data.readers.npy import ArrayMember
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

__all__ = ["import_arrays"]

# Key before "_images" and "_labels" in MedMNIST files (Yang et al. 2023) → part of the dataset.
_PARTS = {"train": "train", "val": "validation", "test": "test"}


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
) -> Dataset:
    """Import ``images`` and ``labels``, or MedMNIST's ``train_images`` and so on.

    Images are uint8, or float in [0, 1] or [0, 255] (the maximum over all of them decides), of
    shape (N, H, W), or (N, H, W, C) with 1, 3 or 4 channels.

    Raises:
        BadInput: a key is missing, or a shape, dtype or value is none of the above.
    """
    source = Path(str(archive.filename)).name
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
        return _write(workspace, pairs, source, name, side, crop, sizes, progress)


def _write(
    workspace: Workspace,
    pairs: list[_Pair],
    source: str,
    name: str,
    side: int,
    crop: int | None,
    sizes: Counter[tuple[int, int]],
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
    with new_dataset(workspace, name, (side, side), printable(source), text, extra) as writer:
        for pair in pairs:
            for start, rows in pair.images.chunks():
                for i, image in enumerate(_rgb(rows, scale), start):
                    progress(len(writer), total, "images")
                    cut = fit(image, side, crop)
                    writer.add(cut, pair.labels[i], f"{pair.images.key}[{i}]", pair.part)
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
