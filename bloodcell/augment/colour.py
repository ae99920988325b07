"""What colour things have: pointwise changes of R, G and B.

Those that are affine in RGB are 4×4 matrices, which multiply; the others are curves (a value
looked up for each value) or work in optical density. Values are 0–255 throughout.
"""

import cv2
import numpy as np

from bloodcell.augment.canvas import Canvas
from bloodcell.augment.declaration import (
    COLOUR_CUE,
    Augmentation,
    Parameter,
    Parameters,
    strength,
)

__all__ = [
    "AUGMENTATIONS",
    "brightness",
    "channel_shuffle",
    "contrast",
    "degenerate",
    "desaturate",
    "gain_gamma",
    "hue",
    "recontrast",
    "rescale",
    "saturation",
    "stain",
    "tint",
]


# ITU-R BT.601
_LUMA = np.array([0.299, 0.587, 0.114])

# the cross product with the grey axis (1, 1, 1)/√3
_ABOUT_GREY = np.array([[0, -1, 1], [1, 0, -1], [-1, 1, 0]]) / np.sqrt(3)

_VALUES = np.arange(256, dtype=np.float32)


def _matrix(linear: np.ndarray, offset: np.ndarray | float = 0.0) -> np.ndarray:
    matrix = np.eye(4)
    matrix[:3, :3] = linear
    matrix[:3, 3] = offset
    return matrix


def brightness(canvas: Canvas, p: Parameters, rng: np.random.Generator) -> None:
    """Add up to ± `amount` × 255 to every value."""
    canvas.recolour(_matrix(np.eye(3), 255 * rng.uniform(-p["amount"], p["amount"])))


def contrast(canvas: Canvas, p: Parameters, rng: np.random.Generator) -> None:
    """Scale the distance to the image's mean colour by 1 ± `amount`."""
    recontrast(canvas, 1 + rng.uniform(-p["amount"], p["amount"]))


def saturation(canvas: Canvas, p: Parameters, rng: np.random.Generator) -> None:
    """Scale each pixel's distance to its grey by 1 − `amount` to 1 + `amount` + `boost`."""
    desaturate(canvas, 1 + rng.uniform(-p["amount"], p["amount"] + p["boost"]))


def degenerate(canvas: Canvas, p: Parameters, rng: np.random.Generator) -> None:
    """Blend towards grey by 0 to `amount`; 1 is a grey image."""
    desaturate(canvas, 1 - rng.uniform(0, p["amount"]))


def hue(canvas: Canvas, p: Parameters, rng: np.random.Generator) -> None:
    """Turn the colour circle by up to ± `angle` degrees; luma stays.

    A rotation about the grey axis of RGB, followed by the shift along that axis that restores
    luma (Haeberli, "Matrix Operations for Image Processing", 1993). Positive angles lead from
    red to yellow. It turns the hue of HSV by the same angle but, unlike a change of it, is
    linear, so that pale and noisy pixels do not jump.
    """
    angle = np.deg2rad(rng.uniform(-p["angle"], p["angle"]))
    turn = np.sin(angle) * _ABOUT_GREY + (1 - np.cos(angle)) * _ABOUT_GREY @ _ABOUT_GREY
    canvas.recolour(_matrix(np.eye(3) + turn - _LUMA @ turn))


def tint(canvas: Canvas, p: Parameters, rng: np.random.Generator) -> None:
    """Blend by `amount` with grey (BT.601 luma) whose channels are scaled by 1 ± `tint` each."""
    share, colour = p["amount"], 1 + rng.uniform(-p["tint"], p["tint"], 3)
    canvas.recolour(_matrix(share * np.outer(colour, _LUMA) + (1 - share) * np.eye(3)))


def channel_shuffle(canvas: Canvas, p: Parameters, rng: np.random.Generator) -> None:
    """Put the three channels in a random order, blended in by `amount`."""
    share = p["amount"]
    shuffled = np.eye(3)[rng.permutation(3)]
    canvas.recolour(_matrix((1 - share) * np.eye(3) + share * shuffled))


def gain_gamma(canvas: Canvas, p: Parameters, rng: np.random.Generator) -> None:
    """Per channel, v → 255 (v/255)^γ × gain, with gain in 1 ± `gain` and log₂ γ in ± `gamma`."""
    gains = 1 + rng.uniform(-p["gain"], p["gain"], 3).astype(np.float32)
    gammas = np.exp2(rng.uniform(-p["gamma"], p["gamma"], 3)).astype(np.float32)
    table = 255 * gains * (_VALUES[:, None] / 255) ** gammas
    canvas.curve(np.clip(np.rint(table), 0, 255).astype(np.uint8))


# Optical density (r, g, b) of methylene blue and eosin in a Giemsa-stained smear, as used by
# the Colour Deconvolution plugin of ImageJ (Landini); the third is what neither explains.
_BLUE = np.array([0.834750, 0.513556, 0.196330])
_EOSIN = np.array([0.092789, 0.954111, 0.283111])
_REST = np.cross(_BLUE, _EOSIN) / np.linalg.norm(np.cross(_BLUE, _EOSIN))
_DYES = np.stack([_BLUE, _EOSIN, _REST], axis=1)
_UNMIX = np.linalg.inv(_DYES)
_DENSITY = -np.log((_VALUES + 1) / 256).reshape(256, 1)


