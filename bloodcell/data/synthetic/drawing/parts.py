"""The parts that cells are drawn from: cytoplasm, nucleus, lobes, bands, granules, vacuoles."""

import numpy as np

from bloodcell.data.synthetic.drawing.canvas import Colour, arc, blob
from bloodcell.data.synthetic.drawing.slide import Slide

__all__ = ["CHROMATIN", "along", "band", "cytoplasm", "granules", "lobes", "nucleus", "vacuoles"]

CHROMATIN = (58, 18, 120)


def along(centre: tuple[float, float], angle: float, distance: float) -> tuple[float, float]:
    """The point `distance` away from `centre` in the direction `angle` (radians)."""
    return centre[0] + distance * np.cos(angle), centre[1] + distance * np.sin(angle)


def cytoplasm(
    slide: Slide, outlines: list[np.ndarray], low: Colour, high: Colour, *, edge: float = 0.005
) -> np.ndarray:
    """Fill the body of a cell, the union of `outlines`, with an uneven colour.

    Args:
        low, high: colours at the ends of the unevenness, RGB 0 to 255.
        edge: softness of the margin in frame widths.

    Returns:
        How much the body covers, float32 n×n, 0 to 1.
    """
    canvas = slide.canvas
    mask = canvas.mask()
    for outline in outlines:
        canvas.fill(mask, outline)
    alpha = canvas.soften(mask, edge)
    where = np.clip(0.5 + 0.26 * canvas.noise(0.16) + 0.3 * canvas.noise(0.022), 0, 1)
    slide.lay(low, high, where, alpha)
    return alpha


def nucleus(
    slide: Slide,
    mask: np.ndarray,
    body: np.ndarray,
    light: Colour,
    *,
    dark: Colour = CHROMATIN,
    clump: float = 0.026,
    openness: float = 0.16,
    contrast: float = 0.5,
) -> np.ndarray:
    """Fill a nucleus with clumped chromatin and a darker membrane.

    Args:
        mask: its shape, uint8 n×n.
        body: the cell it lies in and cannot leave, float32 n×n, 0 to 1.
        light, dark: colours of the gaps and of the clumps, RGB 0 to 255.
        clump: size of a clump in frame widths.
        openness: mean of the chromatin's lightness between `dark` (0) and `light` (1).
        contrast: its standard deviation.

    Returns:
        How much the nucleus covers, float32 n×n, 0 to 1.
    """
    canvas = slide.canvas
    alpha = np.minimum(canvas.rounded(mask, 0.012), body)
    inside = canvas.soften(mask, 0.016)
    field = canvas.noise(clump) + canvas.noise(clump * 2.8) * np.float32(0.35)
    specks = np.clip(openness + contrast * field, 0, 1.2)
    specks *= np.clip(inside * 2.5 - 1.4, 0, 1)
    slide.lay(dark, light, specks, alpha)
    return alpha


def lobes(
    slide: Slide,
    mask: np.ndarray,
    spine: np.ndarray,
    radii: np.ndarray,
    strand: float,
    *,
    stretch: float = 1.15,
) -> None:
    """Draw lobes at the points of `spine` into `mask`, joined by strands.

    Args:
        spine: float k×2 in frame widths.
        radii: float k, of the lobes in frame widths.
        strand: width of the strands in frame widths.
        stretch: mean ratio of a lobe's long to its short axis.
    """
    canvas, rng = slide.canvas, slide.canvas.rng
    canvas.strand(mask, spine, strand)
    steps = np.gradient(spine, axis=0)
    for middle, r, (dx, dy) in zip(spine, radii, steps, strict=True):
        angle = np.arctan2(dy, dx) + rng.normal(0, 0.6)
        long = 1 + abs(rng.normal(stretch - 1, 0.16))
        canvas.fill(mask, blob(rng, middle, r, stretch=long, angle=angle, rough=0.07))


def band(
    slide: Slide,
    mask: np.ndarray,
    centre: tuple[float, float],
    radius: float,
    width: float,
    half: float,
    waist: float,
) -> None:
    """Draw a bent sausage into `mask`: the nucleus of a band form or of a monocyte.

    Args:
        centre, radius: the circle it follows, in frame widths.
        width: its thickness in frame widths.
        half: half of the angle it covers, radians.
        waist: how much thinner its middle is, as a share of `width`.
    """
    rng = slide.canvas.rng
    points = arc(centre, radius, rng.uniform(0, 2 * np.pi), half, 18)
    t = np.linspace(-1, 1, 18)
    lumps = 0.08 * np.cos(rng.uniform(3, 8) * t + rng.uniform(0, 6.3))
    bend = 0.18 * np.cos(rng.uniform(1, 4) * t + rng.uniform(0, 6.3))
    points += (points - centre) * bend[:, None]
    slide.canvas.strand(mask, points, width * (1 - waist * np.exp(-4 * t**2) + lumps))


def granules(
    slide: Slide, alpha: np.ndarray, colour: Colour, *, scale: float, cover: float, opacity: float
) -> None:
    """Sprinkle granules over a body.

    Args:
        alpha: where they may be, float32 n×n.
        scale: their size in frame widths.
        cover: about the share of the body under them, 0 to 1.
        opacity: how much of what lies under a granule it hides, 0 to 1.
    """
    canvas = slide.canvas
    spots = np.clip((canvas.noise(scale) - np.float32(1.25 - 2.2 * cover)) * 2.2, 0, 1)
    canvas.blend(slide.stained(colour), spots * alpha * np.float32(opacity))


def vacuoles(slide: Slide, alpha: np.ndarray, radius: float, count: int) -> None:
    """Draw `count` clear bubbles into the outer part of a body of `radius` frame widths."""
    canvas, rng = slide.canvas, slide.canvas.rng
    mask = canvas.mask()
    angles = rng.uniform(0, 2 * np.pi, count)
    away = radius * rng.uniform(0.5, 0.9, count)
    spots = np.stack([np.cos(angles), np.sin(angles)], 1) * away[:, None] + slide.centre
    canvas.dots(mask, spots, rng.uniform(0.013, 0.03, count))
    canvas.blend(slide.stained((238, 220, 222)), canvas.soften(mask, 0.006) * alpha * 0.85)
