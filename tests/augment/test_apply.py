"""Carrying a policy out: input kinds, order, probability, threads."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from bloodcell.augment import PRESETS, Policy, apply, step

IMAGES = np.random.default_rng(0).integers(0, 256, (24, 36, 36, 3), dtype=np.uint8)
LABELS = np.eye(8, dtype=np.float32)[np.arange(24) % 8]


def test_a_probability_is_the_share_of_images_that_are_changed():
    images = np.repeat(IMAGES[:1], 1000, 0)
    labels = np.repeat(LABELS[:1], 1000, 0)
    policy = Policy("p", (step("gaussian_noise", 0.3, sigma=20),))
    out, _ = apply(policy, images, labels, np.random.default_rng(0))
    changed = np.any(out != images, axis=(1, 2, 3)).mean()
    # 4 standard deviations of a binomial of 1000 and 0.3
    assert changed == pytest.approx(0.3, abs=0.058)


def test_steps_are_carried_out_in_their_order():
    noise, grey = step("gaussian_noise", sigma=30), step("random_color_degeneration", amount=1)

    def colourfulness(*steps):
        out, _ = apply(Policy("p", steps), IMAGES, LABELS, np.random.default_rng(0))
        return np.ptp(out.astype(int), axis=3).mean()

    assert colourfulness(grey, noise) > colourfulness(noise, grey)


def test_batches_in_several_threads_give_what_they_give_one_by_one():
    def work(seed):
        return apply(PRESETS["bloodcellcnn"], IMAGES, LABELS, np.random.default_rng(seed))

    alone = [work(seed) for seed in range(12)]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(work, range(12)))
    for (images, labels), (others, other_labels) in zip(alone, together, strict=True):
        np.testing.assert_array_equal(images, others)
        np.testing.assert_array_equal(labels, other_labels)


def test_the_generator_goes_on_from_batch_to_batch():
    rng = np.random.default_rng(0)
    first, _ = apply(PRESETS["gentle"], IMAGES, LABELS, rng)
    second, _ = apply(PRESETS["gentle"], IMAGES, LABELS, rng)
    assert not np.array_equal(first, second)


def test_numpys_global_generator_is_neither_read_nor_moved():
    np.random.seed(1)
    before = np.random.get_state()[1].copy()
    first, _ = apply(PRESETS["strong"], IMAGES, LABELS, np.random.default_rng(0))
    np.testing.assert_array_equal(np.random.get_state()[1], before)
    np.random.seed(2)
    again, _ = apply(PRESETS["strong"], IMAGES, LABELS, np.random.default_rng(0))
    np.testing.assert_array_equal(first, again)


def test_images_may_be_memory_mapped_or_strided(tmp_path):
    np.save(tmp_path / "images.npy", IMAGES)
    mapped = np.load(tmp_path / "images.npy", mmap_mode="r")
    expected, _ = apply(PRESETS["bloodcellcnn"], IMAGES, LABELS, np.random.default_rng(0))
    for same in (mapped, np.asfortranarray(IMAGES), IMAGES[..., ::-1].copy()[..., ::-1]):
        out, _ = apply(PRESETS["bloodcellcnn"], same, LABELS, np.random.default_rng(0))
        np.testing.assert_array_equal(out, expected)


def test_an_empty_batch_stays_empty():
    out, labels = apply(PRESETS["bloodcellcnn"], IMAGES[:0], LABELS[:0], np.random.default_rng(0))
    assert out.shape == (0, 36, 36, 3)
    assert labels.shape == (0, 8)


@pytest.mark.parametrize(
    ("images", "labels"),
    [
        (IMAGES.astype(np.float32), LABELS),
        (IMAGES[..., :1], LABELS),
        (IMAGES[0], LABELS),
        (IMAGES, LABELS[:3]),
        (IMAGES, np.arange(24)),
    ],
)
def test_arrays_of_another_kind_are_refused(images, labels):
    with pytest.raises(ValueError, match="expected"):
        apply(PRESETS["none"], images, labels, np.random.default_rng(0))
