"""Whether a map marks what a network relies on: the deletion test.

Petsiuk, Das and Saenko, "RISE", BMVC 2018: positions are deleted from the most to the least marked,
and the probability of the class should fall fast. Against it stands the same with a map that
knows nothing.
"""

import cv2
import numpy as np

from bloodcell.explain.evidence import Classifier

__all__ = ["SHARES", "deletion", "random_map"]

SHARES = (0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5)
PLACES = 12


def deletion(
    classifier: Classifier,
    image: np.ndarray,
    label: int,
    found: np.ndarray,
    shares: tuple[float, ...] = SHARES,
) -> float:
    """Mean probability of a class while ever more of what a map marks is deleted.

    A deleted pixel takes the colour of a strongly blurred copy of the photograph.

    Args:
        classifier: probabilities (n×8) of images (uint8, n×S×S×3).
        image: uint8, S×S×3.
        label: the class.
        found: float, S×S: the map.
        shares: of the pixels that are deleted.

    Returns:
        0 to 1; lower is better.
    """
    blurred = cv2.GaussianBlur(image, (0, 0), len(image) / 8)
    order = np.argsort(-found, axis=None, kind="stable")
    images = []
    for share in shares:
        gone = np.zeros(found.size, bool)
        gone[order[: round(share * found.size)]] = True
        images.append(np.where(gone.reshape(found.shape)[..., None], blurred, image))
    return float(classifier(np.stack(images))[:, label].mean())


def random_map(size: int, seed: int) -> np.ndarray:
    """A map that knows nothing, of 12×12 positions; float32, size×size."""
    noise = np.random.default_rng(seed).normal(size=(PLACES, PLACES)).astype(np.float32)
    return cv2.resize(noise, (size, size), interpolation=cv2.INTER_CUBIC)
