"""Do the members err together? Agreement and diversity of classifiers on the same images."""

from dataclasses import dataclass

import numpy as np

from bloodcell.evaluation.intervals import Interval, wilson

__all__ = ["Pair", "disagreement", "pairs"]


@dataclass(frozen=True)
class Pair:
    """How two classifiers agree on n images.

    Attributes:
        a, b: places of the two.
        n: images.
        differ: share of images given different classes.
        differ_interval: its 95 % interval (Wilson).
        both_wrong: images that both get wrong.
        kappa: Cohen's kappa of the two answers: 1 the same, 0 as by chance.
        q: Yule's Q of right and wrong (Kuncheva & Whitaker, Machine Learning 51, 2003): 1 they
            err on the same images, 0 independently, -1 never together; None where one of them
            errs never or always, so that there is nothing to compare.
    """

    a: int
    b: int
    n: int
    differ: float
    differ_interval: Interval
    both_wrong: int
    kappa: float
    q: float | None


def pairs(labels: np.ndarray, predicted: np.ndarray) -> list[Pair]:
    """Every two classifiers compared.

    Args:
        labels: int64, N, true classes.
        predicted: int64, m×N, the answers of each.
    """
    right = predicted == labels
    n, found = len(labels), []
    for a in range(len(predicted)):
        for b in range(a + 1, len(predicted)):
            other = int((predicted[a] != predicted[b]).sum())
            classes = np.union1d(predicted[a], predicted[b])
            chance = sum((predicted[a] == c).mean() * (predicted[b] == c).mean() for c in classes)
            n11, n00 = int((right[a] & right[b]).sum()), int((~right[a] & ~right[b]).sum())
            n10, n01 = int((right[a] & ~right[b]).sum()), int((~right[a] & right[b]).sum())
            product = n11 * n00 + n10 * n01
            constant = n11 + n10 in (0, n) or n11 + n01 in (0, n)
            found.append(
                Pair(
                    a,
                    b,
                    n,
                    other / n,
                    wilson(other, n),
                    n00,
                    float((1 - other / n - chance) / (1 - chance)) if chance < 1 else 1.0,
                    None if constant or not product else (n11 * n00 - n10 * n01) / product,
                )
            )
    return found


def disagreement(members: np.ndarray) -> np.ndarray:
    """How far members differ about each image: the Jensen-Shannon divergence of their
    probabilities (Lin, IEEE Trans. Inf. Theory 37, 1991), in bits over log2 of their number.

    Args:
        members: float, m×N×8.

    Returns:
        float64, N: 0 all say the same, 1 each is sure of another class.
    """
    if len(members) < 2:
        return np.zeros(members.shape[1])

    def entropy(p: np.ndarray) -> np.ndarray:
        return -(p * np.log(np.maximum(p, 1e-300))).sum(-1)

    p = np.asarray(members, np.float64)
    found = entropy(p.mean(0)) - entropy(p).mean(0)
    return np.clip(found / np.log(min(len(p), p.shape[-1])), 0, 1)
