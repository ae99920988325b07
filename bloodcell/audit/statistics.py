"""What can be said of a picture without a trained model: its colours, rings and textures.

`describe` turns one image into numbers that hardly change when the cell is turned or mirrored:
colours by distance from the centre (a cell lies there), colour histograms of the centre and of
the rest, energy of a Laplacian pyramid (Burt and Adelson 1983) and rotation-invariant local
binary patterns (Ojala, Pietikäinen and Mäenpää 2002). `quality` holds the few of them that a
person would name: brightness, contrast, sharpness.
"""

from functools import cache

import cv2
import numpy as np

__all__ = ["DESCRIPTOR_VERSION", "QUALITIES", "describe", "quality"]

# Part of the name of cached features: raise it whenever `describe` or `quality` changes.
DESCRIPTOR_VERSION = 2
SIDE = 64
RINGS = 6
LEVELS = 3
PERCENTILES = (2, 10, 25, 50, 75, 90, 98)
QUALITIES = ("brightness", "contrast", "sharpness", "stain", "background")
# A cell that is meant lies within this share of half the side.
MIDDLE = 0.5


@cache
def _rings() -> np.ndarray:
    """int64, SIDE²: the ring of equal width that each pixel lies in; corners count as the last."""
    axis = np.arange(SIDE) - (SIDE - 1) / 2
    radius = np.hypot(axis[:, None], axis[None, :]) / (SIDE / 2)
    return np.minimum((radius * RINGS).astype(np.int64), RINGS - 1).ravel()


def _by_ring(values: np.ndarray) -> np.ndarray:
    """float64, RINGS: means of `values` (SIDE×SIDE) over the rings."""
    rings = _rings()
    return np.bincount(rings, values.ravel(), RINGS) / np.bincount(rings, minlength=RINGS)


@cache
def _pattern_bins() -> np.ndarray:
    """int64, 256: the rotation-invariant class (0 to 9) of each 8-neighbour pattern."""
    bits = (np.arange(256)[:, None] >> np.arange(8)) & 1
    changes = np.abs(bits - np.roll(bits, 1, axis=1)).sum(1)
    return np.where(changes <= 2, bits.sum(1), 9)


def _patterns(grey: np.ndarray, step: int) -> np.ndarray:
    """float64, 10: shares of the local binary patterns at a distance of `step` pixels."""
    n = grey.shape[0] - 2 * step
    centre = grey[step : step + n, step : step + n]
    around = ((0, 0), (0, 1), (0, 2), (1, 2), (2, 2), (2, 1), (2, 0), (1, 0))
    code = np.zeros((n, n), np.uint8)
    for bit, (y, x) in enumerate(around):
        other = grey[y * step : y * step + n, x * step : x * step + n]
        # A margin keeps the noise of a flat background from being read as texture.
        code |= (other > centre + 2).astype(np.uint8) << bit
    return np.bincount(_pattern_bins()[code.ravel()], minlength=10) / code.size


def _colours(small: np.ndarray) -> np.ndarray:
    """float64, 128: square roots of the shares of 4×4×4 colours, in the centre and around it."""
    code = (small >> 6).astype(np.int64) @ np.array([16, 4, 1])
    inner = _rings() < RINGS // 2
    parts = (code.ravel()[inner], code.ravel()[~inner])
    return np.concatenate([np.sqrt(np.bincount(p, minlength=64) / len(p)) for p in parts])


def _pyramid(lab: np.ndarray) -> np.ndarray:
    """float64, LEVELS×3×RINGS: log energy of each level and channel by ring."""
    found, level = [], lab
    for _ in range(LEVELS):
        blurred = cv2.GaussianBlur(level, (5, 5), 1.1)
        band = np.abs(level - blurred)
        for channel in range(3):
            whole = cv2.resize(band[..., channel], (SIDE, SIDE), interpolation=cv2.INTER_AREA)
            found.append(np.log(_by_ring(whole) + 0.05))
        level = blurred[::2, ::2]
    return np.concatenate(found)


def describe(image: np.ndarray) -> np.ndarray:
    """The descriptor of one image.

    Args:
        image: uint8, H×W×3, RGB.

    Returns:
        float32, 259.
    """
    how = cv2.INTER_AREA if image.shape[0] >= SIDE else cv2.INTER_LINEAR
    small = cv2.resize(np.ascontiguousarray(image), (SIDE, SIDE), interpolation=how)
    lab = cv2.cvtColor(small.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
    means = [_by_ring(lab[..., c]) for c in range(3)]
    squares = [_by_ring(lab[..., c] ** 2) for c in range(3)]
    spread = [np.sqrt(np.maximum(s - m**2, 0)) for m, s in zip(means, squares, strict=True)]
    levels = np.percentile(lab.reshape(-1, 3), PERCENTILES, axis=0).ravel()
    grey = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY).astype(np.int16)
    return np.concatenate(
        [
            *means,
            *spread,
            levels,
            _pyramid(lab),
            _colours(small),
            _patterns(grey, 1),
            _patterns(grey, 3),
        ]
    ).astype(np.float32)


@cache
def _middle() -> np.ndarray:
    axis = np.arange(SIDE) - (SIDE - 1) / 2
    return np.hypot(axis[:, None], axis[None, :]) < MIDDLE * SIDE / 2


def _stain(image: np.ndarray) -> tuple[float, float]:
    """The strongest violet in the middle, and that of the ground, in grey levels.

    Nuclei and platelets take up azure and violet dyes and let least green through; red cells
    let about as much of it through as of the other colours.
    """
    small = cv2.resize(image, (SIDE, SIDE), interpolation=cv2.INTER_AREA).astype(np.float32)
    violet = (small[..., 0] + small[..., 2]) / 2 - small[..., 1]
    ground = float(np.percentile(violet, 20))
    return float(cv2.GaussianBlur(violet, (0, 0), 1.5)[_middle()].max()), ground


def quality(image: np.ndarray) -> np.ndarray:
    """float32, 5: brightness (mean, 0 to 255), contrast (standard deviation), sharpness
    (log10 of the variance of the Laplacian; Pech-Pacheco et al. 2000), and violet in the middle
    and of the ground (grey levels) of one uint8 H×W×3 image.
    """
    image = np.ascontiguousarray(image)
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    edges = cv2.Laplacian(grey, cv2.CV_32F)
    sharpness = np.log10(edges.var() + 1e-3)
    return np.array([grey.mean(), grey.std(), sharpness, *_stain(image)], np.float32)
