"""Two methods that measure the same samples: how far apart they are.

Bland-Altman limits of agreement (Bland & Altman, Stat. Methods Med. Res. 8, 1999), Deming
regression with jackknife intervals (Linnet, Clin. Chem. 36, 1990; CLSI EP09), Passing-Bablok
regression (Passing & Bablok, J. Clin. Chem. Clin. Biochem. 21, 1983), and how many samples limits
of agreement need (Lu et al., Int. J. Biostat. 12, 2016).
"""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from scipy import integrate, stats

from bloodcell.errors import BadInput

__all__ = [
    "BlandAltman",
    "Line",
    "bland_altman",
    "deming",
    "passing_bablok",
    "power_of_limits",
    "samples_for_limits",
]

Interval = tuple[float, float]
FEWEST = 3
RESAMPLES = 500
# Limits of agreement hold 95 % of the differences.
Z = float(stats.norm.ppf(0.975))


@dataclass(frozen=True)
class BlandAltman:
    """Differences y − x of two methods, in the unit of the measurements.

    Attributes:
        n: samples.
        bias: mean difference.
        deviation: standard deviation of the differences.
        low, high: limits of agreement, bias ± 1.96 deviations.
        bias_interval, low_interval, high_interval: 95 % intervals of the three.
    """

    n: int
    bias: float
    deviation: float
    low: float
    high: float
    bias_interval: Interval
    low_interval: Interval
    high_interval: Interval

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    def within(self, limit: float) -> bool:
        """Whether the limits, with their intervals, lie within ± `limit`."""
        return bool(self.low_interval[0] >= -limit and self.high_interval[1] <= limit)


@dataclass(frozen=True)
class Line:
    """y = intercept + slope · x, with 95 % intervals.

    Attributes:
        n: samples.
        slope, intercept: of the line.
        slope_interval, intercept_interval: 95 %.
    """

    n: int
    slope: float
    intercept: float
    slope_interval: Interval
    intercept_interval: Interval

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @property
    def differs(self) -> bool:
        """Whether the line is measurably another than y = x."""
        one = self.slope_interval[0] <= 1 <= self.slope_interval[1]
        zero = self.intercept_interval[0] <= 0 <= self.intercept_interval[1]
        return not (one and zero)


