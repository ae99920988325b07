"""What an ensemble refuses: distances and detectors of its members, scaled so that 1 is the limit.

Where the cells come from several laboratories, each is left out in turn: distances and detectors
are made without its cells, and what they then say of its validation cells is what cells of a
laboratory that nobody knows will get. The limits are raised until, in three of four laboratories,
at most ``REFUSED_ELSEWHERE`` of such cells are refused: one that is like no other would open the
limits so far that blasts pass. The networks themselves have seen these laboratories, so it is still
a little less than elsewhere.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from bloodcell.ensemble.novelty import (
    DISTANCE_SHARE,
    NEIGHBOURS,
    basis_of,
    detect,
    fit_detector,
    neighbour_distance,
    novelty_of,
    scaled,
    unit,
)

__all__ = [
    "Cells",
    "LeftOut",
    "MemberRefusal",
    "Refusal",
    "fit_refusal",
    "novelty_by",
]

REFUSED_ELSEWHERE = 0.05
OF_LABORATORIES = 0.75
# The networks have seen the laboratories that are left out of limits. So those of the distance, of
# the detector of synthetic images and of that of cells labelled other are widened so far, until
# networks that were trained without a laboratory, too, accept 95 % of its cells in three of four
# (docs/laboratories.md).
OF_UNSEEN = (1.2, 1.3, 1.2)
# Of each detector's data against its prior of small weights; chosen likewise.
STRENGTHS = (0.003, 0.03)
# With fewer validation cells of a laboratory a quantile of them says nothing.
FEW = 20


@dataclass(frozen=True)
class Cells:
    """What the m members see in the cells that refusal is fitted on.

    Attributes:
        known: m arrays k×(C+T): training cells, whose distances count.
        varied: lists of m arrays k×(C+T): the same cells under other lamps and stains.
        validation: m arrays n×(C+T).
        strange: lists of m arrays, each for a detector of its own: synthetic images of none of the
            eight, and, where there are any, cells labelled other.
        fit: bool, n: the validation cells by which all is scaled.
        known_from, validation_from: object, k and n: laboratories, "" where not known.
        channels: C of each member.
        outlier: float32, C+1 of each member: its own second output, see
            :meth:`bloodcell.runs.run.Run.read_outlier`; None where it has none.
    """

    known: list[np.ndarray]
    varied: list[list[np.ndarray]]
    validation: list[np.ndarray]
    strange: list[list[np.ndarray]]
    fit: np.ndarray
    known_from: np.ndarray
    validation_from: np.ndarray
    channels: list[int]
    outlier: list[np.ndarray | None]


@dataclass(frozen=True)
class Refusal:
    """What is refused by all members together.

    Attributes:
        rules: of each member.
        novelty: float64, n: of the validation cells.
        left_out: each laboratory that was left out in turn; none where there are not two with cells
            enough.
    """

    rules: list["MemberRefusal"]
    novelty: np.ndarray
    left_out: list["LeftOut"]

    def of(self, features: list[np.ndarray]) -> np.ndarray:
        """float64, n: novelty of n images, of which each member sees n×(C+T)."""
        return novelty_by(self.rules, features)


@dataclass(frozen=True)
class MemberRefusal:
    """Of one member: ``basis`` C×p and ``rows`` k×p of its known cells, the ``scale`` of its
    distance, and ``detectors`` d×(C+T+1), scaled."""

    basis: np.ndarray
    rows: np.ndarray
    scale: float
    detectors: np.ndarray

    def said(self, features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(distance, n; detections, n×d), each of its scale."""
        own = features[:, : len(self.basis)]
        distance = neighbour_distance(own, self.rows, NEIGHBOURS, self.basis) / self.scale
        return distance, detect(features, self.detectors)

    def widened(self, margins: np.ndarray) -> "MemberRefusal":
        """With the limits of the distance and of each detector so many times as high."""
        detectors = (self.detectors / margins[1:, None]).astype(np.float32)
        return MemberRefusal(self.basis, self.rows, self.scale * float(margins[0]), detectors)


@dataclass(frozen=True)
class LeftOut:
    """A laboratory that was left out: of its ``n`` validation cells the share ``refused``."""

    name: str
    n: int
    refused: float


