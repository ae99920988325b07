"""RandAugment and AugMix: a few operations drawn at random for every single image.

Both draw from the operations of AutoAugment (Cubuk et al. 2019) with its ranges, built here from
the same maps, matrices and curves as everything else, so that a chain of them is still one
resampling. Each operation does nothing at magnitude 0. Autocontrast and equalise, which have no
magnitude in the paper, are blended in by theirs, and so is solarise: in full, equalise turns a
stained cell black, and solarise the bright field around it.
"""

from collections.abc import Callable

import cv2
import numpy as np

from bloodcell.augment import colour, geometry, texture
from bloodcell.augment.canvas import Canvas
from bloodcell.augment.declaration import (
    COLOUR_CUE,
    GRAIN_CUE,
    Augmentation,
    Parameters,
    count,
    strength,
)

__all__ = ["AUGMENTATIONS", "augmix", "randaugment"]

Operation = Callable[[Canvas, float], None]

_VALUES = np.arange(256, dtype=np.float32)


def _blended_curve(canvas: Canvas, target: np.ndarray, share: float) -> None:
    table = _VALUES[:, None] + share * (target - _VALUES[:, None])
    canvas.curve(np.clip(np.rint(table), 0, 255).astype(np.uint8))


def _autocontrast(canvas: Canvas, m: float) -> None:
    pixels = canvas.settle()
    # one axis after the other: many times faster than both at once
    low = pixels.min(0).min(0).astype(np.float32)
    high = pixels.max(0).max(0).astype(np.float32)
    spread = np.where(high > low, high - low, 255)
    target = (_VALUES[:, None] - np.where(high > low, low, 0)) * 255 / spread
    _blended_curve(canvas, np.clip(target, 0, 255), abs(m))


def _equalise(canvas: Canvas, m: float) -> None:
    pixels = canvas.settle()
    counts = np.stack(
        [cv2.calcHist([pixels], [c], None, [256], [0, 256]).ravel() for c in range(3)]
    )
    below = np.cumsum(counts, 1)
    first = np.array([c[np.flatnonzero(c)[0]] for c in counts])
    spread = below[:, -1] - first
    target = np.where(
        spread[:, None] > 0,
        (below - first[:, None]) * 255 / np.maximum(spread, 1)[:, None],
        _VALUES,
    )
    _blended_curve(canvas, np.clip(target.T, 0, 255), abs(m))


def _posterise(canvas: Canvas, m: float) -> None:
    bits = 8 - round(4 * abs(m))
    canvas.curve((np.arange(256) & (256 - (1 << (8 - bits)))).astype(np.uint8))


def _solarise(canvas: Canvas, m: float) -> None:
    inverted = np.where(256 * (1 - abs(m)) <= _VALUES, 255 - _VALUES, _VALUES)
    _blended_curve(canvas, inverted[:, None], abs(m))


_MOVES: tuple[Operation, ...] = (
    lambda canvas, m: geometry.turn(canvas, 30 * m),
    lambda canvas, m: geometry.shear(canvas, 0.3 * m, 0),
    lambda canvas, m: geometry.shear(canvas, 0, 0.3 * m),
    lambda canvas, m: geometry.shift(canvas, 0.3 * m, 0),
    lambda canvas, m: geometry.shift(canvas, 0, 0.3 * m),
)
_CURVES: tuple[Operation, ...] = (_autocontrast, _equalise, _posterise, _solarise)
_STRENGTHS: tuple[Operation, ...] = (
    lambda canvas, m: colour.rescale(canvas, 1 + 0.9 * m),
    lambda canvas, m: colour.recontrast(canvas, 1 + 0.9 * m),
    lambda canvas, m: colour.desaturate(canvas, 1 + 0.9 * m),
    lambda canvas, m: texture.sharpen(canvas, 1 + 0.9 * m),
)

RANDAUGMENT_OPERATIONS = _MOVES + _CURVES + _STRENGTHS
# The paper leaves out those that resemble the corruptions it tests on.
AUGMIX_OPERATIONS = _MOVES + _CURVES


def randaugment(canvas: Canvas, p: Parameters, rng: np.random.Generator) -> None:
    """`operations` operations one after the other at ± `magnitude` (Cubuk et al. 2020)."""
    for chosen in rng.integers(len(RANDAUGMENT_OPERATIONS), size=int(p["operations"])):
        sign = 1 if rng.random() < 0.5 else -1
        RANDAUGMENT_OPERATIONS[chosen](canvas, sign * p["magnitude"])


def augmix(canvas: Canvas, p: Parameters, rng: np.random.Generator) -> None:
    """Blend the image with a mixture of three chains of it (Hendrycks et al. 2020).

    Each chain is one to three operations at 0 to `severity`; the chains' weights are
    Dirichlet(1, 1, 1) and the share of the mixture Beta(1, 1). The paper's Jensen-Shannon
    loss is not part of it.
    """
    if p["severity"] == 0:
        return
    share = rng.beta(1, 1)
    weights = share * rng.dirichlet((1, 1, 1))
    # The chains start from the image as it stands, so it is resampled once and not four times.
    pixels = canvas.settle()
    mixture, total = pixels.astype(np.float32), 1 - share
    for weight in weights:
        chain = Canvas(pixels)
        for chosen in rng.integers(len(AUGMIX_OPERATIONS), size=rng.integers(1, 4)):
            AUGMIX_OPERATIONS[chosen](chain, rng.uniform(-p["severity"], p["severity"]))
        # a running mean: what is there keeps its share of the total so far
        total += weight
        cv2.accumulateWeighted(chain.settle(), mixture, weight / total)
    canvas.put(cv2.convertScaleAbs(mixture))


AUGMENTATIONS = (
    Augmentation(
        "randaugment",
        "RandAugment",
        "chains",
        "Applies a few operations drawn at random from thirteen, all at one magnitude.",
        "RandAugment (Cubuk et al. 2020); cf. keras_cv.layers.RandAugment",
        (
            count(
                2,
                3,
                "How many are applied one after the other.",
                key="operations",
                title="Operations",
                high=6,
                strength=False,
            ),
            strength(0.25, 0.4, "The strength of each.", key="magnitude", title="Magnitude"),
        ),
        randaugment,
        cue=COLOUR_CUE,
    ),
    Augmentation(
        "augmix",
        "AugMix",
        "chains",
        "Blends the cell with a mixture of three randomly altered copies of it.",
        "AugMix (Hendrycks et al. 2020) without its loss; cf. keras_cv.layers.AugMix",
        (
            strength(
                0.3,
                0.5,
                "The strength of the operations in the chains.",
                key="severity",
                title="Severity",
            ),
        ),
        augmix,
        cue=GRAIN_CUE,
    ),
)
