"""Field of view: which square of a photograph an ensemble is shown.

A network knows one scale only, that of the photographs it learned from. Where another photograph
comes from the same camera its size says so; else the stained part, nucleus or platelet, is the
ruler: photographs of one size are of one microscope, so one scale is found for all of them, and
large cells stay larger than small ones.
"""

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from bloodcell.data.imaging.decode import MIN_SIDE, fit
from bloodcell.data.imaging.nucleus import Stained
from bloodcell.errors import BadInput

__all__ = ["Crop", "Field", "candidates", "centre", "cut", "field_of", "parse_crop", "square_for"]

# Fewer photographs than this say little about the scale of their microscope.
ENOUGH = 5
# Scales nearer than this to that of the training cells are called the same.
SAME = 0.82
SMALLEST = 16
# A photograph this much longer than wide is cut around the cell, not at its centre.
LONG = 1.15
# Sides that are tried, as shares of the shorter side of the photograph.
STEPS = 0.8 ** np.arange(0, 16)
# Beyond the shares of the training cells by this factor.
SLACK = 1.25
# A lone photograph is cut to no fewer pixels than this share of the input: blur is strange too.
SHARP = 0.6


@dataclass(frozen=True)
class Crop:
    """A square of a photograph, in its pixels from the left and from the top."""

    x: int
    y: int
    side: int


@dataclass(frozen=True)
class Field:
    """How the photographs of a training set were cut.

    Attributes:
        crop: side of the centre square in pixels, or None: the largest square.
        sizes: (height, width) of the photographs.
        stained: extent of the stained part as a share of the square: 5 %, 50 % and 95 % of the
            training cells; None where it was not measured.
    """

    crop: int | None
    sizes: frozenset[tuple[int, int]]
    stained: tuple[float, float, float] | None

    def to_json(self) -> dict[str, Any]:
        """As it stands in ``ensemble.json``."""
        sizes = [[width, height] for height, width in sorted(self.sizes)]
        return {
            "crop_px": self.crop,
            "source_sizes": sizes,
            "stained": self.stained and list(self.stained),
        }


def field_of(info: Mapping[str, Any], stained: tuple[float, float, float] | None) -> Field:
    """The field of view of a dataset.

    Args:
        info: its ``dataset.json``.
        stained: see :class:`Field`.
    """
    found = re.fullmatch(r"centre (\d+) px", str(info.get("crop", "")))
    sizes = (re.fullmatch(r"(\d+)x(\d+)", key) for key in info.get("source_sizes", {}))
    known = frozenset((int(m[2]), int(m[1])) for m in sizes if m)
    # Photographs that were taken out of the dataset are shown as they were in it.
    own = {tuple(info["size"])} if "size" in info else set()
    return Field(int(found[1]) if found else None, known | own, stained)


def parse_crop(text: str) -> Crop | Literal["auto", "centre"]:
    """ "auto", "centre", or a square from "X,Y,SIDE".

    Raises:
        BadInput: it is neither.
    """
    if text in {"auto", "centre"}:
        return text
    numbers = re.fullmatch(r"\s*(\d{1,6})\s*,\s*(\d{1,6})\s*,\s*(\d{1,6})\s*", text)
    if numbers is None or int(numbers[3]) < MIN_SIDE:
        raise BadInput(
            f"The crop is {text!r}, expected auto, centre, or X,Y,SIDE in pixels with a side of "
            f"at least {MIN_SIDE}: for example 80,81,200."
        )
    return Crop(int(numbers[1]), int(numbers[2]), int(numbers[3]))


