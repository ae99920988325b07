"""CutMix and MixUp: pixels and labels of two cells in the same proportion."""

import numpy as np
import pytest

from bloodcell.augment import Policy, apply, step

FLAT = np.stack([np.full((40, 40, 3), 20 * i + 10, np.uint8) for i in range(12)])
# each image its own class, so that a label says which images are in it and how much of each
OWN = np.eye(12, dtype=np.float32)


def mixed(key: str, seed: int = 0, probability: float = 1.0, **parameters):
    policy = Policy("p", (step(key, probability, **parameters),))
    return apply(policy, FLAT, OWN, np.random.default_rng(seed))


@pytest.mark.parametrize("seed", range(10))
def test_mixup_shows_each_image_by_the_share_that_its_label_says(seed):
    images, labels = mixed("mixup", seed, alpha=1.0)
    expected = labels @ FLAT[:, 0, 0, 0].astype(float)
    np.testing.assert_allclose(images[:, 0, 0, 0], expected, atol=0.6)
    assert np.all(images == images[:, :1, :1, :1])


@pytest.mark.parametrize("seed", range(10))
def test_cutmix_covers_the_area_that_its_label_says(seed):
    images, labels = mixed("cutmix", seed, alpha=1.0)
    for image, label in zip(images, labels, strict=True):
        for i in range(len(FLAT)):
            assert (image[..., 0] == FLAT[i, 0, 0, 0]).mean() == pytest.approx(label[i], abs=1e-6)


@pytest.mark.parametrize("seed", range(10))
def test_what_cutmix_pastes_is_one_rectangle(seed):
    images, _ = mixed("cutmix", seed, alpha=1.0)
    for image, original in zip(images, FLAT, strict=True):
        pasted = np.any(image != original, 2)
        rows, columns = np.flatnonzero(pasted.any(1)), np.flatnonzero(pasted.any(0))
        assert pasted.sum() == len(rows) * len(columns)


@pytest.mark.parametrize("key", ["cutmix", "mixup"])
def test_partners_are_taken_as_they_were_before_the_step(key):
    _, labels = mixed(key, 1, alpha=1.0)
    assert np.all((labels > 0).sum(1) <= 2)


@pytest.mark.parametrize("key", ["cutmix", "mixup"])
def test_images_not_chosen_stay_as_they_are(key):
    images, labels = mixed(key, 3, probability=0.3, alpha=1.0)
    same = np.all(labels == OWN, 1)
    assert 0 < same.sum() < len(FLAT)
    np.testing.assert_array_equal(images[same], FLAT[same])


@pytest.mark.parametrize("key", ["cutmix", "mixup"])
def test_a_batch_of_one_has_no_partner_but_itself(key):
    policy = Policy("p", (step(key, alpha=1.0),))
    images, labels = apply(policy, FLAT[:1], OWN[:1], np.random.default_rng(0))
    np.testing.assert_array_equal(images, FLAT[:1])
    np.testing.assert_allclose(labels, OWN[:1], atol=1e-6)


def test_cutmix_after_mixup_keeps_the_sum_of_every_row():
    policy = Policy("p", (step("mixup", alpha=1.0), step("cutmix", alpha=1.0)))
    _, labels = apply(policy, FLAT, OWN, np.random.default_rng(0))
    np.testing.assert_allclose(labels.sum(1), 1, atol=1e-6)
    assert (labels > 0).sum(1).max() > 2


def test_labels_that_are_soft_already_keep_their_sum():
    soft = np.full((12, 8), 0.1, np.float32)
    soft[:, 0] = 0.3
    policy = Policy("p", (step("mixup"), step("cutmix")))
    _, labels = apply(policy, FLAT, soft, np.random.default_rng(0))
    np.testing.assert_allclose(labels, soft, atol=1e-6)
