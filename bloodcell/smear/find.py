"""White cells and platelets on a photograph of a smear, of whatever size and stain.

White cells are what holds much nuclear stain; platelets are small heaps of it that stand out from
what lies around. Both are sought at one scale: the photograph is brought to a red cell of 40
pixels first, so that every number here is one of biology and none of a microscope.
"""

import math
from dataclasses import dataclass, replace
from typing import Literal

import cv2
import numpy as np
from scipy import ndimage
from scipy.spatial import cKDTree

from bloodcell.smear.ruler import find_ruler
from bloodcell.smear.stain import Densities, RedCells, densities, red_cells, stain, violet

__all__ = ["Field", "Found", "find_cells"]

# A red cell measures this many pixels at the scale that is searched: a platelet then has 10.
WORKING = 40
STAINED = 0.6
NUCLEUS = 0.4
# In areas of a red cell.
LEAST_WHITE = 0.22
DENSE = 1.4
# In widths of a red cell.
GAP = 0.25
LOBES = 0.5
WIDEST = 2.0
# Areas above which two nuclei are of two cells; what lies between lobes is a cell, not the field.
WHOLE = 1.1
# Longer, in widths of a red cell, or larger, in areas of one, is no single cell.
LONGEST, LARGEST = 3.4, 9.0
BETWEEN = 0.4
# The outline of a cell: rays about its nucleus, steps on each in widths of a red cell, how many
# steps an edge is wide and a line may bend from ray to ray. Density that is half of a full one;
# below HOLLOW it is field. What it costs to cross the field, to go outward and to bend.
RAYS, STEPS, STEP, REACH_STEPS, BEND = 48, 48, 0.04, 1, 2
FAINT, HOLLOW = 0.3, 0.35
EMPTY, OUTWARD, BENDING = 0.5, 0.004, 0.05
BLOCKED = 1e3
# A platelet's heap of stain, in pixels at working scale.
HEAP, AROUND = 2.0, 7.0
LEAST_CONTRAST = 0.12
# In widths of a red cell: how much of one is seen at the border, and how far a platelet reaches.
SEEN, HEAP_REACH = 0.11, 0.3
# What tells platelets from other small stained things, as weights of a logistic regression on half
# of the fields of BCCD and on candidates of four other laboratories, looked at one by one: contrast
# (logarithm), density of a red cell (logarithm: contrast alone would ask more of a laboratory with
# dark red cells), how much red cell is around, length by width, area (logarithm), and a constant.
PLATELET = (3.79, 5.59, -7.04, -2.15, -0.91, 14.4)
# The evidence that is enough: measured by benchmarks.smear, where more would miss and less invent.
ENOUGH = 0.3
LEAST_EVIDENCE = math.log(ENOUGH / (1 - ENOUGH))
# The least area of one, in those of a red cell: smaller ones are dust.
SMALLEST = 0.01


@dataclass(frozen=True)
class Found:
    """A cell on a photograph.

    Attributes:
        box: left, top, right, bottom, pixels of the photograph.
        kind: what its size says.
        cut: the border of the photograph cuts it.
        doublet: larger than any one cell: several that cannot be told apart.
        evidence: 0 to 1, how much it looks like one.
    """

    box: tuple[int, int, int, int]
    kind: Literal["white", "platelet"]
    cut: bool
    evidence: float
    doublet: bool = False

    @property
    def middle(self) -> tuple[float, float]:
        left, top, right, bottom = self.box
        return (left + right) / 2, (top + bottom) / 2


@dataclass(frozen=True)
class Field:
    """What was found on a photograph.

    Attributes:
        width, height: of the photograph, pixels.
        red_cell: width of a red cell, pixels; None where none was seen.
        cells: from the top to the bottom.
    """

    width: int
    height: int
    red_cell: float | None
    cells: list[Found]


