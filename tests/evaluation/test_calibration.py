import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.special import log_softmax, softmax
from sklearn.metrics import log_loss

from bloodcell.errors import BadInput
from bloodcell.evaluation import (
    apply_temperature,
    fit_conformal,
    fit_temperature,
    prediction_sets,
)
from bloodcell.evaluation.calibration import fit_sets
from tests.evaluation.simulate import draw

ROWS = hnp.arrays(
    np.float32, st.tuples(st.integers(1, 6), st.just(8)), elements=st.floats(-60, 60, width=32)
)


def drawn_at(temperature, n=20_000, seed=0):
    # Labels drawn from softmax(z), probabilities reported as softmax(z / temperature).
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 3, (n, 8))
    labels = (rng.random((n, 1)) > softmax(logits, 1).cumsum(1)).sum(1).clip(0, 7)
    return labels, softmax(logits / temperature, 1)


@pytest.mark.parametrize("temperature", [0.4, 1.0, 2.5])
def test_the_temperature_that_was_put_in_is_found_and_undone(temperature):
    labels, probabilities = drawn_at(temperature)
    found = fit_temperature(labels, probabilities)
    assert found == pytest.approx(1 / temperature, rel=0.04)


def test_the_fit_is_the_best_on_a_fine_grid():
    labels, probabilities, _ = draw(900, 0.07, "overconfident", np.random.default_rng(3))
    found = fit_temperature(labels, probabilities)
    losses = {
        t: log_loss(labels, apply_temperature(probabilities, t), labels=range(8))
        for t in np.geomspace(0.2, 8, 150)
    }
    best = min(losses.values())
    mine = log_loss(labels, apply_temperature(probabilities, found), labels=range(8))
    assert mine <= best + 1e-9


def test_without_an_error_nothing_is_sharpened():
    labels = np.arange(80) % 8
    probabilities = np.full((80, 8), 0.05)
    probabilities[np.arange(80), labels] = 0.65
    assert fit_temperature(labels, probabilities) == 1.0


def test_a_zero_for_the_true_class_leaves_a_finite_temperature():
    labels, probabilities = drawn_at(1.0, 500)
    probabilities[0] = np.eye(8)[(labels[0] + 1) % 8]
    assert 0.05 < fit_temperature(labels, probabilities) < 20


@given(ROWS, st.floats(0.05, 20))
@settings(deadline=None)
def test_tempered_rows_sum_to_one_and_keep_their_top_class(logits, temperature):
    probabilities = softmax(logits, axis=1)
    tempered = apply_temperature(probabilities, temperature)
    assert tempered.dtype == np.float64
    np.testing.assert_allclose(tempered.sum(1), 1, atol=1e-12)
    assert (tempered >= 0).all()
    assert (tempered.argmax(1) == probabilities.argmax(1)).all()


def test_tempering_is_softmax_of_log_p_over_t():
    probabilities = softmax(np.random.default_rng(0).normal(0, 2, (50, 8)), 1)
    expected = np.exp(log_softmax(np.log(probabilities) / 1.7, axis=1))
    np.testing.assert_allclose(apply_temperature(probabilities, 1.7), expected, rtol=1e-12)
    np.testing.assert_allclose(apply_temperature(probabilities, 1.0), probabilities, rtol=1e-12)
    np.testing.assert_allclose(apply_temperature(probabilities[0], 1.7), expected[0], rtol=1e-12)


@pytest.mark.parametrize("temperature", [0, -1, float("nan"), float("inf")])
def test_an_impossible_temperature_is_refused(temperature):
    with pytest.raises(BadInput, match="above 0"):
        apply_temperature(np.full((1, 8), 1 / 8), temperature)


def test_the_last_digit_does_not_change_the_top_class():
    row = np.full(8, 0.125)
    row[5] = np.nextafter(0.125, 1)
    assert apply_temperature(row, 20.0).argmax() == 5


