"""Pictures unlike all others: foreign, blended with something foreign, blank, dark, blurred.

How strange a picture is, is measured in image statistics that no training shaped: a network
trained on cells has learnt to ignore whatever is no cell, and on cells half blended with
photographs its features found 3 of 10 where the statistics found all. The measure is the mean of
two robust z-values in their first principal components, that of the distance to the k-th
nearest other picture and that of the distance to the middle of the bulk (Mahalanobis). The
components are fitted again without the strangest pictures, so that those do not set the scale.
"""

from dataclasses import dataclass

import numpy as np

from bloodcell.audit.reduce import neighbour_distances, robust_z, standardised, whitened
from bloodcell.audit.statistics import QUALITIES
from bloodcell.progress import Progress, silent

__all__ = ["Outliers", "find_outliers"]

DIMENSIONS = 40
NEIGHBOURS = 10
REFERENCE = 20_000
# Left out of the second fit.
STRANGEST = 0.05
# From here on a picture is listed; 0.5 % or less of sound photographs lie above.
LISTED = 2.75
STEEPNESS = 3.0
# Qualities are judged on one side, and must stand out by more: they are single numbers.
QUALITY_MARGIN = 3.0
POOR = {
    "brightness": "far darker than the other pictures",
    "contrast": "hardly anything to see: nearly one colour",
    "sharpness": "blurred: far less detail than the other pictures",
}
# Where the descriptor's parts begin, and what a person would call them.
BLOCKS = (
    (0, "colours in unusual places"),
    (36, "unusual range of colours"),
    (57, "unusual texture"),
    (111, "colours that the other pictures lack"),
    (239, "unusual fine texture"),
)


@dataclass(frozen=True)
class Outliers:
    """How strange each picture is.

    Attributes:
        z: float64, n; listed from LISTED on.
        why: int → reason in words, for the listed ones.
    """

    z: np.ndarray
    why: dict[int, str]

    @property
    def scores(self) -> np.ndarray:
        """float64, n, 0 to 1; 0.5 where listing begins."""
        return 1 / (1 + np.exp(-STEEPNESS * np.clip(self.z - LISTED, -10, 10)))

    @property
    def listed(self) -> np.ndarray:
        """int64: the positions of the listed ones, the strangest first."""
        found = np.flatnonzero(self.z >= LISTED)
        return found[np.argsort(-self.z[found], kind="stable")]


def _strangeness(values: np.ndarray, progress: Progress) -> np.ndarray:
    n = len(values)
    dimensions = int(np.clip(n // 10, 2, DIMENSIONS))
    core = np.ones(n, bool)
    for _ in range(2):
        points = whitened(values, dimensions, core)
        middle = np.linalg.norm(points, axis=1)
        core = middle <= np.quantile(middle, 1 - STRANGEST)
    points = whitened(values, dimensions, core)
    middle = np.linalg.norm(points, axis=1)
    reference = np.arange(n)[:: max(1, -(-n // REFERENCE))]
    far, _ = neighbour_distances(points, reference, NEIGHBOURS, progress)
    return (robust_z(np.log(far + 1e-6)) + robust_z(np.log(middle + 1e-6))) / 2


def find_outliers(
    values: np.ndarray, qualities: np.ndarray, progress: Progress = silent
) -> Outliers:
    """Judge how strange each of n pictures is among them.

    Args:
        values: float, n×C: descriptors of distinct pictures.
        qualities: float, n×3: QUALITIES.

    Raises:
        Stopped: by `progress`.
    """
    n = len(values)
    if n < 20:
        return Outliers(np.zeros(n), {})
    z = _strangeness(values, progress)
    brightness, contrast, sharpness = qualities.astype(np.float64).T
    poor = np.stack([robust_z(-q) for q in (brightness, np.log(contrast + 1), sharpness)], axis=1)
    by_quality = poor.max(1) - QUALITY_MARGIN
    why = {}
    of = standardised(values)
    for i in np.flatnonzero(np.maximum(z, by_quality) >= LISTED):
        if by_quality[i] >= LISTED:
            # A black picture has no contrast and a blank one no detail: the first says it all.
            first = int(np.argmax(poor[i] - QUALITY_MARGIN >= LISTED))
            why[int(i)] = POOR[QUALITIES[first]]
            continue
        deviation = np.abs(of(values[i]))
        parts = np.split(deviation, [begin for begin, _ in BLOCKS[1:]])
        why[int(i)] = BLOCKS[int(np.argmax([part.mean() for part in parts]))][1]
    return Outliers(np.maximum(z, by_quality), why)