def centre(height: int, width: int, side: int | None = None) -> Crop:
    """The centre square; the largest if `side` is None or does not fit."""
    side = min(height, width, side or height)
    return Crop((width - side) // 2, (height - side) // 2, side)


def around(x: float, y: float, side: float, height: int, width: int) -> Crop:
    """The square around a point, moved until it lies inside."""
    whole = round(min(max(side, SMALLEST), height, width))
    return Crop(
        int(np.clip(round(x - whole / 2), 0, width - whole)),
        int(np.clip(round(y - whole / 2), 0, height - whole)),
        whole,
    )


def cut(image: np.ndarray, crop: Crop, size: int, name: str = "The photograph") -> np.ndarray:
    """Cut a square out and resize it as :func:`bloodcell.data.imaging.decode.fit` does.

    Returns:
        uint8, size×size×3.

    Raises:
        BadInput: the square does not lie inside.
    """
    height, width = image.shape[:2]
    if crop.x + crop.side > width or crop.y + crop.side > height:
        raise BadInput(
            f"{name} has {width}×{height} pixels and the square {crop.x},{crop.y},{crop.side} "
            "reaches outside: choose one inside, or let it be chosen with auto."
        )
    inside = image[crop.y : crop.y + crop.side, crop.x : crop.x + crop.side]
    return fit(inside, size)


def square_for(
    field: Field, size: tuple[int, int], wish: Crop | Literal["auto", "centre"] = "auto"
) -> Crop | None:
    """The square that the size of a photograph alone decides; None where its content must.

    One of a size that the training photographs had is cut as those were.

    Args:
        field: that of the ensemble.
        size: (height, width).
        wish: see :func:`parse_crop`.
    """
    if isinstance(wish, Crop):
        return wish
    if size in field.sizes:
        return centre(*size, field.crop)
    return centre(*size) if wish == "centre" or field.stained is None else None


def candidates(
    field: Field, sizes: list[tuple[int, int]], found: list[Stained | None], size: int
) -> list[list[Crop]]:
    """The squares that come into question for each of some photographs.

    Those of a known size are cut as :func:`square_for` says. For five or more others of one size,
    the median extent of the stained part is set against that of the training cells:
    at the same scale the centre square is taken, at a finer one a square around the stained part
    whose side follows from the ratio. Fewer cannot tell a small cell from a small scale: then
    there are several squares, and which of them shows the least strange cell is for the ensemble
    to say.

    Args:
        field: that of the ensemble.
        sizes: (height, width) of each.
        found: the stained part of each; not looked at where the size is known.
        size: pixels a side that the ensemble takes. A lone photograph is not cut to much less.

    Returns:
        One square or more for each; where it is the ensemble's to choose, the first is the centre
        square.
    """
    counts = Counter(sizes)
    scales = {one: _scale(field, one, sizes, found) for one in counts}
    return [
        _squares(field, one, stained, scales[one] if counts[one] >= ENOUGH else None, size)
        for one, stained in zip(sizes, found, strict=True)
    ]


def _squares(
    field: Field,
    shape: tuple[int, int],
    stained: Stained | None,
    scale: float | None,
    size: int,
) -> list[Crop]:
    height, width = shape
    short = min(shape)
    known = square_for(field, shape)
    if known is not None:
        return [known]
    if stained is None:
        return [centre(height, width)]
    if scale is not None:
        if scale >= SAME and max(shape) < LONG * short:
            return [centre(height, width)]
        return [around(stained.x, stained.y, short * min(scale, 1.0), height, width)]
    low, _, high = field.stained
    # From all that could be a large cell to all that could be a small one.
    sides = [s for s in short * STEPS if low / SLACK <= stained.extent / s <= high * SLACK]
    sides = [s for s in sides if s >= SHARP * size]
    squares = [centre(height, width)]
    squares += [around(stained.x, stained.y, side, height, width) for side in sides]
    return list(dict.fromkeys(squares))


def _scale(
    field: Field, size: tuple[int, int], sizes: list[tuple[int, int]], found: list[Stained | None]
) -> float:
    """Side of the square that shows cells as in training, as a share of the shorter side."""
    extents = [s.extent for other, s in zip(sizes, found, strict=True) if other == size and s]
    if field.stained is None or not extents:
        return 1.0
    return float(np.median(extents)) / min(size) / field.stained[1]
