"""How sharp and clean the picture is: what an optic, a sensor and a file format do to a cell.

Lengths are shares of the image's side, so a policy means the same at any size.
"""

from functools import cache
from statistics import NormalDist

import cv2
import numpy as np

from bloodcell.augment.canvas import Canvas
from bloodcell.augment.declaration import (
    GRAIN_CUE,
    Augmentation,
    Cue,
    Parameter,
    Parameters,
    count,
    strength,
)

__all__ = ["AUGMENTATIONS", "defocus", "erase", "jpeg", "noise", "resample", "sharpen", "unsharp"]


def noise(canvas: Canvas, p: Parameters, rng: np.random.Generator) -> None:
    """Add independent Gaussian noise of standard deviation `sigma` (0–255) to every value."""
    if p["sigma"] > 0:
        pixels = canvas.settle()
        ranks = np.frombuffer(rng.bytes(2 * pixels.size), np.uint16)
        grain = p["sigma"] * _normal_quantiles()[ranks].reshape(pixels.shape)
        canvas.put(cv2.add(pixels, grain, dtype=cv2.CV_8U))


@cache
def _normal_quantiles() -> np.ndarray:
    # looking random ranks up in 65,536 quantiles is several times faster than drawing normal
    # values one by one, and differs from it by less than the rounding to whole values
    ranks = (np.arange(65536) + 0.5) / 65536
    return np.array([NormalDist().inv_cdf(rank) for rank in ranks.tolist()], np.float32)


def resample(canvas: Canvas, p: Parameters, rng: np.random.Generator) -> None:
    """Shrink to 1 − `amount` to 1 of the size (area mean) and enlarge again.

    Linearly, or, in a share `blocks` of cases, each pixel as a block.
    """
    share = 1 - rng.uniform(0, p["amount"])
    small = (max(1, round(canvas.width * share)), max(1, round(canvas.height * share)))
    full = (canvas.width, canvas.height)
    if small != full:
        shrunk = cv2.resize(canvas.settle(), small, interpolation=cv2.INTER_AREA)
        blocky = p["blocks"] > 0 and rng.random() < p["blocks"]
        how = cv2.INTER_NEAREST if blocky else cv2.INTER_LINEAR
        canvas.put(cv2.resize(shrunk, full, interpolation=how))


def defocus(canvas: Canvas, p: Parameters, rng: np.random.Generator) -> None:
    """Average over a disc whose radius is 0 to `radius` of the side, as a lens out of focus."""
    radius = rng.uniform(0, p["radius"]) * canvas.width
    reach = int(np.ceil(radius))
    if reach == 0:
        return
    across = np.arange(-reach, reach + 1)
    distance = np.hypot(across[:, None], across)
    # the rim counts by the share of a pixel it covers, so that radii below one pixel differ too
    disc = np.clip(radius + 0.5 - distance, 0, 1)
    disc[reach, reach] = 1
    canvas.put(cv2.filter2D(canvas.settle(), -1, disc / disc.sum()))


def unsharp(canvas: Canvas, p: Parameters, rng: np.random.Generator) -> None:
    """Add 0 to `amount` times the difference from a Gaussian blur of standard deviation `radius`.

    Unsharp masking, as cameras and scanners do it in their own software.
    """
    amount, sigma = rng.uniform(0, p["amount"]), p["radius"] * canvas.width
    if amount > 0 and sigma > 0:
        pixels = canvas.settle()
        blurred = cv2.GaussianBlur(pixels, (0, 0), sigma, borderType=cv2.BORDER_REFLECT_101)
        canvas.put(cv2.addWeighted(pixels, 1 + amount, blurred, -amount, 0))


