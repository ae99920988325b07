"""Eleven ways in which a photograph of a blood cell goes wrong, each at five strengths.

The list is that of BloodMNIST-C (Di Salvo, Doerrich & Ledig, "MedMNIST-C", 2024): faults of
the file, of the optics, of the light, and of the slide. The implementation is our own. Lengths
are shares of the image's side, so that 96 pixels suffer as 224 would; only JPEG's blocks are
8 pixels whatever the size.

Each image has a random stream of its own, from the seed, its pixels and the corruption: what
is done to it depends neither on the batch it comes in nor on the strength, so that a stronger
bubble is the same bubble, larger.
"""

import zlib
from collections.abc import Callable

import cv2
import numpy as np

from bloodcell.errors import BadInput

__all__ = ["CORRUPTIONS", "STRENGTHS", "corrupt"]

STRENGTHS = (1, 2, 3, 4, 5)

# Blocks along the side; and at most that share of the pixels there are, for small images.
PIXELATE = ((48, 0.85), (36, 0.75), (27, 0.66), (20, 0.58), (15, 0.5))
# Quality 0 to 100.
JPEG = (40, 25, 16, 10, 6)
# Radius of the disc of confusion, share of the side.
DEFOCUS = (0.007, 0.012, 0.018, 0.026, 0.036)
# Length of the path, share of the side.
MOTION = (0.03, 0.055, 0.08, 0.115, 0.16)
# Factors of exposure.
BRIGHTER = (1.10, 1.22, 1.36, 1.55, 1.80)
DARKER = (0.85, 0.70, 0.56, 0.43, 0.32)
# Factors of the distance to the image's mean.
MORE_CONTRAST = (1.25, 1.55, 1.95, 2.50, 3.30)
LESS_CONTRAST = (0.80, 0.62, 0.47, 0.34, 0.23)
# Factors of the saturation in HSV.
SATURATE = (1.3, 1.7, 2.2, 3.0, 4.5)
# Grains of precipitated stain, and the radius of the largest as a share of the side.
DEPOSIT = ((2, 0.035), (4, 0.045), (7, 0.055), (11, 0.065), (16, 0.080))
# Radius of the bubble as a share of the side.
BUBBLE = (0.14, 0.20, 0.27, 0.35, 0.44)

# Precipitated azure-eosin, nearly black.
STAIN = np.array([52.0, 22.0, 74.0], np.float32)
# Disc and path are drawn so much finer than a pixel.
FINER = 8


def _bytes(image: np.ndarray) -> np.ndarray:
    return np.clip(np.rint(image), 0, 255).astype(np.uint8)


def _pixelate(image: np.ndarray, blocks: tuple[int, float], rng: np.random.Generator) -> np.ndarray:
    height, width = image.shape[:2]
    across = max(1, round(min(blocks[0], blocks[1] * width)))
    coarse = cv2.resize(
        image, (across, max(1, round(across * height / width))), interpolation=cv2.INTER_AREA
    )
    return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_NEAREST)


def _jpeg(image: np.ndarray, quality: int, rng: np.random.Generator) -> np.ndarray:
    _, data = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    return cv2.imdecode(data, cv2.IMREAD_COLOR)[..., ::-1]


