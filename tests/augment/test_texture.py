"""Texture: noise, blur, loss of resolution, compression, covered parts."""

import math

import numpy as np
import pytest

from bloodcell.augment import texture
from bloodcell.augment.canvas import Canvas

GREY = np.full((96, 96, 3), 128, np.uint8)


def sharp() -> np.ndarray:
    """A fine chequerboard."""
    board = (np.indices((96, 96)).sum(0) % 8 < 4)[..., None] * np.array([120, 90, 60])
    return (board + 80).astype(np.uint8)


def after(act, pixels: np.ndarray, seed: int = 0, **parameters) -> np.ndarray:
    canvas = Canvas(pixels)
    act(canvas, parameters, np.random.default_rng(seed))
    return canvas.settle()


@pytest.mark.parametrize("sigma", [2.0, 8.0, 25.0])
def test_noise_is_normal_with_the_standard_deviation_given(sigma):
    noise = after(texture.noise, GREY, sigma=sigma).astype(float) - 128
    n = noise.size
    assert abs(noise.mean()) < 5 * sigma / np.sqrt(n)
    # rounding to whole values adds a variance of 1/12
    assert noise.std() == pytest.approx(np.sqrt(sigma**2 + 1 / 12), rel=5 / np.sqrt(2 * n))
    within = math.erf((sigma + 0.5) / sigma / math.sqrt(2))
    assert (np.abs(noise) <= sigma).mean() == pytest.approx(within, abs=0.015)


def test_noise_is_independent_from_channel_to_channel_and_place_to_place():
    noise = after(texture.noise, GREY, sigma=10.0).astype(float) - 128
    channels = np.corrcoef(noise.reshape(-1, 3).T)
    assert np.abs(channels[np.triu_indices(3, 1)]).max() < 0.06
    assert abs(np.corrcoef(noise[:, :-1].ravel(), noise[:, 1:].ravel())[0, 1]) < 0.04


def test_noise_does_not_wrap_around_at_black_and_white():
    black, white = np.zeros_like(GREY), np.full_like(GREY, 255)
    assert after(texture.noise, black, sigma=10.0).max() < 80
    assert after(texture.noise, white, sigma=10.0).min() > 175


@pytest.mark.parametrize(
    ("act", "parameters"),
    [
        (texture.defocus, {"radius": 0.05}),
        (texture.resample, {"amount": 0.8, "blocks": 0.0}),
        (texture.jpeg, {"loss": 95}),
    ],
)
def test_detail_is_lost_and_the_mean_colour_kept(act, parameters):
    image = sharp()
    lost = []
    for seed in range(10):
        out = after(act, image, seed, **parameters)
        lost.append(np.abs(out.astype(int) - image).mean())
        np.testing.assert_allclose(out.mean((0, 1)), image.mean((0, 1)), atol=6)
    assert np.mean(lost) > 2


def test_a_larger_disc_blurs_more_and_evenly_in_all_directions():
    point = np.zeros((61, 61, 3), np.uint8)
    point[30, 30] = 255
    spreads = []
    for radius in (0.005, 0.02, 0.05, 0.1):
        blurred = after(texture.defocus, np.tile(point, (1, 1, 1)), 3, radius=radius)
        np.testing.assert_array_equal(blurred, blurred[::-1])
        np.testing.assert_array_equal(blurred, blurred.transpose(1, 0, 2))
        spreads.append(int((blurred[..., 0] > 0).sum()))
    assert spreads == sorted(spreads)
    assert spreads[0] < spreads[-1]


def test_jpeg_at_small_loss_is_nearly_the_image_in_the_right_colours():
    y, x = np.mgrid[:96, :96]
    smooth = np.stack([200 - x, 60 + y, 90 + (x + y) // 3], 2).astype(np.uint8)
    out = after(texture.jpeg, smooth, loss=10)
    assert np.abs(out.astype(int) - smooth).mean() < 3


def test_an_erased_rectangle_is_one_flat_colour_and_not_larger_than_asked():
    image = np.random.default_rng(0).integers(0, 256, (80, 100, 3), dtype=np.uint8)
    shares = []
    for seed in range(200):
        out = after(texture.erase, image, seed, area=0.25)
        changed = np.any(out != image, 2)
        shares.append(changed.mean())
        if changed.any():
            rows, columns = np.flatnonzero(changed.any(1)), np.flatnonzero(changed.any(0))
            covered = out[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
            np.testing.assert_array_equal(covered, np.rint(image.mean((0, 1))) + 0 * covered)
    assert max(shares) < 0.27
    assert np.mean(shares) == pytest.approx(0.125, abs=0.02)


def test_sharpen_runs_from_smoothed_to_sharper():
    def edge(factor: float) -> float:
        canvas = Canvas(sharp())
        texture.sharpen(canvas, factor)
        return float(np.abs(np.diff(canvas.settle().astype(int), axis=1)).mean())

    assert edge(0) < edge(0.5) < edge(1) < edge(1.5)


class Most:
    """A generator that always draws the upper end of its range."""

    def uniform(self, low: float, high: float) -> float:
        return high

    def random(self) -> float:
        return 0.999


def test_unsharp_masking_steepens_edges_and_leaves_flat_fields():
    def edge(amount: float) -> float:
        canvas = Canvas(sharp())
        texture.unsharp(canvas, {"amount": amount, "radius": 0.012}, Most())
        return float(np.abs(np.diff(canvas.settle().astype(int), axis=1)).mean())

    assert edge(0) < edge(0.5) < edge(2)
    canvas = Canvas(GREY)
    texture.unsharp(canvas, {"amount": 5.0, "radius": 0.05}, Most())
    np.testing.assert_array_equal(canvas.settle(), GREY)


def test_pixels_left_as_blocks_are_of_one_colour():
    canvas = Canvas(np.random.default_rng(0).integers(0, 256, (48, 48, 3), dtype=np.uint8))
    texture.resample(canvas, {"amount": 0.75, "blocks": 1.0}, Most())
    image = canvas.settle()
    blocks = image.reshape(12, 4, 12, 4, 3)
    assert (blocks == blocks[:, :1, :, :1]).all()
