"""Mean image and colours of each of the eight classes, from one pass over the pixels.

The pass is kept in ``DATASET/audit/pixels-….npz`` for the labels as they were brought in;
images that were excluded or relabelled since are looked up and moved, so that a decision costs
no second pass.
"""

from contextlib import suppress
from dataclasses import dataclass

import cv2
import numpy as np

from bloodcell.classes import CLASS_NAMES, OTHER
from bloodcell.data.store.dataset import Dataset
from bloodcell.files import read_arrays, replacing, unless_read_only
from bloodcell.progress import Progress, silent

__all__ = ["ClassPixels", "class_pixels"]

VERSION = 1
CHUNK_BYTES = 4 * 2**20
# Of larger images every second, third, ... pixel counts: enough for a mean and for colours.
LARGEST_SIDE = 128


@dataclass(frozen=True)
class ClassPixels:
    """Sums over the images of each class that are not excluded.

    Attributes:
        n: int64, 8: images.
        sums: int64, 8×h×w×3: values of each pixel added up.
        histograms: int64, 8×3×256: how often each value occurs in red, green, blue.
    """

    n: np.ndarray
    sums: np.ndarray
    histograms: np.ndarray

    def mean_image(self, label: int) -> np.ndarray:
        """uint8, h×w×3: the mean of a class; black for one without an image."""
        return np.rint(self.sums[label] / max(int(self.n[label]), 1)).astype(np.uint8)

    def moments(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean and standard deviation of red, green and blue over all pixels of a class.

        Returns:
            Two float64, 8×3, 0 to 255; NaN for a class without an image.
        """
        values = np.arange(256)
        with np.errstate(invalid="ignore"):
            shares = self.histograms / self.histograms.sum(axis=2, keepdims=True)
        mean = shares @ values
        return mean, np.sqrt(np.maximum(shares @ values**2 - mean**2, 0))

    def percentiles(self, levels: tuple[float, ...]) -> np.ndarray:
        """float64, 8×3×len(levels): the values that these shares (0 to 1) of pixels lie below."""
        shares = np.cumsum(self.histograms, axis=2) / np.maximum(
            self.histograms.sum(axis=2, keepdims=True), 1
        )
        found = (shares[..., None] < np.array(levels)).sum(axis=2).astype(np.float64)
        found[self.n == 0] = np.nan
        return found


def _empty(dataset: Dataset) -> ClassPixels:
    k = len(CLASS_NAMES)
    seen = _thinned(dataset.images[:1]).shape[1:]
    return ClassPixels(
        np.zeros(k, np.int64), np.zeros((k, *seen), np.int64), np.zeros((k, 3, 256), np.int64)
    )


def _thinned(images: np.ndarray) -> np.ndarray:
    step = -(-max(images.shape[1:3]) // LARGEST_SIDE)
    return np.ascontiguousarray(images[:, ::step, ::step])


def _add(total: ClassPixels, images: np.ndarray, labels: np.ndarray, sign: int = 1) -> None:
    seen = _thinned(images)
    for label in np.setdiff1d(labels, OTHER):
        of_class = seen[labels == label]
        total.n[label] += sign * len(of_class)
        total.sums[label] += sign * of_class.sum(axis=0, dtype=np.int64)
        flat = of_class.reshape(-1, 1, 3)
        for channel in range(3):
            counts = cv2.calcHist([flat], [channel], None, [256], [0, 256])
            total.histograms[label, channel] += sign * counts.ravel().astype(np.int64)


def _as_brought_in(dataset: Dataset, progress: Progress) -> ClassPixels:
    name = f"pixels-v{VERSION}-{dataset.fingerprint[:12]}.npz"
    path = dataset.path / "audit" / name
    total = _empty(dataset)
    with suppress(OSError, ValueError, KeyError):
        file = read_arrays(path)
        found = ClassPixels(file["n"], file["sums"], file["histograms"])
        if found.sums.shape == total.sums.shape and found.n.sum() == np.sum(
            dataset.given_labels != OTHER
        ):
            return found
    step = max(1, CHUNK_BYTES // int(np.prod(dataset.images.shape[1:])))
    for start in range(0, len(dataset), step):
        progress(start, len(dataset), "pixels")
        rows = slice(start, start + step)
        _add(total, dataset.images[rows], dataset.given_labels[rows])
    progress(len(dataset), len(dataset), "pixels")
    # A dataset that may only be read is looked at all the same.
    with unless_read_only(), replacing(path, dataset.path) as temporary:
        np.savez(temporary, n=total.n, sums=total.sums, histograms=total.histograms)
    return total


def class_pixels(dataset: Dataset, progress: Progress = silent) -> ClassPixels:
    """Mean images and colours of the classes as they are curated now.

    Raises:
        Stopped: by `progress`; nothing is left behind.
    """
    total = _as_brought_in(dataset, progress)
    labels, kept = dataset.labels, dataset.kept
    moved = np.flatnonzero(~kept | (labels != dataset.given_labels))
    step = max(1, CHUNK_BYTES // int(np.prod(dataset.images.shape[1:])))
    for start in range(0, len(moved), step):
        rows = moved[start : start + step]
        images = dataset.images[rows]
        _add(total, images, dataset.given_labels[rows], -1)
        stays = kept[rows]
        _add(total, images[stays], labels[rows][stays])
    return total
