"""Many numbers an image made few, and nearest neighbours among them, in chunks."""

from collections.abc import Callable

import numpy as np
from threadpoolctl import threadpool_limits

from bloodcell.progress import Progress, silent

__all__ = ["neighbour_distances", "robust_z", "standardised", "whitened"]

CHUNK = 2048
# Standardised values beyond this many deviations say nothing more than "far away".
CLIP = 8.0
FLOOR = 1e-3
# A distance matrix of one chunk stays below this many numbers (16 MiB).
BLOCK = 4_000_000


def standardised(features: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """A function from rows of `features` to rows in robust units.

    Centre and scale are the median and half the distance from the 16th to the 84th percentile
    of at most 20,000 rows, so that a few foreign pictures do not move them.

    Args:
        features: n×C, any float dtype, may be memory-mapped.
    """
    step = max(1, len(features) // 20_000)
    sample = np.asarray(features[::step], np.float32)
    low, centre, high = np.percentile(sample, (16, 50, 84), axis=0)
    scale = (high - low) / 2
    # A dimension that hardly ever differs is not divided by nothing.
    scale = np.maximum(scale, FLOOR)

    def of(rows: np.ndarray) -> np.ndarray:
        return np.clip((np.asarray(rows, np.float32) - centre) / scale, -CLIP, CLIP).astype(
            np.float32
        )

    return of


def whitened(
    features: np.ndarray,
    dimensions: int,
    core: np.ndarray | None = None,
    whiten: bool = True,
    rows: np.ndarray | None = None,
) -> np.ndarray:
    """Principal components of the standardised features.

    Args:
        features: N×C, any float dtype, may be memory-mapped: it is read in chunks.
        dimensions: how many at most.
        core: bool, n: those of the rows that the components are fitted to; all by default.
        rows: int, n: the rows meant; all N by default.
        whiten: give each component the variance 1; else the first one, and the others in
            proportion.

    Returns:
        float32, n×(at most `dimensions`).
    """
    if rows is None:
        rows = np.arange(len(features))
    of = standardised(features)
    fitted = rows if core is None else rows[core]
    width = features.shape[1]
    total, square = np.zeros(width), np.zeros((width, width))
    for start in range(0, len(fitted), CHUNK):
        chunk = of(features[fitted[start : start + CHUNK]])
        total += chunk.sum(0, dtype=np.float64)
        square += chunk.T @ chunk
    mean = total / len(fitted)
    # On matrices this small, threads wait for each other longer than they work.
    with threadpool_limits(1):
        variances, axes = np.linalg.eigh(square / len(fitted) - np.outer(mean, mean))
    order = np.argsort(variances)[::-1][:dimensions]
    order = order[variances[order] > 1e-6 * max(variances[order[0]], 1e-12)]
    scale = np.sqrt(variances[order] if whiten else variances[order[:1]])
    projection = (axes[:, order] / scale).astype(np.float32)
    offset = mean.astype(np.float32) @ projection
    parts = (rows[i : i + CHUNK] for i in range(0, len(rows), CHUNK))
    return np.concatenate([of(features[part]) @ projection - offset for part in parts])


def neighbour_distances(
    points: np.ndarray, reference: np.ndarray, k: int, progress: Progress = silent
) -> tuple[np.ndarray, np.ndarray]:
    """Distance of each point to its k-th nearest other point, and the k nearest ones.

    Args:
        points: float32, n×d.
        reference: int, r: the rows of `points` among which neighbours are looked for.
        k: at most r - 1 is used.

    Returns:
        float32, n: Euclidean distances; int64, n×k: rows of `points`.
    """
    others = points[reference]
    k = max(1, min(k, len(reference) - 1))
    squares = (others**2).sum(1)
    place = np.full(len(points), -1)
    place[reference] = np.arange(len(reference))
    far, near = np.zeros(len(points), np.float32), np.zeros((len(points), k), np.int64)
    step = max(1, BLOCK // len(reference))
    for start in range(0, len(points), step):
        progress(start, len(points), "comparing images")
        block = points[start : start + step]
        distance = squares - 2 * (block @ others.T) + (block**2).sum(1)[:, None]
        own = place[start : start + step]
        distance[np.flatnonzero(own >= 0), own[own >= 0]] = np.inf
        found = np.argpartition(distance, k - 1, axis=1)[:, :k]
        value = np.take_along_axis(distance, found, 1)
        far[start : start + step] = np.sqrt(np.maximum(value.max(1), 0))
        near[start : start + step] = reference[found]
    progress(len(points), len(points), "comparing images")
    return far, near


def robust_z(values: np.ndarray) -> np.ndarray:
    """How far above the median, in units in which the 90th percentile of a normal
    distribution lies at 1.28; the upper half alone sets the unit, so it fits skewed values.

    Args:
        values: float, n.

    Returns:
        float64, n.
    """
    middle, upper = np.percentile(values, (50, 90))
    return (np.asarray(values, np.float64) - middle) / max((upper - middle) / 1.2816, 1e-9)
