"""Weights that validation images can justify, and what each network adds."""

import numpy as np
import pytest

from bloodcell.ensemble.weights import contributions, find_weights
from bloodcell.evaluation.calibration import apply_temperature, fit_temperature
from tests.evaluation.simulate import draw


def said(labels: np.ndarray, accuracy: float, seed: int) -> np.ndarray:
    """Probabilities of a network that errs by itself, on images of its own."""
    rng = np.random.default_rng(seed)
    right = rng.random(len(labels)) < accuracy
    top = np.where(right, labels, (labels + rng.integers(1, 8, len(labels))) % 8)
    sure = np.where(right, rng.beta(20, 2, len(labels)), rng.beta(4, 3, len(labels)))
    found = rng.dirichlet(np.ones(8), len(labels)) * (1 - sure)[:, None]
    found[np.arange(len(labels)), top] += sure
    return found


@pytest.fixture(scope="module")
def labels() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 8, 1500)


def log_loss(labels: np.ndarray, probabilities: np.ndarray) -> float:
    fitted = apply_temperature(probabilities, fit_temperature(labels, probabilities))
    return float(-np.log(fitted[np.arange(len(labels)), labels]).mean())


def test_equal_members_that_err_apart_all_count(labels):
    found = find_weights(labels, np.stack([said(labels, 0.95, s) for s in (1, 2, 3)]))
    assert found.sum() == pytest.approx(1)
    assert found.min() > 0.2


def test_a_member_that_guesses_counts_for_nothing(labels):
    rng = np.random.default_rng(9)
    guesses = rng.dirichlet(np.full(8, 0.2), len(labels))
    found = find_weights(labels, np.stack([said(labels, 0.97, 1), guesses]))
    assert found[0] > 0.95


def test_a_copy_of_a_member_takes_nothing_from_the_others(labels):
    a, b = said(labels, 0.95, 1), said(labels, 0.95, 2)
    found = find_weights(labels, np.stack([a, a, b]))
    assert found[2] == pytest.approx(0.5, abs=0.12)


def test_they_are_at_least_as_good_on_validation_as_each_alone_and_nearly_as_equal_ones(labels):
    members = np.stack([said(labels, accuracy, s) for s, accuracy in enumerate((0.9, 0.97, 0.94))])
    found = log_loss(labels, np.tensordot(find_weights(labels, members), members, axes=1))
    assert found <= min(log_loss(labels, p) for p in members)
    assert found <= 1.01 * log_loss(labels, members.mean(0))


def test_one_member_has_all_the_weight(labels):
    assert find_weights(labels, said(labels, 0.9, 1)[None]).tolist() == [1]


class TestWhatEachAdds:
    def test_is_the_whole_against_the_others_alone(self, labels):
        members = np.stack([said(labels, 0.93, s) for s in (1, 2, 3)])
        accuracy, loss, without = contributions(labels, members, np.array([2, 1, 1]), 1.0)
        mean = np.tensordot([0.5, 0.25, 0.25], members, axes=1)
        assert accuracy == (mean.argmax(1) == labels).mean()
        assert loss == pytest.approx(-np.log(mean[np.arange(1500), labels]).mean())
        others = (members[1] + members[2]) / 2
        right = others.argmax(1) == labels
        assert without[0].accuracy == right.mean()
        assert (accuracy - without[0].accuracy) * 1500 == pytest.approx(
            without[0].gained - without[0].lost
        )

    def test_a_member_of_weight_0_adds_nothing(self, labels):
        members = np.stack([said(labels, 0.93, s) for s in (1, 2)])
        accuracy, loss, without = contributions(labels, members, np.array([1, 0]), 1.0)
        assert (without[1].accuracy, without[1].log_loss) == (accuracy, pytest.approx(loss))
        assert (without[1].gained, without[1].lost) == (0, 0)
        # Without the one that counts the other is all there is.
        assert without[0].accuracy == (members[1].argmax(1) == labels).mean()

    def test_each_is_calibrated_anew_where_no_temperature_is_given(self):
        labels, probabilities, _ = draw(800, 0.05, "overconfident", np.random.default_rng(3))
        members = np.stack([probabilities, probabilities])
        _, loss, without = contributions(labels, members, np.ones(2))
        assert loss == pytest.approx(log_loss(labels, probabilities))
        assert without[0].log_loss == pytest.approx(loss)
