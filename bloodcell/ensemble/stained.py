"""What a stained cell in transmitted light never does, whatever the laboratory.

The empty field of a smear is its light; a cell takes some of it away. So the middle of its
photograph is not lighter than the rim. And of the light that eosin and the thiazins of a Romanowsky
stain take away, most is green (Horobin, "How Romanowsky stains work and why they remain valuable",
Biotechnic & Histochemistry 86, 2011): against the empty field the middle is not greener than it is
red or blue. A photograph of anything else mostly breaks one of both, and neither depends on lamp,
camera or what a network has learned.
"""

from collections.abc import Sequence

import numpy as np

__all__ = ["LIMITS", "beyond", "limits_for", "reason", "unlike_stained"]

# Logarithms of how many times as much light, and green, the middle may let through. Of 17,905 cells
# of five laboratories, 1,000 of them blasts, and 348 of a sixth none is beyond either, nor of 329
# cells found on whole photographs of the sixth: a small pale platelet, blue for being out of focus,
# reaches 0.0204.
LIMITS = (float(np.log(1.25)), 0.04)
# Of cells that were stained otherwise, or photographed otherwise, at most this share is refused.
REFUSED_SHARE = 0.002
# The middle, and the rim outside of it; shares of the side.
MIDDLE, RIM = 0.25, 0.4
# Of the pixels the lightest are the empty field.
FIELD = 0.2
# Of 256, so that black has a logarithm.
LEAST = 4
# Pixels a side that are looked at, about.
SIDE = 48


def unlike_stained(images: np.ndarray) -> np.ndarray:
    """How far images are from what stained cells look like.

    Args:
        images: uint8, n×S×S×3, RGB.

    Returns:
        float64, n×2: the logarithm of how many times as much light the middle lets through as the
        rim; and of how many times as much green as of red or blue, whichever it lets through less
        of, against the empty field.
    """
    step = max(1, images.shape[1] // SIDE)
    pixels = images[:, ::step, ::step]
    place = (np.arange(pixels.shape[1]) + 0.5) / pixels.shape[1] - 0.5
    away = np.hypot(place[:, None], place).ravel()
    pixels = pixels.reshape(len(images), -1, 3).astype(np.float32)
    light = pixels @ np.ones(3, np.float32)
    dark = int(light.shape[1] * (1 - FIELD))
    lightest = np.argpartition(light, dark, axis=1)[:, dark:, None]
    field = np.take_along_axis(pixels, lightest, axis=1).mean(1, dtype=np.float64)
    middle = np.log(pixels[:, away < MIDDLE] + LEAST).mean(1, dtype=np.float64)
    rim = np.median(np.log(pixels[:, away > RIM] + LEAST).mean(2, dtype=np.float64), axis=1)
    red, green, blue = (middle - np.log(field + LEAST)).T
    return np.stack([middle.mean(1) - rim, green - np.minimum(red, blue)], axis=1)


def beyond(unlike: np.ndarray, limits: Sequence[float]) -> np.ndarray:
    """How far images are beyond what a stained cell may be: float64, n, at least 0; 1 is the limit.

    Args:
        unlike: float, n×2, of :func:`unlike_stained`. limits: two, above 0.
    """
    return np.maximum(unlike / np.asarray(limits), 0).max(1)


def reason(image: np.ndarray, limits: Sequence[float] | None) -> str:
    """Why an image is not that of a stained cell, in words; "" where it is within the limits.

    Args:
        image: uint8, S×S×3, RGB. limits: two; None where the ensemble has none.
    """
    if limits is None:
        return ""
    light, green = unlike_stained(image[None])[0] / np.asarray(limits)
    if max(light, green) <= 1:
        return ""
    if green >= light:
        return "its colour is no stain's, which takes more green out of the light than red or blue"
    return "it is lighter than what is around it, and a stained cell is darker"


def limits_for(cells: np.ndarray) -> tuple[float, float]:
    """The limits for an ensemble: LIMITS, or as wide as its own cells need.

    Args:
        cells: float, n×2: what :func:`unlike_stained` finds in some of them.
    """
    own = np.quantile(cells, 1 - REFUSED_SHARE, axis=0)
    return tuple(float(max(limit, found)) for limit, found in zip(LIMITS, own, strict=True))