def find_cells(image: np.ndarray, red_cell: float | None = None) -> Field:
    """Find the white cells and the platelets of a photograph.

    Args:
        image: uint8, H×W×3, RGB.
        red_cell: width of a red cell in pixels where it is known; else it is measured.
    """
    height, width = image.shape[:2]
    if red_cell is None:
        ruler = find_ruler(image)
        if ruler is None:
            return Field(width, height, None, [])
        red_cell = ruler.diameter
    wide = red_cell
    zoom = min(1.0, WORKING / wide)
    if zoom < 1:
        size = max(8, round(width * zoom)), max(8, round(height * zoom))
        image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    d = wide * zoom
    found = densities(cv2.GaussianBlur(image, (0, 0), d / 40))
    red = red_cells(found)
    if red is None:
        return Field(width, height, None, [])
    s = stain(found, red)
    whites, taken = _whites(s, found.green / np.float32(red.green), d)
    cells = [*whites, *_platelets(found, red, taken, d)]
    cells = [_scaled(c, 1 / zoom, width, height) for c in cells]
    return Field(width, height, wide, sorted(cells, key=lambda c: (c.box[1], c.box[0])))


def _scaled(cell: Found, by: float, width: int, height: int) -> Found:
    left, top, right, bottom = (by * v for v in cell.box)
    start = max(0, round(left)), max(0, round(top))
    box = *start, min(width, round(right)), min(height, round(bottom))
    return replace(cell, box=box)


def _disc(radius: float) -> np.ndarray:
    side = 2 * max(1, round(radius)) + 1
    return cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))


def _whites(s: np.ndarray, thick: np.ndarray, d: float) -> tuple[list[Found], np.ndarray]:
    """White cells, and where they are (bool, H×W)."""
    unit = np.pi / 4 * d * d
    mask = cv2.morphologyEx((s > STAINED).astype(np.uint8), cv2.MORPH_OPEN, _disc(0.06 * d))
    cells: list[Found] = []
    inside = np.zeros(s.shape, np.uint8)
    # Nuclei are far denser than what lies beside them: each heap has its own threshold.
    count, labels = cv2.connectedComponents(mask)
    core = np.zeros(s.shape, np.uint8)
    for i, where in enumerate(ndimage.find_objects(labels, count - 1), 1):
        part = labels[where] == i
        if part.sum() < 0.02 * unit:
            continue
        peak = float(np.quantile(s[where][part], 0.9))
        core[where] |= (part & (s[where] > NUCLEUS * peak)).astype(np.uint8)
    core = cv2.morphologyEx(core, cv2.MORPH_OPEN, _disc(0.06 * d))
    nuclei = [
        (where, own)
        for where, own in _nuclei(core, thick, d)
        if own.sum() >= LEAST_WHITE * unit and np.median(thick[where][own]) >= DENSE
    ]
    for outline in _wholes(thick, nuclei, core, d):
        (left, top), (right, bottom) = np.floor(outline.min(0)), np.ceil(outline.max(0))
        box = int(left), int(top), int(right), int(bottom)
        cv2.fillPoly(inside, [outline.round().astype(np.int32)], 1)
        area = cv2.contourArea(outline.astype(np.float32))
        doublet = max(right - left, bottom - top) > LONGEST * d or area > LARGEST * unit
        cells.append(Found(box, "white", _is_cut(box, s.shape), 1.0, doublet))
    return cells, inside > 0