def _blurred(image: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    return cv2.filter2D(image, -1, kernel / kernel.sum(), borderType=cv2.BORDER_REFLECT)


def _kernel(reach: float, inside: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> np.ndarray:
    # The share of each pixel, up to `reach` pixels from the middle, that a shape covers.
    half = int(np.ceil(reach))
    side = (2 * half + 1) * FINER
    place = (np.arange(side) + 0.5) / FINER - half - 0.5
    covered = inside(place[:, None], place[None, :]).astype(np.float32)
    return covered.reshape(2 * half + 1, FINER, 2 * half + 1, FINER).mean((1, 3))


def _defocus(image: np.ndarray, radius: float, rng: np.random.Generator) -> np.ndarray:
    pixels = max(radius * image.shape[1], 0.55)
    return _blurred(image, _kernel(pixels, lambda y, x: x * x + y * y <= pixels * pixels))


def _motion(image: np.ndarray, length: float, rng: np.random.Generator) -> np.ndarray:
    half = max(length * image.shape[1] / 2, 0.75)
    angle = rng.uniform(0, np.pi)
    sin, cos = np.sin(angle), np.cos(angle)

    def inside(y: np.ndarray, x: np.ndarray) -> np.ndarray:
        along, across = x * cos + y * sin, y * cos - x * sin
        return (np.abs(along) <= half) & (np.abs(across) <= 0.5)

    return _blurred(image, _kernel(half, inside))


def _exposure(image: np.ndarray, factor: float, rng: np.random.Generator) -> np.ndarray:
    return _bytes(image.astype(np.float32) * factor)


def _contrast(image: np.ndarray, factor: float, rng: np.random.Generator) -> np.ndarray:
    mean = image.mean((0, 1), dtype=np.float32)
    return _bytes((image - mean) * factor + mean)


def _saturate(image: np.ndarray, factor: float, rng: np.random.Generator) -> np.ndarray:
    hsv = cv2.cvtColor(image.astype(np.float32) / 255, cv2.COLOR_RGB2HSV)
    hsv[..., 1] = np.minimum(hsv[..., 1] * factor, 1)
    return _bytes(255 * cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB))


def _shares(image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    # Places as shares of the side, row by row and column by column.
    height, width = image.shape[:2]
    y, x = (np.arange(height) + 0.5) / width, (np.arange(width) + 0.5) / width
    return y.astype(np.float32)[:, None], x.astype(np.float32)[None, :]


def _deposit(image: np.ndarray, grains: tuple[int, float], rng: np.random.Generator) -> np.ndarray:
    count, largest = grains
    y, x = _shares(image)
    edge = 1.5 / image.shape[1]
    cover = np.zeros(image.shape[:2], np.float32)
    # Always as many draws as the strongest needs: the first grains stay where they are.
    for draw in rng.uniform(0, 1, (DEPOSIT[-1][0], 9))[:count]:
        cx, cy, size, *wave = draw
        cy *= image.shape[0] / image.shape[1]
        radius = largest * (0.35 + 0.65 * size)
        reach = 1.7 * radius + edge
        rows = slice(*np.searchsorted(y[:, 0], (cy - reach, cy + reach)))
        columns = slice(*np.searchsorted(x[0], (cx - reach, cx + reach)))
        dx, dy = x[:, columns] - cx, y[rows] - cy
        angle = np.arctan2(dy, dx)
        # A ragged rim: three waves around the circle.
        rim = 1 + sum(
            0.22 * wave[k] * np.sin((k + 2) * angle + 2 * np.pi * wave[k + 3]) for k in range(3)
        )
        inside = np.clip((radius * rim - np.hypot(dx, dy)) / edge + 0.5, 0, 1)
        cover[rows, columns] = np.maximum(cover[rows, columns], inside)
    dark = STAIN + rng.normal(0, 9, (*image.shape[:2], 1)).astype(np.float32)
    alpha = 0.9 * cover[..., None]
    return _bytes(image * (1 - alpha) + dark * alpha)


def _bubble(image: np.ndarray, radius: float, rng: np.random.Generator) -> np.ndarray:
    y, x = _shares(image)
    # Off the middle, but always partly in the picture.
    angle, far = rng.uniform(0, 2 * np.pi), rng.uniform(0.12, 0.38)
    tall = image.shape[0] / image.shape[1]
    away = np.hypot(x - 0.5 - far * np.cos(angle), y - (0.5 + far * np.sin(angle)) * tall) / radius
    # Air bends light away at the rim: a dark ring, a bright one inside it, a pale blurred disc.
    inside = np.clip((1 - away) * radius * image.shape[1] + 0.5, 0, 1)[..., None]
    dark = np.exp(-(((away - 0.95) / 0.07) ** 2))[..., None]
    bright = np.exp(-(((away - 0.80) / 0.06) ** 2))[..., None]
    blurred = _defocus(image, 0.02, rng).astype(np.float32)
    filled = blurred + (255 - blurred) * (0.35 + 0.45 * bright)
    found = image * (1 - inside) + filled * inside
    return _bytes(found * (1 - 0.65 * dark))


_Change = Callable[[np.ndarray, object, np.random.Generator], np.ndarray]
_HOW: dict[str, tuple[str, _Change, tuple]] = {
    "pixelate": ("Pixelated", _pixelate, PIXELATE),
    "jpeg": ("JPEG compression", _jpeg, JPEG),
    "defocus_blur": ("Out of focus", _defocus, DEFOCUS),
    "motion_blur": ("Motion blur", _motion, MOTION),
    "brightness_up": ("Brighter", _exposure, BRIGHTER),
    "brightness_down": ("Darker", _exposure, DARKER),
    "contrast_up": ("More contrast", _contrast, MORE_CONTRAST),
    "contrast_down": ("Less contrast", _contrast, LESS_CONTRAST),
    "saturate": ("Saturated", _saturate, SATURATE),
    "stain_deposit": ("Stain deposit", _deposit, DEPOSIT),
    "bubble": ("Air bubble", _bubble, BUBBLE),
}

# Name → title as shown to a person.
CORRUPTIONS: dict[str, str] = {name: title for name, (title, _, _) in _HOW.items()}


def corrupt(images: np.ndarray, name: str, severity: int, seed: int = 0) -> np.ndarray:
    """The images with one fault each.

    Args:
        images: uint8, n×H×W×3, RGB; not changed.
        name: a key of CORRUPTIONS.
        severity: 1 (hardly visible) to 5.
        seed: chooses places and directions, where the fault has any.

    Returns:
        uint8, n×H×W×3.

    Raises:
        BadInput: an unknown corruption or strength, or images of another kind.
    """
    if name not in _HOW:
        raise BadInput(
            f"There is no corruption {name!r}: expected one of {', '.join(CORRUPTIONS)}."
        )
    if severity not in STRENGTHS:
        raise BadInput(f"The strength {severity!r} is not one of 1, 2, 3, 4, 5: choose one.")
    images = np.asarray(images)
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[-1] != 3:
        raise BadInput(
            f"Cannot corrupt {images.dtype} of shape {images.shape}: "
            "expected uint8 images of shape n×H×W×3."
        )
    _, change, strengths = _HOW[name]
    key = zlib.crc32(name.encode())
    changed = np.empty_like(images)
    for i, image in enumerate(images):
        whole = np.ascontiguousarray(image)
        rng = np.random.default_rng([seed, key, zlib.crc32(whole)])
        changed[i] = change(whole, strengths[severity - 1], rng)
    return changed
