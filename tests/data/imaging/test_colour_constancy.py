"""The empty field of a photograph, and its colour taken out."""

import numpy as np
import pytest

from bloodcell.data.imaging.colour_constancy import (
    agreed_backgrounds,
    background,
    balanced,
    from_laboratory,
)
from bloodcell.data.synthetic.drawing.draw import draw_cell


def field(colour: tuple[int, int, int], covered: float = 0.4, size: int = 80) -> np.ndarray:
    """Noise around a colour, with dark cells and some glare on it."""
    rng = np.random.default_rng(1)
    image = np.array(colour, float) + rng.normal(0, 2, (size, size, 3))
    image[: int(covered * size)] = np.array(colour) * (0.45, 0.3, 0.6)
    image[-2:, -2:] = 255
    return np.clip(image, 0, 255).astype(np.uint8)


@pytest.mark.parametrize("colour", [(254, 228, 202), (200, 202, 198), (120, 140, 180)])
@pytest.mark.parametrize("covered", [0.1, 0.6])
def test_the_background_is_the_empty_field(colour, covered):
    assert background(field(colour, covered)) == pytest.approx(colour, abs=3)


def test_of_many_the_odd_one_takes_the_median():
    images = np.stack([field((200, 205, 198))] * 4 + [field((90, 60, 120))])
    found = agreed_backgrounds(images)
    assert found.shape == (5, 3)
    assert found == pytest.approx(np.tile([200, 205, 198], (5, 1)), abs=3)


def test_balancing_undoes_another_lamp():
    cells = np.stack([draw_cell(k, np.random.default_rng(k), 64) for k in range(8)])
    warm = np.clip(cells * np.array([0.95, 0.8, 0.6]), 0, 255).astype(np.uint8)
    wanted = np.median(agreed_backgrounds(cells), axis=0)
    back = balanced(warm, agreed_backgrounds(warm), wanted)
    before = np.abs(warm.astype(int) - cells).mean()
    assert np.abs(back.astype(int) - cells).mean() < before / 5


def test_the_right_light_is_left_alone():
    image = field((240, 230, 220))[None]
    found = agreed_backgrounds(image)
    assert np.array_equal(balanced(image, found, found[0]), image)


def test_no_images_are_no_backgrounds():
    assert agreed_backgrounds(np.zeros((0, 8, 8, 3), np.uint8)).shape == (0, 3)


def test_one_photograph_agrees_with_those_beside_it():
    full = np.full((1, 32, 32, 3), 90, np.uint8)
    others = np.full((5, 3), 230, np.float32)
    np.testing.assert_array_equal(agreed_backgrounds(full, others), others[:1])


def test_the_light_of_a_laboratory_is_balanced_and_that_of_home_is_left_alone():
    home, there = (250, 228, 202), (150, 170, 190)
    full = np.full((80, 80, 3), (60, 30, 90), np.uint8)
    images = np.stack([field(home), field(there), full])
    found = from_laboratory(images, np.array(there), np.array(home))
    np.testing.assert_array_equal(found[0], images[0])
    assert background(found[1]) == pytest.approx(home, abs=4)
    # A cell that fills its photograph is taken for one of the laboratory.
    assert found[2, 0, 0] == pytest.approx(full[0, 0] * np.array(home) / there, abs=1)
    np.testing.assert_array_equal(
        from_laboratory(images[1:2], np.array(there), np.array(home))[0], found[1]
    )