def _nuclei(
    core: np.ndarray, thick: np.ndarray, d: float
) -> list[tuple[tuple[slice, slice], np.ndarray]]:
    """The nuclei, each with all its lobes: a window, and what is nucleus there (bool)."""
    unit = np.pi / 4 * d * d
    count, labels, stats, centres = cv2.connectedComponentsWithStats(core)
    lobes = [i for i in range(1, count) if stats[i, cv2.CC_STAT_AREA] > 0.03 * unit]
    group = {i: [i] for i in lobes}
    outlines = {i: _outline(labels, i, stats) for i in lobes}
    pairs = []
    near = cKDTree(centres[lobes]).query_pairs(WIDEST * 1.5 * d) if lobes else ()
    for i, j in ((lobes[a], lobes[b]) for a, b in sorted(near)):
        a, b = outlines[i], outlines[j]
        if (np.maximum(a.min(0), b.min(0)) - np.minimum(a.max(0), b.max(0)) > LOBES * d).any():
            continue
        gaps = np.hypot(*(a[:, None] - b[None]).transpose(2, 0, 1))
        at = np.unravel_index(gaps.argmin(), gaps.shape)
        pairs.append((float(gaps[at]), i, j, a[at[0]], b[at[1]]))
    areas = {i: float(stats[i, cv2.CC_STAT_AREA]) / unit for i in lobes}
    for gap, i, j, p, q in sorted(pairs, key=lambda pair: pair[0]):
        if gap > LOBES * d:
            break
        mine, other = group[i], group[j]
        if mine is other:
            continue
        both = np.concatenate([outlines[k] for k in [*mine, *other]])
        if np.ptp(both, axis=0).max() > WIDEST * d:
            continue
        if min(sum(areas[k] for k in g) for g in (mine, other)) > WHOLE:
            continue
        steps = np.linspace(p, q, 12).round().astype(int)
        if gap > GAP * d and thick[steps[:, 1], steps[:, 0]].min() < BETWEEN:
            continue
        mine += other
        group |= dict.fromkeys(other, mine)
    nuclei = []
    for own in {id(g): sorted(g) for g in group.values()}.values():
        left, top, wide, high = stats[own, :4].T
        where = (
            slice(int(top.min()), int((top + high).max())),
            slice(int(left.min()), int((left + wide).max())),
        )
        nuclei.append((where, np.isin(labels[where], own)))
    return nuclei


