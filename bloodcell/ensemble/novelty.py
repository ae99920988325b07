"""How strange an image is to the members: two measures of what they see; the worse counts.

*Distance*: cosine distance to the k-th nearest of a sample of training cells (Sun et al., "Out-
of-distribution detection with deep nearest neighbors", ICML 2022). *Detector*: a linear function
of features and textures that tells training cells, as they are and might look elsewhere, from
synthetic out-of-distribution images (outlier exposure: Hendrycks, Mazeika and Dietterich, ICLR
2019). Both are averaged over the members, and scaled: of the validation cells 99 % stay below 1 for
the detector, 99.8 % for the distance, which was measured to find fewer of these images and is there
for those that nobody thought of. The textures were measured to show what the features have
forgotten: of cells half-blended with something foreign 99 % are found with them and 92 % without.
Where the dataset has cells labelled `other`, a second detector tells those: in one detector for
both each was measured to be found less well.

The known cells are kept in the few directions of feature space that they fill, which makes them
a fortieth of the size; what an image has outside of these directions makes it more distant.
"""

from collections.abc import Sequence

import numpy as np

__all__ = [
    "DISTANCE_SHARE",
    "NEIGHBOURS",
    "REFUSED_SHARE",
    "basis_of",
    "detect",
    "fit_detector",
    "neighbour_distance",
    "novelty_of",
    "scaled",
    "unit",
]

NEIGHBOURS = 10
# At most this share of real validation cells is refused.
REFUSED_SHARE = 0.01
# By their distance alone at most these.
DISTANCE_SHARE = 0.002
# Directions of feature space in which the known cells are kept.
DIRECTIONS = 48


def unit(features: np.ndarray) -> np.ndarray:
    """Rows scaled to length 1; float64."""
    features = np.asarray(features, np.float64)
    return features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-12)


def basis_of(rows: np.ndarray) -> np.ndarray:
    """The directions that rows fill most (right singular vectors).

    Args:
        rows: r×C, of length 1.

    Returns:
        float16, C×p, p at most DIRECTIONS.
    """
    # Of C×C rather than r×C: as exact as needed here, and quicker.
    _, vectors = np.linalg.eigh(rows.T.astype(np.float64) @ rows)
    return vectors[:, ::-1][:, : min(DIRECTIONS, *rows.shape)].astype(np.float16)


def neighbour_distance(
    features: np.ndarray, reference: np.ndarray, k: int, basis: np.ndarray | None = None
) -> np.ndarray:
    """Cosine distance of each row to its k-th nearest row of a reference.

    Args:
        features: n×C, any scale.
        reference: r×C, rows of length 1; with a basis r×p, these rows in it.
        k: at most r is used.
        basis: C×p, of :func:`basis_of`; what lies outside of it is like nothing known.

    Returns:
        float64, n, 0 to 2.
    """
    # In double precision: how BLAS cuts a product into blocks depends on the other rows of the
    # batch, and in single precision the difference would be seen in the sixth digit of a distance.
    rows, known = unit(features), np.asarray(reference, np.float64)
    if basis is not None:
        rows = rows @ np.asarray(basis, np.float64)
    # BLAS would wake threads for a single row, which wait for each other on a busy machine.
    one = len(rows) == 1
    similarity = np.einsum("rc,c->r", known, rows[0])[None] if one else rows @ known.T
    k = min(k, reference.shape[0])
    return 1.0 - np.partition(similarity, -k, axis=1)[:, -k]


def novelty_of(
    distances: list[np.ndarray],
    detections: list[np.ndarray],
    weights: Sequence[float] | None = None,
) -> np.ndarray:
    """Novelty from what each member says, scaled; without detectors the distance alone.

    Args:
        distances: of each member, n. detections: of each member, n×d, see :func:`detect`.
        weights: of the members; None, or all 0: equal.
    """
    weights = None if weights is None or not sum(weights) > 0 else weights
    distance = np.average(distances, axis=0, weights=weights)
    if not detections:
        return distance
    return np.maximum(distance, np.average(detections, axis=0, weights=weights).max(axis=1))


def fit_detector(cells: np.ndarray, out_of_distribution: np.ndarray, strength: float) -> np.ndarray:
    """A logistic regression that tells what is none of the classes by what a network sees.

    Args:
        cells: float, n×D: features, and textures. out_of_distribution: float, m×D.
        strength: of the data against the prior of small weights.

    Returns:
        float32, D+1: weights of each number, and the constant.
    """
    # Imported late: it takes a second, and classifying never needs it.
    from sklearn.linear_model import LogisticRegression

    features = np.concatenate([cells, out_of_distribution]).astype(np.float32)
    middle = features.mean(0, dtype=np.float64)
    spread = features.std(0, dtype=np.float64) + 1e-6
    model = LogisticRegression(C=strength, max_iter=500, class_weight="balanced")
    features -= middle.astype(np.float32)
    features /= spread.astype(np.float32)
    model.fit(features, np.repeat([0, 1], [len(cells), len(out_of_distribution)]))
    weights = model.coef_[0] / spread
    return np.append(weights, model.intercept_[0] - weights @ middle).astype(np.float32)


def scaled(detector: np.ndarray, features: np.ndarray) -> np.ndarray:
    """The detector scaled so that of known cells half are below 0 and 99 % below 1."""
    found = _linear(detector, features)
    middle, high = np.quantile(found, [0.5, 1 - REFUSED_SHARE])
    detector = detector.astype(np.float64)
    detector[-1] -= middle
    return (detector / max(high - middle, 1e-6)).astype(np.float32)


def detect(features: np.ndarray, detector: np.ndarray) -> np.ndarray:
    """What d detectors say of each row of features.

    Args:
        features: n×D. detector: d×(D+1), or D+1 for a single one.

    Returns:
        float64, n×d, at least 0.
    """
    return np.maximum(_linear(np.atleast_2d(detector), features), 0)


def _linear(detector: np.ndarray, features: np.ndarray) -> np.ndarray:
    """n×d, or n for a single detector that is no table."""
    return np.asarray(features, np.float64) @ detector[..., :-1].T + detector[..., -1]
