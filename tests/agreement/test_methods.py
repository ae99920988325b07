"""Two methods compared: against published worked examples and independent implementations."""

import numpy as np
import pytest
from scipy.optimize import minimize

from bloodcell.agreement.methods import (
    bland_altman,
    deming,
    passing_bablok,
    power_of_limits,
    samples_for_limits,
)
from bloodcell.errors import BadInput

# Giavarina, Biochemia Medica 25 (2015), table 1: hypothetical methods A and B.
A = np.array(
    [
        *(1, 5, 10, 20, 50, 40, 50, 60, 70, 80, 90, 100, 150, 200, 250, 300, 350, 400, 450, 500),
        *(550, 600, 650, 700, 750, 800, 850, 900, 950, 1000),
    ]
)
B = np.array(
    [
        *(8, 16, 30, 24, 39, 54, 40, 68, 72, 62, 122, 80, 181, 259, 275, 380, 320, 434, 479, 587),
        *(626, 648, 738, 766, 793, 851, 871, 957, 1001, 960),
    ]
)
# Twenty samples whose line the R package mcr gives (method "PaBa", analytical intervals).
X = np.arange(1.0, 21)
Y = np.array(
    [
        *(1.03, 2.05, 2.79, 3.67, 5.00, 5.82, 7.16, 7.69, 8.53, 10.38, 11.11, 12.17, 13.47, 13.83),
        *(15.15, 16.12, 16.94, 18.09, 19.13, 19.54),
    ]
)


def samples(n: int = 40, slope: float = 1.0, noise: float = 3.0, seed: int = 0):
    rng = np.random.default_rng(seed)
    true = rng.uniform(5, 80, n)
    return true + rng.normal(0, noise, n), slope * true + rng.normal(0, noise, n)


class TestBlandAltman:
    def test_of_the_published_example(self):
        found = bland_altman(B, A)
        assert (found.bias, found.deviation) == pytest.approx((-27.17, 34.81), abs=0.01)
        assert (found.low, found.high) == pytest.approx((-95.4, 41.1), abs=0.05)

    def test_exchanged_methods_turn_its_sign(self):
        one, other = bland_altman(A, B), bland_altman(B, A)
        assert (one.low, one.high) == pytest.approx((-other.high, -other.low))

    def test_intervals_cover_the_truth_in_93_to_97_of_100(self):
        rng = np.random.default_rng(1)
        hits = np.zeros(3)
        for _ in range(1000):
            x = rng.normal(0, 1, 40)
            found = bland_altman(x, x + rng.normal(0.5, 2, 40))
            truths = (0.5, 0.5 - 1.959964 * 2, 0.5 + 1.959964 * 2)
            intervals = (found.bias_interval, found.low_interval, found.high_interval)
            hits += [a <= t <= b for t, (a, b) in zip(truths, intervals, strict=True)]
        assert ((hits >= 930) & (hits <= 970)).all(), hits


class TestDeming:
    @pytest.mark.parametrize("ratio", [1.0, 0.25])
    def test_is_orthogonal_regression_with_that_ratio(self, ratio):
        x, y = samples(slope=1.2)

        def distance(line):
            return ((y - line[0] * x - line[1]) ** 2).sum() / (ratio + line[0] ** 2)

        best = minimize(distance, [1, 0], method="Nelder-Mead", options={"xatol": 1e-8})
        found = deming(x, y, ratio)
        assert (found.slope, found.intercept) == pytest.approx(tuple(best.x), abs=1e-3)

    def test_intervals_cover_the_truth_in_93_to_97_of_100(self):
        hits = np.zeros(2)
        for seed in range(1000):
            found = deming(*samples(slope=1.1, seed=seed))
            hits[0] += found.slope_interval[0] <= 1.1 <= found.slope_interval[1]
            hits[1] += found.intercept_interval[0] <= 0 <= found.intercept_interval[1]
        assert ((hits >= 930) & (hits <= 970)).all(), hits

    def test_samples_without_a_line_are_a_sentence(self):
        with pytest.raises(BadInput, match="no line"):
            deming(np.array([1.0, 2, 3]), np.array([5.0, 5, 5]))


def by_definition(x, y):
    """Passing and Bablok's slope, pair by pair."""
    slopes = []
    for i in range(len(x)):
        for j in range(i):
            dx, dy = x[i] - x[j], y[i] - y[j]
            if dx or dy:
                slopes.append(dy / dx if dx else np.inf)
    slopes = sorted(s for s in slopes if s != -1)
    below = sum(s < -1 for s in slopes)
    n = len(slopes)
    return (slopes[(n - 1) // 2 + below] + slopes[n // 2 + below]) / 2


class TestPassingBablok:
    def test_of_the_worked_example(self):
        found = passing_bablok(X, Y)
        assert found.slope == pytest.approx(1.0050, abs=5e-4)
        # mcr takes the neighbouring rank of 190.
        assert found.slope_interval == pytest.approx((0.9848077, 1.0265805), abs=2e-3)
        assert found.intercept == pytest.approx(0.0125, abs=5e-3)

    @pytest.mark.parametrize("seed", range(5))
    def test_is_the_definition_also_with_ties(self, seed):
        x, y = (np.round(v / 5) for v in samples(30, seed=seed))
        assert passing_bablok(x, y).slope == pytest.approx(by_definition(x, y))

    def test_exchanged_methods_turn_the_slope_over(self):
        x, y = samples(slope=1.3, noise=1)
        assert passing_bablok(y, x).slope == pytest.approx(1 / passing_bablok(x, y).slope)

    def test_intervals_cover_the_truth_in_93_to_97_of_100(self):
        hits, studies = np.zeros(2), 250
        for seed in range(studies):
            found = passing_bablok(*samples(slope=1.0, seed=seed))
            hits[0] += found.slope_interval[0] <= 1 <= found.slope_interval[1]
            hits[1] += found.intercept_interval[0] <= 0 <= found.intercept_interval[1]
        # Two standard errors about 93 to 97.
        assert ((hits >= 0.90 * studies) & (hits <= 0.98 * studies)).all(), hits

    def test_methods_that_fall_together_are_a_sentence(self):
        with pytest.raises(BadInput, match="do not rise together"):
            passing_bablok(np.arange(10.0), np.zeros(10) - 3 * np.arange(10.0))


class TestSamples:
    def test_of_the_published_example(self):
        # Lu et al. 2016, as worked in the manual of MedCalc: 83 samples.
        assert samples_for_limits(0.004, 0.001129, 0.001167, 0.8) == 83

    def test_power_is_that_of_simulated_studies(self):
        rng = np.random.default_rng(2)
        zero = np.zeros(60)
        hits = [bland_altman(zero, rng.normal(0.3, 1, 60)).within(2.8) for _ in range(2000)]
        assert power_of_limits(60, 2.8, 1, 0.3) == pytest.approx(np.mean(hits), abs=0.03)

    def test_no_number_suffices_where_the_limits_lie_outside(self):
        assert samples_for_limits(1.9, 1.0) is None


@pytest.mark.parametrize("method", [bland_altman, deming, passing_bablok])
@pytest.mark.parametrize(
    ("x", "y", "match"),
    [
        ([1, 2, 3], [1, 2], "one of each"),
        ([1, 2], [1, 2], "at least 3"),
        ([1, 2, np.nan], [1, 2, 3], "no finite number"),
    ],
)
def test_measurements_that_are_no_pairs_are_a_sentence(method, x, y, match):
    with pytest.raises(BadInput, match=match):
        method(np.array(x), np.array(y))
