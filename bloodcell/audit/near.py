"""Near copies: the same photograph re-encoded, shifted by a pixel or two, mirrored or turned.

Candidates are pairs whose thumbnails agree in numbers that no flip or turn of a square changes.
How far such numbers may lie apart is measured on the dataset itself, on images that are shifted
and re-encoded for the purpose. A candidate counts when one of the eight flips and turns, moved
by up to two pixels, explains the other image but for a small share of its variance.
"""

from collections.abc import Iterator, Sequence

import cv2
import numpy as np

from bloodcell.audit.features import THUMBNAIL
from bloodcell.audit.reduce import BLOCK
from bloodcell.ensemble.ensemble import VIEWS
from bloodcell.progress import Progress, silent

__all__ = ["EXPLAINED", "aligned", "near_pairs"]

# Share of the variance of one image that the other explains, at least. Different cells of
# pbc96 that resemble each other most stay below 0.8; a JPEG of quality 60 gives 0.97.
EXPLAINED = 0.9
COARSE = 0.85
DIMENSIONS = 40
SAMPLE = 256
PER_IMAGE = 24
# Grey levels of noise that no picture is free of: two blank pictures are alike.
NOISE = 3.0


def _octants(thumbnails: np.ndarray) -> np.ndarray:
    """float32, n×C: what is left of n×(T²·3) thumbnails averaged over the eight views."""
    pictures = thumbnails.reshape(-1, THUMBNAIL, THUMBNAIL, 3).astype(np.float32)
    total = np.zeros_like(pictures)
    for turns, flip in VIEWS:
        total += np.rot90(pictures[:, :, ::-1] if flip else pictures, turns, axes=(1, 2))
    half = THUMBNAIL // 2
    corner = total[:, :half, :half] / len(VIEWS)
    y, x = np.triu_indices(half)
    return corner[:, y, x].reshape(len(pictures), -1)


def _disturbed(images: np.ndarray) -> Iterator[np.ndarray]:
    """Each image shifted by a pixel each way and re-encoded as JPEG of quality 60."""
    for image in images:
        coded = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 60])[1]
        padded = np.pad(cv2.imdecode(coded, cv2.IMREAD_COLOR), ((1, 0), (1, 0), (0, 0)), "edge")
        yield padded[:-1, :-1]


def aligned(a: np.ndarray, b: np.ndarray, views: Sequence[tuple[int, bool]] = VIEWS) -> float:
    """How much of image `a` image `b` explains at best, over flips, turns and small shifts.

    Args:
        a, b: uint8, S×S×3.
        views: the turns and flips to try, as in VIEWS.

    Returns:
        1 for a copy; 0 or less for pictures that have nothing in common.
    """
    margin = 2 if len(a) >= 40 else 1
    first, second = (i.astype(np.float32) - i.mean((0, 1), dtype=np.float32) for i in (a, b))
    best = np.inf
    for turns, flip in views:
        view = np.rot90(second[:, ::-1] if flip else second, turns)
        core = np.ascontiguousarray(view[margin:-margin, margin:-margin])
        best = min(best, float(cv2.matchTemplate(first, core, cv2.TM_SQDIFF).min()) / core.size)
    variance = min(float((first**2).mean()), float((second**2).mean()))
    return 1 - best / (variance + NOISE**2)


def _coarse(thumbnails: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    """int64, p: the view (of VIEWS) in which the thumbnails of a pair agree, -1 if in none."""
    if not len(pairs):
        return np.zeros(0, np.int64)
    shape = (-1, THUMBNAIL, THUMBNAIL, 3)
    a, b = (thumbnails[pairs[:, side]].reshape(shape).astype(np.float32) for side in (0, 1))
    a, b = (x - x.mean((1, 2), keepdims=True) for x in (a, b))
    views = (np.rot90(b[:, :, ::-1] if flip else b, turns, axes=(1, 2)) for turns, flip in VIEWS)
    rest = np.stack([((a - view) ** 2).mean((1, 2, 3)) for view in views])
    variance = np.minimum((a**2).mean((1, 2, 3)), (b**2).mean((1, 2, 3)))
    agreed = rest.min(0) < (1 - COARSE) * (variance + NOISE**2)
    return np.where(agreed, rest.argmin(0), -1)


def near_pairs(
    images: np.ndarray, thumbnails: np.ndarray, rows: np.ndarray, progress: Progress = silent
) -> list[tuple[int, int, float]]:
    """Pairs of near copies among some images.

    Args:
        images: uint8, N×S×S×3, may be memory-mapped.
        thumbnails: uint8, N×(THUMBNAIL²·3).
        rows: int, ascending: the images to compare, without exact copies.

    Returns:
        (row, later row, explained share) for each pair.

    Raises:
        Stopped: by `progress`.
    """
    if len(rows) < 2:
        return []
    numbers = _octants(thumbnails[rows])
    mean = numbers.mean(0)
    variances, axes = np.linalg.eigh(np.cov((numbers - mean).T))
    order = np.argsort(variances)[::-1][:DIMENSIONS]
    axes = axes[:, order] / np.sqrt(np.maximum(variances[order], 1.0))
    points = ((numbers - mean) @ axes).astype(np.float32)
    sample = rows[:: max(1, len(rows) // SAMPLE)]
    size = (THUMBNAIL, THUMBNAIL)
    moved = [
        cv2.resize(np.ascontiguousarray(i), size, interpolation=cv2.INTER_AREA).ravel()
        for i in _disturbed(images[sample])
    ]
    there = ((_octants(np.stack(moved)) - mean) @ axes).astype(np.float32)
    own = points[np.searchsorted(rows, sample)]
    limit = 2 * float(np.percentile(((there - own) ** 2).sum(1), 98)) + 1e-6

    found = []
    squares = (points**2).sum(1)
    step = max(1, BLOCK // len(points))
    for start in range(0, len(points), step):
        progress(start, len(points), "near copies")
        block = points[start : start + step]
        distance = squares[start:] - 2 * (block @ points[start:].T)
        distance += squares[start : start + step, None]
        distance[np.tril_indices(len(block), 0, distance.shape[1])] = np.inf
        # In a crowd of look-alikes the nearest ones are enough: they chain the group together.
        crowd = np.flatnonzero((distance < limit).sum(1) > PER_IMAGE)
        if len(crowd):
            # Exactly so many, also where all are equally near: each keeps a later one.
            near = np.argpartition(distance[crowd], PER_IMAGE - 1, axis=1)[:, :PER_IMAGE]
            nearest = np.take_along_axis(distance[crowd], near, axis=1)
            distance[crowd] = np.inf
            distance[crowd[:, None], near] = nearest
        first, second = np.nonzero(distance < limit)
        pairs = np.stack([rows[start + first], rows[start + second]], axis=1)
        for part in range(0, len(pairs), 4096):
            chosen = pairs[part : part + 4096]
            views = _coarse(thumbnails, chosen)
            for place in np.flatnonzero(views >= 0):
                i, j = chosen[place]
                share = aligned(images[i], images[j], (VIEWS[views[place]],))
                if share >= EXPLAINED:
                    found.append((int(i), int(j), share))
    progress(len(points), len(points), "near copies")
    return found
