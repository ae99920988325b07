"""Scores of a confusion matrix, and how much each image of a cell moves them."""

import numpy as np

__all__ = ["class_scores", "confusion_scores"]


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return np.divide(part, whole, out=np.zeros(np.shape(part)), where=whole > 0)


def class_scores(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Precision, recall and F1 of each class: float, 8 each; 0 where nothing is to be divided.

    Args:
        matrix: 8×8 counts, rows true.
    """
    counts = np.asarray(matrix, float)
    hits, true, predicted = np.diag(counts), counts.sum(1), counts.sum(0)
    return _ratio(hits, predicted), _ratio(hits, true), _ratio(2 * hits, true + predicted)


def confusion_scores(matrix: np.ndarray) -> dict[str, tuple[float, np.ndarray]]:
    """Macro and weighted precision, recall and F1 with their influence functions.

    Macro scores are means over the classes that are present, that is, occur in truth: a class
    that no image belongs to cannot be missed. Weighted ones go by the true counts. Both as in
    scikit-learn with the labels present and ``zero_division=0``.

    Args:
        matrix: 8×8 counts, not all 0, rows true; need not be whole numbers.

    Returns:
        name → (value, influence): influence, float 8×8, is the derivative of the value by the
        count of each cell. As the scores depend on shares alone, it sums to 0 over the images.
    """
    counts = np.asarray(matrix, float)
    precision, recall, f1 = class_scores(counts)
    true, predicted, n = counts.sum(1), counts.sum(0), counts.sum()
    hit = np.eye(len(counts))
    occurs = true > 0
    found: dict[str, tuple[float, np.ndarray]] = {}
    for kind, weights in (("macro", occurs / occurs.sum()), ("weighted", true / n)):

        def moved(values: np.ndarray, weights: np.ndarray = weights, kind: str = kind):
            # One image more of a true class also moves the weights that go by true counts.
            return ((values - weights @ values) / n)[:, None] if kind == "weighted" else 0.0

        of_true, of_predicted = _ratio(weights, true), _ratio(weights, predicted)
        of_both = _ratio(weights, true + predicted)
        found[f"{kind}_precision"] = (
            float(weights @ precision),
            of_predicted[None, :] * (hit - precision[None, :]) + moved(precision),
        )
        found[f"{kind}_recall"] = (
            float(weights @ recall),
            of_true[:, None] * (hit - recall[:, None]) + moved(recall),
        )
        found[f"{kind}_f1"] = (
            float(weights @ f1),
            of_both[:, None] * (hit - f1[:, None])
            + of_both[None, :] * (hit - f1[None, :])
            + moved(f1),
        )
    return found
