"""Where on a photograph the stained thing is: a nucleus, its lobes together, or a platelet.

May Grünwald-Giemsa colours chromatin and granules violet: they take light out of the red
channel, which red cells hardly do. The optical density of that channel against the empty field
(Beer-Lambert) is divided in two by Otsu's threshold (IEEE Trans. SMC 9, 1979).
"""

from dataclasses import dataclass

import cv2
import numpy as np

from bloodcell.data.imaging.colour_constancy import background

__all__ = ["Stained", "find_stained"]

# Large enough for a cell in a field of many, small enough to be found in milliseconds.
LONGEST = 512
# Mean optical density that the stained part must have above the rest, else there is none.
LEAST_DENSITY = 0.1
# Lobes this far apart, as a share of the shorter side, are of one nucleus.
GAP = 0.04
NEAR_CENTRE = 0.35


@dataclass(frozen=True)
class Stained:
    """The stained part of a photograph.

    Attributes:
        x, y: its centre of mass, pixels from the left and from the top.
        extent: the square root of its area, pixels.
    """

    x: float
    y: float
    extent: float


def find_stained(image: np.ndarray) -> Stained | None:
    """The largest stained thing near the centre.

    Args:
        image: uint8, H×W×3, RGB.

    Returns:
        None where nothing stands out by its stain.
    """
    height, width = image.shape[:2]
    scale = min(1.0, LONGEST / max(height, width))
    if scale < 1:
        small = (max(1, round(width * scale)), max(1, round(height * scale)))
        image = cv2.resize(image, small, interpolation=cv2.INTER_AREA)
    light = np.maximum(background(image)[0], 1.0)
    soft = cv2.GaussianBlur(image[..., 0], (0, 0), 1.0).astype(np.float32)
    density = np.clip(-np.log10(np.maximum(soft, 1.0) / light), 0, 1)
    levels = np.round(255 * density).astype(np.uint8)
    _, mask = cv2.threshold(levels, 0, 1, cv2.THRESH_BINARY + cv2.THRESH_OTSU)
    inside = mask.astype(bool)
    if not inside.any() or inside.all():
        return None
    if density[inside].mean() - density[~inside].mean() < LEAST_DENSITY:
        return None
    x, y, area = _chosen(mask)
    return Stained(x / scale, y / scale, float(np.sqrt(area)) / scale)


def _chosen(mask: np.ndarray) -> tuple[float, float, float]:
    """Centre and area of the component that is largest, counted less the farther outside."""
    height, width = mask.shape
    radius = max(1, round(GAP * min(height, width) / 2))
    near = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
    _, groups = cv2.connectedComponents(cv2.dilate(mask, near))
    groups = np.where(mask > 0, groups, 0).ravel()
    rows, columns = np.divmod(np.arange(groups.size), width)
    areas = np.bincount(groups).astype(float)
    full = np.maximum(areas, 1)
    x = np.bincount(groups, columns) / full
    y = np.bincount(groups, rows) / full
    away = np.hypot(x - width / 2, y - height / 2) / min(height, width)
    worth = areas * np.exp(-((away / NEAR_CENTRE) ** 2) / 2)
    worth[0] = 0  # what is not stained
    best = int(worth.argmax())
    return float(x[best]) + 0.5, float(y[best]) + 0.5, float(areas[best])
