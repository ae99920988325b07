"""Granulocytes on a slide: basophil, eosinophil, neutrophil and their immature forms.

Shapes, proportions and colours were chosen by eye to resemble photographs of May
Grünwald-Giemsa smears (Acevedo et al., "A dataset of microscopic peripheral blood cell images
for development of automatic recognition systems", Data in Brief 30, 2020). Each function takes
the random numbers and the side of the picture in pixels, and returns the slide to photograph.
"""

import numpy as np

from bloodcell.data.synthetic.drawing.canvas import arc, blob
from bloodcell.data.synthetic.drawing.parts import along, band, cytoplasm, granules, lobes, nucleus
from bloodcell.data.synthetic.drawing.slide import Slide, new_slide

__all__ = ["basophil", "eosinophil", "immature_granulocyte", "neutrophil"]


def basophil(rng: np.random.Generator, size: int) -> Slide:
    """Coarse dark violet granules over a lobed nucleus that they partly hide."""
    radius = rng.uniform(0.25, 0.37)
    slide = new_slide(rng, size, radius)
    canvas, centre = slide.canvas, slide.centre
    outline = blob(
        rng, centre, radius, stretch=rng.uniform(1, 1.16), angle=rng.uniform(0, 3.1), rough=0.035
    )
    body = cytoplasm(slide, [outline], (206, 160, 186), (180, 128, 174))
    shape, turn = canvas.mask(), rng.uniform(0, 2 * np.pi)
    count = int(rng.integers(2, 4))
    angles = turn + np.arange(count) * (2 * np.pi / count) + rng.normal(0, 0.2, count)
    middle = along(centre, turn, radius * rng.uniform(0, 0.2))
    spine = np.array([along(middle, a, radius * rng.uniform(0.3, 0.42)) for a in angles])
    lobes(slide, shape, spine, radius * rng.uniform(0.4, 0.54, count), radius * 0.5)
    hidden = nucleus(
        slide, shape, body, (146, 84, 164), dark=(74, 26, 130), clump=0.023, openness=0.24
    )
    granules(slide, body * (1 - hidden), (84, 32, 132), scale=0.021, cover=0.42, opacity=0.9)
    coarse, packed = canvas.mask(), int(rng.integers(40, 140))
    angles = rng.uniform(0, 2 * np.pi, packed)
    away = radius * np.sqrt(rng.uniform(0.04, 1.06, packed))
    spots = np.stack([np.cos(angles), np.sin(angles)], 1) * away[:, None] + centre
    canvas.dots(coarse, spots, rng.uniform(0.008, 0.018, packed))
    near = canvas.soften(coarse, 0.003) * np.clip(body * 6, 0, 1)
    canvas.blend(slide.stained((50, 12, 108)), near * np.float32(0.88))
    return slide


def eosinophil(rng: np.random.Generator, size: int) -> Slide:
    """Two lobes, now and then three, in a cytoplasm packed with orange-red granules."""
    radius = rng.uniform(0.285, 0.4)
    slide = new_slide(rng, size, radius)
    canvas, centre = slide.canvas, slide.centre
    outline = blob(
        rng, centre, radius, stretch=rng.uniform(1, 1.14), angle=rng.uniform(0, 3.1), rough=0.035
    )
    tone = rng.uniform(-12, 12)
    body = cytoplasm(slide, [outline], (214, 158, 156 + tone), (200, 138, 152 + tone))
    granules(slide, body, (190, 108, 116 + tone), scale=0.018, cover=0.6, opacity=0.8)
    granules(slide, body, (148, 66, 108 + tone), scale=0.017, cover=0.28, opacity=0.6)
    if rng.random() < 0.4:
        clear = blob(rng, along(centre, rng.uniform(0, 6.3), radius * 0.75), radius * 0.22)
        mask = canvas.mask()
        canvas.fill(mask, clear)
        canvas.blend(slide.stained((222, 192, 208)), canvas.soften(mask, 0.015) * body * 0.7)
    shape, turn = canvas.mask(), rng.uniform(0, 2 * np.pi)
    count = 2 if rng.random() < 0.75 else 3
    half = rng.uniform(0.85, 1.5) if count == 2 else rng.uniform(1.2, 1.8)
    off = along(centre, turn, radius * rng.uniform(-0.1, 0.1))
    spine = arc(off, radius * rng.uniform(0.46, 0.54), turn, half, count)
    radii = radius * (0.42 if count == 2 else 0.34) * rng.normal(1, 0.1, count)
    lobes(slide, shape, spine, radii, radius * 0.12, stretch=1.28)
    nucleus(slide, shape, body, (132, 78, 160), clump=0.025, openness=0.2)
    return slide


