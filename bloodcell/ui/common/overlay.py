"""Where on the image an ensemble finds its class: evidence laid over the photograph."""

import cv2
import numpy as np

__all__ = ["overlaid", "shown_evidence"]

# Natural logarithms of odds: what moves the answer less than this is not worth a colour.
LEAST = 0.05


def shown_evidence(maps: np.ndarray, label: int, size: int) -> np.ndarray:
    """The places that speak for one class; what speaks against it is cut off.

    Args:
        maps: float, S×S×8, of :class:`bloodcell.explain.Evidence`.
        label: 0 to 7.
        size: pixels a side of the result.

    Returns:
        float32, size×size, 0 to 1; all 0 if no place speaks for the class.
    """
    own = np.ascontiguousarray(maps[..., label], dtype=np.float32)
    wide = np.maximum(cv2.resize(own, (size, size), interpolation=cv2.INTER_CUBIC), 0)
    highest = float(wide.max())
    return wide / highest if highest > LEAST else np.zeros_like(wide)


def overlaid(image: np.ndarray, shown: np.ndarray, opacity: float) -> np.ndarray:
    """Lay evidence over an image: violet to yellow, and clear where there is none.

    Args:
        image: uint8, S×S×3, RGB.
        shown: float, S×S, 0 to 1.
        opacity: 0 to 1, of the strongest evidence.

    Returns:
        uint8, S×S×3.
    """
    levels = np.round(255 * np.clip(shown, 0, 1)).astype(np.uint8)
    colours = cv2.applyColorMap(levels, cv2.COLORMAP_INFERNO)[..., ::-1].astype(np.float32)
    alpha = (opacity * np.clip(shown, 0, 1) ** 0.7)[..., None]
    return np.round(image * (1 - alpha) + colours * alpha).astype(np.uint8)
