"""A score by where the cells come from, over patients, and what is refused of `other`."""

from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from bloodcell.classes import OTHER
from bloodcell.data.store.dataset import new_dataset, open_dataset
from bloodcell.evaluation.intervals import cluster_intervals, share_interval, wilson
from bloodcell.evaluation.metrics import judge
from bloodcell.evaluation.origins import (
    Others,
    clusters_of,
    group_scores,
    limits_text,
    refusal_curve,
    worst_words,
)
from bloodcell.workspace import Workspace


def answers(n: int, patients: int, spread: float, seed: int):
    """Cells of patients whose own accuracy differs by `spread` about 0.85."""
    rng = np.random.default_rng(seed)
    codes = rng.integers(0, patients, n)
    codes[:patients] = np.arange(patients)
    own = np.clip(rng.normal(0.85, spread, patients), 0, 1)
    labels = rng.integers(0, 3, n)
    right = rng.random(n) < own[codes]
    return labels, np.where(right, labels, (labels + 1) % 3), codes


def width(pair: tuple[float, float]) -> float:
    return pair[1] - pair[0]


def test_cells_of_few_unlike_patients_tell_less_than_as_many_patients():
    labels, said, codes = answers(1000, 12, 0.12, 0)
    over = cluster_intervals(labels, said, np.ones(1000), codes)
    by_image = wilson(int((labels == said).sum()), 1000)
    assert width(over["accuracy"]) > 2 * width(by_image)
    for name, (low, high) in over.items():
        if name != "log_loss":
            assert low <= (labels == said).mean() + 0.05
            assert high >= (labels == said).mean() - 0.05


def test_where_every_image_is_its_own_cluster_nothing_changes():
    labels, said, _ = answers(800, 2, 0.0, 1)
    over = cluster_intervals(labels, said, np.ones(800), np.arange(800))
    by_image = wilson(int((labels == said).sum()), 800)
    np.testing.assert_allclose(over["accuracy"], by_image, atol=0.006)


def test_the_interval_over_patients_covers_the_true_accuracy():
    held = []
    for seed in range(80):
        labels, said, codes = answers(400, 15, 0.1, seed)
        low, high = share_interval(labels == said, codes, seed)
        held.append(low <= 0.845 <= high)
    assert np.mean(held) > 0.88


def test_no_error_is_no_proof_and_few_patients_prove_less():
    right = np.ones(300, bool)
    few, many = (share_interval(right, np.arange(300) % c) for c in (5, 100))
    assert few[1] == many[1] == 1.0
    assert few[0] < many[0] < 1


def test_the_worst_group_comes_first_and_scores_are_over_the_classes_present():
    names = np.array(["north"] * 60 + ["south"] * 40, object)
    labels = np.array([0] * 30 + [1] * 30 + [2] * 40)
    said = labels.copy()
    said[:6] = 1
    said[60:80] = 7
    scores = group_scores(names, labels, said, said != 7, np.arange(100))
    assert [s.name for s in scores] == ["south", "north"]
    assert [s.classes for s in scores] == [1, 2]
    for score in scores:
        rows = names == score.name
        expected = np.mean([(said[rows & (labels == c)] == c).mean() for c in set(labels[rows])])
        assert score.balanced_accuracy == pytest.approx(expected)
        for key, (low, high) in score.intervals.items():
            assert low <= getattr(score, key) <= high
    assert scores[0].recognised == 0.5
    assert worst_words(scores, "laboratory").startswith("Worst laboratory: south, balanced acc")
    assert group_scores(np.full(100, "", object), labels, said, said != 7, np.arange(100)) == []


def test_macro_scores_leave_out_classes_that_are_not_there():
    labels = np.array([0] * 50 + [1] * 50)
    probabilities = np.eye(8)[np.where(np.arange(100) % 10 == 0, 7, labels)] * 0.93 + 0.01
    found = judge(labels, probabilities / probabilities.sum(1, keepdims=True), resamples=20)
    assert found.macro_recall == pytest.approx(0.9)
    document = found.to_json()
    assert document["balanced_accuracy"] == pytest.approx(0.9)
    assert document["intervals"]["balanced_accuracy"] == document["intervals"]["macro_recall"]


def test_the_refusal_curve_is_the_roc_of_novelty():
    rng = np.random.default_rng(0)
    cells, others = rng.normal(0, 1, 400), rng.normal(1.2, 1, 300)
    curve = refusal_curve(cells, others)
    area = np.trapezoid(curve["others_refused"], curve["cells_refused"])
    truth = np.repeat([0, 1], [400, 300])
    assert area == pytest.approx(roc_auc_score(truth, np.concatenate([cells, others])), abs=0.005)
    assert curve.iloc[0][["cells_refused", "others_refused"]].tolist() == [0, 0]
    assert curve.iloc[-1][["cells_refused", "others_refused"]].tolist() == [1, 1]


def test_others_are_counted_with_their_interval_or_are_none():
    found = Others(np.arange(4), np.zeros(4), np.array([True, False, False, False]), np.zeros(4))
    document = found.to_json()
    assert (document["n"], document["refused"]) == (4, 0.75)
    assert document["interval"] == list(wilson(3, 4))
    nothing = np.zeros(0, int)
    assert Others(nothing, nothing, nothing.astype(bool), nothing).to_json() is None


@pytest.mark.parametrize(
    ("columns", "level", "clusters"),
    [(("patient", "slide"), "patient", 5), (("slide",), "slide", 5), ((), None, 8)],
)
def test_clusters_are_patients_else_slides_else_nothing(tmp_path: Path, columns, level, clusters):
    cells = np.random.default_rng(0).integers(0, 256, (8, 8, 8, 3), dtype=np.uint8)
    with new_dataset(Workspace(tmp_path), "d", (8, 8), "x", "none", columns=columns) as writer:
        for i, cell in enumerate(cells):
            known = {"patient": f"p{i // 2}", "slide": f"s{i // 2}"} if i > 1 else {}
            origin = {column: known[column] for column in columns if column in known}
            writer.add(cell, OTHER if i == 7 else 0, str(i), origin=origin)
    found, codes = clusters_of(open_dataset(Workspace(tmp_path), "d"), np.arange(8))
    assert found == level
    assert len(set(codes)) == clusters


def test_what_a_score_cannot_say_depends_on_what_is_known():
    assert "have no patient ids" in limits_text({}, None)
    assert "optimistic" in limits_text({}, None)
    known = limits_text({"laboratory": np.array(["a", "b"], object)}, "patient", "patient")
    assert "2 laboratories" in known
    assert "over patients" in known
    assert "optimistic" not in known
