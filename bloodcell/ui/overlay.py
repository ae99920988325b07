"""Where on the image an ensemble finds its class: activation maps laid over the photograph."""

import cv2
import numpy as np

__all__ = ["evidence", "overlaid"]


def evidence(maps: list[np.ndarray], weights: np.ndarray, label: int, size: int) -> np.ndarray:
    """The places that speak for one class against the others.

    Class activation maps (Zhou et al., "Learning deep features for discriminative
    localization", CVPR 2016). What all classes share at a place cancels in the softmax, so the
    mean over the classes is taken away; negative evidence is cut off.

    Args:
        maps: float, h×w×8, one for each member.
        weights: of the members.
        label: 0 to 7.
        size: pixels a side of the result.

    Returns:
        float32, size×size, 0 to 1; all 0 if no place speaks for the class.
    """
    total = np.zeros((size, size), np.float32)
    for of_member, weight in zip(maps, weights, strict=True):
        found = (of_member[..., label] - of_member.mean(-1)).astype(np.float32)
        wide = np.maximum(cv2.resize(found, (size, size), interpolation=cv2.INTER_CUBIC), 0)
        if wide.max() > 0:
            total += weight * wide / wide.max()
    highest = total.max()
    return total / highest if highest > 0 else total


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
