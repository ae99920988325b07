"""Made-up pictures of none of the eight, for a network to see and for novelty to learn from.

Each kind is made from training cells, from drawings or from one photograph that scikit-learn
ships; the benchmarks test with other cells and the other photograph. The idea is outlier
exposure (Hendrycks, Mazeika and Dietterich, ICLR 2019).
"""

import functools
from collections.abc import Callable

import cv2
import numpy as np

from bloodcell.data.synthetic.drawing.foreign import draw_foreign

__all__ = [
    "HARD",
    "OUT_OF_DISTRIBUTION",
    "make_out_of_distribution",
    "photograph",
    "with_outlier_exposure",
]

Maker = Callable[[np.random.Generator, np.ndarray, np.ndarray], np.ndarray]


@functools.cache
def photograph(name: str = "china") -> np.ndarray:
    """One of the two photographs of scikit-learn, "china" or "flower"; uint8, H×W×3, RGB."""
    from sklearn.datasets import load_sample_image

    return load_sample_image(f"{name}.jpg")


def make_out_of_distribution(
    kind: str, cells: np.ndarray, count: int, seed: int = 0, photo: np.ndarray | None = None
) -> np.ndarray:
    """Pictures of one kind.

    Args:
        kind: a key of OUT_OF_DISTRIBUTION.
        cells: uint8, n×S×S×3: cells to make them from, at least two.
        count: how many.
        photo: uint8, H×W×3, sides above S: to cut from; by default :func:`photograph`.

    Returns:
        uint8, count×S×S×3.
    """
    photo = photograph() if photo is None else photo
    rng = np.random.default_rng([seed, sorted(OUT_OF_DISTRIBUTION).index(kind)])
    made = [OUT_OF_DISTRIBUTION[kind](rng, cells, photo) for _ in range(count)]
    return np.stack(made)


