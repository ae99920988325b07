"""What lies around a cell on a slide: plasma, red cells, stray platelets, and the microscope."""

from dataclasses import dataclass
from math import cos, hypot, sin

import cv2
import numpy as np

from bloodcell.data.synthetic.drawing.canvas import STAMP, Canvas, Colour, blob, red_cell_stamps

__all__ = ["Slide", "new_slide", "platelet_at"]

PLASMA = (252, 227, 201)
# Some slides were photographed in colder light and less sharp.
COLD_PLASMA = (224, 221, 238)
RED_CELL = (204, 165, 158)
RED_CELL_PALE = (244, 217, 196)
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
        blur = abs(rng.normal(0, 0.0035)) + (0.008 if self.cold else 0)
        return self.canvas.finish(
            blur=blur,
            grain=rng.uniform(0.8, 2.5),
            gain=rng.normal(1, 0.007, 3) * rng.normal(1, 0.012),
            slope=rng.normal(0, 0.01, 2),
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
        x, y = rng.uniform(0.03, 0.97, 2).tolist()
        if hypot(x - slide.centre[0], y - slide.centre[1]) > room + 0.09:
            platelet_at(slide, (x, y), rng.uniform(0.035, 0.065))
    return slide


def _scatter_red_cells(slide: Slide, room: float) -> None:
    canvas, rng = slide.canvas, slide.canvas.rng
    n, stamps = canvas.n, red_cell_stamps()
    usual = rng.uniform(0.165, 0.215)
    crowd = int(rng.integers(10, 34))
    tint = rng.normal(0, 3.5, 3)
    body = np.add(COLD_RED_CELL if slide.cold else RED_CELL, tint)
    pale = np.add(COLD_RED_CELL_PALE if slide.cold else RED_CELL_PALE, tint * 0.4)
    # All chances are drawn at once: a call for each would cost more than the drawing.
    xs, ys = rng.uniform(-0.14, 1.14, (2, crowd)).tolist()
    radii = (usual * rng.normal(1, 0.07, crowd)).tolist()
    closeness = np.where(rng.random(crowd) < 0.2, 0.75, 0.97).tolist()
    stretches = (1 + np.abs(rng.normal(0, 0.09, crowd))).tolist()
    turns = rng.uniform(0, 2 * np.pi, crowd).tolist()
    kinds = rng.integers(len(stamps), size=crowd).tolist()
    thickness = rng.uniform(0.78, 1, crowd).tolist()
    placed: list[tuple[float, float, float]] = []
    for x, y, r, close, stretch, turn, kind, thick in zip(
        xs, ys, radii, closeness, stretches, turns, kinds, thickness, strict=True
    ):
        if room and hypot(x - slide.centre[0], y - slide.centre[1]) < room + r * 0.9:
            continue
        if any(hypot(x - a, y - b) < (r + q) * close for a, b, q in placed):
            continue
        placed.append((x, y, r))
        # A window of the canvas is enough for one red cell, and far faster than all of it.
        x0, y0 = max(0, int((x - 1.7 * r) * n)), max(0, int((y - 1.7 * r) * n))
        x1, y1 = min(n, int((x + 1.7 * r) * n) + 1), min(n, int((y + 1.7 * r) * n) + 1)
        if x1 <= x0 or y1 <= y0:
            continue
        zoom, middle = r * n / 24, (STAMP - 1) / 2
        along, across = zoom * stretch**0.5, zoom / stretch**0.5
        ax, bx = along * cos(turn), -across * sin(turn)
        ay, by = along * sin(turn), across * cos(turn)
        place = np.array(
            [
                [ax, bx, x * n - 0.5 - x0 - (ax + bx) * middle],
                [ay, by, y * n - 0.5 - y0 - (ay + by) * middle],
            ]
        )
        seen = cv2.warpAffine(stamps[kind], place, (x1 - x0, y1 - y0), flags=cv2.INTER_LINEAR)
        cover = seen[..., 0] * np.float32(thick)
        paleness = np.ascontiguousarray(seen[..., 1])
        window = canvas.rgb[:, y0:y1, x0:x1]
        for i, (a, b) in enumerate(zip(body.tolist(), pale.tolist(), strict=True)):
            tone = np.float32(a) + np.float32(b - a) * paleness
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
    dense = canvas.noise(0.019) * 0.75 + canvas.noise(0.05) * 0.5
    granules = np.clip(dense * 0.42 + rng.uniform(0.45, 0.95), 0, 1)
    dark = (rng.uniform(84, 134), rng.uniform(34, 66), rng.uniform(126, 152))
    canvas.blend(slide.stained(dark), granules * canvas.soften(heap, 0.009) * soft)
