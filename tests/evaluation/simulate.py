"""Populations of known accuracy and calibration from which labelled probabilities are drawn."""

import numpy as np

# Shares of the eight classes in a published set of 17,092 cells.
SHARES = np.array([0.071, 0.182, 0.091, 0.169, 0.071, 0.083, 0.195, 0.138])
KINDS = ("calibrated", "overconfident", "underconfident", "mixed")


def draw(n: int, error: float, kind: str, rng: np.random.Generator):
    """Labels (N,), probabilities (N, 8) and the true chance of each top class (N,).

    `error` is roughly the share of errors of the calibrated kind.
    """
    labels = rng.choice(8, n, p=SHARES / SHARES.sum())
    hard = rng.random(n) < min(0.9, 6 * error)
    easy = 1 - rng.beta(1, 60, n) * 0.5 * (error / 0.03 + 0.2)
    confidence = np.clip(np.where(hard, 0.4 + 0.6 * rng.beta(3, 1.5, n), easy), 0.51, 1 - 1e-6)
    chance = {
        "calibrated": confidence,
        "overconfident": 1 - (1 - confidence) * 1.6,
        "underconfident": 1 - (1 - confidence) * 0.35,
        "mixed": np.where(confidence > 0.9, confidence - 0.01, np.minimum(1, confidence + 0.15)),
    }[kind]
    right = rng.random(n) < chance
    other = (labels + rng.choice([1, 2, 3, 5, 7], n, p=[0.5, 0.2, 0.1, 0.1, 0.1])) % 8
    predicted, second = np.where(right, labels, other), np.where(right, other, labels)
    rest = rng.dirichlet(np.full(8, 0.5), n)
    rows = np.arange(n)
    rest[rows, second] += 1
    rest[rows, predicted] = 0
    rest *= ((1 - confidence) / rest.sum(1))[:, None]
    rest[rows, predicted] = confidence
    return labels, rest, chance


def true_ece(error: float, kind: str, bins: int = 15) -> float:
    """The population's binned calibration error, from chances instead of outcomes."""
    _, probabilities, chance = draw(300_000, error, kind, np.random.default_rng(99))
    top = probabilities.max(1)
    index = np.clip(np.ceil(top * bins).astype(int) - 1, 0, bins - 1)
    return float(np.abs(np.bincount(index, top - chance, bins)).sum() / len(top))
