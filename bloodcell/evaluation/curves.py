"""ROC and precision-recall curves, one class against the rest."""

import numpy as np
import pandas as pd
from sklearn.metrics import precision_recall_curve, roc_curve

from bloodcell.classes import CLASS_NAMES
from bloodcell.evaluation.metrics import checked

__all__ = ["precision_recall_curves", "roc_curves"]

# More points than a screen has pixels would only make the file large.
POINTS = 300


def _thinned(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    if len(x) <= POINTS:
        return x, y
    # Even steps along the curve, so that a steep part keeps its shape.
    along = np.concatenate([[0], np.cumsum(np.hypot(np.diff(x), np.diff(y)))])
    positions = np.searchsorted(along, np.linspace(0, along[-1], POINTS))
    kept = np.unique(np.concatenate([[0], np.minimum(positions, len(x) - 1), [len(x) - 1]]))
    return x[kept], y[kept]


def _table(curves: list[tuple[int, np.ndarray, np.ndarray]], names: tuple[str, str]):
    parts = [
        pd.DataFrame({"class": CLASS_NAMES[c], names[0]: x, names[1]: y}) for c, x, y in curves
    ]
    columns = ["class", *names]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=columns)


def roc_curves(labels: np.ndarray, probabilities: np.ndarray) -> pd.DataFrame:
    """Receiver operating characteristic of each class that occurs beside others.

    Args:
        labels: int64, N.
        probabilities: float, N×8.

    Returns:
        ``class`` (name), ``false_positive_rate`` and ``true_positive_rate`` (0 to 1), ascending,
        from (0, 0) to (1, 1); at most some 300 points a class.
    """
    labels, probabilities = checked(labels, probabilities)
    found = []
    for c in np.unique(labels):
        mine = labels == c
        if mine.all():
            continue
        x, y, _ = roc_curve(mine, probabilities[:, c], drop_intermediate=False)
        found.append((int(c), *_thinned(x, y)))
    return _table(found, ("false_positive_rate", "true_positive_rate"))


def precision_recall_curves(labels: np.ndarray, probabilities: np.ndarray) -> pd.DataFrame:
    """Precision against recall of each class that occurs.

    Returns:
        ``class`` (name), ``recall`` (ascending) and ``precision`` (0 to 1); as in scikit-learn
        they begin at recall 0 with precision 1.
    """
    labels, probabilities = checked(labels, probabilities)
    found = []
    for c in np.unique(labels):
        mine = labels == c
        precision, recall, _ = precision_recall_curve(mine, probabilities[:, c])
        precision, recall = precision[::-1], recall[::-1]
        # Beyond full recall precision only falls: the curve ends there.
        end = int(np.argmax(recall == 1)) + 1
        found.append((int(c), *_thinned(recall[:end], precision[:end])))
    return _table(found, ("recall", "precision"))
