"""Every augmentation there is, each declared once.

Widgets, validation, the command line and the documentation are made from `CATALOGUE`. All
strengths are 0 where nothing is to happen; lengths are shares of the image's side and colours
are on the scale 0–255 unless a unit says otherwise.
"""

from bloodcell.augment import chains, colour, geometry, mixing, texture
from bloodcell.augment.declaration import Augmentation, Parameter

__all__ = ["CATALOGUE", "Augmentation", "Parameter"]

_SIZE = "Size tells platelets and lymphocytes from larger cells: a strong change of scale blurs it."
_HUE = "Stain colour tells eosinophils from neutrophils: a strong change of hue blurs it."
_GRAIN = "Granules tell basophils, eosinophils and neutrophils apart: too much of it hides them."
_MIDDLE = "The cell to be named is in the middle: moved too far, its neighbours take its place."


def _amount(
    default: float,
    sensible: float,
    help: str,
    high: float = 1.0,
    title: str = "Amount",
    key: str = "amount",
    unit: str = "",
) -> Parameter:
    return Parameter(key, title, "float", 0.0, high, default, unit, (0.0, sensible), help)


_ALL = (
    Augmentation(
        "flip",
        "Random flip",
        "geometry",
        "Mirrors the cell; a smear has no up, down, left or right.",
        "keras.layers.RandomFlip",
        (
            Parameter(
                "horizontal",
                "Left-right",
                "switch",
                0,
                1,
                True,
                "",
                (0, 1),
                "Mirror left-right in half of the images.",
            ),
            Parameter(
                "vertical",
                "Top-bottom",
                "switch",
                0,
                1,
                True,
                "",
                (0, 1),
                "Mirror top-bottom in half of the images.",
            ),
        ),
        geometry.flip,
    ),
    Augmentation(
        "quarter_turn",
        "Quarter turns",
        "geometry",
        "Turns the cell by 90, 180 or 270 degrees without touching a pixel's value.",
        "Dihedral group of the square; numpy.rot90",
        (
            Parameter(
                "turns",
                "Most quarters",
                "int",
                0,
                3,
                3,
                "quarter turns",
                (0, 3),
                "The number of quarters is drawn from 0 to this.",
            ),
        ),
        geometry.quarter_turn,
    ),
    Augmentation(
        "rotation",
        "Random rotation",
        "geometry",
        "Turns the cell by any angle; the corners are filled by reflection.",
        "keras.layers.RandomRotation",
        (_amount(180.0, 180.0, "The angle is drawn from ± this.", 180.0, "Angle", "angle", "°"),),
        geometry.rotate,
    ),
    Augmentation(
        "zoom",
        "Random zoom",
        "geometry",
        "Makes the cell larger or smaller about the centre.",
        "keras.layers.RandomZoom",
        (_amount(0.1, 0.15, "The scale is drawn from 1 ± this.", 0.8),),
        geometry.zoom,
        caution=_SIZE,
    ),
    Augmentation(
        "translation",
        "Random translation",
        "geometry",
        "Shifts the cell away from the middle.",
        "keras.layers.RandomTranslation",
        (
            _amount(
                0.06,
                0.15,
                "Shifts along both axes are drawn from ± this.",
                0.5,
                unit="share of the side",
            ),
        ),
        geometry.translate,
        caution=_MIDDLE,
    ),
    Augmentation(
        "crop",
        "Random crop",
        "geometry",
        "Cuts a window out anywhere and enlarges it to full size.",
        "keras.layers.RandomCrop followed by Resizing",
        (
            _amount(
                0.15,
                0.25,
                "Up to this share of the side is cut away.",
                0.8,
                unit="share of the side",
            ),
        ),
        geometry.crop,
        caution=_SIZE,
    ),
    Augmentation(
        "resize",
        "Loss of resolution",
        "texture",
        "Shrinks the picture and enlarges it again, as a weaker objective or scanner would.",
        "keras.layers.Resizing, there and back",
        (
            _amount(
                0.4,
                0.5,
                "The picture is shrunk by up to this share of its side.",
                0.9,
                unit="share of the side",
            ),
        ),
        texture.resample,
        caution=_GRAIN,
    ),
    Augmentation(
        "brightness",
        "Random brightness",
        "colour",
        "Makes the field lighter or darker, as the lamp or the exposure does.",
        "keras.layers.RandomBrightness",
        (_amount(0.1, 0.2, "Every value is shifted by ± this share of 255."),),
        colour.brightness,
    ),
    Augmentation(
        "contrast",
        "Random contrast",
        "colour",
        "Spreads or flattens light and dark about the image's mean colour.",
        "keras.layers.RandomContrast",
        (_amount(0.2, 0.4, "Contrast is scaled by 1 ± this."),),
        colour.contrast,
    ),
    Augmentation(
        "hue",
        "Random hue",
        "colour",
        "Turns the colour circle at constant luma: violet towards blue or towards red.",
        "Rotation about the grey axis in YIQ (Haeberli 1993); cf. keras_cv.layers.RandomHue",
        (_amount(15.0, 25.0, "The turn is drawn from ± this.", 180.0, "Angle", "angle", "°"),),
        colour.hue,
        caution=_HUE,
    ),
    Augmentation(
        "saturation",
        "Random saturation",
        "colour",
        "Makes the stain paler or more vivid.",
        "Blend with BT.601 luma (Haeberli 1993); cf. keras_cv.layers.RandomSaturation",
        (_amount(0.3, 0.5, "Saturation is scaled by 1 ± this."),),
        colour.saturation,
        caution=_HUE,
    ),
    Augmentation(
        "random_color_degeneration",
        "Colour degeneration",
        "colour",
        "Fades the stain towards grey.",
        "keras_cv.layers.RandomColorDegeneration; AutoAugment's Color (Cubuk et al. 2019)",
        (_amount(0.5, 0.5, "The image is blended with its grey by up to this."),),
        colour.degenerate,
        caution=_HUE,
    ),
    Augmentation(
        "channel_shuffle",
        "Channel shuffle",
        "colour",
        "Swaps red, green and blue: shape stays, stain colour goes.",
        "keras_cv.layers.ChannelShuffle",
        (_amount(1.0, 0.3, "How much of the shuffled image is blended in; 1 is all."),),
        colour.channel_shuffle,
        caution=_HUE,
    ),
    Augmentation(
        "gain_gamma",
        "Channel gain and gamma",
        "colour",
        "Gives each channel its own gain and tone curve, as another camera would.",
        "Power-law transfer (IEC 61966-2-1) and white balance per channel",
        (
            _amount(0.08, 0.15, "Each channel is scaled by 1 ± this.", 0.8, "Gain", "gain"),
            _amount(
                0.15,
                0.3,
                "Each channel's exponent is 2 to the ± this.",
                2.0,
                "Gamma",
                "gamma",
                "octaves",
            ),
        ),
        colour.gain_gamma,
        caution=_HUE,
    ),
    Augmentation(
        "stain",
        "Stain jitter",
        "colour",
        "Stains stronger or weaker, blue and eosin apart, as another batch of dye would.",
        "Optical-density jitter (Ruifrok and Johnston 2001; Tellez et al. 2018), Giemsa dyes",
        (
            _amount(0.2, 0.35, "Each dye's density is scaled by 1 ± this."),
            _amount(
                0.02,
                0.05,
                "Each dye's density is shifted by ± this.",
                0.5,
                "Shift",
                "shift",
                "optical density",
            ),
        ),
        colour.stain,
        caution=_HUE,
    ),
    Augmentation(
        "gaussian_noise",
        "Gaussian noise",
        "texture",
        "Adds sensor noise to every pixel and channel.",
        "keras.layers.GaussianNoise, on the scale 0–255",
        (
            _amount(
                8.0, 15.0, "Standard deviation of the noise.", 128.0, "Sigma", "sigma", "of 255"
            ),
        ),
        texture.noise,
        caution=_GRAIN,
    ),
    Augmentation(
        "defocus",
        "Defocus",
        "texture",
        "Blurs the cell as a lens out of focus does.",
        "Disc kernel; ImageNet-C (Hendrycks and Dietterich 2019)",
        (
            _amount(
                0.015,
                0.02,
                "The disc's radius is drawn from 0 to this.",
                0.2,
                "Radius",
                "radius",
                "share of the side",
            ),
        ),
        texture.defocus,
        caution=_GRAIN,
    ),
    Augmentation(
        "jpeg",
        "JPEG compression",
        "texture",
        "Saves as JPEG and reads again: blocks and smeared colour edges.",
        "ITU-T T.81 (JPEG)",
        (
            Parameter(
                "loss",
                "Most loss",
                "int",
                0,
                99,
                60,
                "100 − quality",
                (0, 80),
                "The quality is drawn from 100 down to 100 − this.",
            ),
        ),
        texture.jpeg,
        caution=_GRAIN,
    ),
    Augmentation(
        "random_erasing",
        "Random erasing",
        "texture",
        "Covers a rectangle with the mean colour, so that no single part decides.",
        "Random erasing (Zhong et al. 2020); Cutout (DeVries and Taylor 2017)",
        (
            _amount(
                0.12,
                0.2,
                "Up to this share of the area is covered.",
                0.8,
                "Area",
                "area",
                "share of the area",
            ),
        ),
        texture.erase,
        caution="A platelet is small: a large rectangle can cover the whole of it.",
    ),
    Augmentation(
        "randaugment",
        "RandAugment",
        "chains",
        "Applies a few operations drawn at random from thirteen, all at one magnitude.",
        "RandAugment (Cubuk et al. 2020); cf. keras_cv.layers.RandAugment",
        (
            Parameter(
                "operations",
                "Operations",
                "int",
                0,
                6,
                2,
                "",
                (0, 3),
                "How many are applied one after the other.",
                strength=False,
            ),
            _amount(0.25, 0.4, "The strength of each.", title="Magnitude", key="magnitude"),
        ),
        chains.randaugment,
        caution=_HUE,
    ),
    Augmentation(
        "augmix",
        "AugMix",
        "chains",
        "Blends the cell with a mixture of three randomly altered copies of it.",
        "AugMix (Hendrycks et al. 2020) without its loss; cf. keras_cv.layers.AugMix",
        (
            _amount(
                0.3,
                0.5,
                "The strength of the operations in the chains.",
                title="Severity",
                key="severity",
            ),
        ),
        chains.augmix,
        caution=_GRAIN,
    ),
    Augmentation(
        "cutmix",
        "CutMix",
        "mixing",
        "Pastes a rectangle of another cell over this one and mixes the labels by area.",
        "CutMix (Yun et al. 2019); cf. keras_cv.layers.CutMix",
        (
            _amount(
                1.0,
                1.0,
                "λ is drawn from Beta(α, α): 1 is uniform, small is nearly all or "
                "nothing, 0 is off.",
                5.0,
                "Alpha",
                "alpha",
            ),
        ),
        mixing.cutmix,
        mixes_labels=True,
        caution="A cell fills the middle: a pasted corner may bring a label but no cell.",
    ),
    Augmentation(
        "mixup",
        "MixUp",
        "mixing",
        "Lays another cell over this one, half transparent, and mixes the labels alike.",
        "MixUp (Zhang et al. 2018); cf. keras_cv.layers.MixUp",
        (
            _amount(
                0.2,
                0.4,
                "λ is drawn from Beta(α, α): small is nearly all or nothing, 0 is off.",
                5.0,
                "Alpha",
                "alpha",
            ),
        ),
        mixing.mixup,
        mixes_labels=True,
    ),
)

CATALOGUE: dict[str, Augmentation] = {a.key: a for a in _ALL}
