"""Which cells of a laboratory to label first: the least certain and most diverse.

Farthest-first traversal (Gonzalez, 1985; as "core sets" in Sener and Savarese, ICLR 2018), in which
a cell counts by how uncertain its answer is: each next cell is unlike all that are labelled or come
before it, so that a repeated photograph comes last.
"""

import numpy as np

__all__ = ["label_order"]

# Doubt that every cell has: what an ensemble is sure of in another laboratory may be wrong too.
LEAST_DOUBT = 1.0
MOST_ORDERED = 300


def label_order(
    probabilities: np.ndarray, features: np.ndarray, labelled: np.ndarray
) -> np.ndarray:
    """The cells that have no label yet, in the order in which to label them.

    Args:
        probabilities: float, n×8: the ensemble's answers.
        features: float, n×F: rows of length 1, see `bloodcell.ensemble.adapted_head.joined`.
        labelled: int, m: those that are labelled already.

    Returns:
        int64, n-m.
    """
    best = np.sort(probabilities, axis=1)
    doubt = 1 - (best[:, -1] - best[:, -2]) + LEAST_DOUBT
    away = np.ones(len(features))
    left = np.ones(len(features), bool)
    left[labelled] = False
    if len(labelled):
        away = 1 - (features @ features[labelled].T).max(1)
    found = []
    for _ in range(min(int(left.sum()), MOST_ORDERED)):
        at = int(np.where(left, doubt * np.maximum(away, 0), -1).argmax())
        found.append(at)
        left[at] = False
        away = np.minimum(away, 1 - features @ features[at])
    rest = np.flatnonzero(left)
    return np.array([*found, *rest[np.argsort(-(doubt * away)[rest], kind="stable")]], int)