def with_outlier_exposure(
    images: np.ndarray,
    labels: np.ndarray,
    count: int,
    rng: np.random.Generator,
    real: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """A batch whose first `count` images are made into ones of no class at all.

    Those that are hardest to tell (HARD) are three times as frequent as the others.

    Args:
        images: uint8, n×S×S×3.
        labels: float32, n×K.
        real: uint8, m×S×S×3: photographs of none of the eight that take the first m places.

    Returns:
        Images, and labels that are 0 for these.
    """
    if count == 0 or len(images) < 2:
        return images, labels
    more = [OUT_OF_DISTRIBUTION[kind] for kind in HARD for _ in range(2)]
    kinds = [*OUT_OF_DISTRIBUTION.values(), *more]
    given = [] if real is None else list(real[:count])
    made = given + [
        kinds[int(rng.integers(len(kinds)))](rng, images, photograph())
        for _ in range(count - len(given))
    ]
    images, labels = images.copy(), labels.copy()
    images[:count], labels[:count] = made, 0
    return images, labels


def _any(rng: np.random.Generator, cells: np.ndarray) -> np.ndarray:
    return cells[int(rng.integers(len(cells)))]


def _background(cell: np.ndarray) -> np.ndarray:
    """The colour of the empty field of a photograph: bright and little stained; float32, 3."""
    pixels = cell.reshape(-1, 3).astype(np.float32)
    bright = pixels.sum(1)
    return np.median(pixels[bright >= np.quantile(bright, 0.8)], axis=0)


def _noise(rng: np.random.Generator, cells: np.ndarray, photo: np.ndarray) -> np.ndarray:
    size = cells.shape[1]
    grain = max(2, int(size / rng.choice([1, 1, 2, 4, 8, 16])))
    channels = 3 if rng.random() < 0.7 else 1
    noise = rng.normal(0, 1, (grain, grain, channels)).astype(np.float32)
    noise = cv2.resize(noise, (size, size), interpolation=int(rng.integers(3))).reshape(
        size, size, channels
    )
    middle = _background(_any(rng, cells)) if rng.random() < 0.5 else rng.uniform(40, 215, 3)
    return _image(middle + noise * rng.uniform(15, 90))


def _blank(rng: np.random.Generator, cells: np.ndarray, photo: np.ndarray) -> np.ndarray:
    size = cells.shape[1]
    colour = _background(_any(rng, cells)) if rng.random() < 0.6 else rng.uniform(0, 255, 3)
    corners = rng.normal(0, rng.choice([0, 4, 15]), (2, 2, 3)).astype(np.float32)
    light = cv2.resize(corners, (size, size), interpolation=cv2.INTER_LINEAR)
    return _image(colour + light + rng.normal(0, rng.choice([0, 1, 4]), (size, size, 1)))


def _piece(rng: np.random.Generator, photo: np.ndarray, size: int) -> np.ndarray:
    """A square piece of a photograph at any scale and turn."""
    height, width = photo.shape[:2]
    side = int(rng.uniform(size * 0.5, min(height, width)))
    top, left = int(rng.integers(height - side + 1)), int(rng.integers(width - side + 1))
    piece = photo[top : top + side, left : left + side]
    piece = cv2.resize(piece, (size, size), interpolation=cv2.INTER_AREA)
    return np.ascontiguousarray(np.rot90(piece, int(rng.integers(4))))


def _photograph(rng: np.random.Generator, cells: np.ndarray, photo: np.ndarray) -> np.ndarray:
    piece = _piece(rng, photo, cells.shape[1]).astype(np.float32)
    if rng.random() < 0.5:
        # Other light and other colours, down to those of a stained smear.
        piece = (piece - piece.mean((0, 1))) * rng.uniform(0.4, 1.3) + rng.uniform(60, 210, 3)
    return _image(piece)


def _drawing(rng: np.random.Generator, cells: np.ndarray, photo: np.ndarray) -> np.ndarray:
    return draw_foreign(rng, cells.shape[1])


def _text(rng: np.random.Generator, cells: np.ndarray, photo: np.ndarray) -> np.ndarray:
    size = cells.shape[1]
    page = np.empty((size, size, 3), np.uint8)
    dark = rng.random() < 0.3
    page[:] = rng.integers(0, 60, 3) if dark else rng.integers(200, 256, 3)
    ink = (rng.integers(170, 256, 3) if dark else rng.integers(0, 120, 3)).tolist()
    scale = rng.uniform(0.25, 1.2) * size / 96
    for y in np.arange(rng.uniform(0.1, 0.3), 1.1, rng.uniform(0.32, 0.45) * scale * 96 / size):
        letters = "".join(chr(int(c)) for c in rng.integers(33, 123, int(rng.integers(3, 24))))
        place = (int(rng.uniform(-0.05, 0.2) * size), int(y * size))
        font = int(rng.choice([0, 1, 2, 3, 4, 6]))
        cv2.putText(page, letters, place, font, scale, ink, int(rng.integers(1, 3)), cv2.LINE_AA)
    return page


def _stained(cell: np.ndarray) -> np.ndarray:
    """Where a nucleus or a platelet is: much less green than the empty field; bool, S×S."""
    return cell[..., 1] < 0.62 * _background(cell)[1]


def _red_cells(rng: np.random.Generator, cells: np.ndarray, photo: np.ndarray) -> np.ndarray:
    """A field of red cells only: a small stained thing is replaced by what lies around it."""
    size = cells.shape[1]
    field = stained = None
    for _ in range(60):
        candidate = _any(rng, cells)
        found = _stained(candidate)
        # Where none of them has little enough, the one with least: with nothing stained nobody
        # knows where its cell is.
        if stained is None or 0 < found.sum() < stained.sum() or not stained.any():
            field, stained = candidate, found
        if 0 < found.mean() < 0.09:
            break
    if not stained.any():
        stained = np.ones_like(stained)
    grown = cv2.dilate(stained.astype(np.uint8), np.ones((3, 3)), iterations=max(3, size // 14))
    soft = cv2.GaussianBlur(grown.astype(np.float32), (0, 0), size / 48)[..., None]
    colour = _background(field)
    filling = colour + rng.normal(0, 2, (size, size, 1))
    for _ in range(int(rng.integers(0, 4))):
        filling = np.minimum(filling, _red_patch(rng, cells, colour))
    empty = soft * filling + (1 - soft) * field
    return np.ascontiguousarray(np.rot90(_image(empty), int(rng.integers(4))))


def _red_patch(rng: np.random.Generator, cells: np.ndarray, colour: np.ndarray) -> np.ndarray:
    """Unstained surroundings of another cell, moved to the middle, on a field of `colour`."""
    size = cells.shape[1]
    other = _any(rng, cells)
    light = other * (colour / _background(other))
    light[_stained(other)] = colour
    move = (rng.choice([-1, 1], 2) * rng.uniform(0.3, 0.5, 2) * size).astype(int)
    return np.roll(light, tuple(move), axis=(0, 1))


def _two_cells(rng: np.random.Generator, cells: np.ndarray, photo: np.ndarray) -> np.ndarray:
    """Two cells side by side in one field, neither of them in the middle."""
    size = cells.shape[1]
    apart = rng.uniform(0.2, 0.32) * size
    pair = [_any(rng, cells).astype(np.float32) for _ in range(2)]
    pair[1] *= _background(pair[0].astype(np.uint8)) / _background(pair[1].astype(np.uint8))
    scale = rng.uniform(0.7, 1.0)
    layers = []
    for image, side in zip(pair, (-1, 1), strict=True):
        move = np.array(
            [
                [scale, 0, size / 2 * (1 - scale) + side * apart],
                [0, scale, size / 2 * (1 - scale) + rng.uniform(-0.1, 0.1) * size],
            ],
            np.float32,
        )
        layers.append(cv2.warpAffine(image, move, (size, size), borderMode=cv2.BORDER_REFLECT_101))
    x = np.arange(size, dtype=np.float32)
    share = np.clip((size / 2 - x) / (0.06 * size) + 0.5, 0, 1)[None, :, None]
    both = layers[0] * share + layers[1] * (1 - share)
    return _image(np.rot90(both, int(rng.integers(4))))


def _blend(rng: np.random.Generator, cells: np.ndarray, photo: np.ndarray) -> np.ndarray:
    """A cell half covered by something foreign, as a double exposure."""
    makers = (_photograph, _photograph, _drawing, _text, _noise)
    other = makers[int(rng.integers(len(makers)))](rng, cells, photo)
    share = rng.uniform(0.4, 0.6)
    return _image(share * other + (1 - share) * _any(rng, cells).astype(np.float32))


def _scale(rng: np.random.Generator, cells: np.ndarray, photo: np.ndarray) -> np.ndarray:
    """A cell far too large (a piece of it) or far too small (a field of many)."""
    size = cells.shape[1]
    if rng.random() < 0.5:
        side = int(size / rng.uniform(2.5, 5))
        top, left = ((size - side) / 2 + rng.uniform(-0.12, 0.12, 2) * size).astype(int)
        return cv2.resize(
            _any(rng, cells)[top : top + side, left : left + side],
            (size, size),
            interpolation=cv2.INTER_CUBIC,
        )
    across = int(rng.integers(3, 6))
    side = size // across + 1
    colour = _background(_any(rng, cells))
    rows = []
    for _ in range(across):
        row = []
        for _ in range(across):
            cell = _any(rng, cells).astype(np.float32)
            cell *= colour / _background(cell)
            row.append(cv2.resize(cell, (side, side), interpolation=cv2.INTER_AREA))
        rows.append(np.concatenate(row, axis=1))
    return _image(np.concatenate(rows)[:size, :size])


def _scrambled(rng: np.random.Generator, cells: np.ndarray, photo: np.ndarray) -> np.ndarray:
    """A cell cut into tiles that are put together in another order."""
    size = cells.shape[1]
    n = int(rng.choice([2, 3, 4, 6]))
    side = size // n
    cell = cv2.resize(_any(rng, cells), (side * n, side * n))
    tiles = cell.reshape(n, side, n, side, 3).swapaxes(1, 2).reshape(n * n, side, side, 3)
    order = rng.permutation(n * n)
    # Of four tiles every 24th order is the one they had.
    tiles = tiles[order if (order != np.arange(n * n)).any() else order[::-1]]
    whole = tiles.reshape(n, n, side, side, 3).swapaxes(1, 2).reshape(side * n, side * n, 3)
    return cv2.resize(np.ascontiguousarray(whole), (size, size))


def _image(values: np.ndarray) -> np.ndarray:
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


OUT_OF_DISTRIBUTION: dict[str, Maker] = {
    "photograph": _photograph,
    "blank": _blank,
    "noise": _noise,
    "text": _text,
    "drawing": _drawing,
    "red_cells": _red_cells,
    "two_cells": _two_cells,
    "half_blend": _blend,
    "wrong_scale": _scale,
    "scrambled": _scrambled,
}
# The hardest to tell from cells.
HARD = ("half_blend", "two_cells")
