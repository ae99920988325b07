"""Make probabilities mean what they say: temperature and split-conformal prediction sets."""

from typing import Any

import numpy as np
from scipy.special import log_softmax, softmax

from bloodcell.errors import BadInput
from bloodcell.evaluation.metrics import checked

__all__ = [
    "LEAST_COVERAGE",
    "apply_temperature",
    "fit_conformal",
    "fit_sets",
    "fit_temperature",
    "prediction_sets",
]

SMALLEST = 1e-12
# Those that a reader of the evaluation may choose from, and those that are used unasked.
COVERAGES = (*(round(c / 100, 2) for c in range(80, 100)), 0.995)
LEAST_COVERAGE = 0.95
USUAL = (LEAST_COVERAGE, 0.99, 0.995)
# A threshold below which fewer images lie would hang on one or two of them.
FEWEST_OUTSIDE = 5
COLDEST, HOTTEST = 0.05, 20.0


def _logits(probabilities: np.ndarray) -> np.ndarray:
    # A probability that was rounded to 0 would make the loss infinite at every temperature.
    return np.log(np.maximum(np.asarray(probabilities, np.float64), SMALLEST))


def fit_temperature(labels: np.ndarray, probabilities: np.ndarray) -> float:
    """The temperature T with which softmax(log p / T) fits the labels best.

    Guo et al., "On Calibration of Modern Neural Networks", ICML 2017: T minimises the mean
    negative log-likelihood; it is sought between 0.05 and 20 on a logarithmic scale. Above 1
    it takes certainty away. If every image is classified correctly, any sharpening would fit
    even better and nothing measured limits it: then T is never below 1.

    Args:
        labels: int64, N, of images that the model was not trained on.
        probabilities: float, N×8, of one model or averaged over members.

    Raises:
        BadInput: the arrays do not fit each other or hold impossible values.
    """
    labels, probabilities = checked(labels, probabilities)
    logits, rows = _logits(probabilities), np.arange(len(labels))

    def loss(log_t: float) -> float:
        return -float(log_softmax(logits * np.exp(-log_t), axis=1)[rows, labels].mean())

    # Imported late: it takes a second, and classifying never needs it.
    from scipy.optimize import minimize_scalar

    bounds = (np.log(COLDEST), np.log(HOTTEST))
    found = minimize_scalar(loss, bounds=bounds, method="bounded", options={"xatol": 1e-6})
    temperature = float(np.exp(found.x))
    if (probabilities.argmax(1) == labels).all():
        return max(1.0, temperature)
    return temperature


def apply_temperature(probabilities: np.ndarray, temperature: float) -> np.ndarray:
    """softmax(log p / T): the most probable class stays the same.

    Args:
        probabilities: float, (..., 8), rows sum to 1.
        temperature: above 0.

    Returns:
        float64, the shape given, rows sum to 1.

    Raises:
        BadInput: the temperature is not a finite number above 0.
    """
    if not (np.isfinite(temperature) and temperature > 0):
        raise BadInput(
            f"The temperature is {temperature}: expected a finite number above 0, "
            "so fit it again or take 1 for none."
        )
    probabilities = np.asarray(probabilities, np.float64)
    scaled = softmax(_logits(probabilities) / temperature, axis=-1)
    # Rounding can tie two classes that differed in the last digit; the first must stay first.
    top = probabilities.argmax(-1, keepdims=True)
    lost = scaled.argmax(-1, keepdims=True) != top
    winner = np.take_along_axis(scaled, top, -1)
    best = np.nextafter(scaled.max(-1, keepdims=True), 2)
    np.put_along_axis(scaled, top, np.where(lost, best, winner), -1)
    return scaled


def fit_conformal(labels: np.ndarray, probabilities: np.ndarray, coverage: float = 0.95) -> float:
    """The probability from which on a class belongs to the prediction set.

    Split conformal prediction with the score 1 - p(true class) (LAC: Sadinle, Lei & Wasserman,
    J. Am. Stat. Assoc. 114, 2019), with the finite-sample correction ceil((n+1)·coverage)/n.
    For images exchangeable with these, the set holds the true class in at least `coverage` of
    the cases, averaged over all classes; no promise is made for each class, nor for cells
    from another laboratory.

    Args:
        labels: int64, N, of images not used in training. The promise is exact if nothing was
            fitted on them before; `compose` fits one number on them, the temperature.
        probabilities: float, N×8, calibrated as they will be when used.
        coverage: between 0 and 1.

    Returns:
        In [0, 1]; 0 (every class belongs) if N is too small for the coverage.

    Raises:
        BadInput: the arrays do not fit each other or the coverage is not between 0 and 1.
    """
    if not 0 < coverage < 1:
        raise BadInput(f"The coverage is {coverage}: expected a number between 0 and 1, as 0.95.")
    labels, probabilities = checked(labels, probabilities)
    n = len(labels)
    # 1e-9: 0.95·20 must not become 20 by rounding.
    needed = int(np.ceil((n + 1) * coverage - 1e-9))
    if needed > n:
        return 0.0
    true_class = np.sort(probabilities[np.arange(n), labels])
    return float(true_class[n - needed])


def fit_sets(labels: np.ndarray, probabilities: np.ndarray) -> dict[str, Any]:
    """Thresholds of prediction sets at several coverages, and the one that is used unasked.

    A network that is right more often than a coverage never needs a second class to keep it: its
    sets would never tell a doubt. So the one that is used is the least of USUAL that leaves at
    most half of the errors on these images outside; below the threshold of all but the least of
    them lie FEWEST_OUTSIDE images or more.

    Args:
        labels, probabilities: as for :func:`fit_conformal`.

    Returns:
        ``coverage``, ``threshold``, ``thresholds`` ([coverage, threshold] of each of COVERAGES)
        and ``n``, as in :class:`bloodcell.ensemble.description.Conformal`.
    """
    thresholds = {c: fit_conformal(labels, probabilities, c) for c in COVERAGES}
    accuracy = float((probabilities.argmax(1) == labels).mean())
    enough = [c for c in USUAL if round((1 - c) * len(labels), 6) >= FEWEST_OUTSIDE]
    coverage = next(
        (c for c in enough if 1 - c <= (1 - accuracy) / 2), max(enough, default=USUAL[0])
    )
    return {
        "coverage": coverage,
        "threshold": thresholds[coverage],
        "thresholds": [[c, threshold] for c, threshold in thresholds.items()],
        "n": len(labels),
    }


def prediction_sets(probabilities: np.ndarray, threshold: float) -> np.ndarray:
    """bool, (..., 8): the classes whose probability reaches `threshold`, and always the top one.

    Args:
        probabilities: float, (..., 8).
        threshold: from :func:`fit_conformal`.
    """
    probabilities = np.asarray(probabilities, np.float64)
    sets = probabilities >= threshold
    np.put_along_axis(sets, probabilities.argmax(-1, keepdims=True), True, -1)
    return sets
