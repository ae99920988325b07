"""ROC and precision-recall curves are scikit-learn's."""

import numpy as np
import pytest
from sklearn import metrics as sk

from bloodcell.classes import CLASS_NAMES
from bloodcell.evaluation.curves import precision_recall_curves, roc_curves
from tests.evaluation.simulate import draw


@pytest.fixture(scope="module")
def data() -> tuple[np.ndarray, np.ndarray]:
    labels, probabilities, _ = draw(1500, 0.1, "mixed", np.random.default_rng(0))
    # Ties, as a network that is sure of everything has them; in 64ths, which add up exactly.
    tied = np.floor(probabilities * 64)
    tied[np.arange(1500), probabilities.argmax(1)] += 64 - tied.sum(1)
    return labels, tied / 64


@pytest.mark.parametrize("label", range(8))
def test_roc(data, label):
    labels, probabilities = data
    table = roc_curves(labels, probabilities)
    own = table[table["class"] == CLASS_NAMES[label]]
    x, y = own["false_positive_rate"].to_numpy(), own["true_positive_rate"].to_numpy()
    assert (x[0], y[0], x[-1], y[-1]) == (0, 0, 1, 1)
    expected = sk.roc_auc_score(labels == label, probabilities[:, label])
    assert np.trapezoid(y, x) == pytest.approx(expected, abs=2e-4)
    fpr, tpr, _ = sk.roc_curve(labels == label, probabilities[:, label], drop_intermediate=False)
    points = {(round(a, 9), round(b, 9)) for a, b in zip(fpr, tpr, strict=True)}
    assert {(round(a, 9), round(b, 9)) for a, b in zip(x, y, strict=True)} <= points


@pytest.mark.parametrize("label", range(8))
def test_precision_recall(data, label):
    labels, probabilities = data
    table = precision_recall_curves(labels, probabilities)
    own = table[table["class"] == CLASS_NAMES[label]]
    x, y = own["recall"].to_numpy(), own["precision"].to_numpy()
    assert (np.diff(x) >= 0).all()
    assert (x[0], y[0], x[-1]) == (0, 1, 1)
    precision, recall, _ = sk.precision_recall_curve(labels == label, probabilities[:, label])
    points = {(round(a, 9), round(b, 9)) for a, b in zip(recall, precision, strict=True)}
    assert {(round(a, 9), round(b, 9)) for a, b in zip(x, y, strict=True)} <= points


def test_a_long_curve_is_thinned_and_keeps_its_area():
    labels, probabilities, _ = draw(20_000, 0.2, "mixed", np.random.default_rng(1))
    labels = np.random.default_rng(2).permutation(labels)
    table = roc_curves(labels, probabilities)
    for label, name in enumerate(CLASS_NAMES):
        own = table[table["class"] == name]
        assert len(own) <= 302
        area = np.trapezoid(own["true_positive_rate"], own["false_positive_rate"])
        expected = sk.roc_auc_score(labels == label, probabilities[:, label])
        assert area == pytest.approx(expected, abs=2e-3)


def test_a_class_alone_has_no_roc():
    labels = np.zeros(4, int)
    assert len(roc_curves(labels, np.full((4, 8), 1 / 8))) == 0
