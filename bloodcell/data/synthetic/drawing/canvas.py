"""A small float canvas for drawing stained cells: outlines, noise fields, blending, optics.

Coordinates are (x, y) in frame widths with the origin at the top left, so that one sequence of
random numbers gives one picture at whatever resolution it is drawn.
"""

from collections.abc import Sequence
from functools import cache

import cv2
import numpy as np

__all__ = ["Canvas", "Colour", "arc", "blob", "red_cell_stamps"]

Colour = Sequence[float]

# Below this a granule is less than a pixel wide: smaller pictures are drawn here and reduced.
MIN_RESOLUTION = 96
SHIFT = 4
STAMP = 64


class Canvas:
    """A square picture being drawn, float32 3×n×n, RGB 0 to 255, and its random numbers."""

    def __init__(self, rng: np.random.Generator, size: int, background: Colour):
        self.rng = rng
        self.size = size
        self.n = max(size, MIN_RESOLUTION)
        self.rgb = np.empty((3, self.n, self.n), np.float32)
        self.rgb[:] = np.asarray(background, np.float32)[:, None, None]

    def mask(self) -> np.ndarray:
        """An empty mask, uint8 n×n, for the fill functions."""
        return np.zeros((self.n, self.n), np.uint8)

    def _fixed(self, points: np.ndarray) -> np.ndarray:
        # OpenCV takes the middle of a pixel for a whole number, frame widths its corner.
        return np.rint((np.asarray(points) * self.n - 0.5) * (1 << SHIFT)).astype(np.int32)

    def fill(self, mask: np.ndarray, outline: np.ndarray, value: int = 255) -> None:
        """Fill the polygon `outline` (float k×2) in `mask`, antialiased."""
        cv2.fillPoly(mask, [self._fixed(outline)], value, cv2.LINE_AA, SHIFT)

    def dots(
        self, mask: np.ndarray, centres: np.ndarray, radii: np.ndarray, value: int = 255
    ) -> None:
        """Fill discs at `centres` (float k×2) with `radii` (float k) in `mask`, antialiased."""
        sizes = np.maximum(np.rint(radii * self.n * (1 << SHIFT)), 4).astype(int).tolist()
        for (x, y), r in zip(self._fixed(centres).tolist(), sizes, strict=True):
            cv2.circle(mask, (x, y), r, value, cv2.FILLED, cv2.LINE_AA, SHIFT)

    def strand(
        self, mask: np.ndarray, points: np.ndarray, width: float | np.ndarray, value: int = 255
    ) -> None:
        """Draw a round-ended strand along `points` (float k×2) in `mask`.

        Args:
            width: one width for all, or float k, the width at each point.
        """
        widths = np.broadcast_to(np.asarray(width, float), len(points))
        fixed = self._fixed(points).tolist()
        for a, b, w in zip(fixed[:-1], fixed[1:], (widths[1:] + widths[:-1]) / 2, strict=True):
            cv2.line(mask, a, b, value, max(1, round(w * self.n)), cv2.LINE_AA, SHIFT)
        self.dots(mask, points, widths / 2, value)

    def soften(self, mask: np.ndarray, sigma: float) -> np.ndarray:
        """Gaussian blur of `mask` with `sigma` in frame widths; float32 n×n, 0 to 1."""
        blurred = cv2.GaussianBlur(mask, (0, 0), sigma * self.n).astype(np.float32)
        return blurred * np.float32(1 / 255) if mask.dtype == np.uint8 else blurred

    def rounded(self, mask: np.ndarray, sigma: float) -> np.ndarray:
        """Round off corners of `mask` tighter than `sigma` frame widths; float32 n×n, 0 to 1."""
        return np.clip((self.soften(mask, sigma) - np.float32(0.5)) * np.float32(3.2) + 0.5, 0, 1)

    def noise(self, scale: float) -> np.ndarray:
        """A smooth random field with features about `scale` frame widths across.

        Returns:
            float32 n×n, mean near 0, standard deviation near 1.
        """
        k = max(2, round(1 / scale)) + 1
        grid = self.rng.standard_normal((k, k), np.float32)
        return cv2.resize(grid, (self.n, self.n), interpolation=cv2.INTER_CUBIC)

    def blend(self, colour: Colour, alpha: np.ndarray) -> None:
        """Lay `colour` over the picture where `alpha` (float n×n, 0 to 1) says."""
        for i, value in enumerate(colour):
            self.rgb[i] += (np.float32(value) - self.rgb[i]) * alpha

    def blend_between(
        self, low: Colour, high: Colour, where: np.ndarray, alpha: np.ndarray
    ) -> None:
        """Lay a mixture over the picture: `low` where `where` is 0, `high` where it is 1."""
        for i, (a, b) in enumerate(zip(low, high, strict=True)):
            self.rgb[i] += (np.float32(a) + np.float32(b - a) * where - self.rgb[i]) * alpha

    def finish(self, blur: float, grain: float, gain: np.ndarray, slope: np.ndarray) -> np.ndarray:
        """Look at the picture through a microscope's camera.

        Args:
            blur: standard deviation of the focus blur in frame widths.
            grain: standard deviation of the sensor noise, 0 to 255.
            gain: float 3, brightness of each colour.
            slope: float 2, how much brighter the right and the lower edge are than the middle.

        Returns:
            uint8 size×size×3, RGB.
        """
        if blur * self.n > 0.2:
            for plane in self.rgb:
                cv2.GaussianBlur(plane, (0, 0), blur * self.n, dst=plane)
        planes = self.rgb
        if self.n != self.size:
            size = (self.size, self.size)
            planes = [cv2.resize(p, size, interpolation=cv2.INTER_AREA) for p in planes]
        ramp = np.linspace(-1, 1, self.size, dtype=np.float32)
        light = (1 + slope[0] * ramp[None, :] + slope[1] * ramp[:, None]).astype(np.float32)
        # One grain for the three colours: a camera's noise is mostly in its brightness.
        noise = self.rng.standard_normal((self.size, self.size), np.float32) * np.float32(grain)
        picture = np.empty((self.size, self.size, 3), np.uint8)
        for i, plane in enumerate(planes):
            seen = plane * (light * np.float32(gain[i])) + noise
            picture[..., i] = np.rint(np.clip(seen, 0, 255, out=seen), out=seen)
        return picture