def _pairs(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
    if x.shape != y.shape or x.ndim != 1:
        raise BadInput(
            f"Two methods gave {x.shape} and {y.shape} values: expected one of each for every "
            "sample, so leave out the samples that only one method has."
        )
    if len(x) < FEWEST:
        raise BadInput(
            f"{len(x)} samples were measured by both methods: expected at least {FEWEST}, so "
            "measure more."
        )
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        raise BadInput("A measurement is no finite number: correct it or leave its sample out.")
    return x, y


def bland_altman(x: np.ndarray, y: np.ndarray) -> BlandAltman:
    """Limits of agreement of y with x.

    Args:
        x, y: float, n: the measurements of the two methods on the same samples.

    Returns:
        The intervals of the limits take the variance of a limit as (1/n + z²/2(n−1)) times that
        of the differences, with Student's t.

    Raises:
        BadInput: fewer than three samples, or a value that is not finite.
    """
    x, y = _pairs(x, y)
    differences = y - x
    n, bias, sd = len(x), float(differences.mean()), float(differences.std(ddof=1))
    t = float(stats.t.ppf(0.975, n - 1))
    of_bias = t * sd / np.sqrt(n)
    of_limit = t * sd * np.sqrt(1 / n + Z**2 / (2 * (n - 1)))
    low, high = bias - Z * sd, bias + Z * sd

    def about(value: float, half: float) -> Interval:
        return float(value - half), float(value + half)

    return BlandAltman(
        n, bias, sd, low, high, about(bias, of_bias), about(low, of_limit), about(high, of_limit)
    )


def _deming(x: np.ndarray, y: np.ndarray, ratio: float) -> tuple[np.ndarray, np.ndarray]:
    """Slope and intercept of every row of ...×n samples."""
    mx, my = x.mean(-1, keepdims=True), y.mean(-1, keepdims=True)
    sxx, syy = ((x - mx) ** 2).sum(-1), ((y - my) ** 2).sum(-1)
    sxy = ((x - mx) * (y - my)).sum(-1)
    rest = syy - ratio * sxx
    with np.errstate(divide="ignore", invalid="ignore"):
        slope = (rest + np.sqrt(rest**2 + 4 * ratio * sxy**2)) / (2 * sxy)
    return slope, my[..., 0] - slope * mx[..., 0]


def deming(x: np.ndarray, y: np.ndarray, ratio: float = 1.0) -> Line:
    """Deming regression: both methods have errors of constant size.

    Args:
        x, y: float, n.
        ratio: variance of the errors of y over that of x.

    Raises:
        BadInput: fewer than three samples, or the methods do not vary together at all.
    """
    x, y = _pairs(x, y)
    n = len(x)
    slope, intercept = _deming(x, y, ratio)
    others = np.stack([np.delete(np.arange(n), i) for i in range(n)])
    slopes, intercepts = _deming(x[others], y[others], ratio)
    if not (np.isfinite(slope) and np.isfinite(slopes).all()):
        raise BadInput(
            f"The {n} samples have no line: one method gives all of them the same value, so "
            "choose samples that differ."
        )
    t = float(stats.t.ppf(0.975, n - 2))

    def interval(value: float, without: np.ndarray) -> Interval:
        pseudo = n * value - (n - 1) * without
        half = t * float(pseudo.std(ddof=1)) / np.sqrt(n)
        return float(value - half), float(value + half)

    return Line(
        n,
        float(slope),
        float(intercept),
        interval(float(slope), slopes),
        interval(float(intercept), intercepts),
    )


def _passing_bablok(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Slope (NaN without one) of each row of B×n samples; its sorted slopes of pairs; how many."""
    i, j = np.triu_indices(x.shape[1], 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        slopes = (y[:, j] - y[:, i]) / (x[:, j] - x[:, i])
    # A vertical pair has no sign of its own: +∞, whichever sample comes first. NaN: no slope.
    slopes = np.where(np.isinf(slopes), np.inf, slopes)
    slopes = np.sort(np.where(slopes == -1, np.nan, slopes), axis=1)
    count, shift = (~np.isnan(slopes)).sum(1), (slopes < -1).sum(1)
    row, last = np.arange(len(x)), slopes.shape[1] - 1
    low, high = (count - 1) // 2 + shift, count // 2 + shift
    with np.errstate(invalid="ignore"):
        middle = slopes[row, np.clip(low, 0, last)] + slopes[row, np.clip(high, 0, last)]
    fine = (count > 0) & (high < count) & np.isfinite(middle)
    return np.where(fine, middle / 2, np.nan), slopes, count


def passing_bablok(x: np.ndarray, y: np.ndarray, seed: int = 0) -> Line:
    """Passing-Bablok regression: the shifted median of all slopes between two samples.

    Args:
        x, y: float, n; positively related, of equal spread.
        seed: of the bootstrap.

    Returns:
        Pairs of equal samples are left out, pairs with slope −1 as well; a vertical pair counts as
        infinite. The interval of the slope is that of the paper, by ranks. That of the intercept
        is a percentile bootstrap over samples, as CLSI EP09 advises: the paper's own covered the
        truth in 91 of 100 simulated studies of 40 samples.

    Raises:
        BadInput: fewer than three samples, or the methods do not rise together.
    """
    x, y = _pairs(x, y)
    n = len(x)
    found, slopes, counts = _passing_bablok(x[None], y[None])
    slope, slopes, count = float(found[0]), slopes[0], int(counts[0])
    if not np.isfinite(slope):
        raise BadInput(
            f"The {n} samples have no Passing-Bablok line: the two methods do not rise together, "
            "so look at the samples before comparing methods."
        )
    shift = int((slopes < -1).sum())
    low = round((count - Z * np.sqrt(n * (n - 1) * (2 * n + 5) / 18)) / 2)
    first, last = low + shift, count - low + 1 + shift
    edges = (
        float(slopes[first - 1]) if first >= 1 else -np.inf,
        float(slopes[last - 1]) if last <= count else np.inf,
    )
    return Line(n, slope, float(np.median(y - slope * x)), edges, _intercepts(x, y, seed))


def _intercepts(x: np.ndarray, y: np.ndarray, seed: int) -> Interval:
    rng, drawn, n = np.random.default_rng(seed), [], len(x)
    chunk = max(1, 2_000_000 // n**2)
    for start in range(0, RESAMPLES, chunk):
        chosen = rng.integers(0, n, (min(chunk, RESAMPLES - start), n))
        slopes = _passing_bablok(x[chosen], y[chosen])[0]
        drawn.append(np.median(y[chosen] - slopes[:, None] * x[chosen], axis=1))
    low, high = np.nanpercentile(np.concatenate(drawn), [2.5, 97.5])
    return float(low), float(high)


def power_of_limits(n: int, limit: float, deviation: float, bias: float = 0.0) -> float:
    """How probably `n` samples show limits of agreement within ± `limit`, intervals included.

    Args:
        n: samples.
        limit: the largest difference accepted.
        deviation: of the differences, as expected.
        bias: as expected.

    Returns:
        The probability that :meth:`BlandAltman.within` will be true, for normal differences:
        exact, by integration over the standard deviation that will be found.
    """
    if n < FEWEST:
        return 0.0
    t = stats.t.ppf(0.975, n - 1)
    factor = Z + t * np.sqrt(1 / n + Z**2 / (2 * (n - 1)))
    largest = limit / factor
    error = deviation / np.sqrt(n)

    def density(found: float) -> float:
        chi = (n - 1) * (found / deviation) ** 2
        weight = stats.chi2.pdf(chi, n - 1) * 2 * (n - 1) * found / deviation**2
        room = limit - factor * found
        return weight * (
            stats.norm.cdf((room - bias) / error) - stats.norm.cdf((-room - bias) / error)
        )

    # Beyond these the density of the standard deviation is nil.
    start, end = (
        deviation * np.sqrt(stats.chi2.ppf(q, n - 1) / (n - 1)) for q in (1e-10, 1 - 1e-10)
    )
    if largest <= start:
        return 0.0
    return float(np.clip(integrate.quad(density, start, min(end, largest), limit=200)[0], 0, 1))


def samples_for_limits(
    limit: float, deviation: float, bias: float = 0.0, power: float = 0.8, most: int = 5000
) -> int | None:
    """The fewest samples that show agreement within ± `limit` with probability `power`.

    Returns:
        None if more than `most` would be needed, or no number suffices since the limits expected
        lie outside.
    """
    if abs(bias) + Z * deviation >= limit:
        return None
    low, high = FEWEST - 1, FEWEST
    while power_of_limits(high, limit, deviation, bias) < power:
        low, high = high, 2 * high
        if high > 2 * most:
            return None
    while high - low > 1:
        middle = (low + high) // 2
        if power_of_limits(middle, limit, deviation, bias) < power:
            low = middle
        else:
            high = middle
    return high if high <= most else None
