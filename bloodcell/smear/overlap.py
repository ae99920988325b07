"""The same cell on overlapping photographs.

A stage moves in a straight line, so where two photographs overlap, one is the other shifted. A
shift is asked only where two cells look alike, and believed only where all that both photographs
show there agrees: the correlation of the whole overlap, not of the cell, since cells resemble each
other and the red cells around them lie nowhere else like that. Where the overlap is narrow, or the
scale differs, nothing is decided, and both cells count.
"""

from dataclasses import dataclass

import cv2
import numpy as np

__all__ = ["View", "repeats", "view_of"]

# A red cell measures this many pixels where overlaps are compared.
WIDE = 6
# Two cells may be one if they are so alike; of most pairs nothing else needs to be asked.
ALIKE = 0.7
THUMB = 12
# The correlation from which an overlap is believed, and the least area of one in red cells wide.
AGREES = 0.8
# A shift that is nearly right agrees this much already; and how many shifts are tried of a pair.
HOPE = 0.4
TRIED = 4
LEAST = 3
# Scales of two photographs that can be compared, and how far a box may lie beside its shift.
SCALES = 1.1
NEAR = 0.4


@dataclass(frozen=True)
class View:
    """What is kept of a photograph to find it again.

    Attributes:
        small: float32, h×w: the photograph where a red cell measures WIDE pixels.
        red_cell: width of a red cell, pixels of the photograph.
        middles: of its cells, pixels of the photograph: n×2.
        thumbs: float32, n×THUMB²: each cell, of mean 0 and length 1.
    """

    small: np.ndarray
    red_cell: float
    middles: np.ndarray
    thumbs: np.ndarray


def view_of(
    image: np.ndarray, red_cell: float, middles: list[tuple[float, float]], shown: np.ndarray
) -> View:
    """What is kept of a photograph.

    Args:
        image: uint8, H×W×3.
        middles: of its cells.
        shown: uint8, n×S×S×3: their cut-outs.
    """
    zoom = WIDE / red_cell
    size = max(2, round(image.shape[1] * zoom)), max(2, round(image.shape[0] * zoom))
    small = cv2.cvtColor(
        cv2.resize(image, size, interpolation=cv2.INTER_AREA), cv2.COLOR_RGB2GRAY
    ).astype(np.float32)
    thumbs = [
        _normal(cv2.resize(one, (THUMB, THUMB), interpolation=cv2.INTER_AREA).mean(-1).ravel())
        for one in shown
    ]
    return View(small, red_cell, np.array(middles).reshape(-1, 2), np.array(thumbs, np.float32))


def _normal(values: np.ndarray) -> np.ndarray:
    values = values - values.mean()
    return values / max(float(np.linalg.norm(values)), 1e-6)


def repeats(views: list[View | None]) -> dict[tuple[int, int], tuple[int, int]]:
    """Which cells were seen before.

    Args:
        views: of each photograph, in their order; None where there is nothing to compare.

    Returns:
        (photograph, cell) → the same cell on an earlier photograph.
    """
    found: dict[tuple[int, int], tuple[int, int]] = {}
    for j, later in enumerate(views):
        for i, earlier in enumerate(views[:j]):
            if later is None or earlier is None or not (len(later.thumbs) and len(earlier.thumbs)):
                continue
            if not 1 / SCALES < later.red_cell / earlier.red_cell < SCALES:
                continue
            for a, b in _same(earlier, later):
                found.setdefault((j, b), found.get((i, a), (i, a)))
    return found


def _same(earlier: View, later: View) -> list[tuple[int, int]]:
    alike = earlier.thumbs @ later.thumbs.T
    # One microscope, one scale: what the two rulers differ by is their error.
    zoom = later.red_cell / earlier.red_cell
    small = cv2.resize(later.small, None, fx=zoom, fy=zoom, interpolation=cv2.INTER_AREA)
    best = np.argsort(-alike, axis=None)[:TRIED]
    for a, b in zip(*np.unravel_index(best, alike.shape), strict=True):
        if alike[a, b] < ALIKE:
            break
        shift = (earlier.middles[a] - later.middles[b]) * WIDE / earlier.red_cell
        if _agrees(earlier.small, small, shift):
            moved = later.middles + earlier.middles[a] - later.middles[b]
            away = np.hypot(*(earlier.middles[:, None] - moved[None]).transpose(2, 0, 1))
            near = np.argwhere(away < NEAR * earlier.red_cell)
            return [(int(p), int(q)) for p, q in near]
    return []


def _agrees(earlier: np.ndarray, later: np.ndarray, shift: np.ndarray) -> bool:
    """Whether two photographs show the same where one is laid over the other."""
    for dy in (0, -1, 1):
        for dx in (0, -1, 1):
            x, y = round(float(shift[0])) + dx, round(float(shift[1])) + dy
            height = min(earlier.shape[0], later.shape[0] + y) - max(0, y)
            width = min(earlier.shape[1], later.shape[1] + x) - max(0, x)
            if min(height, width) < LEAST * WIDE:
                return False
            top, left = max(0, y), max(0, x)
            a = earlier[top : top + height, left : left + width]
            b = later[top - y : top - y + height, left - x : left - x + width]
            how = float(_normal(a.ravel()) @ _normal(b.ravel()))
            if how > AGREES:
                return True
            if how < HOPE:
                return False
    return False
