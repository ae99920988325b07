"""Cells told from cells blended with something else, by pictures made up for the purpose.

A rare but real cell is as strange among the others as a half-hidden photograph is. To tell them
apart, a classifier is shown the dataset's own cells and the same cells overlaid with pictures of
nothing ("outlier exposure", Hendrycks, Mazeika and Dietterich, ICLR 2019): noise with the
spectrum of natural images and "dead leaves", shapes that hide each other (Lee, Mumford and
Huang, IJCV 41, 2001). Each half of the dataset is judged by what was learnt from the other.
"""

from collections.abc import Callable

import cv2
import numpy as np

from bloodcell.audit.reduce import CHUNK, standardised
from bloodcell.audit.statistics import SIDE, describe
from bloodcell.progress import Progress, silent

__all__ = ["foreign_evidence", "made_up"]

SEED = 0
# How many pictures are made up: a share of those to be judged, within limits.
PER_IMAGE, FEWEST, MOST = 0.3, 300, 4000
TEXTURES = 64
# Part of the picture that is not the cell.
LEAST_SHARE = 0.2
REGULARISATION = 0.03
ENOUGH = 9_000
# Sound pictures to learn from, at most.
LEARNT = 10_000


def _noise(rng: np.random.Generator, n: int) -> np.ndarray:
    """float32, n×n×3, mean 0 and deviation 1: noise whose spectrum falls as 1/f^a."""
    frequency = np.hypot(np.fft.fftfreq(n)[:, None], np.fft.rfftfreq(n)[None])
    frequency[0, 0] = 1 / n
    waves = rng.normal(size=(3, *frequency.shape)) + 1j * rng.normal(size=(3, *frequency.shape))
    found = np.fft.irfft2(waves / frequency ** rng.uniform(0.6, 1.6), (n, n))
    found -= found.mean((1, 2), keepdims=True)
    return (found / found.std((1, 2), keepdims=True)).transpose(1, 2, 0).astype(np.float32)


def _coloured(rng: np.random.Generator, noise: np.ndarray) -> np.ndarray:
    mixed = noise @ (np.full((3, 3), rng.uniform(0.15, 0.7)) + 0.4 * rng.normal(size=(3, 3)))
    return (rng.uniform(40, 215, 3) + mixed * rng.uniform(15, 60)).astype(np.float32)


def _leaves(rng: np.random.Generator, textures: list[np.ndarray]) -> np.ndarray:
    n = len(textures[0])
    pick = textures[int(rng.integers(len(textures)))]
    number = int(rng.integers(5, 60))
    leaf = np.zeros((n, n), np.uint8)
    for k in range(1, number + 1):
        centre, radius = rng.uniform(0, n, 2), 0.03 * n / rng.uniform(0.05, 1)
        if rng.random() < 0.5:
            axes = (2 * radius * rng.uniform(0.3, 1), 2 * radius)
            cv2.ellipse(leaf, (centre.tolist(), axes, rng.uniform(0, 180)), k, -1)
        else:
            corners = centre + radius * rng.normal(size=(int(rng.integers(3, 6)), 2))
            cv2.fillConvexPoly(leaf, cv2.convexHull(corners.astype(np.int32)), k)
    base, spread = rng.uniform(0, 255, 3), rng.uniform(20, 90)
    colours = (base + spread * rng.normal(size=(number + 1, 3))).astype(np.float32)
    picture = colours[leaf] + np.float32(rng.uniform(0, 30)) * pick
    if rng.random() < 0.5:
        picture = np.where(leaf[..., None] == 0, _coloured(rng, pick), picture)
    if rng.random() < 0.5:
        picture = cv2.GaussianBlur(picture, (0, 0), rng.uniform(0.3, 2))
    return picture


def made_up(images: np.ndarray, rows: np.ndarray, number: int) -> np.ndarray:
    """Some of the images, each overlaid with a picture of nothing; a few are hidden wholly.

    Args:
        images: uint8, N×H×W×3, may be memory-mapped.
        rows: the images to choose from.

    Returns:
        uint8, number×S×S×3 with S at most 64: the same for the same arguments.
    """
    rng = np.random.default_rng(SEED)
    n = min(SIDE, *images.shape[1:3])
    textures = [_noise(rng, n) for _ in range(TEXTURES)]
    # In the order of the file: memory-mapped images are read once, from front to back.
    chosen = np.sort(rows[rng.integers(len(rows), size=number)])
    found = np.empty((number, n, n, 3), np.uint8)
    for i in range(number):
        cell = np.ascontiguousarray(images[chosen[i]])
        cell = cv2.resize(cell, (n, n), interpolation=cv2.INTER_AREA).astype(np.float32)
        if i % 3:
            other = _leaves(rng, textures)
        else:
            other = _coloured(rng, textures[int(rng.integers(TEXTURES))])
        share = 1.0 if i % 10 == 0 else rng.uniform(LEAST_SHARE, 1)
        found[i] = np.clip((1 - share) * cell + share * np.clip(other, 0, 255), 0, 255)
    return found


def foreign_evidence(
    values: np.ndarray,
    images: np.ndarray,
    rows: np.ndarray,
    strange: np.ndarray,
    over: Callable[[Callable[[np.ndarray], np.ndarray], np.ndarray], list[np.ndarray]],
    progress: Progress = silent,
) -> np.ndarray:
    """How much more likely a picture is one with something foreign in it than a sound one.

    Args:
        values: float, n×C: `describe` of the n pictures.
        images: uint8, N×H×W×3, may be memory-mapped.
        rows: int, n: which of the images the values belong to.
        strange: bool, n: pictures that are no example of a sound one.
        over: calls a function for each of some images, e.g. in several threads.

    Returns:
        float64, n: natural logarithm of the ratio of likelihoods.
    """
    from sklearn.linear_model import LogisticRegression
    from threadpoolctl import threadpool_limits

    number = int(np.clip(PER_IMAGE * len(rows), FEWEST, MOST))
    progress(0, 3, "foreign pictures")
    others = np.stack(over(describe, made_up(images, rows, number)))
    of = standardised(values)

    def seen(part: np.ndarray) -> np.ndarray:
        found = of(part)
        return np.concatenate([found, np.abs(found)], axis=1) / 2

    wrong = seen(others)
    rng = np.random.default_rng(SEED)
    half, other_half = rng.permutation(len(rows)) % 2, rng.permutation(number) % 2
    evidence = np.zeros(len(rows))
    for k in (0, 1):
        progress(1 + k, 3, "foreign pictures")
        sound = rng.permutation(np.flatnonzero((half != k) & ~strange))[:LEARNT]
        bad = np.flatnonzero(other_half != k)
        points = np.concatenate([seen(values[sound]), wrong[bad]])
        is_wrong = np.arange(len(points)) >= len(sound)
        strength = REGULARISATION * max(1.0, ENOUGH / len(points))
        model = LogisticRegression(C=strength, max_iter=300, tol=1e-3)
        with threadpool_limits(1):
            model.fit(points, is_wrong)
        prior = np.log(len(bad) / len(sound))
        rest = np.flatnonzero(half == k)
        for part in np.array_split(rest, 1 + len(rest) // CHUNK):
            evidence[part] = model.decision_function(seen(values[part])) - prior
    progress(3, 3, "foreign pictures")
    return evidence
