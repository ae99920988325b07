"""Pictures unlike all others: foreign, blended with something foreign, blank, dark, blurred,
without a cell, or cells that are odd but real.

How strange a picture is, is measured in image statistics that no training shaped: a network
trained on cells has learnt to ignore whatever is no cell, and on cells half blended with
photographs its features found 3 of 10 where the statistics found all. The measure is the mean of
two robust z-values in their first principal components, that of the distance to the k-th
nearest other picture and that of the distance to the middle of the bulk (Mahalanobis). The
components are fitted again without the strangest pictures, so that those do not set the scale.

Strange is not wrong. A picture is called faulty only for a reason of its own: something foreign
in it (see :mod:`bloodcell.audit.foreign`), no stained cell in the middle, one colour, darkness
or blur far beyond what the other pictures have.
"""

from collections.abc import Callable
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
# Evidence for something foreign, raised by how strange the picture is beyond LISTED.
FOREIGN = 4.0
# A picture that is not strange otherwise needs more of it.
CLEARLY_FOREIGN = 6.0
# No cell: less than this share of the violet that the middle of the pictures has as a rule.
STAINED = 0.5
# Scores: odd but real below, faulty above.
FAULTY = 0.8
POOR = {
    "brightness": "far darker than the other pictures",
    "contrast": "hardly anything to see: nearly one colour",
    "sharpness": "blurred: far less detail than the other pictures",
}
# Mean and two deviations of grey below this: 14 bits in 16 end at 63, and the empty field of a
# stained smear lies above 150. Said of a picture whatever the others are like.
DARK = 90
NEARLY_BLACK = (
    "nearly black, far darker than a photograph: its file may use fewer bits, or other values, "
    "than it says"
)
NO_CELL = "no stained cell in the middle"
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
    """What is unusual about n pictures.

    Attributes:
        listed: int64: the positions of the unusual ones, the surest first.
        scores: float64, n, 0 to 1: from 0.5 on listed, from FAULTY on faulty.
        why: position → reason in words, for the listed ones.
    """

    listed: np.ndarray
    scores: np.ndarray
    why: dict[int, str]

    @property
    def faulty(self) -> np.ndarray:
        """bool, n."""
        return self.scores >= FAULTY


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


def _without_cell(stain: np.ndarray, ground: np.ndarray) -> np.ndarray:
    """float64, n: from 0 on, no cell; 1 where there is no stain at all.

    A cell that fills the picture is its own ground: no ground counts as more violet than usual.
    """
    own = stain - np.minimum(ground, np.median(ground))
    usual = np.median(own)
    # Where many pictures have little stain, little stain says nothing.
    if usual < 10 or np.quantile(own, 0.02) < STAINED * usual:
        return np.full(len(own), -1.0)
    return 1 - own / (STAINED * usual)


def find_outliers(
    values: np.ndarray,
    qualities: np.ndarray,
    evidence: Callable[[np.ndarray], np.ndarray] | None = None,
    progress: Progress = silent,
) -> Outliers:
    """Judge how unusual each of n pictures is among them, and whether that is a fault.

    Args:
        values: float, n×C: descriptors of distinct pictures.
        qualities: float, n×5: QUALITIES.
        evidence: takes bool, n: the strange ones; gives float, n: the evidence for something
            foreign in each (see :func:`bloodcell.audit.foreign.foreign_evidence`). None: nobody
            looks for it.

    Raises:
        Stopped: by `progress`.
    """
    n = len(values)
    brightness, contrast, sharpness, stain, ground = qualities.astype(np.float64).T
    dark = brightness + 2 * contrast < DARK
    # Where most are, they are to be imported anew and not to be left out.
    by_dark = np.where(dark, 0.95 if dark.mean() < 0.5 else FAULTY - 1e-3, 0.0)
    if n < 20:
        listed = np.flatnonzero(dark)
        return Outliers(listed, by_dark, dict.fromkeys(listed.tolist(), NEARLY_BLACK))
    z = _strangeness(values, progress)
    poor = np.stack([robust_z(-q) for q in (brightness, np.log(contrast + 1), sharpness)], axis=1)
    by_quality = poor.max(1) - QUALITY_MARGIN - LISTED
    empty = _without_cell(stain, ground)
    strange = z >= LISTED
    foreign = np.full(n, -np.inf) if evidence is None else evidence(strange) + z - LISTED
    is_foreign = foreign >= np.where(strange, FOREIGN, CLEARLY_FOREIGN)

    odd = FAULTY / (1 + np.exp(-STEEPNESS * np.clip(z - LISTED, -10, 10) - np.log(5 / 3)))
    scores = np.minimum(odd, FAULTY - 1e-3)
    surest = np.maximum(
        np.where(by_quality >= 0, 0.9 + 0.1 * np.tanh(by_quality), 0),
        np.where(empty >= 0, 0.9 + 0.1 * np.clip(empty, 0, 1), 0),
    )
    by_foreign = FAULTY + (1 - FAULTY) * np.tanh((np.maximum(foreign, FOREIGN) - FOREIGN) / 4)
    surest = np.maximum(surest, np.where(is_foreign, by_foreign, 0))
    scores = np.where(dark, by_dark, np.maximum(scores, surest))
    listed = np.flatnonzero(strange | (surest > 0) | dark)
    listed = listed[np.lexsort((-z[listed], -scores[listed]))]
    of = standardised(values)
    why = {}
    for i in listed:
        if dark[i]:
            why[int(i)] = NEARLY_BLACK
            continue
        if by_quality[i] >= 0:
            # A black picture has no contrast and a blank one no detail: the first says it all.
            first = int(np.argmax(poor[i] - QUALITY_MARGIN >= LISTED))
            why[int(i)] = POOR[QUALITIES[first]]
            continue
        parts = np.split(np.abs(of(values[i])), [begin for begin, _ in BLOCKS[1:]])
        unusual = BLOCKS[int(np.argmax([part.mean() for part in parts]))][1]
        if empty[i] >= 0:
            why[int(i)] = NO_CELL
        elif is_foreign[i]:
            why[int(i)] = f"something foreign in it: {unusual}"
        else:
            why[int(i)] = f"an odd picture: {unusual}"
    return Outliers(listed, scores, why)
