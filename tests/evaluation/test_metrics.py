import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as sk

from bloodcell.classes import CLASS_NAMES
from bloodcell.errors import BadInput
from bloodcell.evaluation import confusion_matrix, judge, reliability
from tests.evaluation.simulate import draw


def sample(n=700, error=0.08, kind="mixed", seed=0):
    labels, probabilities, _ = draw(n, error, kind, np.random.default_rng(seed))
    return labels, probabilities


def six_of_eight(n=300):
    rng = np.random.default_rng(4)
    labels = rng.choice([0, 1, 3, 4, 5, 6], n)
    probabilities = rng.dirichlet(np.full(8, 0.4), n)
    probabilities[np.arange(n), labels] += 1.2
    probabilities[:, 7] = 0  # neither true nor ever predicted; class 2 is predicted at times
    return labels, probabilities / probabilities.sum(1, keepdims=True)


@pytest.mark.parametrize("data", [sample(), sample(error=0.01, seed=3), six_of_eight()])
def test_every_metric_is_what_scikit_learn_computes(data):
    labels, probabilities = data
    predicted = probabilities.argmax(1)
    found = judge(labels, probabilities, resamples=50)
    assert found.n == len(labels)
    assert found.accuracy == pytest.approx(sk.accuracy_score(labels, predicted))
    for average in ("macro", "weighted"):
        expected = sk.precision_recall_fscore_support(
            labels, predicted, labels=np.unique(labels), average=average, zero_division=0
        )
        got = [getattr(found, f"{average}_{name}") for name in ("precision", "recall", "f1")]
        assert got == pytest.approx(expected[:3])
    assert found.log_loss == pytest.approx(sk.log_loss(labels, probabilities, labels=range(8)))
    areas = [sk.roc_auc_score(labels == c, probabilities[:, c]) for c in np.unique(labels)]
    assert found.auc == pytest.approx(np.mean(areas))
    assert (
        found.confusion_matrix == sk.confusion_matrix(labels, predicted, labels=range(8)).tolist()
    )


def test_macro_auc_with_all_eight_classes_is_scikit_learns():
    labels, probabilities = sample()
    expected = sk.roc_auc_score(labels, probabilities, multi_class="ovr", average="macro")
    assert judge(labels, probabilities, resamples=20).auc == pytest.approx(expected)


def test_per_class_rows_are_scikit_learns_and_leave_out_classes_never_seen():
    labels, probabilities = six_of_eight()
    predicted = probabilities.argmax(1)
    rows = judge(labels, probabilities, resamples=20).per_class
    seen = sorted(set(labels) | set(predicted))
    assert [row["name"] for row in rows] == [CLASS_NAMES[c] for c in seen]
    expected = sk.precision_recall_fscore_support(labels, predicted, labels=seen, zero_division=0)
    for row, precision, recall, f1, n in zip(rows, *expected, strict=True):
        assert (row["precision"], row["recall"], row["f1"]) == pytest.approx(
            (precision, recall, f1)
        )
        assert row["n"] == n
        assert row["recall_interval"][0] <= row["recall"] <= row["recall_interval"][1]
        assert row["precision_interval"][0] <= row["precision"] <= row["precision_interval"][1]


def test_ece_is_the_weighted_gap_between_confidence_and_accuracy():
    # Ten images claimed at 0.9 of which eight are right, ten at 0.6 of which six are.
    labels = np.array([0] * 8 + [1] * 2 + [0] * 6 + [1] * 4)
    probabilities = np.zeros((20, 8))
    probabilities[:10, :2] = 0.9, 0.1
    probabilities[10:, :2] = 0.6, 0.4
    assert judge(labels, probabilities, resamples=20).ece == pytest.approx(0.5 * 0.1)


def test_the_reliability_table_holds_every_image_once_and_agrees_with_the_ece():
    labels, probabilities = sample()
    table = reliability(labels, probabilities)
    assert len(table) == 15
    assert table.n.sum() == len(labels)
    filled = table[table.n > 0]
    assert (filled.confidence > filled.low - 1e-12).all()
    assert (filled.confidence <= filled.high + 1e-12).all()
    assert (filled.accuracy_low <= filled.accuracy).all()
    assert (filled.accuracy <= filled.accuracy_high).all()
    assert table[table.n == 0].accuracy.isna().all()
    ece = (filled.n * (filled.confidence - filled.accuracy).abs()).sum() / len(labels)
    assert judge(labels, probabilities, resamples=20).ece == pytest.approx(ece)