def stain(canvas: Canvas, p: Parameters, rng: np.random.Generator) -> None:
    """Stain a little stronger or weaker, blue and eosin apart.

    Colour deconvolution into optical densities (Ruifrok and Johnston 2001), each dye's density
    times 1 ± `amount` plus ± `shift`, and back: the H&E jitter of Tellez et al. 2018 with the
    dyes of a Giemsa stain.
    """
    scales = 1 + rng.uniform(-p["amount"], p["amount"], 3)
    shifts = rng.uniform(-p["shift"], p["shift"], 3)
    if np.all(scales == 1) and not shifts.any():
        return
    jitter = np.empty((3, 4))
    # negative, so that the exponential of the result is the transmitted light
    jitter[:, :3] = -(_DYES * scales) @ _UNMIX
    jitter[:, 3] = -_DYES @ shifts
    density = cv2.LUT(canvas.settle(), _DENSITY)
    light = cv2.exp(cv2.transform(density, jitter))
    canvas.put(cv2.convertScaleAbs(cv2.max(light, 1 / 256), alpha=256, beta=-1))


def rescale(canvas: Canvas, factor: float) -> None:
    """Multiply every value by `factor`: 0 is black, 1 unchanged."""
    canvas.recolour(_matrix(factor * np.eye(3)))


def recontrast(canvas: Canvas, factor: float) -> None:
    """Scale the distance to the image's mean colour: 0 is one flat colour, 1 unchanged."""
    canvas.recolour(_matrix(factor * np.eye(3), (1 - factor) * canvas.mean()))


def desaturate(canvas: Canvas, factor: float) -> None:
    """Scale each pixel's distance to its grey: 0 is grey, 1 unchanged."""
    canvas.recolour(_matrix(factor * np.eye(3) + (1 - factor) * _LUMA))


AUGMENTATIONS = (
    Augmentation(
        "brightness",
        "Random brightness",
        "colour",
        "Makes the field lighter or darker, as the lamp or the exposure does.",
        "keras.layers.RandomBrightness",
        (strength(0.1, 0.2, "Every value is shifted by ± this.", unit="share of 255"),),
        brightness,
    ),
    Augmentation(
        "contrast",
        "Random contrast",
        "colour",
        "Spreads or flattens light and dark about the image's mean colour.",
        "keras.layers.RandomContrast",
        (strength(0.2, 0.4, "Contrast is scaled by 1 ± this."),),
        contrast,
    ),
    Augmentation(
        "hue",
        "Random hue",
        "colour",
        "Turns the colour circle at constant luma: violet towards blue or towards red.",
        "Rotation about the grey axis (Haeberli 1993); cf. keras_cv.layers.RandomHue",
        (
            strength(
                15.0,
                25.0,
                "The turn is drawn from ± this.",
                key="angle",
                title="Angle",
                high=180.0,
                unit="°",
            ),
        ),
        hue,
        cue=COLOUR_CUE,
    ),
    Augmentation(
        "saturation",
        "Random saturation",
        "colour",
        "Makes the stain paler or more vivid.",
        "Blend with BT.601 luma (Haeberli 1993); cf. keras_cv.layers.RandomSaturation",
        (
            strength(0.3, 0.5, "Saturation is scaled by 1 ± this."),
            strength(
                0.0,
                0.3,
                "The largest saturation is larger by this.",
                key="boost",
                title="Boost further",
            ),
        ),
        saturation,
        cue=COLOUR_CUE,
    ),
    Augmentation(
        "random_color_degeneration",
        "Colour degeneration",
        "colour",
        "Fades the stain towards grey.",
        "keras_cv.layers.RandomColorDegeneration; AutoAugment's Color (Cubuk et al. 2019)",
        (strength(0.5, 0.5, "The image is blended with its grey by up to this."),),
        degenerate,
        cue=COLOUR_CUE,
    ),
    Augmentation(
        "tint",
        "Grey with a tint",
        "colour",
        "Takes the stain away and leaves one colour: only shape and texture can decide.",
        "Colour jitter and random grayscale (SimCLR, Chen et al. 2020)",
        (
            strength(1.0, 0.5, "How much of the tinted grey is blended in; 1 is all."),
            Parameter(
                "tint",
                "Tint",
                "float",
                0.0,
                1.0,
                0.15,
                "",
                (0.0, 0.3),
                "Each channel of the grey is scaled by 1 ± this.",
                strength=False,
            ),
        ),
        tint,
        cue=COLOUR_CUE,
    ),
    Augmentation(
        "channel_shuffle",
        "Channel shuffle",
        "colour",
        "Swaps red, green and blue: shape stays, stain colour goes.",
        "keras_cv.layers.ChannelShuffle",
        (strength(1.0, 0.3, "How much of the shuffled image is blended in; 1 is all."),),
        channel_shuffle,
        cue=COLOUR_CUE,
    ),
    Augmentation(
        "gain_gamma",
        "Channel gain and gamma",
        "colour",
        "Gives each channel its own gain and tone curve, as another camera would.",
        "Power-law transfer (IEC 61966-2-1) and white balance per channel",
        (
            strength(
                0.08,
                0.15,
                "Each channel is scaled by 1 ± this.",
                key="gain",
                title="Gain",
                high=0.8,
            ),
            strength(
                0.15,
                0.3,
                "Each channel's exponent is 2 to the ± this.",
                key="gamma",
                title="Gamma",
                high=2.0,
                unit="octaves",
            ),
        ),
        gain_gamma,
        cue=COLOUR_CUE,
    ),
    Augmentation(
        "stain",
        "Stain jitter",
        "colour",
        "Stains stronger or weaker, blue and eosin apart, as another batch of dye would.",
        "Optical-density jitter (Ruifrok and Johnston 2001; Tellez et al. 2018), Giemsa dyes",
        (
            strength(0.2, 0.35, "Each dye's density is scaled by 1 ± this."),
            strength(
                0.02,
                0.05,
                "Each dye's density is shifted by ± this.",
                key="shift",
                title="Shift",
                high=0.5,
                unit="optical density",
            ),
        ),
        stain,
        cue=COLOUR_CUE,
    ),
)
