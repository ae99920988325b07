"""How each of the eight kinds of cell is drawn on a slide.

Shapes, proportions and colours follow the description of blood cells under May
Grünwald-Giemsa stain in Bain, "Blood Cells: A Practical Guide", chapter 3.
"""

import numpy as np

from bloodcell.data.drawing_canvas import Colour, arc, blob
from bloodcell.data.drawing_slide import Slide, new_slide, platelet_at

__all__ = ["RECIPES"]

CHROMATIN = (62, 20, 124)


def _nucleus(
    slide: Slide,
    mask: np.ndarray,
    light: Colour,
    *,
    dark: Colour = CHROMATIN,
    clump: float = 0.034,
    openness: float = 0.3,
    contrast: float = 0.42,
) -> np.ndarray:
    """Fill a nucleus with clumped chromatin and a darker membrane; returns its alpha."""
    canvas = slide.canvas
    alpha = canvas.soften(mask, 0.004)
    inside = canvas.soften(mask, 0.022)
    field = canvas.noise(clump) * 0.8 + canvas.noise(clump * 2.6) * 0.45
    specks = np.clip(openness + contrast * field, 0, 1.15)
    specks *= np.clip(inside * 2.2 - 1.15, 0, 1)
    slide.lay(dark, light, specks, alpha)
    return alpha


def _cytoplasm(
    slide: Slide, outline: np.ndarray, low: Colour, high: Colour, *, edge: float = 0.005
) -> np.ndarray:
    """Fill the body of a cell with an uneven colour; returns its alpha."""
    canvas = slide.canvas
    mask = canvas.mask()
    canvas.fill(mask, outline)
    alpha = canvas.soften(mask, edge)
    where = np.clip(0.5 + 0.3 * canvas.noise(0.16) + 0.16 * canvas.noise(0.03), 0, 1)
    slide.lay(low, high, where, alpha)
    return alpha


def _granules(
    slide: Slide, alpha: np.ndarray, colour: Colour, *, scale: float, cover: float, opacity: float
) -> None:
    """Sprinkle granules about `scale` frame widths across over a share `cover` of `alpha`."""
    canvas = slide.canvas
    spots = np.clip((canvas.noise(scale) - np.float32(1.25 - 2.2 * cover)) * 2.2, 0, 1)
    canvas.blend(slide.stained(colour), spots * alpha * np.float32(opacity))


def _along(centre: tuple[float, float], angle: float, distance: float) -> tuple[float, float]:
    return centre[0] + distance * np.cos(angle), centre[1] + distance * np.sin(angle)


def _lobes(
    slide: Slide, mask: np.ndarray, spine: np.ndarray, radii: np.ndarray, strand: float
) -> None:
    """Lobes at the points of `spine`, joined by strands `strand` frame widths wide."""
    canvas, rng = slide.canvas, slide.canvas.rng
    canvas.strand(mask, spine, strand)
    around = np.roll(spine, -1, 0) - spine
    for (x, y), r, (dx, dy) in zip(spine, radii, around, strict=True):
        angle = np.arctan2(dy, dx) + rng.normal(0, 0.5)
        stretch = 1 + abs(rng.normal(0.12, 0.18))
        canvas.fill(mask, blob(rng, (x, y), r, stretch=stretch, angle=angle, rough=0.07))


def _band(
    slide: Slide,
    mask: np.ndarray,
    centre: tuple[float, float],
    radius: float,
    width: float,
    half: float,
    waist: float,
) -> None:
    """A bent sausage around `centre`, thinner by the share `waist` in its middle."""
    rng = slide.canvas.rng
    points = arc(centre, radius, rng.uniform(0, 2 * np.pi), half, 18)
    t = np.linspace(-1, 1, 18)
    lumps = 0.09 * np.cos(rng.uniform(3, 7) * t + rng.uniform(0, 6.3))
    points += (points - centre) * (0.16 * np.cos(rng.uniform(1, 4) * t + 1))[:, None]
    slide.canvas.strand(mask, points, width * (1 - waist * np.exp(-4 * t**2) + lumps))


