"""Judge probabilities against true classes: every number with its interval."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd

from bloodcell.classes import CLASS_NAMES
from bloodcell.errors import BadInput
from bloodcell.evaluation.intervals import (
    Interval,
    auc_interval,
    confusion_intervals,
    ece_interval,
    mean_interval,
    wilson,
)

__all__ = ["Judgement", "checked", "confusion_matrix", "judge", "reliability"]

BINS = 15
SMALLEST = float(np.finfo(np.float64).eps)


@dataclass(frozen=True)
class Judgement:
    """What was measured on N labelled images.

    Attributes:
        n: images.
        accuracy: share of images whose most probable class is the true one.
        macro_precision, macro_recall, macro_f1: means over the classes that occur in truth or
            prediction, as scikit-learn does with ``zero_division=0``.
        weighted_precision, weighted_recall, weighted_f1: means weighted by the true counts.
        auc: area under the ROC curve, one class against the rest, mean over the classes
            present; None if only one class is present.
        log_loss: mean of -log p(true class), nats.
        ece: expected calibration error, 15 bins of equal width of the top probability.
        per_class: one dict for each class that occurs in truth or prediction: ``name``, ``n``
            (true images), ``predicted``, ``precision``, ``recall``, ``f1``,
            ``precision_interval``, ``recall_interval`` (Wilson).
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

    def to_json(self) -> dict[str, Any]:
        """Plain values for ``json.dumps``; adds ``classes``, the names of the matrix's rows."""
        found = asdict(self)
        found["intervals"] = {name: list(pair) for name, pair in self.intervals.items()}
        for row in found["per_class"]:
            row["precision_interval"] = list(row["precision_interval"])
            row["recall_interval"] = list(row["recall_interval"])
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


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return np.divide(part, whole, out=np.zeros_like(part), where=whole > 0)


def _per_class(cells: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    # cells: float (R, 8, 8) → precision, recall, F1, each (R, 8)
    hits = np.diagonal(cells, axis1=1, axis2=2).copy()
    true, predicted = cells.sum(2), cells.sum(1)
    return _ratio(hits, predicted), _ratio(hits, true), _ratio(2 * hits, true + predicted)


def _auc(labels: np.ndarray, probabilities: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
    # Mean one-vs-rest AUC, its influence of each image (DeLong's placements), class counts.
    # Imported late: it takes a second, and classifying never needs it.
    from scipy.stats import rankdata

    n = len(labels)
    counts = np.bincount(labels, minlength=len(CLASS_NAMES))
    present = np.flatnonzero(counts)
    influence, areas = np.zeros(n), []
    for c in present:
        score, mine = probabilities[:, c], labels == c
        positives, negatives = counts[c], n - counts[c]
        ranks = rankdata(score)
        placement = np.empty(n)
        placement[mine] = (ranks[mine] - rankdata(score[mine])) / negatives
        placement[~mine] = 1 - (ranks[~mine] - rankdata(score[~mine])) / positives
        area = placement[mine].mean()
        areas.append(area)
        influence += (placement - area) * np.where(mine, n / positives, n / negatives)
    return float(np.mean(areas)), influence / len(present), counts[present]


def judge(
    labels: np.ndarray, probabilities: np.ndarray, *, resamples: int = 1000, seed: int = 0
) -> Judgement:
    """Judge a classifier's probabilities on labelled images.

    Args:
        labels: int64, N, 0 to 7.
        probabilities: float, N×8, rows sum to 1.
        resamples: draws behind each interval that needs draws.
        seed: makes the draws repeatable.

    Raises:
        BadInput: the arrays do not fit each other or hold impossible values.
    """
    labels, probabilities = checked(labels, probabilities)
    rng = np.random.default_rng(seed)
    n, predicted, confidence = len(labels), probabilities.argmax(1), probabilities.max(1)
    matrix = confusion_matrix(labels, predicted)
    true_counts, predicted_counts = matrix.sum(1), matrix.sum(0)
    occurs = (true_counts + predicted_counts) > 0

    precision, recall, f1 = (values[0] for values in _per_class(matrix[None].astype(float)))
    scores = {}
    for place, name in enumerate(("precision", "recall", "f1")):
        scores[f"macro_{name}"] = lambda cells, p=place: _per_class(cells)[p][:, occurs].mean(1)
        scores[f"weighted_{name}"] = lambda cells, p=place: (
            (_per_class(cells)[p] * cells.sum(2)).sum(1) / cells.sum((1, 2))
        )
    values = {name: float(score(matrix[None].astype(float))[0]) for name, score in scores.items()}
    intervals = confusion_intervals(matrix, scores, resamples=resamples, rng=rng)

    correct = predicted == labels
    hits = int(correct.sum())
    intervals["accuracy"] = intervals["weighted_recall"] = wilson(hits, n)
    losses = -np.log(np.maximum(probabilities[np.arange(n), labels], SMALLEST))
    intervals["log_loss"] = mean_interval(losses)
    intervals["ece"] = ece_interval(confidence, correct, BINS, resamples=resamples, rng=rng)
    auc = None
    if np.count_nonzero(true_counts) > 1:
        auc, influence, positives = _auc(labels, probabilities)
        intervals["auc"] = auc_interval(auc, influence, positives, n)
    table = reliability(labels, probabilities)
    filled = table[table.n > 0]

    return Judgement(
        n=n,
        accuracy=hits / n,
        **values,
        auc=auc,
        log_loss=float(losses.mean()),
        ece=float((filled.n * (filled.confidence - filled.accuracy).abs()).sum() / n),
        per_class=[
            {
                "name": CLASS_NAMES[c],
                "n": int(true_counts[c]),
                "predicted": int(predicted_counts[c]),
                "precision": float(precision[c]),
                "recall": float(recall[c]),
                "f1": float(f1[c]),
                "precision_interval": wilson(int(matrix[c, c]), int(predicted_counts[c])),
                "recall_interval": wilson(int(matrix[c, c]), int(true_counts[c])),
            }
            for c in np.flatnonzero(occurs)
        ],
        confusion_matrix=matrix.tolist(),
        intervals=intervals,
    )
