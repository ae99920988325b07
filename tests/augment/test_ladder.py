"""The strength ladder: one augmentation from nothing to the end of what a setting allows."""

import numpy as np
import pytest

from bloodcell.augment import CATALOGUE, extreme, ladder, step

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(60, 190, (3, 48, 48, 3), dtype=np.uint8)
LABELS = np.eye(8, dtype=np.float32)[[0, 3, 7]]
each = pytest.mark.parametrize("key", CATALOGUE)


@each
def test_begins_with_the_original_and_holds_the_setting_itself(key):
    setting = step(key)
    rungs = ladder(setting, IMAGES, LABELS)
    np.testing.assert_array_equal(rungs[0].images, IMAGES)
    np.testing.assert_array_equal(rungs[0].labels, LABELS)
    assert rungs[0].share == 0
    assert setting.parameters in [r.parameters for r in rungs]
    assert len({str(r.parameters) for r in rungs}) == len(rungs)


@pytest.mark.parametrize(
    "key", ["brightness", "contrast", "hue", "saturation", "stain", "resize", "defocus", "zoom"]
)
@pytest.mark.parametrize("direction", [1, -1])
def test_every_rung_changes_more_than_the_one_before(key, direction):
    smooth = np.linspace(70, 180, 48).astype(np.uint8)
    cell = np.stack([np.add.outer(smooth // 2, smooth[::k] // 2) for k in (1, -1)], 2)
    image = np.dstack([cell, cell[..., :1] // 2 + 90])[None]
    rungs = ladder(step(key), image, LABELS[:1], direction=direction)
    change = [np.abs(r.images.astype(float) - image).mean() for r in rungs]
    assert change == sorted(change)
    assert change[1] < change[-1]


def test_the_two_directions_are_the_two_ends():
    lighter, _ = extreme(step("brightness", amount=0.2), IMAGES, LABELS, direction=1)
    darker, _ = extreme(step("brightness", amount=0.2), IMAGES, LABELS, direction=-1)
    np.testing.assert_array_equal(lighter, IMAGES + 51)
    np.testing.assert_array_equal(darker, IMAGES - 51)


def test_a_one_sided_range_goes_to_its_far_end_whatever_the_direction():
    one, _ = extreme(step("resize", amount=0.7), IMAGES, LABELS, direction=1)
    two, _ = extreme(step("resize", amount=0.7), IMAGES, LABELS, direction=-1)
    np.testing.assert_array_equal(one, two)
    assert not np.array_equal(one, IMAGES)


def test_an_uneven_range_has_its_own_two_ends():
    setting = step("saturation", amount=0.5, boost=0.5)
    one, _ = extreme(setting, IMAGES, LABELS, direction=1)
    two, _ = extreme(setting, IMAGES, LABELS, direction=-1)
    spread = [np.ptp(o.astype(int), axis=3).mean() for o in (two, IMAGES, one)]
    assert spread[1] / spread[0] > 1.9
    assert spread[2] / spread[1] > 1.5


def test_towards_plus_one_a_flip_happens():
    made, _ = extreme(step("flip"), IMAGES, LABELS)
    np.testing.assert_array_equal(made, IMAGES[:, ::-1, ::-1])


def test_says_from_which_rung_on_a_setting_is_not_sensible():
    rungs = ladder(step("zoom", amount=0.12), IMAGES, LABELS)
    by_share = {r.share: r.sensible for r in rungs}
    assert by_share == {0: True, 0.5: True, 1: True, 1.5: False, 2: False}


def test_probability_does_not_matter():
    a, _ = extreme(step("hue", 0.0, angle=20), IMAGES, LABELS)
    assert not np.array_equal(a, IMAGES)


@pytest.mark.parametrize("key", ["cutmix", "mixup"])
def test_mixed_rungs_carry_mixed_labels(key):
    last = ladder(step(key, alpha=1.0), IMAGES, LABELS)[-1]
    assert (last.labels.max(1) < 0.999).any()
    np.testing.assert_allclose(last.labels.sum(1), 1, atol=1e-5)
