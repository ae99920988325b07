"""Colour: what each change keeps and what it does, on the scale 0–255."""

import numpy as np
import pytest

from bloodcell.augment import colour
from bloodcell.augment.canvas import Canvas

LUMA = np.array([0.299, 0.587, 0.114])
BACKGROUND, NUCLEUS, EOSIN = (250, 226, 196), (70, 40, 130), (205, 120, 110)


def field(*colours: tuple[int, int, int]) -> np.ndarray:
    """An image of vertical stripes of these colours."""
    return np.repeat(np.repeat(np.array([colours], np.uint8), 8, 0), 8, 1)


def middle() -> np.ndarray:
    """Colours far enough from 0 and 255 that nothing is clipped."""
    return np.random.default_rng(0).integers(90, 165, (32, 32, 3), dtype=np.uint8)


def hue_angle(pixel: np.ndarray) -> float:
    r, g, b = (float(v) for v in pixel)
    return float(np.rad2deg(np.arctan2(np.sqrt(3) * (g - b), 2 * r - g - b)))


@pytest.mark.parametrize("seed", range(8))
def test_hue_keeps_luma_and_turns_the_circle(seed):
    image, canvas = middle(), Canvas(middle())
    colour.hue(canvas, {"angle": 60.0}, np.random.default_rng(seed))
    out = canvas.settle()
    assert not np.array_equal(out, image)
    np.testing.assert_allclose(out @ LUMA, image @ LUMA, atol=1)


class Fixed:
    """A generator that always draws the upper end of its range."""

    def uniform(self, low: float, high: float, size: int | None = None):
        return high if size is None else np.full(size, high)


def test_a_positive_hue_angle_leads_from_red_by_orange_to_yellow():
    canvas = Canvas(field((160, 90, 90)))
    colour.hue(canvas, {"angle": 40.0}, Fixed())
    turned = hue_angle(canvas.settle()[0, 0])
    assert turned == pytest.approx(40, abs=1.5)


def test_brightness_adds_the_same_to_every_value():
    image, canvas = middle(), Canvas(middle())
    colour.brightness(canvas, {"amount": 0.2}, Fixed())
    np.testing.assert_array_equal(canvas.settle(), image + 51)


def test_values_end_at_0_and_255():
    canvas = Canvas(field(BACKGROUND, NUCLEUS))
    colour.brightness(canvas, {"amount": 1.0}, Fixed())
    assert np.all(canvas.settle() == 255)


def test_contrast_keeps_the_mean_colour_and_scales_the_spread():
    image, canvas = middle(), Canvas(middle())
    colour.recontrast(canvas, 1.5)
    out = canvas.settle()
    np.testing.assert_allclose(out.mean((0, 1)), image.mean((0, 1)), atol=0.5)
    np.testing.assert_allclose(out.std((0, 1)), 1.5 * image.std((0, 1)), rtol=0.02)


def test_contrast_is_about_the_mean_after_the_steps_before_it():
    image = middle()
    canvas = Canvas(image)
    colour.brightness(canvas, {"amount": 0.2}, Fixed())
    colour.recontrast(canvas, 0.0)
    np.testing.assert_allclose(canvas.settle(), image.mean((0, 1)) + 51 + 0 * image, atol=1)


@pytest.mark.parametrize("factor", [0.0, 0.4, 1.6])
def test_saturation_keeps_luma_and_scales_the_distance_to_grey(factor):
    image, canvas = middle(), Canvas(middle())
    colour.desaturate(canvas, factor)
    out = canvas.settle().astype(float)
    grey = (image @ LUMA)[..., None]
    np.testing.assert_allclose(out, np.clip(grey + factor * (image - grey), 0, 255), atol=1)


def test_degeneration_only_ever_fades():
    rng, image = np.random.default_rng(0), field(EOSIN)
    for _ in range(50):
        canvas = Canvas(image)
        colour.degenerate(canvas, {"amount": 1.0}, rng)
        assert np.ptp(canvas.settle()[0, 0].astype(int)) <= np.ptp(np.array(EOSIN)) + 1


def test_channel_shuffle_gives_all_six_orders_and_no_other_value():
    rng, image, seen = np.random.default_rng(0), field((10, 100, 250)), set()
    for _ in range(100):
        canvas = Canvas(image)
        colour.channel_shuffle(canvas, {"amount": 1.0}, rng)
        seen.add(tuple(canvas.settle()[0, 0].tolist()))
    assert len(seen) == 6
    assert {tuple(sorted(s)) for s in seen} == {(10, 100, 250)}


def test_gain_and_gamma_keep_black_black_and_the_order_of_values():
    ramp = np.repeat(np.arange(256, dtype=np.uint8)[None, :, None], 3, 2)
    for seed in range(20):
        canvas = Canvas(ramp)
        colour.gain_gamma(canvas, {"gain": 0.3, "gamma": 0.5}, np.random.default_rng(seed))
        out = canvas.settle()[0].astype(int)
        assert np.all(out[0] == 0)
        assert np.all(np.diff(out, axis=0) >= 0)
        assert np.all(out[-1] >= 255 * 0.69)


def test_a_stronger_stain_darkens_the_nucleus_and_leaves_clear_glass_clear():
    image = field((255, 255, 255), NUCLEUS, EOSIN)
    canvas = Canvas(image)
    colour.stain(canvas, {"amount": 0.3, "shift": 0.0}, Fixed())
    glass, nucleus, eosin = canvas.settle()[0, ::8].astype(int)
    assert np.all(glass == 255)
    assert np.all(nucleus < NUCLEUS)
    assert np.all(eosin < EOSIN)


def test_stain_jitter_scales_optical_density():
    canvas = Canvas(field(EOSIN))
    colour.stain(canvas, {"amount": 0.25, "shift": 0.0}, Fixed())
    density = -np.log((np.array(EOSIN) + 1) / 256)
    expected = 256 * np.exp(-1.25 * density) - 1
    np.testing.assert_allclose(canvas.settle()[0, 0], expected, atol=1)


def test_dyes_are_jittered_apart():
    rng, ratios = np.random.default_rng(0), []
    for _ in range(40):
        canvas = Canvas(field(NUCLEUS, EOSIN))
        colour.stain(canvas, {"amount": 0.3, "shift": 0.0}, rng)
        out = canvas.settle().astype(float)
        ratios.append((out[0, 0, 0] / NUCLEUS[0]) / (out[0, 8, 1] / EOSIN[1]))
    assert np.std(ratios) > 0.05


def test_boost_raises_only_the_largest_saturation():
    canvas = Canvas(middle())
    colour.saturation(canvas, {"amount": 0.5, "boost": 0.1}, Fixed())
    expected = Canvas(middle())
    colour.desaturate(expected, 1.6)
    np.testing.assert_array_equal(canvas.settle(), expected.settle())


@pytest.mark.parametrize("seed", range(4))
def test_a_tinted_grey_has_one_colour_at_every_brightness(seed):
    image, canvas = middle(), Canvas(middle())
    colour.tint(canvas, {"amount": 1.0, "tint": 0.2}, np.random.default_rng(seed))
    shares = canvas.settle() / (image @ LUMA)[..., None]
    assert np.all((shares > 0.79) & (shares < 1.21))
    # rounding to whole values moves a share by half a value
    assert np.ptp(shares, axis=(0, 1)).max() < 2 / 90
    assert np.ptp(shares[0, 0]) > 0.01
