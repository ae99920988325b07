"""What the training cells look like, kept in ``ensemble.json``: field of view, light, novelty."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from bloodcell.data.imaging.colour_constancy import background
from bloodcell.data.imaging.cropping import field_of
from bloodcell.data.imaging.nucleus import find_stained

__all__ = ["LEVELS", "lights_of", "novelty_levels", "reference_of"]

# Enough for quantiles, few enough for seconds.
MOST = 600
LEVELS = (0.1, 0.25, 0.5, 0.75, 0.9, 0.95)
SPREADS = (0.05, 0.5, 0.95)
# Two lights are alike if no channel differs by more than this, as a logarithm; half of what an
# eye notices at once.
ALIKE = 0.04
# A light that fewer of the images have is not one of the training's.
LEAST_SHARE = 0.01


def reference_of(images: np.ndarray, dataset_info: Mapping[str, Any]) -> dict[str, Any]:
    """The entries ``field`` and ``light`` of ``ensemble.json``.

    Args:
        images: uint8, n×S×S×3: training cells, all classes alike; at most MOST are looked at.
        dataset_info: ``dataset.json`` of their dataset.

    Returns:
        ``field``: see :meth:`bloodcell.data.imaging.cropping.Field.to_json`. ``light``: the
        background, RGB 0 to 255, at 5 %, 50 % and 95 % of the images; ``known``: every background
        that they have, see :func:`lights_of`.
    """
    chosen = np.linspace(0, len(images) - 1, min(MOST, len(images))).astype(int)
    size, extents, backgrounds = images.shape[1], [], []
    for i in chosen:
        image = np.ascontiguousarray(images[i])
        backgrounds.append(background(image))
        found = find_stained(image)
        if found is not None:
            extents.append(found.extent / size)
    stained = None
    if len(extents) > len(chosen) / 2:
        low, middle, high = (float(q) for q in np.quantile(extents, SPREADS))
        stained = (low, middle, high)
    light = np.quantile(backgrounds, SPREADS, axis=0)
    return {
        "field": field_of(dataset_info, stained).to_json(),
        "light": {
            "background": [[float(v) for v in row] for row in light],
            "known": lights_of(np.array(backgrounds)),
        },
    }


def lights_of(backgrounds: np.ndarray) -> list[list[float]]:
    """The backgrounds that images have, the most frequent first.

    Photographs of one laboratory come in lots, of different days or lamps; a median would call
    those of the smaller lots foreign.

    Args:
        backgrounds: float, n×3, RGB, 0 to 255.

    Returns:
        RGB; each is shared by 1 % of the images or more, and together they are those of all but
        the rarest.
    """
    left, logs = np.arange(len(backgrounds)), np.log(np.maximum(backgrounds, 1))
    found = []
    while len(left):
        alike = np.abs(logs[left, None] - logs[None, left]).max(2) < ALIKE
        lot = left[alike[alike.sum(1).argmax()]]
        if len(lot) < max(2, LEAST_SHARE * len(backgrounds)):
            break
        found.append([float(v) for v in np.median(backgrounds[lot], axis=0)])
        left = np.setdiff1d(left, lot)
    return found


def novelty_levels(novelty: np.ndarray) -> list[list[float]]:
    """[share, novelty that this share of known cells stays below], for LEVELS."""
    return [[share, float(np.quantile(novelty, share))] for share in LEVELS]
