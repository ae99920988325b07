"""Cells without many granules on a slide: erythroblast, lymphocyte, monocyte, platelet.

Shapes, proportions and colours were chosen by eye to resemble photographs of May
Grünwald-Giemsa smears (Acevedo et al., "A dataset of microscopic peripheral blood cell images
for development of automatic recognition systems", Data in Brief 30, 2020). Each function takes
the random numbers and the side of the picture in pixels, and returns the slide to photograph.
"""

import numpy as np

from bloodcell.data.synthetic.drawing.canvas import blob
from bloodcell.data.synthetic.drawing.parts import (
    along,
    band,
    cytoplasm,
    granules,
    nucleus,
    vacuoles,
)
from bloodcell.data.synthetic.drawing.slide import Slide, new_slide, platelet_at

__all__ = ["erythroblast", "lymphocyte", "monocyte", "platelet"]


def erythroblast(rng: np.random.Generator, size: int) -> Slide:
    """A small, round, very dense nucleus in blue-grey to pink cytoplasm."""
    radius = rng.uniform(0.18, 0.3)
    slide = new_slide(rng, size, radius)
    canvas, centre = slide.canvas, slide.centre
    turn, pink = rng.uniform(0, 2 * np.pi), rng.beta(1.2, 2.2)
    outline = blob(
        rng,
        centre,
        radius,
        stretch=1 + abs(rng.normal(0, 0.16)),
        angle=turn,
        rough=rng.uniform(0.03, 0.11),
    )
    blue, rose = np.array([142, 126, 172]), np.array([198, 160, 170])
    low = blue + (rose - blue) * pink
    body = cytoplasm(slide, [outline], low - 12, low + 16)
    if rng.random() < 0.12:
        granules(slide, body, (70, 40, 130), scale=0.02, cover=0.12, opacity=0.8)
    shape = canvas.mask()
    inner = radius * rng.uniform(0.54, 0.78)
    middle = along(centre, turn, (radius - inner) * rng.uniform(0, 0.85))
    canvas.fill(shape, blob(rng, middle, inner, stretch=rng.uniform(1, 1.12), rough=0.025))
    if rng.random() < 0.12:
        bud = along(middle, rng.uniform(0, 6.3), inner)
        canvas.fill(shape, blob(rng, bud, inner * rng.uniform(0.25, 0.45)))
    ripe = rng.beta(2.2, 1.2)
    nucleus(
        slide,
        shape,
        body,
        (150, 96, 150),
        dark=(52, 20, 112),
        clump=0.034,
        openness=0.25 - 0.42 * ripe,
        contrast=0.5 - 0.16 * ripe,
    )
    return slide


def lymphocyte(rng: np.random.Generator, size: int) -> Slide:
    """A round, dense nucleus that nearly fills the cell; a thin rim of clear blue."""
    radius = rng.uniform(0.2, 0.285)
    slide = new_slide(rng, size, radius)
    canvas, centre = slide.canvas, slide.centre
    turn = rng.uniform(0, 2 * np.pi)
    rim = blob(
        rng,
        centre,
        radius,
        stretch=1 + abs(rng.normal(0, 0.08)),
        angle=turn,
        rough=rng.uniform(0.02, 0.07),
        waves=16,
    )
    outlines = [rim]
    for _ in range(rng.poisson(0.45)):
        bleb = along(centre, rng.uniform(0, 6.3), radius * rng.uniform(0.98, 1.12))
        outlines.append(blob(rng, bleb, radius * rng.uniform(0.1, 0.22), rough=0.12))
    body = cytoplasm(slide, outlines, (116, 100, 164), (168, 152, 202))
    shape = canvas.mask()
    inner = radius * rng.uniform(0.82, 0.95)
    middle = along(centre, turn, (radius - inner) * rng.uniform(0.2, 0.95))
    stretch = rng.uniform(1, 1.12)
    canvas.fill(shape, blob(rng, middle, inner, stretch=stretch, angle=turn + 1.57, rough=0.04))
    if rng.random() < 0.3:
        mouth = along(middle, turn + np.pi + rng.normal(0, 0.6), inner * 1.08)
        canvas.fill(shape, blob(rng, mouth, inner * rng.uniform(0.15, 0.3)), 0)
    nucleus(
        slide,
        shape,
        body,
        (136, 72, 152),
        dark=(60, 20, 118),
        clump=0.026,
        openness=rng.uniform(0.02, 0.36),
        contrast=0.28,
    )
    return slide


def monocyte(rng: np.random.Generator, size: int) -> Slide:
    """The largest: folded or kidney-shaped nucleus, grey-blue cytoplasm, often vacuoles."""
    radius = rng.uniform(0.33, 0.44)
    slide = new_slide(rng, size, radius)
    canvas, centre = slide.canvas, slide.centre
    turn = rng.uniform(0, 2 * np.pi)
    outline = blob(
        rng,
        centre,
        radius,
        stretch=1 + abs(rng.normal(0, 0.16)),
        angle=turn,
        rough=rng.uniform(0.02, 0.08),
    )
    tone = rng.uniform(-8, 14)
    low, high = (146 + tone, 124 + tone, 178), (190 + tone, 166 + tone, 204)
    body = cytoplasm(slide, [outline], low, high, edge=0.008)
    granules(slide, body, (116, 82, 152), scale=0.014, cover=0.25, opacity=0.45)
    if holes := int(rng.poisson(rng.choice([0.2, 2.0, 6.0]))):
        vacuoles(slide, body, radius, holes)
    shape = canvas.mask()
    off = along(centre, rng.uniform(0, 6.3), radius * rng.uniform(0, 0.12))
    if rng.random() < 0.62:
        wide, ring = radius * rng.uniform(0.6, 0.8), radius * rng.uniform(0.36, 0.46)
        band(slide, shape, off, ring, wide, rng.uniform(1.1, 2.2), 0.16)
    else:
        wide, stretch = radius * rng.uniform(0.66, 0.8), rng.uniform(1.05, 1.5)
        canvas.fill(shape, blob(rng, off, wide, stretch=stretch, angle=turn, rough=0.12, waves=4))
        fold = turn + np.pi / 2 + rng.normal(0, 0.4)
        mouth = along(off, fold, wide * 0.95)
        depth, lean = wide * rng.uniform(0.35, 1.0), rng.normal(np.pi, 0.4)
        tip = along(mouth, fold + lean, depth)
        sides = [along(mouth, fold + s * np.pi / 2, wide * rng.uniform(0.08, 0.3)) for s in (1, -1)]
        outside = along(off, fold, wide * 1.6)
        canvas.fill(shape, np.array([tip, sides[0], outside, sides[1]]), 0)
    nucleus(
        slide,
        shape,
        body,
        (158, 102, 166),
        dark=(78, 28, 130),
        clump=0.023,
        openness=0.24,
        contrast=0.42,
    )
    return slide


def platelet(rng: np.random.Generator, size: int) -> Slide:
    """No nucleus: a small violet granular fragment among red cells."""
    radius = rng.uniform(0.105, 0.175)
    slide = new_slide(rng, size, radius, strays=0.3)
    platelet_at(slide, slide.centre, radius)
    return slide