def basophil(rng: np.random.Generator, size: int) -> Slide:
    radius = rng.uniform(0.25, 0.36)
    slide = new_slide(rng, size, radius)
    canvas, centre = slide.canvas, slide.centre
    outline = blob(
        rng, centre, radius, stretch=rng.uniform(1, 1.14), angle=rng.uniform(0, 3.1), rough=0.035
    )
    body = _cytoplasm(slide, outline, (208, 165, 188), (178, 132, 178))
    nucleus, turn = canvas.mask(), rng.uniform(0, 2 * np.pi)
    spread = radius * rng.uniform(0.28, 0.42)
    count = int(rng.integers(2, 4))
    angles = turn + np.arange(count) * (2 * np.pi / count) + rng.normal(0, 0.2, count)
    spine = np.array([_along(centre, a, spread) for a in angles])
    _lobes(slide, nucleus, spine, radius * rng.uniform(0.42, 0.58, count), radius * 0.5)
    hidden = _nucleus(
        slide, nucleus, (126, 70, 158), dark=(74, 26, 128), clump=0.028, openness=0.34
    )
    _granules(slide, body * (1 - hidden), (78, 30, 128), scale=0.024, cover=0.42, opacity=0.9)
    coarse, packed = canvas.mask(), int(rng.integers(45, 130))
    angles = rng.uniform(0, 2 * np.pi, packed)
    away = radius * np.sqrt(rng.uniform(0.04, 1.04, packed))
    spots = np.stack([centre[0] + away * np.cos(angles), centre[1] + away * np.sin(angles)], 1)
    canvas.dots(coarse, spots, rng.uniform(0.008, 0.019, packed))
    near = canvas.soften(coarse, 0.003) * np.clip(
        canvas.soften(_solid(slide, outline), 0.02) * 3, 0, 1
    )
    canvas.blend(slide.stained((52, 14, 110)), near * np.float32(0.9))
    return slide


def _solid(slide: Slide, outline: np.ndarray) -> np.ndarray:
    mask = slide.canvas.mask()
    slide.canvas.fill(mask, outline)
    return mask


def eosinophil(rng: np.random.Generator, size: int) -> Slide:
    radius = rng.uniform(0.285, 0.39)
    slide = new_slide(rng, size, radius)
    canvas, centre = slide.canvas, slide.centre
    outline = blob(
        rng, centre, radius, stretch=rng.uniform(1, 1.12), angle=rng.uniform(0, 3.1), rough=0.03
    )
    body = _cytoplasm(slide, outline, (226, 172, 160), (208, 148, 160))
    _granules(slide, body, (196, 96, 98), scale=0.021, cover=0.62, opacity=0.85)
    _granules(slide, body, (160, 68, 96), scale=0.019, cover=0.3, opacity=0.6)
    nucleus, turn = canvas.mask(), rng.uniform(0, 2 * np.pi)
    count = 2 if rng.random() < 0.78 else 3
    half = rng.uniform(0.75, 1.25) if count == 2 else rng.uniform(1.0, 1.5)
    off = _along(centre, turn, radius * rng.uniform(-0.05, 0.12))
    spine = arc(off, radius * rng.uniform(0.46, 0.56), turn, half, count)
    lobe = 0.4 if count == 2 else 0.31
    _lobes(slide, nucleus, spine, radius * lobe * rng.normal(1, 0.09, count), radius * 0.13)
    _nucleus(slide, nucleus, (122, 66, 152), openness=0.3)
    return slide


def erythroblast(rng: np.random.Generator, size: int) -> Slide:
    radius = rng.uniform(0.17, 0.28)
    slide = new_slide(rng, size, radius)
    canvas, centre = slide.canvas, slide.centre
    turn, pink = rng.uniform(0, 2 * np.pi), rng.beta(1.2, 2.2)
    outline = blob(
        rng, centre, radius, stretch=1 + abs(rng.normal(0, 0.16)), angle=turn, rough=0.06
    )
    blue, rose = np.array([146, 128, 176]), np.array([200, 162, 170])
    low = blue + (rose - blue) * pink
    _cytoplasm(slide, outline, low - 10, low + 16)
    nucleus = canvas.mask()
    inner = radius * rng.uniform(0.52, 0.72)
    middle = _along(centre, turn, (radius - inner) * rng.uniform(0, 0.75))
    canvas.fill(nucleus, blob(rng, middle, inner, stretch=rng.uniform(1, 1.1), rough=0.025))
    ripe = rng.beta(2, 1.3)
    _nucleus(
        slide,
        nucleus,
        (128, 74, 146),
        dark=(54, 20, 114),
        clump=0.038,
        openness=0.26 - 0.3 * ripe,
        contrast=0.5 - 0.18 * ripe,
    )
    return slide


