"""What a photograph of a smear is made of: light, red cells and nuclear stain, as optical density.

Beer-Lambert: the optical density against the empty field is proportional to the dye, whatever the
lamp. Haemoglobin takes out blue at least as much as green light, the nuclear stain (azure and
eosin) takes out green and leaves blue. How much green a red cell takes for its blue is read from
the photograph itself, so a violet camera or an old stain only moves the ruler.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from bloodcell.data.imaging.colour_constancy import background

__all__ = ["Densities", "RedCells", "densities", "red_cells", "stain", "violet"]

# Below this a density is noise of a JPEG rather than a cell.
LEAST = 0.1
# A red cell takes this much green for its blue, whichever stain and camera: outside it is stain.
RATIOS = (0.6, 3.3)
# A hue is one of the photograph's own if it covers this much of what the commonest does.
COMMON = 0.4
THUMBNAIL = 128
# Keeps the fit of the light solvable where all of the empty field lies in a line.
RIDGE = 1e-3 * np.eye(6, dtype=np.float32)


@dataclass(frozen=True)
class Densities:
    """A photograph as optical density.

    Attributes:
        green, blue, red: float32, H×W: density of each channel against the light there.
    """

    red: np.ndarray
    green: np.ndarray
    blue: np.ndarray


@dataclass(frozen=True)
class RedCells:
    """The colour of the red cells of a photograph.

    Attributes:
        red, green, blue: density in each channel.
        green_share, red_share: how much green and how much red light they take for their blue.
    """

    red: float
    green: float
    blue: float
    green_share: float
    red_share: float


def densities(image: np.ndarray) -> Densities:
    """Optical density against the light, whose fall-off to the corners is followed.

    Args:
        image: uint8, H×W×3, RGB, at working scale.
    """
    height, width = image.shape[:2]
    scale = min(1.0, THUMBNAIL / max(height, width))
    small = (max(8, round(width * scale)), max(8, round(height * scale)))
    thumb = cv2.resize(image, small, interpolation=cv2.INTER_AREA)
    logs = np.log10(np.maximum(thumb, 1).astype(np.float32))
    light = _light(logs, np.log10(np.maximum(background(thumb), 1.0)))
    light = cv2.resize(light, (width, height), interpolation=cv2.INTER_LINEAR)
    found = light - cv2.LUT(image, _LOGS)
    return Densities(found[..., 0], found[..., 1], found[..., 2])


_LOGS = np.log10(np.maximum(np.arange(256), 1)).astype(np.float32)


def _light(logs: np.ndarray, level: np.ndarray) -> np.ndarray:
    """The logarithm of the light everywhere: a quadratic surface through the empty field."""
    height, width = logs.shape[:2]
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j].astype(np.float32)
    terms = np.stack([np.ones_like(x), x, y, x * x, x * y, y * y], axis=-1).reshape(-1, 6)
    pixels = logs.reshape(-1, 3)
    light = np.broadcast_to(level.astype(np.float32), pixels.shape)
    for _ in range(3):
        empty = (np.abs(light - pixels) < (0.03, 0.04, 0.04)).all(1)
        # Curvature needs an empty field all around, else it runs away under the cells.
        seen = [empty.reshape(height, width)[a, b].mean() for a, b in _quarters(height, width)]
        if min(seen) < 0.03:
            break
        seen_there = terms[empty]
        fit = np.linalg.solve(seen_there.T @ seen_there + RIDGE, seen_there.T @ pixels[empty])
        light = terms @ fit
    return np.asarray(light, np.float32).reshape(height, width, 3)


def _quarters(height: int, width: int) -> list[tuple[slice, slice]]:
    rows = slice(0, height // 2), slice(height // 2, height)
    columns = slice(0, width // 2), slice(width // 2, width)
    return [(a, b) for a in rows for b in columns]


def red_cells(found: Densities) -> RedCells | None:
    """The colour of the red cells: the commonest hue of what takes green and blue light.

    Returns:
        None where nothing has the colour of red cells.
    """
    step = max(1, max(found.green.shape) // 160)
    r, g, b = (c[::step, ::step].ravel() for c in (found.red, found.green, found.blue))
    seen = g + b > LEAST
    r, g, b = r[seen], g[seen], b[seen]
    angle = np.arctan2(g, b)
    low, high = np.arctan(RATIOS)
    fits = (angle > low) & (angle < high)
    if not fits.size or fits.mean() < 0.05:
        return None
    counts, edges = np.histogram(angle[fits], 48, (low, high))
    smooth = np.convolve(counts, (1, 2, 3, 2, 1), "same")
    # A large cell may cover more than the red ones; of two hues theirs has the less green.
    inner = smooth[1:-1]
    peaks = 1 + np.flatnonzero((inner >= smooth[:-2]) & (inner >= smooth[2:]))
    good = [p for p in peaks if smooth[p] >= COMMON * smooth.max()]
    at = good[0] if good else int(smooth.argmax())
    middle = edges[at] + (edges[1] - edges[0]) / 2
    near = np.abs(angle - middle) < 0.12
    green, blue = float(np.median(g[near])), float(np.median(b[near]))
    return RedCells(
        float(np.median(r[near])), green, blue, float(np.tan(middle)),
        float(np.median(r[near] / b[near])),
    )  # fmt: skip


def stain(found: Densities, red: RedCells) -> np.ndarray:
    """How much nuclear stain there is, in units of a red cell's own density: float32, H×W.

    Zero on an empty field and on red cells, about 1 or more on nuclei.
    """
    return (found.green - np.float32(red.green_share) * found.blue) / np.float32(red.green)


def violet(found: Densities, red: RedCells) -> np.ndarray:
    """Like :func:`stain`, from the red light too: faint platelets are bluer than dense nuclei."""
    blue = np.float32(red.green_share + red.red_share) * found.blue
    return (found.green + found.red - blue) / np.float32(red.green + max(red.red, 0.0))