def blob(
    rng: np.random.Generator,
    centre: Sequence[float],
    radius: float,
    *,
    stretch: float = 1.0,
    angle: float = 0.0,
    rough: float = 0.05,
    waves: int = 5,
) -> np.ndarray:
    """A closed, wavy outline around `centre`.

    Args:
        radius: mean radius in frame widths.
        stretch: ratio of the long to the short axis.
        angle: of the long axis, radians.
        rough: relative depth of the waves.
        waves: number of harmonics; more make a finer fringe.

    Returns:
        float64 72×2.
    """
    circle, harmonics = _harmonics(waves)
    r = radius * (1 + rough * (rng.standard_normal(2 * waves) @ harmonics))
    x, y = r * circle[0] * stretch**0.5, r * circle[1] / stretch**0.5
    c, s = np.cos(angle), np.sin(angle)
    return np.stack([centre[0] + c * x - s * y, centre[1] + s * x + c * y], 1)


@cache
def _harmonics(waves: int) -> tuple[np.ndarray, np.ndarray]:
    """The unit circle (2×72), and the cosines and sines of a blob's waves (2·waves×72)."""
    t = np.linspace(0, 2 * np.pi, 72, endpoint=False)
    k = np.arange(2, 2 + waves)[:, None]
    waves_around = np.concatenate([np.cos(k * t), np.sin(k * t)])
    return np.stack([np.cos(t), np.sin(t)]), waves_around / np.tile(k, (2, 1)) ** 0.7


def arc(
    centre: Sequence[float], radius: float, middle: float, half: float, k: int = 16
) -> np.ndarray:
    """`k` points on a circle around `centre`, over `middle` ± `half` radians; float64 k×2."""
    t = np.linspace(middle - half, middle + half, k)
    return np.stack([centre[0] + radius * np.cos(t), centre[1] + radius * np.sin(t)], 1)


@cache
def red_cell_stamps() -> tuple[np.ndarray, ...]:
    """Twenty-four red cells as seen from above, made once: the same in every process.

    Returns:
        float32 64×64×2 each: how much the cell covers (0 to 1), and how pale it is (0 to 1).
        A radius of one is 24 pixels from the middle.
    """
    rng = np.random.default_rng(20_091)
    axis = (np.arange(STAMP, dtype=np.float32) - (STAMP - 1) / 2) / 24
    x, y = np.meshgrid(axis, axis)
    angle, distance = np.arctan2(y, x), np.hypot(x, y)
    stamps = []
    for i in range(24):
        edge = np.ones_like(distance)
        hollow = np.ones_like(distance)
        for k in (2, 3, 4, 5):
            edge += rng.normal(0, 0.06 / k) * np.cos(k * angle + rng.uniform(0, 6.3))
            hollow += rng.normal(0, 0.2 / k) * np.cos(k * angle + rng.uniform(0, 6.3))
        if i == 23:  # a crenated cell now and then
            edge += 0.022 * np.cos(rng.integers(11, 15) * angle + rng.uniform(0, 6.3))
        r = distance / edge
        cover = np.clip((1 - r) * 14, 0, 1)
        width, depth = rng.uniform(0.28, 0.5), (0.1, 0.5, 0.8, 1.0)[i % 4]
        pale = depth / (1 + np.exp((distance / hollow - width) * rng.uniform(9, 20)))
        pale -= 0.22 * np.clip(r - 0.72, 0, 0.28) / 0.28
        stamps.append(np.dstack([cover, pale]).astype(np.float32))
    return tuple(stamps)
