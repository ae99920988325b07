"""Where things are: flips, turns, zoom, shifts and crops, each one affine map.

Every function takes a canvas, the step's parameters and a random generator, and leaves a map
on the canvas. Lengths are shares of the image's side, so a policy means the same at any size.
"""

import numpy as np

from bloodcell.augment.canvas import Canvas, affine
from bloodcell.augment.declaration import (
    MIDDLE_CUE,
    SIZE_CUE,
    Augmentation,
    Parameters,
    count,
    strength,
    switch,
)

__all__ = [
    "AUGMENTATIONS",
    "crop",
    "flip",
    "quarter_turn",
    "rotate",
    "shear",
    "shift",
    "translate",
    "turn",
    "zoom",
]


_TURNS = (affine(1, 0, 0, 1), affine(0, -1, 1, 0), affine(-1, 0, 0, -1), affine(0, 1, -1, 0))


def flip(canvas: Canvas, p: Parameters, rng: np.random.Generator) -> None:
    """Mirror left-right and top-bottom, each with probability one half if switched on."""
    sideways, over = rng.random(2) < 0.5
    canvas.move(
        affine(-1 if sideways and p["horizontal"] else 1, 0, 0, -1 if over and p["vertical"] else 1)
    )


def quarter_turn(canvas: Canvas, p: Parameters, rng: np.random.Generator) -> None:
    """Turn by up to `turns` quarters, all equally likely; half turns only if H ≠ W."""
    turns = int(rng.integers(int(p["turns"]) + 1))
    if canvas.height != canvas.width:
        turns -= turns % 2
    canvas.move(_TURNS[turns])


def rotate(canvas: Canvas, p: Parameters, rng: np.random.Generator) -> None:
    """Rotate about the centre by up to ± `angle` degrees."""
    turn(canvas, rng.uniform(-p["angle"], p["angle"]))


def zoom(canvas: Canvas, p: Parameters, rng: np.random.Generator) -> None:
    """Scale about the centre by 1 − `amount` − `shrink` to 1 + `amount`; above 1 is larger."""
    scale = max(0.1, 1 + rng.uniform(-p["amount"] - p["shrink"], p["amount"]))
    canvas.move(affine(1 / scale, 0, 0, 1 / scale))


def translate(canvas: Canvas, p: Parameters, rng: np.random.Generator) -> None:
    """Shift by up to ± `amount` of the side along each axis."""
    right, down = rng.uniform(-p["amount"], p["amount"], 2)
    shift(canvas, right, down)


def crop(canvas: Canvas, p: Parameters, rng: np.random.Generator) -> None:
    """Cut out a window of 1 − `amount` to 1 of the side, anywhere, and enlarge it to full size."""
    share = 1 - rng.uniform(0, p["amount"])
    right, down = rng.uniform(-0.5, 0.5, 2) * (1 - share)
    canvas.move(affine(share, 0, 0, share, right * canvas.width, down * canvas.height))


def turn(canvas: Canvas, degrees: float) -> None:
    """Rotate counter-clockwise about the centre."""
    angle = np.deg2rad(degrees)
    cos, sin = np.cos(angle), np.sin(angle)
    canvas.move(affine(cos, -sin, sin, cos))


def shift(canvas: Canvas, right: float, down: float) -> None:
    """Shift by shares of the width and the height."""
    canvas.move(affine(1, 0, 0, 1, -right * canvas.width, -down * canvas.height))


def shear(canvas: Canvas, across: float, along: float) -> None:
    """Shear by `across` pixels sideways a row and `along` pixels downwards a column."""
    canvas.move(affine(1, across, along, 1))


AUGMENTATIONS = (
    Augmentation(
        "flip",
        "Random flip",
        "geometry",
        "Mirrors the cell; a smear has no up, down, left or right.",
        "keras.layers.RandomFlip",
        (
            switch("horizontal", "Left-right", "Mirror left-right in half of the images."),
            switch("vertical", "Top-bottom", "Mirror top-bottom in half of the images."),
        ),
        flip,
    ),
    Augmentation(
        "quarter_turn",
        "Quarter turns",
        "geometry",
        "Turns the cell by 90, 180 or 270 degrees without touching a pixel's value.",
        "Dihedral group of the square; numpy.rot90",
        (
            count(
                3,
                3,
                "The number of quarters is drawn from 0 to this.",
                key="turns",
                title="Most quarters",
                high=3,
                unit="quarter turns",
            ),
        ),
        quarter_turn,
    ),
    Augmentation(
        "rotation",
        "Random rotation",
        "geometry",
        "Turns the cell by any angle; the corners are filled by reflection.",
        "keras.layers.RandomRotation",
        (
            strength(
                180.0,
                180.0,
                "The angle is drawn from ± this.",
                key="angle",
                title="Angle",
                high=180.0,
                unit="°",
            ),
        ),
        rotate,
    ),
    Augmentation(
        "zoom",
        "Random zoom",
        "geometry",
        "Makes the cell larger or smaller about the centre; what is missing is mirrored.",
        "keras.layers.RandomZoom",
        (
            strength(
                0.1, 0.15, "The scale is drawn from 1 ± this.", high=0.8, unit="share of the size"
            ),
            strength(
                0.0,
                0.15,
                "The smallest scale is smaller by this, as under a weaker objective.",
                key="shrink",
                title="Shrink further",
                high=0.8,
                unit="share of the size",
            ),
        ),
        zoom,
        cue=SIZE_CUE,
    ),
    Augmentation(
        "translation",
        "Random translation",
        "geometry",
        "Shifts the cell away from the middle.",
        "keras.layers.RandomTranslation",
        (
            strength(
                0.06,
                0.15,
                "Shifts along both axes are drawn from ± this.",
                high=0.5,
                unit="share of the side",
            ),
        ),
        translate,
        cue=MIDDLE_CUE,
    ),
    Augmentation(
        "crop",
        "Random crop",
        "geometry",
        "Cuts a window out anywhere and enlarges it to full size.",
        "keras.layers.RandomCrop followed by Resizing",
        (
            strength(
                0.15,
                0.25,
                "Up to this share of the side is cut away.",
                high=0.8,
                unit="share of the side",
            ),
        ),
        crop,
        cue=SIZE_CUE,
    ),
)
