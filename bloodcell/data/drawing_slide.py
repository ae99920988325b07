"""What lies around a cell on a slide: plasma, red cells, stray platelets, and the microscope."""

from dataclasses import dataclass

import cv2
import numpy as np

from bloodcell.data.drawing_canvas import STAMP, Canvas, Colour, blob, red_cell_stamps

__all__ = ["Slide", "new_slide", "platelet_at"]

PLASMA = (253, 229, 204)
# Some slides were photographed in colder light and less sharp.
COLD_PLASMA = (224, 221, 238)
RED_CELL = (205, 165, 160)
RED_CELL_PALE = (240, 211, 191)
COLD_RED_CELL = (186, 168, 186)
COLD_RED_CELL_PALE = (219, 213, 229)


@dataclass(frozen=True)
class Slide:
    """One field of view and how it is stained and photographed.

    Attributes:
        canvas: the picture.
        centre: (x, y) of the cell in frame widths.
        depth: strength of the stain; 1 is usual.
        blue: shift of the stain to blue (above 0) or to red (below 0), about ±0.1.
        cold: photographed in colder light.
    """

    canvas: Canvas
    centre: tuple[float, float]
    depth: float
    blue: float
    cold: bool

    def stained(self, colour: Colour) -> tuple[float, float, float]:
        """`colour` as this slide's stain shows it, 0 to 255."""
        r, g, b = colour
        paper = COLD_PLASMA if self.cold else PLASMA
        shift = 60 * self.blue
        r, b = r - shift, b + shift
        if self.cold:
            r, b = r + 4, b + 22
        return tuple(
            min(255.0, max(0.0, p + (v - p) * self.depth))
            for v, p in zip((r, g, b), paper, strict=True)
        )

    def lay(self, low: Colour, high: Colour, where: np.ndarray, alpha: np.ndarray) -> None:
        """Blend between two stained colours: `low` where `where` is 0, `high` where it is 1."""
        self.canvas.blend_between(self.stained(low), self.stained(high), where, alpha)

    def photograph(self) -> np.ndarray:
        """The finished picture, uint8 size×size×3, RGB."""
        rng = self.canvas.rng
        blur = 0.0045 + abs(rng.normal(0, 0.0028)) + (0.006 if self.cold else 0)
        return self.canvas.finish(
            blur=blur,
            grain=rng.uniform(1.0, 3.0),
            gain=rng.normal(1, 0.012, 3) * rng.normal(1, 0.02),
            slope=rng.normal(0, 0.018, 2),
        )


def new_slide(rng: np.random.Generator, size: int, room: float, *, strays: float = 0.2) -> Slide:
    """A field of red cells with room for a cell in the middle.

    Args:
        size: side of the finished picture in pixels.
        room: radius to be left free around the middle, in frame widths; 0 for none.
        strays: mean number of stray platelets.
    """
    cold = bool(rng.random() < 0.06)
    canvas = Canvas(rng, size, COLD_PLASMA if cold else PLASMA)
    canvas.rgb += canvas.noise(0.35) * np.float32(1.2)
    slide = Slide(
        canvas,
        centre=tuple((0.5 + rng.normal(0, 0.022, 2)).tolist()),
        depth=float(np.clip(rng.normal(1, 0.055), 0.85, 1.13)),
        blue=float(rng.normal(0, 0.06)),
        cold=cold,
    )
    _scatter_red_cells(slide, room)
    for _ in range(rng.poisson(strays)):
        x, y = rng.uniform(0.03, 0.97, 2)
        if np.hypot(x - slide.centre[0], y - slide.centre[1]) > room + 0.09:
            platelet_at(slide, (x, y), rng.uniform(0.035, 0.065))
    return slide


def _scatter_red_cells(slide: Slide, room: float) -> None:
    canvas, rng = slide.canvas, slide.canvas.rng
    n, stamps = canvas.n, red_cell_stamps()
    usual = rng.uniform(0.165, 0.205)
    crowd = int(rng.integers(10, 34))
    tint = rng.normal(0, 5, 3)
    body = np.add(COLD_RED_CELL if slide.cold else RED_CELL, tint)
    pale = np.add(COLD_RED_CELL_PALE if slide.cold else RED_CELL_PALE, tint * 0.4)
    tries = rng.uniform(-0.14, 1.14, (crowd, 2))
    radii = usual * rng.normal(1, 0.07, crowd)
    closeness = np.where(rng.random(crowd) < 0.2, 0.75, 0.97)
    placed: list[tuple[float, float, float]] = []
    for (x, y), r, close in zip(tries.tolist(), radii.tolist(), closeness.tolist(), strict=True):
        away = np.hypot(x - slide.centre[0], y - slide.centre[1])
        if room and away < room + r * 0.97:
            continue
        if any(np.hypot(x - a, y - b) < (r + q) * close for a, b, q in placed):
            continue
        placed.append((x, y, r))
        stretch = 1 + abs(rng.normal(0, 0.09))
        turn, stamp = rng.uniform(0, 2 * np.pi), stamps[int(rng.integers(len(stamps)))]
        c, s = np.cos(turn), np.sin(turn)
        # A window of the canvas is enough for one red cell, and far faster than all of it.
        x0, y0 = (max(0, int((v - 1.7 * r) * n)) for v in (x, y))
        x1, y1 = (min(n, int((v + 1.7 * r) * n) + 1) for v in (x, y))
        if x1 <= x0 or y1 <= y0:
            continue
        zoom = r * n / 24
        turned = zoom * np.array([[c * stretch, -s], [s * stretch, c]]) / stretch**0.5
        middle = turned @ np.full(2, (STAMP - 1) / 2)
        offset = np.array([x * n - 0.5 - x0, y * n - 0.5 - y0]) - middle
        seen = cv2.warpAffine(
            stamp, np.column_stack([turned, offset]), (x1 - x0, y1 - y0), flags=cv2.INTER_LINEAR
        )
        cover = seen[..., 0] * np.float32(rng.uniform(0.78, 1))
        window = canvas.rgb[:, y0:y1, x0:x1]
        for i, (a, b) in enumerate(zip(body.tolist(), pale.tolist(), strict=True)):
            tone = np.float32(a) + np.float32(b - a) * seen[..., 1]
            window[i] += (tone - window[i]) * cover


def platelet_at(slide: Slide, centre: tuple[float, float], radius: float) -> None:
    """Draw a platelet: a ragged pale fragment with a heap of violet granules."""
    canvas, rng = slide.canvas, slide.canvas.rng
    turn, stretch = rng.uniform(0, np.pi), 1 + abs(rng.normal(0, 0.16))
    body, heap = canvas.mask(), canvas.mask()
    canvas.fill(body, blob(rng, centre, radius, stretch=stretch, angle=turn, rough=0.09, waves=11))
    canvas.fill(
        heap,
        blob(rng, centre, radius * rng.uniform(0.75, 0.98), stretch=stretch, angle=turn, rough=0.1),
    )
    soft = canvas.soften(body, 0.006)
    tone = rng.uniform(0, 1)
    hyaloplasm = (205 - 25 * tone, 172 - 30 * tone, 204 - 10 * tone)
    canvas.blend(slide.stained(hyaloplasm), soft * np.float32(0.88))
    dense = canvas.noise(0.022) * 0.75 + canvas.noise(0.045) * 0.6
    granules = np.clip(dense * 0.55 + rng.uniform(0.3, 0.62), 0, 1)
    dark = (rng.uniform(78, 128), rng.uniform(32, 62), rng.uniform(128, 158))
    canvas.blend(slide.stained(dark), granules * canvas.soften(heap, 0.009) * soft)
