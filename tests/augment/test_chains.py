"""RandAugment and AugMix: random operations, drawn anew for each image."""

import numpy as np
import pytest

from bloodcell.augment import chains
from bloodcell.augment.canvas import Canvas


def picture() -> np.ndarray:
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:64, :64]
    base = np.stack([200 - x, 120 + y, 90 + x], 2).astype(float)
    return np.clip(base + rng.normal(0, 12, base.shape), 20, 230).astype(np.uint8)


@pytest.mark.parametrize("index", range(len(chains.RANDAUGMENT_OPERATIONS)))
def test_each_operation_does_nothing_at_magnitude_zero_and_something_at_one(index):
    operation = chains.RANDAUGMENT_OPERATIONS[index]
    outs = []
    for magnitude in (0.0, 0.8, -0.8):
        canvas = Canvas(picture())
        operation(canvas, magnitude)
        outs.append(canvas.settle())
    np.testing.assert_array_equal(outs[0], picture())
    assert not np.array_equal(outs[1], picture())
    assert not np.array_equal(outs[2], picture())


@pytest.mark.parametrize("colour", [(0, 0, 0), (255, 255, 255), (140, 60, 90)])
@pytest.mark.parametrize("index", range(len(chains.RANDAUGMENT_OPERATIONS)))
def test_an_image_of_one_colour_breaks_no_operation(index, colour):
    canvas = Canvas(np.full((28, 28, 3), colour, np.uint8))
    chains.RANDAUGMENT_OPERATIONS[index](canvas, 0.7)
    out = canvas.settle()
    assert np.all(out == out[0, 0])


def run_operation(index: int, magnitude: float) -> np.ndarray:
    canvas = Canvas(picture())
    chains._CURVES[index](canvas, magnitude)
    return canvas.settle()


def test_autocontrast_stretches_each_channel_to_the_full_range():
    out = run_operation(0, 1.0)
    assert out.min((0, 1)).tolist() == [0, 0, 0]
    assert out.max((0, 1)).tolist() == [255, 255, 255]


def test_equalise_flattens_the_histogram():
    out = run_operation(1, 1.0)
    shares = np.histogram(out[..., 0], bins=8, range=(0, 256))[0] / out[..., 0].size
    np.testing.assert_allclose(shares, 1 / 8, atol=0.03)


def test_posterise_leaves_few_values_and_solarise_blends_in_the_bright_ones_inverted():
    assert set(np.unique(run_operation(2, 1.0)).tolist()) <= set(range(0, 256, 16))
    image, out = picture(), run_operation(3, 0.5)
    half = np.where(image >= 128, 127.5, image)
    np.testing.assert_allclose(out, half, atol=0.5)


def test_randaugment_draws_other_operations_for_each_image():
    rng, seen = np.random.default_rng(0), set()
    for _ in range(60):
        canvas = Canvas(picture())
        chains.randaugment(canvas, {"operations": 1, "magnitude": 0.5}, rng)
        seen.add(canvas.settle().tobytes())
    # 13 operations of two signs each, of which the four curves take no sign
    assert 15 < len(seen) <= 22


def test_no_operation_at_all_leaves_the_image():
    canvas = Canvas(picture())
    chains.randaugment(canvas, {"operations": 0, "magnitude": 1.0}, np.random.default_rng(0))
    np.testing.assert_array_equal(canvas.settle(), picture())


def test_augmix_stays_nearer_to_the_image_than_its_chains_do():
    image, mixed, chained = picture(), [], []
    for seed in range(30):
        canvas = Canvas(image)
        chains.augmix(canvas, {"severity": 0.6}, np.random.default_rng(seed))
        mixed.append(np.abs(canvas.settle().astype(int) - image).mean())
        canvas = Canvas(image)
        rng = np.random.default_rng(seed)
        for index in rng.integers(len(chains.AUGMIX_OPERATIONS), size=2):
            chains.AUGMIX_OPERATIONS[index](canvas, rng.uniform(-0.6, 0.6))
        chained.append(np.abs(canvas.settle().astype(int) - image).mean())
    assert 0 < np.mean(mixed) < 0.7 * np.mean(chained)


def test_augmix_of_a_grey_field_that_no_operation_changes_is_that_field():
    # a mixture whose weights did not sum to one would darken or brighten it
    field = np.full((32, 32, 3), 64, np.uint8)
    for seed in range(20):
        canvas = Canvas(field)
        chains.augmix(canvas, {"severity": 0.1}, np.random.default_rng(seed))
        assert np.abs(canvas.settle().astype(int) - 64).max() <= 1
