"""Files decoded once, though several steps look at them: within a bound of memory."""

import numpy as np

from bloodcell.data.imaging.decode import decode_image
from bloodcell.data.readers.inputs import File, content_of

__all__ = ["MOST_BYTES", "Decoded"]

# Of photographs that wait for the next step; what goes beyond is decoded again.
MOST_BYTES = 256 * 2**20


class Decoded:
    """Photographs by their position.

    Args:
        files: see :mod:`bloodcell.data.readers.inputs`.
        most: bytes of photographs that are kept at once.
    """

    def __init__(self, files: list[File], most: int = MOST_BYTES):
        self.files = files
        self._room = most
        self._kept: dict[int, np.ndarray] = {}

    def image(self, position: int) -> np.ndarray:
        """uint8, H×W×3, RGB; kept until it is dropped, if there is room.

        Raises:
            BloodCellError: it cannot be read.
        """
        if position in self._kept:
            return self._kept[position]
        name, content = self.files[position]
        image = decode_image(content_of(content), name)
        if image.nbytes <= self._room:
            self._room -= image.nbytes
            self._kept[position] = image
        return image

    def drop(self, position: int) -> None:
        """Nobody asks for it any more."""
        image = self._kept.pop(position, None)
        self._room += 0 if image is None else image.nbytes
