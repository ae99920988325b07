"""One image on its way through a policy, with its geometry and its colour still to be done.

Geometry moves pixels and pointwise colour changes their values, so the two commute and each
can wait: steps that follow each other multiply into one affine map and one colour matrix, and
the pixels are resampled once, when something needs them. This is both several times faster than
a resampling a step and kinder to the image, which is blurred by interpolation only once.

Between two colour steps that are multiplied into one, values are not clipped to 0–255; they are
when the pixels are made. An image is never written to: each change makes a new array.
"""

from collections.abc import Callable

import cv2
import numpy as np

__all__ = ["Canvas", "affine"]

_NOTHING_MOVED = np.eye(3)
_NOTHING_RECOLOURED = np.eye(4)


def affine(
    a: float, b: float, c: float, d: float, right: float = 0.0, down: float = 0.0
) -> np.ndarray:
    """The map (x, y) → (a x + b y + right, c x + d y + down) in pixels from the image's centre.

    Maps lead from a place in the result to the place in the image that is shown there.

    Returns:
        float64, 3×3, homogeneous coordinates.
    """
    return np.array([[a, b, right], [c, d, down], [0.0, 0.0, 1.0]])


class Canvas:
    """An image and the geometry and colour it is still to be given.

    Args:
        pixels: uint8, H×W×3, RGB. It is not changed.
    """

    __slots__ = ("_colour", "_map", "_pixels")

    def __init__(self, pixels: np.ndarray):
        self._pixels = pixels
        self._map = _NOTHING_MOVED
        self._colour = _NOTHING_RECOLOURED

    @property
    def height(self) -> int:
        return self._pixels.shape[0]

    @property
    def width(self) -> int:
        return self._pixels.shape[1]

    def copy(self) -> "Canvas":
        """A second canvas with the same image and the same things still to be done."""
        other = Canvas(self._pixels)
        other._map = self._map
        other._colour = self._colour
        return other

    def move(self, step: np.ndarray) -> None:
        """Show at each place what is now at the place that `step` (see `affine`) maps it to."""
        self._map = self._map @ step

    def recolour(self, matrix: np.ndarray) -> None:
        """Multiply each pixel's (R, G, B, 1) by `matrix`, float64, 4×4, last row 0 0 0 1."""
        self._colour = matrix @ self._colour

    def curve(self, table: np.ndarray) -> None:
        """Look each value up in `table`, uint8, 256 (all channels alike) or 256×3."""
        self._settle_colour()
        self._pixels = cv2.LUT(self._pixels, table.reshape(256, 1, -1))

    def mean(self) -> np.ndarray:
        """The mean colour after the recolouring so far, float64, (R, G, B), not clipped."""
        return (self._colour @ (*cv2.mean(self._pixels)[:3], 1.0))[:3]

    def put(self, pixels: np.ndarray) -> None:
        """Go on with `pixels`, uint8, H×W×3, made from what `settle` returned."""
        self._pixels = pixels

    def settle(self) -> np.ndarray:
        """Do what is still to be done.

        Returns:
            uint8, H×W×3, RGB: the image as it is now; not to be written to.
        """
        self._settle_map()
        self._settle_colour()
        return self._pixels

    def _settle_colour(self) -> None:
        if not np.array_equal(self._colour, _NOTHING_RECOLOURED):
            self._pixels = cv2.transform(self._pixels, self._colour[:3])
        self._colour = _NOTHING_RECOLOURED

    def _settle_map(self) -> None:
        waiting, self._map = self._map, _NOTHING_MOVED
        a, b, right, c, d, down = waiting[:2].ravel().tolist()
        if right == 0 and down == 0:
            exact = _FLIPS.get((a, b, c, d))
            if exact is None and self.width == self.height:
                exact = _QUARTERS.get((a, b, c, d))
            if exact is not None:
                self._pixels = exact(self._pixels)
                return
        x, y = (self.width - 1) / 2, (self.height - 1) / 2
        corner = np.array(
            [[a, b, right + x - a * x - b * y], [c, d, down + y - c * x - d * y]], np.float64
        )
        self._pixels = cv2.warpAffine(
            self._pixels,
            corner,
            (self.width, self.height),
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REFLECT_101,
        )


# (a, b, c, d) of the maps that need no interpolation; the second four swap height and width
_FLIPS: dict[tuple[float, ...], Callable[[np.ndarray], np.ndarray]] = {
    (1, 0, 0, 1): lambda pixels: pixels,
    (-1, 0, 0, 1): lambda pixels: cv2.flip(pixels, 1),
    (1, 0, 0, -1): lambda pixels: cv2.flip(pixels, 0),
    (-1, 0, 0, -1): lambda pixels: cv2.flip(pixels, -1),
}
_QUARTERS: dict[tuple[float, ...], Callable[[np.ndarray], np.ndarray]] = {
    (0, 1, 1, 0): cv2.transpose,
    (0, -1, 1, 0): lambda pixels: cv2.rotate(pixels, cv2.ROTATE_90_COUNTERCLOCKWISE),
    (0, 1, -1, 0): lambda pixels: cv2.rotate(pixels, cv2.ROTATE_90_CLOCKWISE),
    (0, -1, -1, 0): lambda pixels: cv2.flip(cv2.transpose(pixels), -1),
}
