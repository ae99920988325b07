"""Where on a photograph an ensemble finds its class, by hiding one part of it after another.

The class activation map of a network that sees 96 pixels has 3×3 positions whose receptive fields
cover the whole photograph: deleting what it marks lowers the probability more slowly than
deleting at random (``python -m benchmarks.classify``). Occlusion (Zeiler and Fergus, ECCV 2014)
asks the network itself, and needs no gradient. Two kinds of part are hidden: nine soft windows on
a grid, and nine regions of like colour (superpixels by k-means on colour and place, after Achanta
et al., TPAMI 2012), so that the edges of the map are those of nucleus and cell.
"""

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from bloodcell.data.imaging.colour_constancy import background
from bloodcell.ensemble.ensemble import Ensemble

__all__ = [
    "PASSES",
    "Evidence",
    "find_evidence",
    "hide",
    "occlusion_maps",
    "parts_of",
    "spread_out",
]

GRID = 3
WINDOWS = GRID * GRID
# Forward passes a photograph: the whole, the windows, the regions.
PASSES = 1 + 2 * WINDOWS
# Measured: half of it leaves holes between the windows, twice as much blurs.
WINDOW_SPREAD = 0.6
# Colour against place: 1 unit of CIE Lab (0 to 255) counts like SIDE / GRID / 10 pixels.
COLOUR_WEIGHT = 0.1
ROUNDS = 8
SMALLEST = 1e-7

Classifier = Callable[[np.ndarray], np.ndarray]


def parts_of(image: np.ndarray) -> np.ndarray:
    """The parts that are hidden in turn.

    Args:
        image: uint8, S×S×3, RGB.

    Returns:
        float32, n×S×S, 0 to 1: the WINDOWS windows, then at most as many regions.
    """
    size = len(image)
    y, x = np.mgrid[:size, :size].astype(np.float32) + 0.5
    middles = (np.arange(GRID) + 0.5) * size / GRID
    spread = WINDOW_SPREAD * size / GRID
    windows = [
        np.exp(-((y - row) ** 2 + (x - column) ** 2) / (2 * spread**2))
        for row in middles
        for column in middles
    ]
    return np.stack([*windows, *_regions(image, y, x)]).astype(np.float32)


def _regions(image: np.ndarray, y: np.ndarray, x: np.ndarray) -> list[np.ndarray]:
    size = len(image)
    soft = cv2.GaussianBlur(image, (0, 0), size / 96)
    colour = cv2.cvtColor(soft, cv2.COLOR_RGB2LAB).astype(np.float32)
    place = np.stack([y, x], axis=-1) * GRID / size
    values = np.concatenate([COLOUR_WEIGHT * colour, place], axis=-1)
    at = ((np.arange(GRID) + 0.5) * size / GRID).astype(int)
    seeds = values[np.ix_(at, at)].reshape(-1, 5)
    flat = values.reshape(-1, 5)
    nearest = ((flat[:, None] - seeds) ** 2).sum(-1).argmin(1).astype(np.int32)
    stop = (cv2.TERM_CRITERIA_MAX_ITER, ROUNDS, 0)
    _, groups, _ = cv2.kmeans(
        flat, WINDOWS, nearest[:, None], stop, 1, cv2.KMEANS_USE_INITIAL_LABELS
    )
    groups = groups.reshape(size, size)
    return [
        cv2.GaussianBlur((groups == k).astype(np.float32), (0, 0), size / 64)
        for k in np.unique(groups)
    ]


def hide(image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A photograph, and the same with one part of it after another hidden.

    What is hidden takes the colour of the empty field.

    Args:
        image: uint8, S×S×3.

    Returns:
        The parts (float32, n×S×S), and uint8, (1+n)×S×S×3.
    """
    parts = parts_of(image)
    empty = background(image)
    hidden = image * (1 - parts[..., None]) + empty * parts[..., None]
    return parts, np.concatenate([image[None], np.round(hidden).astype(np.uint8)])


def spread_out(parts: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """What hiding each place takes from the log odds of each class.

    Args:
        parts: float, n×S×S, of :func:`hide`.
        probabilities: float, (1+n)×8, of the photographs of :func:`hide`.

    Returns:
        float32, S×S×8; positive where a place speaks for a class, natural logarithm of odds.
    """
    p = np.clip(probabilities.astype(np.float64), SMALLEST, 1 - SMALLEST)
    odds = np.log(p / (1 - p))
    lost = odds[:1] - odds[1:]
    kinds = (slice(0, WINDOWS), slice(WINDOWS, None))
    maps = [
        np.tensordot(parts[kind], lost[kind], axes=(0, 0))
        / np.maximum(parts[kind].sum(0), 1e-3)[..., None]
        for kind in kinds
    ]
    return np.mean(maps, axis=0).astype(np.float32)


def occlusion_maps(classifier: Classifier, image: np.ndarray) -> np.ndarray:
    """The evidence that one classifier finds.

    Args:
        classifier: probabilities (n×8) of images (uint8, n×S×S×3).
        image: uint8, S×S×3.

    Returns:
        float32, S×S×8; see :func:`spread_out`.
    """
    parts, shown = hide(image)
    return spread_out(parts, classifier(shown))


@dataclass(frozen=True)
class Evidence:
    """Where an ensemble finds each class.

    Attributes:
        whole: float32, S×S×8, of the weighted average of the members.
        members: the same of each member alone.
        votes: float32, m×8: what each member says of the photograph, one view, uncalibrated.
    """

    whole: np.ndarray
    members: list[np.ndarray]
    votes: np.ndarray


def find_evidence(ensemble: Ensemble, image: np.ndarray) -> Evidence:
    """The evidence that an ensemble finds; PASSES forward passes of each member.

    Args:
        image: uint8, S×S×3, S the ensemble's input size.
    """
    parts, shown = hide(image)
    raw = ensemble.run(shown, tta=False)
    # Not calibrated: the temperature would only stretch the odds.
    mean = np.tensordot(ensemble.weights / ensemble.weights.sum(), raw.probabilities, axes=1)
    return Evidence(
        spread_out(parts, mean),
        [spread_out(parts, p) for p in raw.probabilities],
        raw.probabilities[:, 0],
    )
