"""Small platelets: a platelet among red cells as small and as pale as most of them are.

Most platelets measure 2 to 3 µm, a quarter to a third of a red cell; photographs that a slide
scanner collects show the large and dark ones. A network that has seen only these takes the others
for debris.
"""

from collections.abc import Sequence

import cv2
import numpy as np

from bloodcell.augment.canvas import Canvas
from bloodcell.augment.declaration import SIZE_CUE, Augmentation, Parameters, strength
from bloodcell.classes import class_id

__all__ = ["AUGMENTATIONS", "small_platelets"]

PLATELET = class_id("platelet")
# Of the light of the empty field, what lets through less red and less green than this is stained as
# platelets are: red cells take hardly any red.
RED, GREEN = 0.78, 0.7
# How far what is taken out reaches beyond, and how soft its edge is; share of the side.
MARGIN, SOFT = 0.05, 0.015
# Share of the side within which, from the middle, the platelet to be named begins.
MIDDLE = 0.14
# With more than this stained it is no platelet, or no field around it.
MOST_STAINED = 0.4


def small_platelets(
    canvases: Sequence[Canvas],
    labels: np.ndarray,
    chosen: np.ndarray,
    p: Parameters,
    rng: np.random.Generator,
) -> None:
    """Take a platelet out of its field, and put it back smaller and paler.

    It is what is stained in the middle. Its side becomes 1 − `shrink` to 1 of what it was, its
    stain 1 − `fade` to 1. What else is in the batch, and an image with nothing or too much
    stained, stays as it is.

    Args:
        canvases: B images; those chosen are changed.
        labels: float32, B×K: mostly platelet are those with at least half of it.
        chosen: bool, B.
    """
    draws = rng.random((len(canvases), 2))
    for i in np.flatnonzero(chosen & (labels[:, PLATELET] >= 0.5)):
        size, stain = 1 - p["shrink"] * draws[i, 0], 1 - p["fade"] * draws[i, 1]
        if (size, stain) != (1, 1):
            canvases[i].put(_smaller(canvases[i].settle(), size, stain))


def _smaller(image: np.ndarray, size: float, stain: float) -> np.ndarray:
    high, wide = image.shape[:2]
    blurred = cv2.GaussianBlur(np.ascontiguousarray(image[..., :2]), (3, 3), 0)
    field = np.quantile(blurred, 0.9, axis=(0, 1))
    stained = (blurred < field * (RED, GREEN)).all(2).astype(np.uint8)
    side = max(high, wide)
    _, parts = cv2.connectedComponents(stained)
    y, x = np.ogrid[:high, :wide]
    near = np.hypot(y - (high - 1) / 2, x - (wide - 1) / 2) <= MIDDLE * side
    stained = np.isin(parts, np.setdiff1d(parts[near], 0)).astype(np.uint8)
    if not 0 < stained.mean() <= MOST_STAINED:
        return image
    reach = 2 * max(1, round(MARGIN * side)) + 1
    mask = cv2.dilate(stained, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (reach, reach)))
    empty = cv2.inpaint(np.ascontiguousarray(image), mask, 3, cv2.INPAINT_TELEA)
    soft = cv2.GaussianBlur(mask.astype(np.float32), (0, 0), max(0.5, SOFT * side))
    # About the middle of the image: that is where the platelet to be named is.
    centre = (1 - size) * np.array([(wide - 1) / 2, (high - 1) / 2])
    matrix = np.array([[size, 0, centre[0]], [0, size, centre[1]]])
    # How much light it takes, on the field that is there.
    takes = (image.astype(np.float32) + 1) / (empty.astype(np.float32) + 1)
    takes = 1 + (takes - 1) * soft[..., None]
    takes = cv2.warpAffine(
        takes, matrix, (wide, high), flags=cv2.INTER_AREA, borderValue=(1.0, 1.0, 1.0)
    )
    return np.clip(np.rint(empty * np.maximum(takes, 0) ** stain), 0, 255).astype(np.uint8)


AUGMENTATIONS = (
    Augmentation(
        "small_platelets",
        "Small platelets",
        "texture",
        "Shows a platelet as small and pale as most are; other cells stay as they are.",
        "Platelets of 2 to 3 µm beside red cells of 7 to 8 µm (Bain, Blood Cells, 2015)",
        (
            strength(
                0.6,
                0.7,
                "Its side becomes one minus this, up to one, of what it was.",
                key="shrink",
                title="Shrink",
                high=0.8,
            ),
            strength(
                0.6,
                0.7,
                "Its stain becomes one minus this, up to one, of what it was.",
                key="fade",
                title="Fade",
                high=0.9,
            ),
        ),
        small_platelets,
        sees_labels=True,
        cue=SIZE_CUE,
    ),
)
