"""How much each network counts: weights that validation images can justify."""

from dataclasses import dataclass

import numpy as np

from bloodcell.evaluation.calibration import apply_temperature, fit_temperature
from bloodcell.evaluation.metrics import checked

__all__ = ["Contribution", "contributions", "find_weights"]

ROUNDS = 50
SMALLEST = 1e-12
# By so much a bag must lower the loss of the best before it: less is chance, and no reason to
# run another network.
WORTH = 0.005


def _loss(labels: np.ndarray, probabilities: np.ndarray) -> float:
    own = probabilities[np.arange(len(labels)), labels]
    return float(-np.log(np.maximum(own, SMALLEST)).mean())


def find_weights(labels: np.ndarray, members: np.ndarray, rounds: int = ROUNDS) -> np.ndarray:
    """Weights by greedy selection with replacement (Caruana et al., ICML 2004).

    Begins with the best member; each round adds, again if need be, the member that lowers the
    log loss of the average most. The bag after the round with the lowest loss counts: a member
    weighs as often as it is in it. The loss is taken after the temperature that fitted the
    average of the round before, since the ensemble will be calibrated too.

    Args:
        labels: int64, N, of images that no member was trained on.
        members: float, m×N×8, probabilities of each member.
        rounds: at most so many members are put into the bag.

    Returns:
        float64, m, at least 0, sum 1.

    Raises:
        BadInput: the arrays do not fit each other.
    """
    members = np.stack([checked(labels, p)[1] for p in members])
    labels = np.asarray(labels, np.int64)
    alone = [_loss(labels, apply_temperature(p, fit_temperature(labels, p))) for p in members]
    bag = np.zeros(len(members))
    bag[int(np.argmin(alone))] = 1
    total = members[int(np.argmin(alone))].copy()
    best, best_loss = bag.copy(), min(alone)
    for size in range(2, rounds + 1):
        temperature = fit_temperature(labels, total / (size - 1))
        tried = [_loss(labels, apply_temperature((total + p) / size, temperature)) for p in members]
        chosen = int(np.argmin(tried))
        bag[chosen] += 1
        total += members[chosen]
        if tried[chosen] < best_loss * (1 - WORTH):
            best, best_loss = bag.copy(), tried[chosen]
    return best / best.sum()


@dataclass(frozen=True)
class Contribution:
    """What one member adds to an ensemble, on the same images.

    Attributes:
        accuracy: of the ensemble without the member.
        log_loss: of the ensemble without the member, nats.
        gained: images that only the whole ensemble gets right.
        lost: images that only the ensemble without the member gets right.
    """

    accuracy: float
    log_loss: float
    gained: int
    lost: int


def contributions(
    labels: np.ndarray, members: np.ndarray, weights: np.ndarray, temperature: float | None = None
) -> tuple[float, float, list[Contribution]]:
    """Leave each member out once and average the others.

    Args:
        labels: int64, N.
        members: float, m×N×8, m at least 2.
        weights: m, of the whole ensemble; the others keep their proportions.
        temperature: of the whole ensemble, applied to each; None: fitted anew to each on these
            images, which is right on validation images only.

    Returns:
        Accuracy and log loss of the whole ensemble, and one contribution a member.
    """
    labels, weights = np.asarray(labels, np.int64), np.asarray(weights, float)

    def answer(kept: np.ndarray) -> np.ndarray:
        # Others that all weigh nothing count alike.
        shares = kept * weights if (kept * weights).any() else kept.astype(float)
        mean = np.tensordot(shares / shares.sum(), members, axes=1)
        hot = fit_temperature(labels, mean) if temperature is None else temperature
        return apply_temperature(mean, hot)

    every = np.ones(len(members), bool)
    whole = answer(every)
    right = whole.argmax(1) == labels
    found = []
    for m in range(len(members)):
        kept = every.copy()
        kept[m] = False
        rest = answer(kept)
        also = rest.argmax(1) == labels
        found.append(
            Contribution(
                float(also.mean()),
                _loss(labels, rest),
                int((right & ~also).sum()),
                int((also & ~right).sum()),
            )
        )
    return float(right.mean()), _loss(labels, whole), found
