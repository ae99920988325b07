"""Geometry: exact where it can be, resampled once where it cannot."""

import numpy as np
import pytest

from bloodcell.augment import geometry
from bloodcell.augment.canvas import Canvas, affine

ARROW = np.zeros((65, 65, 3), np.uint8)
# a bar to the right of the centre, too far from the border to be reflected into view
ARROW[30:35, 36:46] = 255


def noisy(height: int = 40, width: int = 40) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


def centre_of_light(pixels: np.ndarray) -> tuple[float, float]:
    """(right, down) from the middle of the image, in pixels."""
    weight = pixels.sum(2).astype(float)
    down, right = np.mgrid[: weight.shape[0], : weight.shape[1]]
    middle = (np.array(weight.shape) - 1) / 2
    return (
        float((right * weight).sum() / weight.sum() - middle[1]),
        float((down * weight).sum() / weight.sum() - middle[0]),
    )


def moved(pixels: np.ndarray, *maps: np.ndarray) -> np.ndarray:
    canvas = Canvas(pixels)
    for m in maps:
        canvas.move(m)
    return canvas.settle()


LEFT_RIGHT, TOP_BOTTOM = affine(-1, 0, 0, 1), affine(1, 0, 0, -1)
QUARTER = affine(0, -1, 1, 0)


@pytest.mark.parametrize("shape", [(40, 40), (41, 41), (30, 45)])
def test_flips_are_exact(shape):
    image = noisy(*shape)
    np.testing.assert_array_equal(moved(image, LEFT_RIGHT), image[:, ::-1])
    np.testing.assert_array_equal(moved(image, TOP_BOTTOM), image[::-1])
    np.testing.assert_array_equal(moved(image, LEFT_RIGHT, TOP_BOTTOM), image[::-1, ::-1])


@pytest.mark.parametrize("quarters", range(4))
@pytest.mark.parametrize("flipped", [False, True])
def test_quarter_turns_and_their_flips_are_exact(quarters, flipped):
    image = noisy()
    maps = [LEFT_RIGHT] * flipped + [QUARTER] * quarters
    expected = np.rot90(image[:, ::-1] if flipped else image, quarters)
    np.testing.assert_array_equal(moved(image, *maps), expected)


def test_a_rotation_by_quarters_agrees_with_the_exact_turn():
    image = noisy()
    canvas = Canvas(image)
    geometry.turn(canvas, 90)
    difference = np.abs(canvas.settle().astype(int) - np.rot90(image))
    assert difference.max() <= 1


def test_an_image_that_is_not_square_is_only_turned_by_halves():
    image = noisy(20, 30)
    seen = set()
    for seed in range(20):
        canvas = Canvas(image)
        geometry.quarter_turn(canvas, {"turns": 3}, np.random.default_rng(seed))
        seen.add(canvas.settle().tobytes())
    assert seen == {image.tobytes(), image[::-1, ::-1].tobytes()}


def test_all_quarter_turns_occur_alike():
    rng = np.random.default_rng(0)
    image, counts = noisy(), [0, 0, 0, 0]
    turned = [np.rot90(image, k).tobytes() for k in range(4)]
    for _ in range(400):
        canvas = Canvas(image)
        geometry.quarter_turn(canvas, {"turns": 3}, rng)
        counts[turned.index(canvas.settle().tobytes())] += 1
    # 4 standard deviations of a binomial of 400 and 1/4 are 35
    assert all(abs(n - 100) < 35 for n in counts)


def test_a_shift_moves_by_the_share_it_says():
    canvas = Canvas(ARROW)
    before = centre_of_light(ARROW)
    geometry.shift(canvas, -0.06, 0.1)
    after = centre_of_light(canvas.settle())
    assert after[0] - before[0] == pytest.approx(-0.06 * 65, abs=0.1)
    assert after[1] - before[1] == pytest.approx(0.1 * 65, abs=0.1)


def test_a_rotation_turns_counter_clockwise_about_the_centre():
    canvas = Canvas(ARROW)
    right, down = centre_of_light(ARROW)
    geometry.turn(canvas, 30)
    after = centre_of_light(canvas.settle())
    angle = np.deg2rad(30)
    assert after[0] == pytest.approx(right * np.cos(angle) + down * np.sin(angle), abs=0.3)
    assert after[1] == pytest.approx(-right * np.sin(angle) + down * np.cos(angle), abs=0.3)


def test_zoom_scales_area_within_its_range():
    disc = np.zeros((81, 81, 3), np.uint8)
    y, x = np.mgrid[:81, :81] - 40
    disc[x**2 + y**2 < 15**2] = 255
    rng = np.random.default_rng(0)
    scales = []
    for _ in range(200):
        canvas = Canvas(disc)
        geometry.zoom(canvas, {"amount": 0.3, "shrink": 0.0}, rng)
        scales.append(np.sqrt(canvas.settle().sum() / disc.sum()))
    assert 0.68 < min(scales) < 0.75
    assert 1.25 < max(scales) < 1.32
    assert np.mean(scales) == pytest.approx(1, abs=0.04)


def test_a_crop_shows_only_what_was_there_and_never_shrinks():
    # a ramp: a crop spans a part of it, so nothing is reflected in at the border
    ramp = np.broadcast_to(np.arange(100, dtype=np.uint8)[None, :, None], (100, 100, 3)).copy()
    rng = np.random.default_rng(1)
    for _ in range(50):
        canvas = Canvas(ramp)
        geometry.crop(canvas, {"amount": 0.5}, rng)
        row = canvas.settle()[50, :, 0].astype(int)
        assert np.all(np.diff(row) >= 0)
        assert np.all(np.diff(row) <= 2)
        assert row[-1] - row[0] >= 48


def test_steps_that_follow_each_other_are_resampled_once():
    image = noisy(64, 64)
    there_and_back = Canvas(image)
    for degrees in (17, 25, -42):
        geometry.turn(there_and_back, degrees)
    difference = np.abs(there_and_back.settle().astype(int) - image)
    # noise would be smeared beyond recognition by three resamplings
    assert difference.max() <= 2


def test_a_copy_of_a_canvas_goes_its_own_way():
    image = noisy()
    canvas = Canvas(image)
    canvas.move(LEFT_RIGHT)
    other = canvas.copy()
    other.move(LEFT_RIGHT)
    np.testing.assert_array_equal(canvas.settle(), image[:, ::-1])
    np.testing.assert_array_equal(other.settle(), image)


def test_shrink_lowers_only_the_smallest_scale():
    rng, seen = np.random.default_rng(0), []
    for _ in range(400):
        canvas = Canvas(np.zeros((8, 8, 3), np.uint8))
        geometry.zoom(canvas, {"amount": 0.35, "shrink": 0.05}, rng)
        seen.append(1 / canvas._map[0, 0])
    assert 0.6 <= min(seen) < 0.62
    assert 1.33 < max(seen) <= 1.35
