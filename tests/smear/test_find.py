"""Finding cells on drawn fields: what is there is found, at every size, and nothing else."""

import numpy as np
import pytest
from PIL import Image, ImageDraw

from bloodcell.classes import class_id
from bloodcell.data.synthetic.drawing.draw import draw_cell, draw_field
from bloodcell.smear.find import find_cells
from bloodcell.smear.ruler import find_ruler

TILE = 160


@pytest.fixture(scope="module")
def smear() -> tuple[np.ndarray, list[tuple[int, int]]]:
    """A field of 3×3 drawn tiles with three white cells, and the middles of those."""
    tiles = [draw_field(np.random.default_rng(i), TILE) for i in range(9)]
    for place, name in ((0, "neutrophil"), (4, "lymphocyte"), (7, "monocyte")):
        tiles[place] = draw_cell(class_id(name), np.random.default_rng(place), TILE)
    rows = [np.concatenate(tiles[i : i + 3], axis=1) for i in (0, 3, 6)]
    middles = [(TILE * (p % 3) + TILE // 2, TILE * (p // 3) + TILE // 2) for p in (0, 4, 7)]
    return np.concatenate(rows), middles


def whites(image: np.ndarray) -> list[tuple[float, float]]:
    return [c.middle for c in find_cells(image).cells if c.kind == "white"]


def far(a: list[tuple[float, float]], b: list[tuple[float, float]]) -> float:
    assert len(a) == len(b)
    return max(min(np.hypot(x - u, y - v) for u, v in b) for x, y in a)


def test_white_cells_are_found_once_and_in_their_middle(smear):
    image, middles = smear
    assert far(whites(image), middles) < 0.15 * TILE


@pytest.mark.parametrize("zoom", [0.5, 2])
def test_the_same_cells_are_found_at_another_size(smear, zoom):
    image, middles = smear
    side = round(zoom * len(image))
    other = np.asarray(Image.fromarray(image).resize((side, side), Image.Resampling.BICUBIC))
    assert far([(x / zoom, y / zoom) for x, y in whites(other)], middles) < 0.15 * TILE
    assert find_ruler(other).diameter / zoom == pytest.approx(find_ruler(image).diameter, rel=0.1)


def test_a_turned_and_mirrored_field_has_the_same_cells(smear):
    image, middles = smear
    turned = np.ascontiguousarray(image.transpose(1, 0, 2))
    assert far(whites(turned), [(y, x) for x, y in middles]) < 0.15 * TILE


def test_a_field_of_red_cells_alone_has_a_ruler_and_no_cell():
    found = find_cells(draw_field(np.random.default_rng(3), 224))
    assert found.red_cell is not None
    assert found.cells == []


def page_of_text() -> np.ndarray:
    page = Image.new("RGB", (400, 300), "white")
    for y in range(10, 290, 14):
        ImageDraw.Draw(page).text((8, y), "Violet text with many round oO0", fill=(90, 20, 140))
    return np.asarray(page)


@pytest.mark.parametrize(
    "image",
    [
        np.full((200, 300, 3), 240, np.uint8),
        np.zeros((8, 8, 3), np.uint8),
        np.random.default_rng(0).integers(0, 255, (200, 300, 3), np.uint8),
        page_of_text(),
    ],
    ids=["blank", "black", "noise", "text"],
)
def test_what_is_no_smear_has_no_cell(image):
    assert find_cells(image).cells == []