def immature_granulocyte(rng: np.random.Generator, size: int) -> Slide:
    radius = rng.uniform(0.285, 0.41)
    slide = new_slide(rng, size, radius)
    canvas, centre = slide.canvas, slide.centre
    turn, ripe = rng.uniform(0, 2 * np.pi), rng.random()
    outline = blob(
        rng, centre, radius, stretch=rng.uniform(1, 1.12), angle=rng.uniform(0, 3.1), rough=0.025
    )
    young, old = np.array([166, 138, 190]), np.array([216, 180, 192])
    low = young + (old - young) * ripe
    body = _cytoplasm(slide, outline, low - 8, low + 16)
    _granules(
        slide,
        body,
        (122, 62, 142),
        scale=0.017,
        cover=rng.uniform(0.2, 0.45),
        opacity=rng.uniform(0.4, 0.75),
    )
    nucleus = canvas.mask()
    inner = radius * rng.uniform(0.64, 0.8) * (1 - 0.14 * ripe)
    middle = _along(centre, turn, (radius - inner) * rng.uniform(0.35, 0.85))
    stretch = rng.uniform(1.1, 1.42)
    canvas.fill(
        nucleus,
        blob(rng, middle, inner, stretch=stretch, angle=turn + np.pi / 2, rough=0.04),
    )
    if ripe > 0.35:
        bite = radius * rng.uniform(0.12, 0.32)
        mouth = _along(middle, turn + np.pi + rng.normal(0, 0.2), inner * 0.95)
        canvas.fill(nucleus, blob(rng, mouth, bite, rough=0.12), 0)
    _nucleus(
        slide,
        nucleus,
        (146, 88, 170),
        dark=(72, 26, 130),
        clump=0.03,
        openness=0.32,
        contrast=0.45,
    )
    return slide


def lymphocyte(rng: np.random.Generator, size: int) -> Slide:
    radius = rng.uniform(0.205, 0.285)
    slide = new_slide(rng, size, radius)
    canvas, centre = slide.canvas, slide.centre
    turn = rng.uniform(0, 2 * np.pi)
    outline = blob(
        rng,
        centre,
        radius,
        stretch=1 + abs(rng.normal(0, 0.08)),
        angle=turn,
        rough=rng.uniform(0.02, 0.06),
        waves=12,
    )
    _cytoplasm(slide, outline, (128, 112, 178), (166, 148, 200))
    nucleus = canvas.mask()
    inner = radius * rng.uniform(0.82, 0.95)
    middle = _along(centre, turn, (radius - inner) * rng.uniform(0.2, 0.9))
    canvas.fill(
        nucleus,
        blob(rng, middle, inner, stretch=rng.uniform(1, 1.1), angle=turn + np.pi / 2, rough=0.03),
    )
    if rng.random() < 0.3:
        mouth = _along(middle, turn + np.pi + rng.normal(0, 0.6), inner * 1.08)
        canvas.fill(nucleus, blob(rng, mouth, inner * rng.uniform(0.15, 0.28)), 0)
    _nucleus(
        slide,
        nucleus,
        (122, 60, 148),
        dark=(62, 22, 122),
        clump=0.036,
        openness=rng.uniform(0.1, 0.4),
        contrast=0.26,
    )
    return slide


