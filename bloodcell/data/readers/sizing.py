"""What every import decides alike: the side of the images, how they were cut, is there room."""

import shutil
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bloodcell.classes import CLASSES, OTHER
from bloodcell.data.imaging.decode import printable
from bloodcell.errors import BadInput, NoSpace

__all__ = [
    "Darkness",
    "choose_size",
    "crop_text",
    "listed",
    "nothing_to_train_on",
    "require_pairs",
    "require_space",
    "size_histogram",
]

DEFAULT_SIDE = 96
LARGEST_KEPT = 256
SPARE_BYTES = 64 * 2**20
NAMED = 100
# 14 bits in 16 end at 63; the empty field of a stained smear lies above 150.
DARK = 72

Sizes = Counter[tuple[int, int]]  # (height, width) → how many images


def choose_size(sizes: Sizes, crop: int | None) -> int:
    """The side in pixels for images nobody gave a size for.

    Squares that all have one side of at most 256 are kept as they are (a dataset made for
    learning), anything else becomes 96.
    """
    if len(sizes) != 1:
        return DEFAULT_SIDE
    (height, width) = next(iter(sizes))
    side = min(height, crop or height)
    return side if height == width and side <= LARGEST_KEPT else DEFAULT_SIDE


def crop_text(sizes: Sizes, crop: int | None) -> str:
    """How the images were cut, for a person: "none", "centre square" or "centre 200 px"."""
    if crop is not None:
        return f"centre {crop} px"
    return "none" if all(h == w for h, w in sizes) else "centre square"


def size_histogram(sizes: Sizes, most: int = 20) -> dict[str, int]:
    """ "WIDTHxHEIGHT" → images, the most frequent first, the rest under "other"."""
    ranked = sorted(sizes.items(), key=lambda item: (-item[1], item[0]))
    histogram = {f"{w}x{h}": n for (h, w), n in ranked[:most]}
    if rest := sum(n for _, n in ranked[most:]):
        histogram["other"] = rest
    return histogram


def listed(names: Sequence[str]) -> dict[str, Any]:
    """Number and first NAMED of some names, for ``dataset.json``."""
    return {"n": len(names), "names": [printable(name, 400) for name in names[:NAMED]]}


def nothing_to_train_on(parts: Iterable[str]) -> str:
    """The sentence for a source that gives parts, but none to train on."""
    return (
        f"All images are of the {' and '.join(sorted(parts))} part of the source, so there is "
        "nothing to train on: import again with --no-parts to divide them anew."
    )


class Darkness:
    """Counts images that are nearly black, as those in another range than their file says are."""

    def __init__(self) -> None:
        self._n, self._first = 0, ""

    def look_at(self, image: np.ndarray, name: str) -> None:
        """Judge one image, uint8, H×W×3."""
        brightest = float(np.percentile(image[::2, ::2], 99.5))
        if brightest >= DARK:
            return
        self._n += 1
        if not self._first:
            self._first = f"{printable(name)}, with {brightest:.0f} of 255 in its brightest places"

    def notes(self, remedy: str) -> list[str]:
        """A sentence, if there was any."""
        if not self._n:
            return []
        images = "1 image is" if self._n == 1 else f"{self._n:,} images are"
        return [f"{images} nearly black (for example {self._first}): {remedy}."]


def require_space(folder: Path, needed: int) -> None:
    """Raise NoSpace unless the disk of `folder` has `needed` bytes and a little more."""
    existing = next(p for p in (folder, *folder.absolute().parents) if p.exists())
    free = shutil.disk_usage(existing).free
    if free < needed + SPARE_BYTES:
        raise NoSpace(
            f"This needs {needed / 2**20:,.0f} MiB in {folder} and "
            f"{free / 2**20:,.0f} MiB are free: free some space, or choose a smaller size."
        )


def require_pairs(counts: Mapping[int, int], source: str, where: str = "") -> None:
    """Raise BadInput if a class in `counts` (class id → images) has fewer than two images.

    A class with one image cannot be both learned and tested; what is none of the eight is neither.
    """
    for label in sorted(set(counts) - {OTHER}):
        if counts[label] < 2:
            n = counts[label]
            images = "1 image" if n == 1 else f"{n or 'no'} images"
            raise BadInput(
                f"{source} has {images} of the class {CLASSES[label].name}{where}, expected at "
                "least 2 of each class that is there: add images or leave the class out."
            )
