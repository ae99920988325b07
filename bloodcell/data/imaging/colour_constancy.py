"""Colour constancy: the empty field between the cells is the light itself.

Where no cell lies, a photograph shows the lamp, the filter and the camera's white balance. A gain
for each channel that brings this background to another one undoes what those changed (von Kries,
1902); the stain stays as it is.
"""

import cv2
import numpy as np

__all__ = ["agreed_backgrounds", "background", "balanced", "from_laboratory"]

# Darker than this share of the lightest pixels is no empty field.
BRIGHT = 0.72
BINS = 64
MOST_GAIN = 2.5
# A cell that fills its photograph has no empty field: its neighbours' is nearer the truth.
ODD = 0.15


def background(image: np.ndarray) -> np.ndarray:
    """The colour of the empty field of a photograph.

    The mode of the brightness among the brighter pixels, and the median colour around it: neither
    a glare nor red cells pull it away.

    Args:
        image: uint8, H×W×3, RGB.

    Returns:
        float32, 3, 0 to 255.
    """
    if max(image.shape[:2]) > 128:
        step = max(image.shape[:2]) // 128 + 1
        image = image[::step, ::step]
    pixels = image.reshape(-1, 3)
    light = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).ravel().astype(np.float32)
    lightest = max(float(np.quantile(light, 0.98)), 1.0)
    counts, edges = np.histogram(light, BINS, (BRIGHT * lightest, lightest + 1))
    smooth = np.convolve(counts, (1, 2, 3, 2, 1), "same")
    if not counts.any():
        return np.median(pixels, axis=0).astype(np.float32)
    # Red cells may cover more of the picture: of two peaks the lighter one counts.
    good = np.flatnonzero(smooth >= 0.5 * smooth.max())
    peak = good[-1]
    while peak > 0 and smooth[peak - 1] > smooth[peak]:
        peak -= 1
    middle, width = edges[peak], edges[1] - edges[0]
    inside = np.abs(light - middle) <= 3 * width
    if not inside.any():
        inside[:] = True
    return np.median(pixels[inside], axis=0).astype(np.float32)


def agreed_backgrounds(images: np.ndarray, beside: np.ndarray | None = None) -> np.ndarray:
    """The background of each of some photographs of one microscope.

    Where one deviates from the median of all by more than 15 % in a channel, the median is taken.

    Args:
        images: uint8, n×S×S×3.
        beside: float, m×3: backgrounds of other photographs of the same microscope.

    Returns:
        float32, n×3.
    """
    found = np.array([background(image) for image in images], np.float32).reshape(-1, 3)
    every = found if beside is None else np.concatenate([found, beside])
    if len(every) > 2:
        middle = np.median(every, axis=0)
        odd = (np.abs(found / np.maximum(middle, 1) - 1) > ODD).any(1)
        found[odd] = middle
    return found


def balanced(images: np.ndarray, backgrounds: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Photographs with another background.

    Args:
        images: uint8, n×S×S×3.
        backgrounds: float, n×3: theirs.
        wanted: float, 3: that of the training images, 0 to 255.

    Returns:
        uint8, n×S×S×3.
    """
    gains = np.asarray(wanted, np.float32) / np.maximum(backgrounds, 1)
    gains = np.clip(gains, 1 / MOST_GAIN, MOST_GAIN).astype(np.float32)
    found = np.empty_like(images)
    for i, (image, gain) in enumerate(zip(images, gains, strict=True)):
        found[i] = np.clip(np.round(image * gain), 0, 255)
    return found


def from_laboratory(images: np.ndarray, laboratory: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Photographs of a laboratory under the light of the training images; others as they are.

    One whose background is that of neither has a cell that fills it, and counts as the
    laboratory's. What becomes of a photograph does not depend on those beside it.

    Args:
        images: uint8, n×S×S×3.
        laboratory, wanted: float, 3: the backgrounds of the laboratory and of the training images.

    Returns:
        uint8, n×S×S×3.
    """
    found = np.array([background(np.ascontiguousarray(i)) for i in images], np.float32)
    found = found.reshape(-1, 3)
    at_home = (np.abs(found / np.maximum(wanted, 1) - 1) <= ODD).all(1)
    odd = (np.abs(found / np.maximum(laboratory, 1) - 1) > ODD).any(1)
    found[odd] = laboratory
    found[at_home] = wanted
    return balanced(images, found, wanted)