def fit_refusal(
    cells: Cells, progress: Callable[[int, int], None] = lambda done, total: None
) -> Refusal:
    """Fit what is refused."""
    names = [str(n) for n in np.unique(cells.validation_from.astype(str)) if n]
    counts = {n: int((cells.validation_from == n).sum()) for n in names}
    apart = [n for n in names if counts[n] >= FEW and (cells.known_from != n).any()]
    apart = apart if len(apart) > 1 else []
    progress(0, len(apart) + 1)
    members = _fit(cells, np.ones(len(cells.known_from), bool), cells.fit)
    said = {}
    for done, name in enumerate(apart):
        progress(done + 1, len(apart) + 1)
        fit = cells.fit & (cells.validation_from != name)
        without = _fit(cells, cells.known_from != name, fit)
        rows = np.flatnonzero(cells.validation_from == name)
        said[name] = _said(without, [found[rows] for found in cells.validation])
    progress(len(apart) + 1, len(apart) + 1)
    if said:
        highest = [np.quantile(of, 1 - REFUSED_ELSEWHERE, axis=0) for of in said.values()]
        margins = np.maximum(np.quantile(highest, OF_LABORATORIES, axis=0), 1.0)
        margins *= OF_UNSEEN[: len(margins)]
        members = [member.widened(margins) for member in members]
        said = {name: of / margins for name, of in said.items()}
    left_out = [LeftOut(n, len(of), float((of.max(1) > 1).mean())) for n, of in said.items()]
    return Refusal(members, novelty_by(members, cells.validation), left_out)


def novelty_by(members: list[MemberRefusal], features: list[np.ndarray]) -> np.ndarray:
    """float64, n: novelty of n images, of which each member sees n×(C+T)."""
    distances, detections = zip(
        *(m.said(found) for m, found in zip(members, features, strict=True)), strict=True
    )
    return novelty_of(list(distances), list(detections))


def _said(members: list[MemberRefusal], features: list[np.ndarray]) -> np.ndarray:
    """n×(1+d): the mean over the members of the distance and of each detector."""
    both = [
        np.column_stack(member.said(found)) for member, found in zip(members, features, strict=True)
    ]
    return np.mean(both, axis=0)


def _fit(cells: Cells, known: np.ndarray, fit: np.ndarray) -> list[MemberRefusal]:
    """Fitted on some of the known cells, scaled by some of the validation cells."""
    # Of a dataset of one laboratory and nowhere, leaving it out leaves too little to scale by.
    fit = fit if fit.any() else cells.fit
    strengths = STRENGTHS[: len(cells.strange)]
    found = []
    for i, channels in enumerate(cells.channels):
        rows = unit(cells.known[i][known][:, :channels])
        basis = basis_of(rows)
        rows = (rows @ basis.astype(np.float32)).astype(np.float16)
        of_fit = cells.validation[i][fit]
        distance = neighbour_distance(of_fit[:, :channels], rows, NEIGHBOURS, basis)
        proper = np.concatenate([cells.known[i][known], *(v[i][known] for v in cells.varied)])
        detectors = [
            scaled(fit_detector(proper, strange[i], strength), of_fit)
            for strange, strength in zip(cells.strange, strengths, strict=True)
        ]
        if (own := cells.outlier[i]) is not None:
            detectors[0] = _with_own(detectors[0], own, of_fit)
        scale = float(max(np.quantile(distance, 1 - DISTANCE_SHARE), 1e-6))
        found.append(MemberRefusal(basis, rows, scale, np.stack(detectors)))
    return found


def _with_own(detector: np.ndarray, own: np.ndarray, of_fit: np.ndarray) -> np.ndarray:
    """The mean of a detector and of what the network itself has learned to tell, scaled.

    The network learned it on every image of its training, under every change of colour, and so is
    less alarmed by another laboratory; the detector, which sees textures too, finds more of what
    shines through a cell.
    """
    wide = np.zeros_like(detector)
    wide[: len(own) - 1], wide[-1] = own[:-1], own[-1]
    return scaled((detector + scaled(wide, of_fit)) / 2, of_fit)