def monocyte(rng: np.random.Generator, size: int) -> Slide:
    radius = rng.uniform(0.33, 0.43)
    slide = new_slide(rng, size, radius)
    canvas, centre = slide.canvas, slide.centre
    turn = rng.uniform(0, 2 * np.pi)
    outline = blob(
        rng,
        centre,
        radius,
        stretch=1 + abs(rng.normal(0, 0.14)),
        angle=turn,
        rough=rng.uniform(0.02, 0.085),
    )
    body = _cytoplasm(slide, outline, (150, 126, 182), (190, 166, 202), edge=0.008)
    _granules(slide, body, (120, 84, 158), scale=0.016, cover=0.25, opacity=0.4)
    nucleus = canvas.mask()
    if rng.random() < 0.62:
        wide = radius * rng.uniform(0.56, 0.76)
        _band(
            slide,
            nucleus,
            centre,
            radius * rng.uniform(0.34, 0.44),
            wide,
            rng.uniform(1.2, 2.1),
            0.16,
        )
    else:
        stretch = rng.uniform(1.05, 1.4)
        wide = radius * rng.uniform(0.62, 0.74)
        canvas.fill(
            nucleus, blob(rng, centre, wide, stretch=stretch, angle=turn, rough=0.1, waves=4)
        )
        fold = turn + np.pi / 2 + rng.normal(0, 0.3)
        deep = arc(_along(centre, fold, wide * 0.95), 0.02, 0, 0.5, 2)
        deep[1] = _along(centre, fold + rng.normal(0, 0.3), wide * rng.uniform(0, 0.4))
        canvas.strand(nucleus, deep, np.array([0.07, 0.012]), 0)
    _nucleus(
        slide,
        nucleus,
        (150, 92, 166),
        dark=(82, 30, 134),
        clump=0.027,
        openness=0.34,
        contrast=0.42,
    )
    holes = int(rng.poisson(rng.choice([0.3, 2.5, 6])))
    if holes:
        vacuoles = canvas.mask()
        angles = rng.uniform(0, 2 * np.pi, holes)
        away = radius * rng.uniform(0.45, 0.92, holes)
        spots = np.stack([centre[0] + away * np.cos(angles), centre[1] + away * np.sin(angles)], 1)
        canvas.dots(vacuoles, spots, rng.uniform(0.008, 0.026, holes))
        canvas.blend(slide.stained((236, 218, 222)), canvas.soften(vacuoles, 0.004) * body * 0.85)
    return slide


def neutrophil(rng: np.random.Generator, size: int) -> Slide:
    radius = rng.uniform(0.29, 0.385)
    slide = new_slide(rng, size, radius)
    canvas, centre = slide.canvas, slide.centre
    outline = blob(
        rng,
        centre,
        radius,
        stretch=1 + abs(rng.normal(0, 0.08)),
        angle=rng.uniform(0, 3.1),
        rough=rng.uniform(0.02, 0.06),
    )
    body = _cytoplasm(slide, outline, (222, 182, 180), (234, 204, 194), edge=0.007)
    _granules(slide, body, (158, 96, 146), scale=0.014, cover=rng.uniform(0.15, 0.35), opacity=0.6)
    nucleus, turn = canvas.mask(), rng.uniform(0, 2 * np.pi)
    if rng.random() < 0.3:
        wide = radius * rng.uniform(0.38, 0.54)
        _band(
            slide,
            nucleus,
            centre,
            radius * rng.uniform(0.42, 0.54),
            wide,
            rng.uniform(1.1, 2.2),
            0.2,
        )
    else:
        count = int(rng.choice([3, 4, 5], p=[0.5, 0.36, 0.14]))
        half = rng.uniform(0.36, 0.5) * 2 * np.pi * (count - 1) / count
        spine = arc(centre, radius * rng.uniform(0.36, 0.48), turn, half, count)
        spine += rng.normal(0, 0.06 * radius, spine.shape)
        lobe = radius * {3: 0.29, 4: 0.255, 5: 0.225}[count]
        _lobes(slide, nucleus, spine, lobe * rng.normal(1, 0.13, count), radius * 0.12)
    _nucleus(slide, nucleus, (138, 86, 166), clump=0.032, openness=0.22, contrast=0.42)
    return slide


def platelet(rng: np.random.Generator, size: int) -> Slide:
    radius = rng.uniform(0.1, 0.165)
    slide = new_slide(rng, size, radius * 0.95, strays=0.3)
    platelet_at(slide, slide.centre, radius)
    return slide


# in the order of bloodcell.classes.CLASSES
RECIPES = (
    basophil,
    eosinophil,
    erythroblast,
    immature_granulocyte,
    lymphocyte,
    monocyte,
    neutrophil,
    platelet,
)
