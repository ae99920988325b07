"""How many cells a person has to look at, and how many errors that catches."""

import numpy as np
import pytest

from bloodcell.evaluation.intervals import wilson
from bloodcell.evaluation.review import coverage, refer, review_curve


def said(tops: list[float], answers: list[int]) -> np.ndarray:
    found = np.zeros((len(tops), 8))
    for row, (p, k) in enumerate(zip(tops, answers, strict=True)):
        found[row] = (1 - p) / 7
        found[row, k] = p
    return found


LABELS = np.array([0, 1, 2, 3, 4])
# Wrong are the second (unsure) and the last (sure).
SAID = said([0.9, 0.5, 0.7, 0.95, 0.99], [0, 2, 2, 3, 5])


def test_what_is_below_the_threshold_goes_to_a_person():
    found = refer(LABELS, SAID, 0.8)
    assert (found.n, found.referred, found.errors, found.caught) == (5, 2, 2, 1)
    assert found.kept_accuracy == 2 / 3
    assert found.referred_interval == wilson(2, 5)
    assert found.caught_interval == wilson(1, 2)
    assert found.kept_interval == wilson(2, 3)


def test_at_the_ends_nobody_or_everybody_is_asked():
    assert refer(LABELS, SAID, 0).referred == 0
    assert refer(LABELS, SAID, 0).kept_accuracy == 3 / 5
    everything = refer(LABELS, SAID, 1.0)
    assert (everything.referred, everything.caught) == (5, 2)
    assert everything.kept_accuracy is None


def test_what_is_not_recognised_goes_to_a_person_however_sure():
    recognised = np.array([True, True, True, True, False])
    found = refer(LABELS, SAID, 0, recognised)
    assert (found.referred, found.caught) == (1, 1)
    assert review_curve(LABELS, SAID, recognised)["referred"].iloc[0] == 1 / 5


@pytest.mark.parametrize("seed", range(5))
def test_the_curve_is_what_referring_at_its_thresholds_gives(seed):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 8, 60)
    probabilities = np.round(rng.dirichlet(np.full(8, 0.3), 60), 1) + 1e-3
    probabilities /= probabilities.sum(1, keepdims=True)
    recognised = rng.random(60) > 0.1
    curve = review_curve(labels, probabilities, recognised)
    assert (np.diff(curve["referred"]) > 0).all()
    assert (np.diff(curve["caught"]) >= 0).all()
    assert curve["referred"].iloc[-1] == curve["caught"].iloc[-1] == 1
    for row in curve.iloc[:-1].itertuples():
        found = refer(labels, probabilities, row.threshold, recognised)
        assert found.referred / 60 == row.referred
        assert found.caught / found.errors == row.caught
        assert found.kept_accuracy == pytest.approx(row.kept_accuracy)


def test_without_errors_all_are_caught():
    curve = review_curve(LABELS, said([0.9] * 5, [0, 1, 2, 3, 4]))
    assert (curve["caught"] == 1).all()
    assert curve["referred"].tolist() == [0, 1]


def test_coverage_counts_the_sets_that_hold_the_truth():
    sets = np.zeros((5, 8), bool)
    sets[0, 0] = sets[1, [1, 2]] = sets[2, 3] = sets[3, 3] = sets[4, 4] = True
    found = coverage(LABELS, sets)
    assert (found.n, found.held, found.share) == (5, 4, 0.8)
    assert found.interval == wilson(4, 5)
    assert found.mean_size == 6 / 5
    assert found.single == 4 / 5
    assert found.per_class == [(0, 1, 1), (1, 1, 1), (2, 1, 0), (3, 1, 1), (4, 1, 1)]
