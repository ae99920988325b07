"""The stained part of a photograph is found, whatever is around it."""

import cv2
import numpy as np
import pytest

from bloodcell.data.imaging.nucleus import find_stained
from bloodcell.data.synthetic.drawing.draw import draw_cell

FIELD = (250, 228, 205)


def smear(height: int, width: int) -> np.ndarray:
    """An empty field with red cells on it."""
    image = np.empty((height, width, 3), np.uint8)
    image[:] = FIELD
    rng = np.random.default_rng(0)
    for _ in range(12):
        place = tuple(int(v) for v in rng.uniform(0, (width, height)))
        cv2.circle(image, place, min(height, width) // 12, (216, 178, 168), -1)
    return image


def nucleus(image: np.ndarray, x: int, y: int, radius: int) -> None:
    cv2.circle(image, (x, y), radius, (92, 52, 128), -1)


@pytest.mark.parametrize(("height", "width"), [(64, 64), (363, 360), (480, 640), (1500, 1200)])
def test_a_nucleus_among_red_cells_is_found_at_any_size(height: int, width: int):
    image = smear(height, width)
    x, y, radius = width * 2 // 5, height * 3 // 5, min(height, width) // 8
    nucleus(image, x, y, radius)
    found = find_stained(image)
    assert (found.x, found.y) == pytest.approx((x, y), abs=0.02 * height + 1)
    assert found.extent == pytest.approx(np.sqrt(np.pi) * radius, rel=0.1)


def test_of_two_alike_the_one_near_the_centre_counts():
    image = smear(200, 300)
    nucleus(image, 30, 30, 20)
    nucleus(image, 160, 110, 20)
    found = find_stained(image)
    assert (found.x, found.y) == pytest.approx((160, 110), abs=3)


def test_lobes_of_one_nucleus_belong_together():
    image = smear(200, 200)
    nucleus(image, 90, 100, 15)
    nucleus(image, 122, 100, 15)
    assert find_stained(image).x == pytest.approx(106, abs=3)


@pytest.mark.parametrize("image", [smear(96, 96), np.full((96, 96, 3), 255, np.uint8)])
def test_without_a_stain_nothing_is_found(image: np.ndarray):
    assert find_stained(image) is None


def test_a_grey_photograph_has_its_dark_part():
    image = smear(120, 120)
    nucleus(image, 60, 60, 20)
    grey = np.repeat(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)[..., None], 3, axis=2)
    assert find_stained(grey).extent == pytest.approx(np.sqrt(np.pi) * 20, rel=0.15)


@pytest.mark.parametrize("label", range(7))
def test_drawn_cells_have_one(label: int):
    found = find_stained(draw_cell(label, np.random.default_rng(label), 96))
    assert abs(found.x - 48) < 24
    assert abs(found.y - 48) < 24
