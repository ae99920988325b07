"""How often the 95 % intervals hold the truth, in simulated sets of a known population."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from bloodcell.evaluation import confusion_matrix, judge
from bloodcell.evaluation.confusion_scores import confusion_scores
from bloodcell.evaluation.intervals import ece_interval
from tests.evaluation.simulate import KINDS, draw, true_ece


def truths(error: float, kind: str, size: int) -> dict[str, float]:
    """The values of the whole population, from `size` of it."""
    labels, probabilities, _ = draw(size, error, kind, np.random.default_rng(7))
    matrix = confusion_matrix(labels, probabilities.argmax(1))
    own = probabilities[np.arange(len(labels)), labels]
    areas = [roc_auc_score(labels == c, probabilities[:, c]) for c in range(8)]
    return {
        **{name: value for name, (value, _) in confusion_scores(matrix).items()},
        "accuracy": np.trace(matrix) / matrix.sum(),
        "auc": np.mean(areas),
        "log_loss": -np.log(own).mean(),
        "ece": true_ece(error, kind),
    }


def coverage(
    sets: int, n: int, error: float, kind: str, *, resamples: int = 300, size: int = 400_000
) -> dict[str, float]:
    truth, rng = truths(error, kind, size), np.random.default_rng(11)
    hits = dict.fromkeys(truth, 0)
    for seed in range(sets):
        labels, probabilities, _ = draw(n, error, kind, rng)
        found = judge(labels, probabilities, resamples=resamples, seed=seed).intervals
        for name, value in truth.items():
            hits[name] += found[name][0] <= value <= found[name][1]
    return {name: count / sets for name, count in hits.items()}


# 150 sets measure a coverage of 95 % to 3.5 points, so that these bounds are wider.
def test_intervals_hold_the_truth_about_95_times_in_100():
    for name, share in coverage(150, 1453, 0.01, "calibrated", resamples=60, size=100_000).items():
        assert 0.90 <= share <= 0.99, name


@pytest.mark.nightly
def test_of_1000_test_sets_the_intervals_of_a_calibrated_ensemble_cover_93_to_97_in_100():
    for name, share in coverage(1000, 1453, 0.01, "calibrated").items():
        assert 0.93 <= share <= 0.97, name


# 300 sets measure it to 2.5 points, and the lowest of ten falls further. With 1000, all of these
# held 93 to 97 in 100.
@pytest.mark.nightly
@pytest.mark.parametrize(("n", "error"), [(1453, 0.03), (1453, 0.005), (500, 0.03)])
def test_they_do_so_with_more_errors_with_fewer_and_in_a_smaller_set(n, error):
    for name, share in coverage(300, n, error, "calibrated").items():
        assert 0.89 <= share <= 0.99, name


@pytest.mark.nightly
@pytest.mark.parametrize("kind", [k for k in KINDS if k != "calibrated"])
def test_of_a_classifier_that_is_not_calibrated_they_still_cover_nine_in_ten(kind):
    found = coverage(300, 1453, 0.01, kind)
    for name, share in found.items():
        assert 0.87 <= share <= 1, name
    for name in set(found) - {"auc", "log_loss", "ece"}:
        assert 0.89 <= found[name] <= 0.99, name


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
