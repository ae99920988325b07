"""95 % intervals for the numbers a classifier is judged by.

None of them shrinks to a point at a perfect score: no error among 1,453 cells is no proof
that the next cell will be right. Each holds the value it belongs to. The coverage measured
by simulation is in ``tests/evaluation/test_coverage.py``.

Cells of one patient or slide are alike, so many of them tell less than as many patients would.
Where patients or slides are known, the variance behind an interval is that of a bootstrap over
whole clusters (Field & Welsh, J. R. Stat. Soc. B 69, 2007), and the interval is Wilson's at the
sample size which that variance amounts to, with Student's t for few clusters (Korn & Graubard,
Surv. Methodol. 24, 1998): it does not shrink to a point at a perfect score.
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import betaincinv, ndtri, stdtrit

from bloodcell.classes import CLASS_NAMES
from bloodcell.evaluation.confusion_scores import confusion_scores

__all__ = [
    "PairedDifference",
    "auc_interval",
    "clopper_pearson",
    "cluster_intervals",
    "confusion_intervals",
    "ece_interval",
    "f1_interval",
    "loss_interval",
    "paired_difference",
    "share_interval",
    "wilson",
]

Interval = tuple[float, float]

Z = float(ndtri(0.975))
STEPS = 12
TINY = 1e-12
# 5 % in all, unevenly: with even tails the interval fell short above in up to 7 % of simulated
# sets, because the pattern of the gaps is itself estimated, and for a calibrated classifier,
# where it starts at 0, nothing can fall short below.
ECE_LOWER_TAIL, ECE_UPPER_TAIL = 0.035, 0.015
# Jeffreys' half an error and half a success.
PRIOR = 0.5
# These three were chosen by simulation, see tests/evaluation/test_coverage.py.
PRIOR_ERRORS = 1.0
MODEL_WEIGHT = 0.15
NEWCOMBE_WEIGHT = 0.3
# Draws of whole clusters.
RESAMPLES = 1000


def wilson(successes: float, n: float) -> Interval:
    """Wilson's score interval of a proportion, 95 %.

    Wilson, J. Am. Stat. Assoc. 22 (1927); recommended by Brown, Cai & DasGupta,
    Stat. Sci. 16 (2001). With n = 0 nothing is known: (0, 1).

    Raises:
        ValueError: `successes` is not between 0 and n.
    """
    if not 0 <= successes <= n:
        raise ValueError(f"{successes} successes of {n}: expected 0 to {n}")
    if n == 0:
        return 0.0, 1.0
    p = successes / n
    middle = p + Z**2 / (2 * n)
    half = Z * np.sqrt(p * (1 - p) / n + Z**2 / (4 * n**2))
    low, high = (middle - half) / (1 + Z**2 / n), (middle + half) / (1 + Z**2 / n)
    return min(max(0.0, float(low)), p), max(min(1.0, float(high)), p)


def clopper_pearson(count: int, n: int) -> Interval:
    """The exact interval of a proportion, 95 %: it holds the truth at least so often.

    Clopper & Pearson, Biometrika 26 (1934). With n = 0 nothing is known: (0, 1).

    Args:
        count: how many of `n`, 0 to n.
    """
    low = float(betaincinv(count, n - count + 1, 0.025)) if count > 0 else 0.0
    high = float(betaincinv(count + 1, n - count, 0.975)) if count < n else 1.0
    return low, high


def confusion_intervals(matrix: np.ndarray) -> dict[str, Interval]:
    """Intervals of the macro and weighted scores of a confusion matrix.

    Wilson's interval at an effective sample size (Korn & Graubard, Surv. Methodol. 24, 1998):
    value·(1-value) over the variance that the influence functions give (the delta method for a
    multinomial). The variance is taken after one error in all was added, spread as chance would
    spread it, so that a matrix without errors has an interval with a width.

    Args:
        matrix: 8×8 counts, rows true.

    Returns:
        name → (low, high), the names of :func:`bloodcell.evaluation.confusion_scores`.
    """
    counts = np.asarray(matrix, float)
    true, predicted = counts.sum(1), counts.sum(0)
    chance = np.outer(true, true + predicted) * (1 - np.eye(len(counts)))
    smoothed = counts + (PRIOR_ERRORS * chance / chance.sum() if chance.sum() > 0 else 0.0)
    after = confusion_scores(smoothed)
    found = {}
    for name, (value, _) in confusion_scores(counts).items():
        near, influence = after[name]
        variance = float((smoothed * influence**2).sum())
        sound = variance > 0 and 0 < near < 1
        known = near * (1 - near) / variance if sound else counts.sum()
        # Sums of shares may miss 1 by a rounding error.
        found[name] = wilson(min(max(value, 0.0), 1.0) * known, known)
    return found


def f1_interval(hits: int, false: int) -> Interval:
    """Interval of the F1 of one class.

    F1 = 2J/(1+J) with J = hits/(hits + false), a proportion: Wilson's interval of J, carried
    over by that monotone function.

    Args:
        hits: images of the class that were given it.
        false: images of the class given another, and of another given it.
    """
    low, high = wilson(hits, hits + false)
    return 2 * low / (1 + low), 2 * high / (1 + high)


def loss_interval(losses: np.ndarray, probabilities: np.ndarray) -> Interval:
    """Interval of the mean of -log p(true class).

    Such losses are nearly all 0 and rarely large. As for a sum of Poisson counts, the variance
    of the mean is taken as proportional to the mean, which gives the score interval
    (Wilson's, without an upper end). The factor, Σ loss² / Σ loss, is estimated from the losses
    and, with a seventh of the weight, from what the probabilities themselves say can happen:
    the few large losses that decide are often not in the sample.

    Args:
        losses: float, N, at least 0, nats.
        probabilities: float, N×8: the same images.
    """
    n = len(losses)
    possible = np.clip(probabilities, TINY, 1)
    expected = -np.log(possible)
    first = losses.sum() + MODEL_WEIGHT * (possible * expected).sum()
    second = (losses**2).sum() + MODEL_WEIGHT * (possible * expected**2).sum()
    mean = float(losses.mean())
    factor = float(second / first) / n if first > 0 else 0.0
    middle = mean + Z**2 * factor / 2
    half = Z * float(np.sqrt(mean * factor + (Z * factor / 2) ** 2))
    return min(max(0.0, middle - half), mean), max(middle + half, mean)


def auc_interval(auc: float, influence: np.ndarray, positives: np.ndarray, n: int) -> Interval:
    """Interval of a macro one-vs-rest area under the ROC curve.

    Wilson's interval at an effective sample size (Korn & Graubard, Surv. Methodol. 24, 1998):
    AUC·(1-AUC) over a variance. That is the variance of DeLong et al., Biometrics 44 (1988), in
    which images that count in several classes are counted with their correlation; alone it is
    too small near an AUC of 1. So it is averaged, 10 : 3, with that of Newcombe's method 5
    (Stat. Med. 25, 2006), which also keeps a width for an AUC of exactly 1.

    Args:
        auc: the mean over the classes in `positives`.
        influence: float, N: each image's influence on `auc`, mean 0.
        positives: images of each class that `auc` is a mean of.
        n: number of images.
    """
    positives = np.asarray(positives, float)
    negatives = n - positives
    half = n / 2 - 1
    spread = 1 + half * (1 - auc) / (2 - auc) + half * auc / (1 + auc)
    design = np.mean(spread / (positives * negatives)) / len(positives)
    observed = float(np.mean(influence**2)) / n
    if auc * (1 - auc) > 0:
        observed /= auc * (1 - auc)
        design = (observed + NEWCOMBE_WEIGHT * design) / (1 + NEWCOMBE_WEIGHT)
    return wilson(auc / design, 1 / design)


def ece_interval(
    confidence: np.ndarray,
    correct: np.ndarray,
    bins: int,
    *,
    resamples: int,
    rng: np.random.Generator,
) -> Interval:
    """Interval of the expected calibration error of the population.

    The ECE of a sample lies above that of its population, because chance gaps of either sign
    count as error; a percentile bootstrap doubles this bias. Instead the interval is found by
    inverting a test: for a supposed ECE t, gaps between confidence and accuracy that amount to
    t are drawn in the pattern that the data suggest (Beta posterior of each bin's accuracy),
    then new images, confidences and outcomes; t belongs to the interval if an ECE like the
    observed one is not rare. t = 0 is the consistency resampling of Bröcker & Smith, Weather
    Forecast. 22 (2007): for a calibrated classifier the interval starts at 0. The interval is
    stretched to hold the sample's ECE, so that the biased value is never drawn outside it.

    Measured coverage, 30 settings of n = 500 or 1,453, accuracy 0.79 to 0.99, calibrated, over-
    or underconfident: 92.5 to 99.0 %; 97.5 % is what the one-sided start at 0 gives where the
    true ECE is 0.

    Args:
        confidence: float, N, in [0, 1]: the top probability.
        correct: bool, N.
        bins: number of bins of equal width.
        resamples: draws for each supposed ECE.
        rng: the source of the draws.
    """
    n = len(confidence)
    index = np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)
    count = np.bincount(index, minlength=bins).astype(float)
    filled = count > 0
    count = count[filled]
    total = np.bincount(index, confidence, bins)[filled]
    squares = np.bincount(index, confidence**2, bins)[filled]
    right = np.bincount(index, correct, bins)[filled]
    mean, share = total / count, count / n
    spread = np.sqrt(np.maximum(squares / count - mean**2, 0))
    observed = float(np.abs(total - right).sum() / n)

    shape = (resamples, len(count))
    prior = PRIOR * share
    accuracy = rng.beta(right + prior, count - right + prior, shape)
    pattern = mean + rng.standard_normal(shape) * spread / np.sqrt(count) - accuracy
    pattern /= (share * np.abs(pattern)).sum(1, keepdims=True) + np.finfo(float).tiny
    images = rng.multinomial(n, share, resamples)
    sums = images * mean + rng.standard_normal(shape) * spread * np.sqrt(images)

    def tails(t: float) -> tuple[float, float]:
        wanted = mean - t * pattern
        chance = np.clip(wanted, 0, 1)
        # What no outcome can supply, another draw of confidences could: shift it in.
        shifted = sums - images * (wanted - chance)
        drawn = np.abs(shifted - rng.binomial(images, chance)).sum(1) / n
        return float(np.mean(drawn <= observed + TINY)), float(np.mean(drawn >= observed - TINY))

    def crossing(side: int, tail: float, inside: float, outside: float) -> float:
        for _ in range(STEPS):
            middle = (inside + outside) / 2
            if tails(middle)[side] > tail:
                inside = middle
            else:
                outside = middle
        return inside

    below, above = tails(0.0)
    low = 0.0 if above > ECE_LOWER_TAIL else crossing(1, ECE_LOWER_TAIL, observed, 0.0)
    high = 0.0
    if below > ECE_UPPER_TAIL:
        far = max(observed, 1 / n)
        while far < 1 and tails(far)[0] > ECE_UPPER_TAIL:
            far = min(1.0, far * 1.5)
        high = crossing(0, ECE_UPPER_TAIL, 0.0, far)
    return min(low, observed), max(high, observed)


def _draws(clusters: int, seed: int) -> np.ndarray:
    """float64, RESAMPLES×C: how often each cluster is drawn."""
    rng = np.random.default_rng(seed)
    return rng.multinomial(clusters, np.full(clusters, 1 / clusters), RESAMPLES).astype(float)


def _wilson_at(value: float, variance: float, n: int, clusters: int) -> Interval:
    spread = value * (1 - value)
    known = spread / variance if variance > 0 and spread > 0 else clusters
    known *= (Z / float(stdtrit(clusters - 1, 0.975))) ** 2
    known = min(known, n)
    return wilson(value * known, known)


def cluster_intervals(
    labels: np.ndarray, predicted: np.ndarray, losses: np.ndarray, codes: np.ndarray, seed: int = 0
) -> dict[str, Interval]:
    """Intervals of the shares and of the log loss, over clusters instead of images.

    Args:
        labels, predicted: int64, n, 0 to 7.
        losses: float, n: -log p(true class).
        codes: int64, n: the cluster of each image, 0 to C-1 with C at least 2.

    Returns:
        accuracy, log_loss and the names of :func:`bloodcell.evaluation.confusion_scores`.
    """
    k, c, n = len(CLASS_NAMES), int(codes.max()) + 1, len(labels)
    tables = np.zeros((c, k * k))
    np.add.at(tables, (codes, labels * k + predicted), 1)
    sizes, sums = np.bincount(codes, minlength=c), np.bincount(codes, losses, c)
    draws = _draws(c, seed)
    drawn = (draws @ tables).reshape(-1, k, k)
    hits, true, said = np.einsum("bii->bi", drawn), drawn.sum(2), drawn.sum(1)
    total = np.maximum(true.sum(1), 1)

    def ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
        return np.divide(part, whole, out=np.zeros_like(part), where=whole > 0)

    by_class = {
        "precision": ratio(hits, said),
        "recall": ratio(hits, true),
        "f1": ratio(2 * hits, true + said),
    }
    present = true > 0
    samples = {"accuracy": hits.sum(1) / total}
    for name, values in by_class.items():
        samples[f"macro_{name}"] = (values * present).sum(1) / np.maximum(present.sum(1), 1)
        samples[f"weighted_{name}"] = (values * true).sum(1) / total
    matrix = tables.sum(0).reshape(k, k)
    values = {name: value for name, (value, _) in confusion_scores(matrix).items()}
    values["accuracy"] = float(np.trace(matrix) / n)
    found = {
        name: _wilson_at(values[name], float(samples[name].var(ddof=1)), n, c) for name in samples
    }
    mean = float(losses.mean())
    means = draws @ sums / np.maximum(draws @ sizes, 1)
    half = float(stdtrit(c - 1, 0.975)) * float(means.std(ddof=1))
    found["log_loss"] = (max(0.0, mean - half), mean + half)
    return found


def share_interval(held: np.ndarray, codes: np.ndarray, seed: int = 0) -> Interval:
    """Interval of the share of images that something holds for, over clusters.

    Args:
        held: bool, n. codes: int64, n: the cluster of each image.
    """
    n, c = len(held), len(np.unique(codes))
    if c in (1, n):
        return wilson(int(held.sum()), n)
    _, codes = np.unique(codes, return_inverse=True)
    sums, sizes = np.bincount(codes, held, c), np.bincount(codes, minlength=c)
    draws = _draws(c, seed)
    variance = float((draws @ sums / np.maximum(draws @ sizes, 1)).var(ddof=1))
    return _wilson_at(float(held.mean()), variance, n, c)


@dataclass(frozen=True)
class PairedDifference:
    """How two classifiers differ on the same images.

    Attributes:
        n: images.
        only_a: images that only the first gets right.
        only_b: images that only the second gets right.
        difference: accuracy of the first minus that of the second.
        low, high: 95 % interval of the difference.
        p_value: McNemar's exact test, two-sided.
        verdict: the result in words.
    """

    n: int
    only_a: int
    only_b: int
    difference: float
    low: float
    high: float
    p_value: float
    verdict: str


def paired_difference(
    labels: np.ndarray, pred_a: np.ndarray, pred_b: np.ndarray
) -> PairedDifference:
    """Compare two classifiers on the same images.

    McNemar's exact test (Psychometrika 12, 1947) on the images that only one gets right; the
    interval is the adjusted Wald interval of Bonett & Price, J. Educ. Behav. Stat. 37 (2012).

    Args:
        labels: int64, N, true classes.
        pred_a: int64, N, classes predicted by the first.
        pred_b: int64, N, classes predicted by the second.

    Raises:
        ValueError: the three are of different lengths, or empty.
    """
    labels, pred_a, pred_b = (np.asarray(x) for x in (labels, pred_a, pred_b))
    if not labels.shape == pred_a.shape == pred_b.shape or labels.ndim != 1 or not len(labels):
        raise ValueError(
            f"labels {labels.shape}, pred_a {pred_a.shape}, pred_b {pred_b.shape}: "
            "expected three arrays of one length, at least 1"
        )
    n = len(labels)
    right_a, right_b = pred_a == labels, pred_b == labels
    only_a, only_b = int((right_a & ~right_b).sum()), int((right_b & ~right_a).sum())
    # Imported late: it takes a second, and classifying never needs it.
    from scipy.stats import binomtest

    p = float(binomtest(only_a, only_a + only_b).pvalue) if only_a + only_b else 1.0
    difference = (only_a - only_b) / n
    share_a, share_b = (only_a + 1) / (n + 2), (only_b + 1) / (n + 2)
    centre = share_a - share_b
    half = Z * np.sqrt((share_a + share_b - centre**2) / (n + 2))
    low = min(max(-1.0, float(centre - half)), difference)
    high = max(min(1.0, float(centre + half)), difference)
    if p >= 0.05:
        verdict = "no measurable difference"
    elif difference > 0:
        verdict = "the first is measurably better"
    else:
        verdict = "the second is measurably better"
    return PairedDifference(n, only_a, only_b, difference, low, high, p, verdict)
