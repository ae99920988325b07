import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from bloodcell.evaluation import paired_difference, wilson
from bloodcell.evaluation.intervals import clopper_pearson


@given(st.integers(1, 5000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_is_scipys(pair):
    k, n = pair
    expected = binomtest(k, n).proportion_ci(0.95, method="wilson")
    assert wilson(k, n) == pytest.approx((expected.low, expected.high), abs=1e-12)


@given(st.integers(1, 5000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_clopper_pearson_is_scipys(pair):
    k, n = pair
    expected = binomtest(k, n).proportion_ci(0.95, method="exact")
    assert clopper_pearson(k, n) == pytest.approx((expected.low, expected.high), abs=1e-9)


def test_clopper_pearson_of_nothing_knows_nothing():
    assert clopper_pearson(0, 0) == (0.0, 1.0)


def test_wilson_of_nothing_knows_nothing():
    assert wilson(0, 0) == (0.0, 1.0)


def test_wilson_refuses_more_successes_than_trials():
    with pytest.raises(ValueError, match="3 successes of 2"):
        wilson(3, 2)


def predictions(only_a, only_b, both, neither):
    a = [1] * only_a + [0] * only_b + [1] * both + [0] * neither
    b = [0] * only_a + [1] * only_b + [1] * both + [0] * neither
    return np.ones(len(a), int), np.array(a), np.array(b)


def test_a_clear_difference_is_called_one():
    found = paired_difference(*predictions(20, 2, 900, 10))
    assert (found.n, found.only_a, found.only_b) == (932, 20, 2)
    assert found.difference == pytest.approx(18 / 932)
    assert found.p_value == pytest.approx(binomtest(2, 22).pvalue)
    assert 0 < found.low < found.difference < found.high
    assert found.verdict == "the first is measurably better"
    assert paired_difference(*predictions(2, 20, 900, 10)).verdict.startswith("the second")


def test_a_difference_within_chance_is_called_no_measurable_difference():
    found = paired_difference(*predictions(6, 3, 900, 10))
    assert found.p_value > 0.05
    assert found.low < 0 < found.high
    assert found.verdict == "no measurable difference"


def test_equal_predictions_still_have_an_interval():
    found = paired_difference(*predictions(0, 0, 500, 3))
    assert found.difference == 0
    assert found.p_value == 1
    assert found.low < 0 < found.high


def test_predictions_of_other_images_are_refused():
    with pytest.raises(ValueError, match="one length"):
        paired_difference(np.ones(3), np.ones(3), np.ones(2))


def test_the_paired_interval_covers_the_true_difference():
    rng = np.random.default_rng(0)
    shares, hits = [0.03, 0.015, 0.945, 0.01], 0
    for _ in range(500):
        found = paired_difference(*predictions(*rng.multinomial(1000, shares)))
        hits += found.low <= 0.015 <= found.high
    assert 0.92 <= hits / 500 <= 0.98
