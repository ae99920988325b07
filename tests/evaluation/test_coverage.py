"""How often the 95 % intervals hold the truth, in simulated sets of a known population."""

import numpy as np
import pytest

from bloodcell.evaluation import confusion_matrix, judge
from bloodcell.evaluation.intervals import ece_interval
from tests.evaluation.simulate import KINDS, draw, true_ece


def truths(error, kind):
    labels, probabilities, _ = draw(400_000, error, kind, np.random.default_rng(7))
    matrix = confusion_matrix(labels, probabilities.argmax(1))
    return {
        "accuracy": np.trace(matrix) / matrix.sum(),
        "macro_recall": np.mean(np.diag(matrix) / matrix.sum(1)),
        "macro_precision": np.mean(np.diag(matrix) / matrix.sum(0)),
        "ece": true_ece(error, kind),
    }


def coverage(sets, n, error, kind):
    truth, rng = truths(error, kind), np.random.default_rng(11)
    hits = dict.fromkeys(truth, 0)
    for seed in range(sets):
        labels, probabilities, _ = draw(n, error, kind, rng)
        found = judge(labels, probabilities, resamples=300, seed=seed).intervals
        for name, value in truth.items():
            hits[name] += found[name][0] <= value <= found[name][1]
    return {name: count / sets for name, count in hits.items()}


# 200 sets measure a coverage of 95 % to ±3 points, so that the bounds here are wider than
# those of the 1000 sets below.
@pytest.mark.parametrize(("n", "error", "kind"), [(1453, 0.03, "calibrated"), (500, 0.03, "mixed")])
def test_intervals_hold_the_truth_about_95_times_in_100(n, error, kind):
    for name, share in coverage(200, n, error, kind).items():
        assert share >= 0.91, name
        assert share <= (1.0 if name == "ece" else 0.99), name


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_coverage_in_a_thousand_sets(kind):
    # n = 500 and 1453 with errors of 1, 3 and 7 % held the same bounds; this is the setting
    # nearest to a real test part, and as much as a run of all tests has time for.
    found = coverage(1000, 1453, 0.01, kind)
    assert 0.93 <= found["accuracy"] <= 0.98
    # With three errors in a whole set nothing better than 90 % was found.
    assert 0.90 <= found["macro_recall"] <= 0.975
    assert 0.89 <= found["macro_precision"] <= 0.975
    assert 0.91 <= found["ece"] <= 0.995


def test_the_ece_interval_does_not_inherit_the_upward_bias_of_the_ece():
    rng = np.random.default_rng(1)
    above_zero, values = 0, []
    for seed in range(200):
        labels, probabilities, _ = draw(1453, 0.03, "calibrated", rng)
        confidence, right = probabilities.max(1), probabilities.argmax(1) == labels
        low, _ = ece_interval(confidence, right, 15, resamples=300, rng=np.random.default_rng(seed))
        above_zero += low > 0
        if seed < 20:
            values.append(judge(labels, probabilities, resamples=20).ece)
    # The sample's ECE never is 0 though the population's is; its interval mostly reaches down.
    assert min(values) > 0.003
    assert above_zero / 200 < 0.06


def test_the_ece_interval_of_a_clearly_overconfident_model_does_not_reach_zero():
    labels, probabilities, _ = draw(1453, 0.07, "overconfident", np.random.default_rng(2))
    low, high = judge(labels, probabilities, resamples=300).intervals["ece"]
    assert low > 0.01
    assert low < true_ece(0.07, "overconfident") < high
