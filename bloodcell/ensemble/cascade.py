"""When one member alone may answer: fitted so that it costs neither accuracy nor refusal.

Members in order (Viola and Jones, CVPR 2001; for ensembles of networks: Wang et al., "Wisdom of
committees", ICLR 2022): the first looks at every image once; where it is sure and the image is
like what it knows, its calibrated answer stands, and elsewhere all members are asked as without
a cascade. Where they average over flips and turns, they see the image as it is first, and its
views only where they are not sure then. All limits are searched on the validation images that
everything else is fitted on, and what they cost is measured on those that chose nothing.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from bloodcell.ensemble.ensemble import decides
from bloodcell.evaluation.intervals import paired_difference
from bloodcell.evaluation.metrics import calibration_error

__all__ = ["Seen", "fit_cascade"]

# Not below 0.8, whatever validation says: cells of laboratories that are not in it are less sure.
PROBABILITIES = (0.8, 0.85, 0.9, 0.93, 0.95, 0.97, 0.98, 0.99, 0.995)
# Of the novelty that cells of known laboratories have at most.
NOVELTIES = (1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1)
# Where an image is stranger than this share of the known cells it may be of another laboratory, in
# which the first alone was measured to be right less often than all together.
KNOWN_SHARE = 0.97
# From which on all members need no views.
SETTLED = (0.7, 0.8, 0.85, 0.9, 0.93, 0.95, 0.97, 0.98, 0.99, 0.995)
# Of pictures of none of the eight, and of the calibration error.
MOST_GAINED = 0.005


@dataclass(frozen=True)
class Seen:
    """What the first member and what all say of n images.

    Attributes:
        first, whole: float, n×8, calibrated. first_novelty, whole_novelty: float, n.
        once: float, n×8: what all say of the images as they are, where `whole` is of their views.
    """

    first: np.ndarray
    first_novelty: np.ndarray
    whole: np.ndarray
    whole_novelty: np.ndarray
    once: np.ndarray | None = None

    def rows(self, chosen: np.ndarray) -> "Seen":
        return Seen(
            self.first[chosen],
            self.first_novelty[chosen],
            self.whole[chosen],
            self.whole_novelty[chosen],
            None if self.once is None else self.once[chosen],
        )

    def asked(self, settled: float | None) -> np.ndarray:
        """n×8: what all say, of the views only where they are less sure than `settled` before."""
        if self.once is None or settled is None:
            return self.whole
        return np.where((self.once.max(1) >= settled)[:, None], self.once, self.whole)

    def answers(
        self, probability: float, novelty: float, settled: float | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """(probabilities, n×8; novelty, n) of the cascade with these limits."""
        alone = decides(self.first, self.first_novelty, probability, novelty)
        return (
            np.where(alone[:, None], self.first, self.asked(settled)),
            np.where(alone, self.first_novelty, self.whole_novelty),
        )


def fit_cascade(
    truth: np.ndarray,
    cells: Seen,
    out_of_distribution: Seen,
    threshold: float,
    fit: np.ndarray,
    apart: np.ndarray,
) -> dict[str, Any] | None:
    """The limits with which the first member decides most, and what they cost.

    On the images of `fit` the cascade makes no more errors than all members on every image; its
    calibration error and the share of `out_of_distribution` that it recognises grow by at most
    half a point.

    Args:
        truth: int, n: classes of the cells.
        out_of_distribution: what is none of the eight.
        threshold: the novelty above which all members refuse.
        fit, apart: bool, n: images to fit on, and to measure on.

    Returns:
        Values of :class:`bloodcell.ensemble.description.Cascade`; None if there are no such limits.
    """
    labels, own = truth[fit], cells.rows(fit)
    errors = _errors(labels, own.whole)
    ece = calibration_error(labels, own.whole)

    def costs_nothing(said: np.ndarray) -> bool:
        return (
            _errors(labels, said) <= errors and calibration_error(labels, said) <= ece + MOST_GAINED
        )

    passed = float((out_of_distribution.whole_novelty <= threshold).mean())
    best, limits = 0, None
    known = min(threshold, float(np.quantile(own.first_novelty, KNOWN_SHARE)))
    for novelty in (share * known for share in NOVELTIES):
        for probability in PROBABILITIES:
            count = int(decides(own.first, own.first_novelty, probability, novelty).sum())
            if count <= best:
                continue
            said, _ = own.answers(probability, novelty)
            _, strange = out_of_distribution.answers(probability, novelty)
            if costs_nothing(said) and (strange <= threshold).mean() <= passed + MOST_GAINED:
                best, limits = count, (probability, novelty)
    if limits is None:
        return None
    found = {"probability": limits[0], "novelty": limits[1]}
    if own.once is not None:
        enough = (s for s in SETTLED if costs_nothing(own.answers(*limits, s)[0]))
        if (settled := next(enough, None)) is not None:
            found["settled"] = settled
    measured = _measure(truth[apart], cells.rows(apart), out_of_distribution, threshold, found)
    return {**found, "measured": measured}


def _errors(truth: np.ndarray, probabilities: np.ndarray) -> int:
    return int((probabilities.argmax(1) != truth).sum())


def _measure(
    truth: np.ndarray,
    cells: Seen,
    out_of_distribution: Seen,
    threshold: float,
    limits: dict[str, float],
) -> dict[str, Any]:
    said, novelty = cells.answers(**limits)
    _, strange = out_of_distribution.answers(**limits)
    alone = decides(cells.first, cells.first_novelty, limits["probability"], limits["novelty"])
    viewed = {}
    if cells.once is not None:
        unsure = cells.once.max(1) < limits.get("settled", math.inf)
        viewed = {"viewed": float((~alone & unsure).mean())}
    difference = paired_difference(truth, said.argmax(1), cells.whole.argmax(1))
    return {
        "n": len(truth),
        "decided": float(alone.mean()),
        **viewed,
        "accuracy": float((said.argmax(1) == truth).mean()),
        "accuracy_of_all": float((cells.whole.argmax(1) == truth).mean()),
        "p_value": float(difference.p_value),
        "ece": float(calibration_error(truth, said)),
        "ece_of_all": float(calibration_error(truth, cells.whole)),
        "recognised": float((novelty <= threshold).mean()),
        "recognised_by_all": float((cells.whole_novelty <= threshold).mean()),
        "out_of_distribution": len(strange),
        "refused": float((strange > threshold).mean()),
        "refused_by_all": float((out_of_distribution.whole_novelty > threshold).mean()),
    }
