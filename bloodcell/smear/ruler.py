"""The ruler of a smear: how many pixels a red cell measures.

Red cells are 6 to 8 µm wide everywhere, so their width is the scale of the photograph. Outlines
are asked, not areas: where cells lie in heaps, arcs are still left of each. Every point of an
outline votes for the middle of the circle that it may belong to, once for each radius (Kimme,
Ballard and Sklansky, Comm. ACM 18, 1975; the direction of the gradient makes it one point instead
of a ring). The radius whose circles explain most of the outline is that of the red cells.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from scipy.spatial import cKDTree

from bloodcell.smear.stain import Densities, RedCells, densities, red_cells, stain

__all__ = ["Ruler", "find_ruler"]

# Side of what is looked at, pixels: enough for dozens of red cells that are large enough.
WINDOW = 400
RADII = 5 * 1.1 ** np.arange(0, 38)
# A circle counts if so much of it is seen; cells in heaps show less.
SEEN = 0.45
# Below this radius in pixels a finer look is taken if the photograph has one.
FINE = 9.0
# Circles of so many steps in radius beside the best are asked as well, and how much each counts.
SPAN = 2
NEIGHBOURS = (1, 2, 3, 2, 1)
# Fewer circles than this, or less of all outlines explained, is no field of red cells.
FEWEST = 2
EXPLAINED = 0.2
# Between the field and what lies in it Otsu's threshold is too far inside: cells have soft rims.
OUTLINE = 0.75
# A face is round too: a red cell is not wider than this share of its photograph, nor as dark as
# this, in green and in red light.
WIDEST = 0.55
DARKEST_GREEN, DARKEST_RED = 0.8, 0.6
# People draw a box around the rim, the outline here lies on its slope.
BOX = 1.07


@dataclass(frozen=True)
class Ruler:
    """What the red cells of a photograph say.

    Attributes:
        diameter: of a red cell, pixels of the photograph; the median, weighed by how much of each
            outline is seen.
        cells: how many were seen.
        explained: share of all outlines that lie on circles of about this size, 0 to 1.
    """

    diameter: float
    cells: int
    explained: float


def find_ruler(image: np.ndarray) -> Ruler | None:
    """How many pixels a red cell measures.

    Args:
        image: uint8, H×W×3, RGB.

    Returns:
        None where nothing looks like red cells.
    """
    found = _finest(image)
    return found if found and found.diameter <= WIDEST * min(image.shape[:2]) else None


def _finest(image: np.ndarray) -> Ruler | None:
    best: Ruler | None = None
    longest = max(image.shape[:2])
    side = WINDOW
    while True:
        zoom = min(1.0, side / longest)
        found = _measured(_window(image, zoom))
        if found is not None:
            found = Ruler(found.diameter / zoom, found.cells, found.explained)
            if best is None or found.explained > 1.2 * best.explained:
                best = found
            if best.diameter * zoom / 2 >= FINE:
                return best
        if zoom == 1.0:
            return best
        side *= 2


def _window(image: np.ndarray, zoom: float) -> np.ndarray:
    """The middle of a photograph at a scale, at most WINDOW pixels a side."""
    height, width = image.shape[:2]
    h, w = min(height, round(WINDOW / zoom)), min(width, round(WINDOW / zoom))
    top, left = (height - h) // 2, (width - w) // 2
    part = image[top : top + h, left : left + w]
    if zoom == 1.0:
        return part
    size = max(8, round(w * zoom)), max(8, round(h * zoom))
    return cv2.resize(part, size, interpolation=cv2.INTER_AREA)


def _measured(image: np.ndarray) -> Ruler | None:
    found = densities(cv2.GaussianBlur(image, (0, 0), 1.0))
    red = red_cells(found)
    if red is None or red.green > DARKEST_GREEN or red.red > DARKEST_RED:
        return None
    outline = _outlines(found, red)
    if outline is None:
        return None
    points, inward = outline
    radii = RADII[max(image.shape[:2]) / 2.5 > RADII]
    circles = [_circles(points, inward, float(r), image.shape[:2]) for r in radii]
    worth = np.array([votes.sum() for _, votes in circles])
    if not worth.any():
        return None
    # One radius alone may be lucky: cells differ in width by far more than a step.
    best = int(np.convolve(worth, NEIGHBOURS, "same").argmax())
    share = float(worth[max(0, best - 1) : best + 2].max()) / len(points)
    near = range(max(0, best - SPAN), min(len(radii), best + SPAN + 1))
    widths, seen = [], []
    for k in near:
        widths += _widths(points, inward, circles[k][0], float(radii[k]))
        seen += (circles[k][1] / radii[k]).tolist()
    count = len(circles[best][0])
    if count < FEWEST or share < EXPLAINED:
        return None
    order = np.argsort(widths)
    below = np.cumsum(np.array(seen)[order])
    middle = order[np.searchsorted(below, below[-1] / 2)]
    return Ruler(float(widths[middle]), count, min(1.0, share))


def _outlines(found: Densities, red: RedCells) -> tuple[np.ndarray, np.ndarray] | None:
    """Points on the outlines of what is not stained, (x, y), and the unit vector inward there."""
    body = cv2.GaussianBlur(found.green + found.blue, (0, 0), 1.0)
    stained = (stain(found, red) > 0.6).astype(np.uint8)
    stained = cv2.morphologyEx(stained, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
    stained = cv2.dilate(stained, np.ones((5, 5), np.uint8)) > 0
    levels = np.clip(np.round(body * 400), 0, 255).astype(np.uint8)
    rest = levels[~stained]
    if rest.size < 100:
        return None
    threshold, _ = cv2.threshold(rest, 0, 1, cv2.THRESH_BINARY + cv2.THRESH_OTSU)
    inside = (levels > OUTLINE * threshold).astype(np.uint8)
    inside = cv2.morphologyEx(inside, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
    edge = (inside > 0) & (cv2.erode(inside, np.ones((3, 3), np.uint8)) == 0) & ~stained
    edge[[0, -1]] = edge[:, [0, -1]] = False
    y, x = np.nonzero(edge)
    if len(x) < 40:
        return None
    soft = cv2.GaussianBlur(body, (0, 0), 1.5)
    gx = cv2.Sobel(soft, cv2.CV_32F, 1, 0)[y, x]
    gy = cv2.Sobel(soft, cv2.CV_32F, 0, 1)[y, x]
    length = np.maximum(np.hypot(gx, gy), 1e-6)
    points = np.stack([x, y], 1).astype(np.float32)
    return points, np.stack([gx / length, gy / length], 1)


def _circles(
    points: np.ndarray, inward: np.ndarray, radius: float, shape: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray]:
    """Middles of circles of a radius, n×2, and how many points each explains."""
    step = radius / 4
    cells = np.floor((points + radius * inward) / step).astype(np.int64) + 2
    height, width = int(shape[0] / step) + 5, int(shape[1] / step) + 5
    good = ((cells >= 0) & (cells < (width, height))).all(1)
    flat = cells[good, 1] * width + cells[good, 0]
    votes = np.bincount(flat, minlength=height * width).reshape(height, width).astype(np.float32)
    votes = cv2.boxFilter(votes, -1, (3, 3), normalize=False, borderType=cv2.BORDER_CONSTANT)
    peak = votes >= cv2.dilate(votes, np.ones((7, 7), np.uint8))
    peak &= votes > SEEN * 2 * np.pi * radius
    y, x = np.nonzero(peak)
    return np.stack([x - 1.5, y - 1.5], 1) * step, votes[y, x]


def _widths(
    points: np.ndarray, inward: np.ndarray, middles: np.ndarray, radius: float
) -> list[float]:
    """The diameters of circles, each about one of the middles."""
    if not len(middles):
        return []
    near = cKDTree(points + radius * inward).query_ball_point(middles, radius / 2, p=np.inf)
    return [_width(points[aim]) for aim in near]


def _width(points: np.ndarray) -> float:
    """The diameter of the circle that best fits some points."""
    x, y = points.astype(float).T
    terms = np.stack([x, y, np.ones_like(x)], 1)
    (a, b, c), *_ = np.linalg.lstsq(terms, x * x + y * y, rcond=None)
    # An outline runs through the middles of its outermost pixels.
    return 2 * float(np.sqrt(max(c + a * a / 4 + b * b / 4, 1.0))) * BOX