def jpeg(canvas: Canvas, p: Parameters, rng: np.random.Generator) -> None:
    """Save as JPEG (ITU-T T.81) and read again, at quality 100 − (0 to `loss`)."""
    loss = round(rng.uniform(0, p["loss"]))
    if loss == 0:
        return
    blue_first = cv2.cvtColor(canvas.settle(), cv2.COLOR_RGB2BGR)
    _, file = cv2.imencode(".jpg", blue_first, (cv2.IMWRITE_JPEG_QUALITY, 100 - loss))
    canvas.put(cv2.cvtColor(cv2.imdecode(file, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB))


def erase(canvas: Canvas, p: Parameters, rng: np.random.Generator) -> None:
    """Cover a rectangle of 0 to `area` of the image, sides 1:3 to 3:1, with the mean colour."""
    area = rng.uniform(0, p["area"]) * canvas.width * canvas.height
    stretch = np.exp(rng.uniform(-1, 1) * np.log(3) / 2)
    wide = min(canvas.width, round(np.sqrt(area) * stretch))
    high = min(canvas.height, round(np.sqrt(area) / stretch))
    left = int(rng.integers(canvas.width - wide + 1))
    top = int(rng.integers(canvas.height - high + 1))
    if wide and high:
        covered = canvas.settle().copy()
        covered[top : top + high, left : left + wide] = np.rint(np.clip(canvas.mean(), 0, 255))
        canvas.put(covered)


_SMOOTH = np.array([[1, 1, 1], [1, 5, 1], [1, 1, 1]]) / 13


def sharpen(canvas: Canvas, factor: float) -> None:
    """Blend with a 3×3 smoothed copy: 0 is smoothed, 1 unchanged, 2 sharpened (as in Pillow)."""
    if factor != 1:
        pixels = canvas.settle()
        smooth = cv2.filter2D(pixels, -1, _SMOOTH)
        canvas.put(cv2.addWeighted(pixels, factor, smooth, 1 - factor, 0))


AUGMENTATIONS = (
    Augmentation(
        "resize",
        "Loss of resolution",
        "texture",
        "Shrinks the picture and enlarges it again, as a weaker objective or scanner would.",
        "keras.layers.Resizing, there and back",
        (
            strength(
                0.4,
                0.5,
                "The picture is shrunk by up to this share of its side.",
                high=0.9,
                unit="share of the side",
            ),
            strength(
                0.0,
                1.0,
                "So often the pixels are left as blocks, as where a small picture was enlarged.",
                key="blocks",
                title="Left as blocks",
                unit="share of cases",
            ),
        ),
        resample,
        cue=GRAIN_CUE,
    ),
    Augmentation(
        "gaussian_noise",
        "Gaussian noise",
        "texture",
        "Adds sensor noise to every pixel and channel.",
        "keras.layers.GaussianNoise, on the scale 0–255",
        (
            strength(
                8.0,
                15.0,
                "Standard deviation of the noise.",
                key="sigma",
                title="Sigma",
                high=128.0,
                unit="of 255",
            ),
        ),
        noise,
        cue=GRAIN_CUE,
    ),
    Augmentation(
        "defocus",
        "Defocus",
        "texture",
        "Blurs the cell as a lens out of focus does.",
        "Disc kernel; ImageNet-C (Hendrycks and Dietterich 2019)",
        (
            strength(
                0.015,
                0.02,
                "The disc's radius is drawn from 0 to this.",
                key="radius",
                title="Radius",
                high=0.2,
                unit="share of the side",
            ),
        ),
        defocus,
        cue=GRAIN_CUE,
    ),
    Augmentation(
        "sharpening",
        "Sharpening",
        "texture",
        "Makes edges and granules stand out, as the software of a camera or scanner does.",
        "Unsharp masking (Gonzalez and Woods, Digital Image Processing)",
        (
            strength(1.0, 2.0, "The strength is drawn from 0 to this.", high=5.0),
            Parameter(
                "radius",
                "Radius",
                "float",
                0.0,
                0.1,
                0.012,
                "share of the side",
                (0.0, 0.03),
                "Standard deviation of the blur that is taken away.",
                strength=False,
            ),
        ),
        unsharp,
        cue=GRAIN_CUE,
    ),
    Augmentation(
        "jpeg",
        "JPEG compression",
        "texture",
        "Saves as JPEG and reads again: blocks and smeared colour edges.",
        "ITU-T T.81 (JPEG)",
        (
            count(
                60,
                80,
                "The quality is drawn from 100 down to 100 − this.",
                key="loss",
                title="Most loss",
                high=99,
                unit="100 − quality",
            ),
        ),
        jpeg,
        cue=GRAIN_CUE,
    ),
    Augmentation(
        "random_erasing",
        "Random erasing",
        "texture",
        "Covers a rectangle with the mean colour, so that no single part decides.",
        "Random erasing (Zhong et al. 2020); Cutout (DeVries and Taylor 2017)",
        (
            strength(
                0.12,
                0.2,
                "Up to this share of the area is covered.",
                key="area",
                title="Area",
                high=0.8,
                unit="share of the area",
            ),
        ),
        erase,
        cue=Cue(
            "A platelet is small: a large rectangle can cover the whole of it.",
            "platelet",
            "erythroblast",
        ),
    ),
)
