"""Judge probabilities against true classes: every number with its interval."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd

from bloodcell.classes import CLASS_NAMES
from bloodcell.errors import BadInput
from bloodcell.evaluation.confusion_scores import class_scores, confusion_scores
from bloodcell.evaluation.intervals import (
    Interval,
    auc_interval,
    cluster_intervals,
    confusion_intervals,
    ece_interval,
    f1_interval,
    loss_interval,
    wilson,
)

__all__ = [
    "Judgement",
    "calibration_error",
    "checked",
    "confusion_matrix",
    "judge",
    "reliability",
]

BINS = 15
SMALLEST = float(np.finfo(np.float64).eps)


@dataclass(frozen=True)
class Judgement:
    """What was measured on N labelled images.

    Attributes:
        n: images.
        accuracy: share of images whose most probable class is the true one.
        macro_precision, macro_recall, macro_f1: means over the classes that are present, that is,
            occur in truth. The macro recall is the balanced accuracy.
        weighted_precision, weighted_recall, weighted_f1: means weighted by the true counts.
        auc: area under the ROC curve, one class against the rest, mean over the classes
            present; None if only one class is present.
        log_loss: mean of -log p(true class), nats.
        ece: expected calibration error, 15 bins of equal width of the top probability.
        per_class: one dict for each class that occurs in truth or prediction: ``name``, ``n``
            (true images), ``predicted``, ``precision``, ``recall``, ``f1``, ``auc`` (one class
            against the rest; None if it does not occur), each with ``…_interval``.
        confusion_matrix: 8×8 counts, rows true.
        intervals: name → (low, high), 95 %.
    """

    n: int
    accuracy: float
    macro_precision: float
    macro_recall: float
    macro_f1: float
    weighted_precision: float
    weighted_recall: float
    weighted_f1: float
    auc: float | None
    log_loss: float
    ece: float
    per_class: list[dict[str, Any]]
    confusion_matrix: list[list[int]]
    intervals: dict[str, Interval]

    @property
    def balanced_accuracy(self) -> float:
        """Mean over the classes present of the share of each that is found."""
        return self.macro_recall

    def to_json(self) -> dict[str, Any]:
        """Plain values for ``json.dumps``; adds ``classes``, the names of the matrix's rows, and
        ``balanced_accuracy``."""
        found = asdict(self)
        found["balanced_accuracy"] = self.balanced_accuracy
        found["intervals"] = {name: list(pair) for name, pair in self.intervals.items()}
        for row in found["per_class"]:
            for key, value in row.items():
                row[key] = list(value) if isinstance(value, tuple) else value
        return {**found, "classes": list(CLASS_NAMES)}


def checked(labels: np.ndarray, probabilities: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Labels as int64 and probabilities as float64 with rows that sum to 1.

    Args:
        labels: (N,), 0 to 7.
        probabilities: (N, 8), rows that sum to 1 within 0.01.

    Raises:
        BadInput: one of them is empty, of another shape, or holds another value.
    """
    labels = np.asarray(labels)
    probabilities = np.asarray(probabilities, np.float64)
    classes = len(CLASS_NAMES)
    if probabilities.shape != (len(labels), classes) or labels.ndim != 1 or not len(labels):
        raise BadInput(
            f"Cannot judge probabilities of shape {probabilities.shape} by labels of shape "
            f"{labels.shape}: expected (N, {classes}) and (N,) with N at least 1, so check that "
            "both come from the same images."
        )
    strange = (labels != labels.astype(np.int64)) | (labels < 0) | (labels >= classes)
    if strange.any():
        raise BadInput(
            f"Label {labels[strange][0]} at place {int(np.argmax(strange))} is no class: expected "
            f"whole numbers 0 to {classes - 1}, so check the label file."
        )
    sums = probabilities.sum(1)
    bad = ~((np.abs(sums - 1) < 0.01) & (probabilities >= 0).all(1))
    if bad.any():
        place = int(np.argmax(bad))
        raise BadInput(
            f"The probabilities at place {place} sum to {sums[place]:.4g} with a smallest of "
            f"{probabilities[place].min():.4g}: expected a sum of 1 and none below 0, so check "
            "that the model ends in a softmax."
        )
    return labels.astype(np.int64), probabilities / sums[:, None]


def confusion_matrix(labels: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """int64, 8×8: images of each true class (rows) and predicted class (columns)."""
    k = len(CLASS_NAMES)
    pairs = np.asarray(labels, np.int64) * k + np.asarray(predicted, np.int64)
    return np.bincount(pairs, minlength=k * k).reshape(k, k)


def reliability(labels: np.ndarray, probabilities: np.ndarray, bins: int = BINS) -> pd.DataFrame:
    """The table behind a reliability diagram (Guo et al., ICML 2017).

    Args:
        labels: int64, N.
        probabilities: float, N×8.
        bins: number of bins of equal width of the top probability; each holds its upper edge.

    Returns:
        One row a bin: ``low``, ``high`` (edges), ``n``, ``confidence`` (mean top probability),
        ``accuracy``, ``accuracy_low``, ``accuracy_high`` (Wilson); NaN where n is 0.
    """
    labels, probabilities = checked(labels, probabilities)
    confidence, correct = probabilities.max(1), probabilities.argmax(1) == labels
    index = np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)
    n = np.bincount(index, minlength=bins)
    right = np.bincount(index, correct, bins)
    pairs = zip(right, n, strict=True)
    bounds = np.array([wilson(r, m) if m else (np.nan, np.nan) for r, m in pairs])
    with np.errstate(invalid="ignore"):
        mean, accuracy = np.bincount(index, confidence, bins) / n, right / n
    edges = np.linspace(0, 1, bins + 1)
    return pd.DataFrame(
        {
            "low": edges[:-1],
            "high": edges[1:],
            "n": n,
            "confidence": mean,
            "accuracy": accuracy,
            "accuracy_low": bounds[:, 0],
            "accuracy_high": bounds[:, 1],
        }
    )