def _outline(labels: np.ndarray, i: int, stats: np.ndarray) -> np.ndarray:
    """Some points, (x, y), on the outline of a component."""
    x, y, w, h = stats[i, :4]
    own = (labels[y : y + h, x : x + w] == i).astype(np.uint8)
    lines, _ = cv2.findContours(own, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    points = np.concatenate(lines)[:, 0] + (x, y)
    return points[:: max(1, len(points) // 60)]


def _wholes(
    thick: np.ndarray,
    nuclei: list[tuple[tuple[slice, slice], np.ndarray]],
    core: np.ndarray,
    d: float,
) -> list[np.ndarray]:
    """The outlines of the whole cells around nuclei: each n×2, (x, y).

    About the middle of a nucleus the closed line is sought along which density falls most from
    inside to outside: granules of an eosinophil have the colour of red cells, cytoplasm of a
    monocyte hardly any, but both end somewhere, and cells are round.
    """
    if not nuclei:
        return []
    points, costs = zip(*(_rays(thick, own, where, core, d) for where, own in nuclei), strict=True)
    at = _closed_lines(np.stack(costs))
    height, width = thick.shape
    return [
        np.clip(of[np.arange(RAYS), steps], 0, (width, height))
        for of, steps in zip(points, at, strict=True)
    ]


def _rays(
    thick: np.ndarray, own: np.ndarray, where: tuple[slice, slice], core: np.ndarray, d: float
) -> tuple[np.ndarray, np.ndarray]:
    """Points on rays about a nucleus, RAYS×STEPS×2, and what an outline through each costs."""
    rows, columns = where
    reach = math.ceil(STEPS * STEP * d) + 2
    x0, y0 = max(0, columns.start - reach), max(0, rows.start - reach)
    window = slice(y0, rows.stop + reach), slice(x0, columns.stop + reach)
    core, thick = core[window], thick[window]
    ys, xs = np.nonzero(own)
    y1, x1 = rows.start - y0, columns.start - x0
    x, y = x1 + xs.mean(), y1 + ys.mean()
    angles = np.linspace(0, 2 * np.pi, RAYS, endpoint=False)
    radii = (np.arange(STEPS) * STEP * d).astype(np.float32)
    px = (x + radii * np.cos(angles)[:, None]).astype(np.float32)
    py = (y + radii * np.sin(angles)[:, None]).astype(np.float32)
    mine = np.zeros(core.shape, np.uint8)
    mine[y1 : y1 + own.shape[0], x1 : x1 + own.shape[1]] = own
    inner = cv2.remap(mine, px, py, cv2.INTER_NEAREST)
    other = cv2.remap(core, px, py, cv2.INTER_NEAREST) > inner
    ray = cv2.remap(thick, px, py, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    # Faint cytoplasm differs more from the field than from a dense nucleus.
    full = np.where(other, 0, 1 - np.exp(-np.maximum(ray, 0) / FAINT)).astype(np.float32)
    falls = full[:, : -2 * REACH_STEPS] - full[:, 2 * REACH_STEPS :]
    least = np.where(inner.any(1), STEPS - 1 - inner[:, ::-1].argmax(1), 0)
    cost = np.full((RAYS, STEPS), BLOCKED, np.float32)
    empty = np.cumsum(np.maximum(0, HOLLOW - full), 1)
    away = np.arange(STEPS) - least[:, None]
    cost[:, REACH_STEPS:-REACH_STEPS] = -falls
    cost += EMPTY * empty + OUTWARD * np.maximum(away, 0)
    cost[away < 0] = BLOCKED
    return np.stack([px + x0, py + y0], 2), cost


def _closed_lines(costs: np.ndarray) -> np.ndarray:
    """For each ray the step at which the cheapest closed line crosses it.

    Args:
        costs: float32, cells×RAYS×STEPS.

    Returns:
        int, cells×RAYS.
    """
    cells, rays, steps = costs.shape
    # Three rounds: in the second the line has forgotten where it began.
    turns = 3 * rays
    back = np.zeros((turns, cells, steps), np.int16)
    shifts = np.arange(-BEND, BEND + 1)
    places = np.clip(np.arange(steps) + shifts[:, None], 0, steps - 1).astype(np.int16)
    price = (BENDING * np.abs(shifts)).astype(np.float32)[:, None]
    total = costs[:, 0]
    for i in range(1, turns):
        ways = total[:, places] + price
        best = ways.argmin(1)
        back[i] = places[best, np.arange(steps)]
        total = costs[:, i % rays] + np.take_along_axis(ways, best[:, None], 1)[:, 0]
    each = np.arange(cells)
    at = np.zeros((turns, cells), np.int64)
    at[-1] = total.argmin(1)
    for i in range(turns - 1, 0, -1):
        at[i - 1] = back[i, each, at[i]]
    return at[rays : 2 * rays].T


def _is_cut(box: tuple[int, int, int, int], shape: tuple[int, int]) -> bool:
    left, top, right, bottom = box
    return left <= 0 or top <= 0 or right >= shape[1] or bottom >= shape[0]


def _depth(box: tuple[int, int, int, int], shape: tuple[int, int]) -> float:
    """How far a box reaches inward from the border of the photograph; infinite away from it."""
    left, top, right, bottom = box
    height, width = shape
    reaches = [
        right if left <= 0 else math.inf,
        bottom if top <= 0 else math.inf,
        width - left if right >= width else math.inf,
        height - top if bottom >= height else math.inf,
    ]
    return min(reaches)


def _most(height: np.ndarray, red: RedCells, covered: np.ndarray) -> np.ndarray:
    """The most evidence that peaks of such height, with so much red cell around, may have."""
    ones = np.ones(len(height))
    best = [height, np.log(red.green) * ones, covered, ones, np.log(SMALLEST) * ones, ones]
    return np.dot(PLATELET, best)


def _platelets(found: Densities, red: RedCells, taken: np.ndarray, d: float) -> list[Found]:
    """Small heaps of stain beside the white cells."""
    t = violet(found, red)
    fine = cv2.GaussianBlur(t, (0, 0), d / 40)
    soft = cv2.GaussianBlur(t, (0, 0), HEAP * d / 40)
    contrast = soft - cv2.GaussianBlur(t, (0, 0), AROUND * d / 40)
    peak = (contrast >= cv2.dilate(contrast, _disc(0.12 * d))) & ~taken
    peak &= contrast > LEAST_CONTRAST
    on_red = ((found.green > 0.4 * red.green) & (found.blue > 0.4 * red.blue)).astype(np.float32)
    ys, xs = np.nonzero(peak)
    # What no outline, however round and small, could make a platelet is not looked at; around what
    # could not even be one away from all red cells, nobody looks for them.
    height = np.log(contrast[ys, xs])
    hopeful = _most(height, red, np.zeros(len(ys))) >= LEAST_EVIDENCE
    ys, xs, height = ys[hopeful], xs[hopeful], height[hopeful]
    covered = _around(on_red, ys, xs, 0.25 * d, 0.38 * d)
    hopeful = _most(height, red, covered) >= LEAST_EVIDENCE
    cells = []
    m = round(0.5 * d)
    for y, x, *seen in zip(
        ys[hopeful].tolist(), xs[hopeful].tolist(), height[hopeful], covered[hopeful], strict=True
    ):
        terms = seen[0], np.log(red.green), seen[1]
        y0, x0 = max(0, y - m), max(0, x - m)
        near = fine[y0 : y + m + 1, x0 : x + m + 1]
        level = fine[y, x] - 0.5 * max(1.3 * contrast[y, x], 0.3)
        _, labels = cv2.connectedComponents((near > level).astype(np.uint8))
        ys, xs = np.nonzero(labels == labels[y - y0, x - x0])
        size = len(ys) / (np.pi / 4 * d * d)
        logit = float(np.dot(PLATELET, (*terms, min(3.0, _length(ys, xs)), np.log(size), 1.0)))
        if logit < LEAST_EVIDENCE or size < SMALLEST:
            continue
        # Platelets lie in heaps: what is far from this peak is its neighbour's.
        own = np.hypot(ys + y0 - y, xs + x0 - x) < HEAP_REACH * d
        ys, xs = ys[own] + y0, xs[own] + x0
        box = int(xs.min()), int(ys.min()), int(xs.max()) + 1, int(ys.max()) + 1
        # Of a small part of one nobody can say what it is.
        if _depth(box, t.shape) >= SEEN * d:
            cells.append(Found(box, "platelet", _is_cut(box, t.shape), 1 / (1 + math.exp(-logit))))
    return _without_copies(cells, 0.25 * d)


def _around(
    values: np.ndarray, ys: np.ndarray, xs: np.ndarray, inner: float, outer: float
) -> np.ndarray:
    """The mean of an image on a ring around some of its pixels; its border goes on beyond it."""
    half = round(outer)
    y, x = np.mgrid[-half : half + 1, -half : half + 1]
    away = np.hypot(x, y)
    rows, columns = np.nonzero((away > inner) & (away <= outer))
    wider = cv2.copyMakeBorder(values, half, half, half, half, cv2.BORDER_REPLICATE)
    return wider[ys[:, None] + rows, xs[:, None] + columns].mean(1)


def _length(ys: np.ndarray, xs: np.ndarray) -> float:
    """How much longer than wide some pixels lie."""
    if len(ys) < 4:
        return 1.0
    xx, yy, xy = xs.var() + 1 / 12, ys.var() + 1 / 12, ((xs - xs.mean()) * (ys - ys.mean())).mean()
    middle, half = (xx + yy) / 2, np.hypot((xx - yy) / 2, xy)
    return float(np.sqrt((middle + half) / (middle - half)))


def _without_copies(cells: list[Found], apart: float) -> list[Found]:
    """Of two peaks of one heap the better."""
    kept: list[Found] = []
    middles = np.zeros((len(cells), 2))
    for cell in sorted(cells, key=lambda c: -c.evidence):
        away = middles[: len(kept)] - cell.middle
        if (np.hypot(away[:, 0], away[:, 1]) > apart).all():
            middles[len(kept)] = cell.middle
            kept.append(cell)
    return kept