def test_a_certain_prediction_falls_into_the_last_bin():
    table = reliability(np.array([2]), np.eye(8)[[2]])
    assert table.n.tolist() == [0] * 14 + [1]


def test_every_interval_holds_its_value_and_lies_within_its_range():
    found = judge(*sample(), resamples=200)
    assert set(found.intervals) == {
        *(f"{a}_{m}" for a in ("macro", "weighted") for m in ("precision", "recall", "f1")),
        *("accuracy", "balanced_accuracy", "auc", "log_loss", "ece"),
    }
    for name, (low, high) in found.intervals.items():
        assert low <= getattr(found, name) <= high
        assert low < high
        assert low >= 0
        assert name == "log_loss" or high <= 1


def test_perfect_scores_keep_intervals_with_a_width():
    labels = np.arange(400) % 8
    found = judge(labels, np.eye(8)[labels], resamples=300)
    for name in ("accuracy", "macro_recall", "macro_precision", "macro_f1", "auc"):
        low, high = found.intervals[name]
        assert getattr(found, name) == high == pytest.approx(1)
        assert 0.98 < low < 0.9999
    low, high = found.intervals["ece"]
    assert low == found.ece == 0
    assert 0.001 < high < 0.02


def test_one_class_alone_has_no_auc():
    found = judge(np.full(5, 3), np.eye(8)[np.full(5, 3)], resamples=20)
    assert found.auc is None
    assert "auc" not in found.intervals
    assert found.intervals["macro_recall"][0] < 1


def test_the_same_seed_gives_the_same_intervals_and_more_images_narrower_ones():
    labels, probabilities = sample(400)
    first = judge(labels, probabilities, resamples=200, seed=5)
    assert judge(labels, probabilities, resamples=200, seed=5) == first
    many = judge(np.tile(labels, 9), np.tile(probabilities, (9, 1)), resamples=200, seed=5)
    for name in ("accuracy", "macro_f1", "log_loss", "ece"):
        assert np.ptp(many.intervals[name]) < np.ptp(first.intervals[name]) / 2


def test_json_holds_plain_values_and_the_contracts_keys():
    found = judge(*sample(), resamples=20)
    text = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert text == found.to_json()
    contract = {
        *("n", "accuracy", "macro_precision", "macro_recall", "macro_f1", "weighted_precision"),
        *("weighted_recall", "auc", "ece", "intervals", "classes", "confusion_matrix"),
    }
    assert contract <= set(text)
    assert text["classes"] == list(CLASS_NAMES)
    assert np.sum(text["confusion_matrix"]) == text["n"]


@given(st.lists(st.tuples(st.integers(0, 7), st.integers(0, 7)), min_size=1, max_size=40))
def test_confusion_matrix_counts_each_pair(pairs):
    matrix = confusion_matrix(*np.array(pairs).T)
    assert matrix.sum() == len(pairs)
    for true, predicted in set(pairs):
        assert matrix[true, predicted] == pairs.count((true, predicted))


@pytest.mark.parametrize(
    ("labels", "probabilities", "words"),
    [
        ([], np.zeros((0, 8)), "N at least 1"),
        ([0, 1], np.full((1, 8), 1 / 8), "same images"),
        ([0], np.full((1, 7), 1 / 7), r"expected \(N, 8\)"),
        ([8], np.full((1, 8), 1 / 8), "Label 8 at place 0"),
        ([0.5], np.full((1, 8), 1 / 8), "Label 0.5"),
        ([0], np.full((1, 8), 1.0), "sum to 8"),
        ([0], np.full((1, 8), np.nan), "sum to nan"),
        ([0], np.array([[1.5, -0.5, 0, 0, 0, 0, 0, 0]]), "smallest of -0.5"),
    ],
)
def test_arrays_that_do_not_fit_are_refused_with_what_was_found(labels, probabilities, words):
    with pytest.raises(BadInput, match=words):
        judge(np.array(labels), probabilities)