def immature_granulocyte(rng: np.random.Generator, size: int) -> Slide:
    """Promyelocyte to metamyelocyte: large, round to kidney-shaped nucleus, fine granules."""
    radius = rng.uniform(0.28, 0.41)
    slide = new_slide(rng, size, radius)
    canvas, centre = slide.canvas, slide.centre
    turn, ripe = rng.uniform(0, 2 * np.pi), rng.random()
    outline = blob(
        rng, centre, radius, stretch=rng.uniform(1, 1.14), angle=rng.uniform(0, 3.1), rough=0.03
    )
    young, old = np.array([168, 142, 190]), np.array([214, 180, 194])
    low = young + (old - young) * ripe
    body = cytoplasm(slide, [outline], low - 12, low + 18)
    granules(
        slide,
        body,
        (124, 64, 142),
        scale=rng.uniform(0.014, 0.019),
        cover=rng.uniform(0.2, 0.48),
        opacity=rng.uniform(0.35, 0.75),
    )
    shape = canvas.mask()
    inner = radius * rng.uniform(0.7, 0.86) * (1 - 0.12 * ripe)
    middle = along(centre, turn, (radius - inner) * rng.uniform(0.35, 0.85))
    across = turn + np.pi / 2
    long = rng.uniform(1.1, 1.46)
    canvas.fill(shape, blob(rng, middle, inner, stretch=long, angle=across, rough=0.05))
    if ripe > 0.35:
        mouth = along(middle, turn + np.pi + rng.normal(0, 0.25), inner * rng.uniform(0.85, 1.05))
        bite = radius * rng.uniform(0.12, 0.34)
        notch = blob(rng, mouth, bite, stretch=rng.uniform(1, 1.8), angle=turn, rough=0.12)
        canvas.fill(shape, notch, 0)
    nucleus(
        slide,
        shape,
        body,
        (160, 106, 176),
        dark=(68, 24, 126),
        clump=0.024,
        openness=0.24,
        contrast=0.46,
    )
    return slide


def neutrophil(rng: np.random.Generator, size: int) -> Slide:
    """Three to five lobes on thin strands, or a band, in pale pink, finely granular cytoplasm."""
    radius = rng.uniform(0.29, 0.39)
    slide = new_slide(rng, size, radius)
    canvas, centre = slide.canvas, slide.centre
    outline = blob(
        rng,
        centre,
        radius,
        stretch=1 + abs(rng.normal(0, 0.09)),
        angle=rng.uniform(0, 3.1),
        rough=rng.uniform(0.02, 0.07),
    )
    body = cytoplasm(slide, [outline], (216, 174, 180), (234, 204, 198), edge=0.007)
    granules(
        slide,
        body,
        (156, 92, 142),
        scale=rng.uniform(0.013, 0.017),
        cover=rng.uniform(0.12, 0.36),
        opacity=rng.uniform(0.4, 0.75),
    )
    shape, turn = canvas.mask(), rng.uniform(0, 2 * np.pi)
    middle = along(centre, turn, radius * rng.uniform(0, 0.12))
    if rng.random() < 0.35:
        wide, ring = radius * rng.uniform(0.42, 0.6), radius * rng.uniform(0.42, 0.54)
        band(slide, shape, middle, ring, wide, rng.uniform(1.1, 2.2), 0.2)
    else:
        count = int(rng.choice([3, 4, 5], p=[0.5, 0.36, 0.14]))
        half = rng.uniform(0.3, 0.46) * 2 * np.pi * (count - 1) / count
        spine = arc(middle, radius * rng.uniform(0.36, 0.48), turn, half, count)
        spine += rng.normal(0, 0.08 * radius, spine.shape)
        lobe = radius * {3: 0.35, 4: 0.3, 5: 0.26}[count]
        lobes(slide, shape, spine, lobe * rng.normal(1, 0.15, count), radius * 0.13, stretch=1.2)
    nucleus(slide, shape, body, (150, 96, 170), clump=0.025, openness=0.12)
    return slide