@pytest.mark.parametrize("wanted", [0.9, 0.95])
def test_prediction_sets_hold_the_true_class_as_often_as_promised(wanted):
    rng, shares = np.random.default_rng(0), []
    for _ in range(200):
        labels, probabilities, _ = draw(600, 0.15, "overconfident", rng)
        threshold = fit_conformal(labels[:300], probabilities[:300], wanted)
        sets = prediction_sets(probabilities[300:], threshold)
        shares.append(sets[np.arange(300), labels[300:]].mean())
    # Never less than promised but for the noise of 200 draws; hardly more.
    assert wanted - 0.004 <= np.mean(shares) <= wanted + 0.02


def test_the_threshold_is_the_corrected_quantile():
    # 19 images: ceil(20·0.95) = 19 scores must lie inside, so the smallest p(true) decides.
    labels = np.zeros(19, int)
    p = np.linspace(0.3, 0.9, 19)
    probabilities = np.column_stack([p, *[(1 - p) / 7] * 7])
    assert fit_conformal(labels, probabilities, 0.95) == pytest.approx(0.3)
    assert fit_conformal(labels, probabilities, 0.5) == pytest.approx(np.sort(p)[19 - 10])


def test_too_few_images_admit_every_class():
    labels, probabilities, _ = draw(18, 0.03, "calibrated", np.random.default_rng(0))
    assert fit_conformal(labels, probabilities, 0.95) == 0.0
    assert prediction_sets(probabilities, 0.0).all()


@pytest.mark.parametrize(
    ("accuracy", "n", "coverage"),
    [
        (0.8, 500, 0.95),
        (0.94, 500, 0.99),
        (0.97, 500, 0.99),
        (0.9875, 1000, 0.995),
        (1.0, 1000, 0.995),
        # Five images outside are the fewest.
        (0.9875, 999, 0.99),
        (0.97, 499, 0.95),
        (0.97, 50, 0.95),
    ],
)
def test_the_coverage_used_unasked_leaves_room_for_doubt(accuracy, n, coverage):
    # Right ones are surer than wrong ones.
    wrong = np.arange(n) < round(n * (1 - accuracy))
    top = np.where(wrong, np.linspace(0.5, 0.9, n), np.linspace(0.8, 0.99, n))
    labels = np.where(wrong, 1, 0)
    probabilities = np.column_stack([top, 1 - top, *[np.zeros(n)] * 6])
    found = fit_sets(labels, probabilities)
    assert found["coverage"] == coverage
    assert found["threshold"] == fit_conformal(labels, probabilities, coverage)
    assert dict(found["thresholds"])[coverage] == found["threshold"]
    assert found["n"] == n


def test_wrong_answers_are_said_to_be_doubtful():
    labels, probabilities, _ = draw(2000, 0.03, "calibrated", np.random.default_rng(1))
    found = fit_sets(labels[:1000], probabilities[:1000])
    sets = prediction_sets(probabilities[1000:], found["threshold"])
    wrong = probabilities[1000:].argmax(1) != labels[1000:]
    doubtful = sets.sum(1) > 1
    assert doubtful[wrong].mean() > 0.5 > 3 * doubtful[~wrong].mean()


@given(ROWS, st.floats(0, 1.1))
def test_a_prediction_set_always_holds_the_top_class(logits, threshold):
    probabilities = softmax(logits, axis=1)
    sets = prediction_sets(probabilities, threshold)
    assert sets.shape == probabilities.shape
    assert sets[np.arange(len(sets)), probabilities.argmax(1)].all()
    np.testing.assert_array_equal(sets[0], prediction_sets(probabilities[0], threshold))


@pytest.mark.parametrize("coverage", [0, 1, 95])
def test_an_impossible_coverage_is_refused(coverage):
    with pytest.raises(BadInput, match="between 0 and 1"):
        fit_conformal(np.zeros(3, int), np.full((3, 8), 1 / 8), coverage)