def calibration_error(labels: np.ndarray, probabilities: np.ndarray) -> float:
    """Expected calibration error, 0 to 1: over the bins of :func:`reliability`, the mean distance
    between the top probability and the share that is right, by the number of images."""
    filled = reliability(labels, probabilities).query("n > 0")
    return float((filled.n * (filled.confidence - filled.accuracy).abs()).sum() / filled.n.sum())


def _aucs(labels: np.ndarray, probabilities: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    # One-vs-rest AUC of each class (NaN where it does not occur), and DeLong's influence of
    # each image on it: float (8,), (8, N).
    # Imported late: it takes a second, and classifying never needs it.
    from scipy.stats import rankdata

    n, classes = len(labels), len(CLASS_NAMES)
    counts = np.bincount(labels, minlength=classes)
    areas, influence = np.full(classes, np.nan), np.zeros((classes, n))
    for c in np.flatnonzero((counts > 0) & (counts < n)):
        score, mine = probabilities[:, c], labels == c
        positives, negatives = counts[c], n - counts[c]
        ranks = rankdata(score)
        placement = np.empty(n)
        placement[mine] = (ranks[mine] - rankdata(score[mine])) / negatives
        placement[~mine] = 1 - (ranks[~mine] - rankdata(score[~mine])) / positives
        areas[c] = placement[mine].mean()
        influence[c] = (placement - areas[c]) * np.where(mine, n / positives, n / negatives)
    return areas, influence


def judge(
    labels: np.ndarray,
    probabilities: np.ndarray,
    *,
    clusters: np.ndarray | None = None,
    resamples: int = 1000,
    seed: int = 0,
) -> Judgement:
    """Judge a classifier's probabilities on labelled images.

    Args:
        labels: int64, N, 0 to 7.
        probabilities: float, N×8, rows sum to 1.
        clusters: int64, N: the patient or slide of each image, 0 to C-1, where they are known:
            intervals of shares and of the log loss are then over these.
        resamples: draws behind the interval of the calibration error.
        seed: makes the draws repeatable.

    Raises:
        BadInput: the arrays do not fit each other or hold impossible values.
    """
    labels, probabilities = checked(labels, probabilities)
    n, predicted, confidence = len(labels), probabilities.argmax(1), probabilities.max(1)
    matrix = confusion_matrix(labels, predicted)
    true_counts, predicted_counts = matrix.sum(1), matrix.sum(0)
    values = {name: value for name, (value, _) in confusion_scores(matrix).items()}
    intervals = confusion_intervals(matrix)

    correct = predicted == labels
    hits = int(correct.sum())
    intervals["accuracy"] = intervals["weighted_recall"] = wilson(hits, n)
    losses = -np.log(np.maximum(probabilities[np.arange(n), labels], SMALLEST))
    intervals["log_loss"] = loss_interval(losses, probabilities)
    rng = np.random.default_rng(seed)
    intervals["ece"] = ece_interval(confidence, correct, BINS, resamples=resamples, rng=rng)
    areas, influence = _aucs(labels, probabilities)
    present = np.flatnonzero(~np.isnan(areas))
    auc = None
    if len(present):
        auc = float(areas[present].mean())
        mean = influence[present].mean(0)
        intervals["auc"] = auc_interval(auc, mean, true_counts[present], n)
    if clusters is not None:
        intervals |= cluster_intervals(labels, predicted, losses, clusters, seed)
    intervals["balanced_accuracy"] = intervals["macro_recall"]
    precision, recall, f1 = class_scores(matrix)

    def row(c: int) -> dict[str, Any]:
        area = None if np.isnan(areas[c]) else float(areas[c])
        hit, true, called = int(matrix[c, c]), int(true_counts[c]), int(predicted_counts[c])
        return {
            "name": CLASS_NAMES[c],
            "n": true,
            "predicted": called,
            "precision": float(precision[c]),
            "recall": float(recall[c]),
            "f1": float(f1[c]),
            "auc": area,
            "precision_interval": wilson(hit, called),
            "recall_interval": wilson(hit, true),
            "f1_interval": f1_interval(hit, true + called - 2 * hit),
            "auc_interval": None
            if area is None
            else auc_interval(area, influence[c], true_counts[c : c + 1], n),
        }

    return Judgement(
        n=n,
        accuracy=hits / n,
        **values,
        auc=auc,
        log_loss=float(losses.mean()),
        ece=calibration_error(labels, probabilities),
        per_class=[row(int(c)) for c in np.flatnonzero(true_counts + predicted_counts)],
        confusion_matrix=matrix.tolist(),
        intervals=intervals,
    )
