"""What holds for every augmentation of the catalogue, and for every preset."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bloodcell.augment import (
    CATALOGUE,
    PRESETS,
    Augmentation,
    Policy,
    Step,
    apply,
    catalogue_json,
    step,
)
from bloodcell.classes import CLASS_NAMES

SIZES = st.integers(28, 224)
POLICIES = [Policy(key, (step(key),)) for key in CATALOGUE] + list(PRESETS.values())
each_policy = pytest.mark.parametrize("policy", POLICIES, ids=lambda p: p.name)
each_augmentation = pytest.mark.parametrize("augmentation", CATALOGUE.values(), ids=lambda a: a.key)


def batch(n: int, height: int, width: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    # smooth fields with detail on them: neither flat nor pure noise
    y, x = np.mgrid[:height, :width] / max(height, width)
    waves = np.sin(8 * x[..., None] + rng.uniform(0, 6, (n, 1, 1, 3))) * np.cos(7 * y[..., None])
    images = np.clip(128 + 90 * waves + rng.normal(0, 20, (n, height, width, 3)), 0, 255)
    return images.astype(np.uint8), np.eye(8, dtype=np.float32)[rng.integers(8, size=n)]


def mixes(policy: Policy) -> bool:
    return any(CATALOGUE[s.key].mixes_labels for s in policy.steps)


def draw_parameters(data: st.DataObject, augmentation: Augmentation) -> dict:
    kinds = {"float": st.floats, "int": st.integers, "switch": lambda low, high: st.booleans()}
    return {p.key: data.draw(kinds[p.kind](p.low, p.high), p.key) for p in augmentation.parameters}


@each_augmentation
@settings(max_examples=12, deadline=None)
@given(data=st.data())
def test_any_parameters_in_range_give_images_and_labels_of_the_same_kind(augmentation, data):
    n = data.draw(st.sampled_from([1, 3, 33]))
    # 33 images of 224 pixels in each of the examples would take minutes
    sides = SIZES if n < 33 else st.integers(28, 48)
    images, labels = batch(n, data.draw(sides), data.draw(sides))
    policy = Policy("p", (step(augmentation.key, **draw_parameters(data, augmentation)),))

    out, mixed = apply(policy, images, labels, np.random.default_rng(1))

    assert out.shape == images.shape
    assert out.dtype == np.uint8
    assert mixed.shape == labels.shape
    assert mixed.dtype == np.float32
    assert np.all(mixed >= 0)
    # NaN would be neither
    np.testing.assert_allclose(mixed.sum(1), 1, atol=1e-5)


@each_policy
@pytest.mark.parametrize("shape", [(28, 28), (224, 224), (28, 224), (101, 64)])
def test_works_at_any_size_from_28_to_224(policy, shape):
    images, labels = batch(2, *shape)
    out, mixed = apply(policy, images, labels, np.random.default_rng(2))
    assert out.shape == images.shape
    assert out.dtype == np.uint8
    np.testing.assert_allclose(mixed.sum(1), 1, atol=1e-5)


@each_policy
def test_labels_that_are_mixed_already_still_sum_to_one(policy):
    images, _ = batch(12, 40, 40)
    soft = np.random.default_rng(0).dirichlet(np.ones(8), 12).astype(np.float32)
    _, mixed = apply(policy, images, soft, np.random.default_rng(2))
    assert np.all(mixed >= 0)
    np.testing.assert_allclose(mixed.sum(1), 1, atol=1e-5)


@each_policy
@pytest.mark.parametrize("n", [1, 33])
@pytest.mark.parametrize("size", [28, 96])
def test_works_at_batch_1_and_33_and_leaves_its_inputs_alone(policy, n, size):
    images, labels = batch(n, size, size)
    images.setflags(write=False)
    labels.setflags(write=False)
    before = images.copy(), labels.copy()

    out, mixed = apply(policy, images, labels, np.random.default_rng(2))

    np.testing.assert_array_equal(images, before[0])
    np.testing.assert_array_equal(labels, before[1])
    assert not np.shares_memory(out, images)
    assert not np.shares_memory(mixed, labels)
    out[:] = 0
    mixed[:] = 0


@each_policy
def test_same_seed_same_images_and_another_seed_others(policy):
    images, labels = batch(16, 40, 40)
    first, again, other = (
        apply(policy, images, labels, np.random.default_rng(seed)) for seed in (5, 5, 6)
    )
    np.testing.assert_array_equal(first[0], again[0])
    np.testing.assert_array_equal(first[1], again[1])
    if policy.steps:
        assert not np.array_equal(first[0], other[0])


@each_policy
def test_only_mixing_steps_change_labels(policy):
    images, labels = batch(33, 32, 32)
    _, mixed = apply(policy, images, labels, np.random.default_rng(0))
    assert np.array_equal(mixed, labels) != mixes(policy)


@each_augmentation
def test_draws_differ_from_image_to_image(augmentation):
    one, label = batch(1, 48, 48)
    if augmentation.mixes_labels or augmentation.sees_labels:
        images, labels = batch(12, 48, 48)
    else:
        images, labels = np.repeat(one, 12, 0), np.repeat(label, 12, 0)
    policy = Policy("p", (step(augmentation.key),))
    out, _ = apply(policy, images, labels, np.random.default_rng(3))
    assert len({image.tobytes() for image in out}) > 1


@each_augmentation
@pytest.mark.parametrize("shape", [(28, 28), (57, 40), (96, 96)])
def test_zero_strength_is_the_identity_bit_for_bit(augmentation, shape):
    images, labels = batch(9, *shape)
    parameters = augmentation.scaled(augmentation.defaults(), 0)
    policy = Policy("p", (step(augmentation.key, **parameters),))
    out, mixed = apply(policy, images, labels, np.random.default_rng(4))
    np.testing.assert_array_equal(out, images)
    np.testing.assert_array_equal(mixed, labels)


@each_augmentation
def test_probability_zero_is_the_identity_bit_for_bit(augmentation):
    images, labels = batch(9, 31, 31)
    policy = Policy("p", (Step(augmentation.key, 0.0, augmentation.defaults()),))
    out, mixed = apply(policy, images, labels, np.random.default_rng(4))
    np.testing.assert_array_equal(out, images)
    np.testing.assert_array_equal(mixed, labels)


@each_augmentation
def test_defaults_change_something_but_leave_what_is_there_to_be_recognised(augmentation):
    images, labels = batch(24, 64, 64)
    policy = Policy("p", (step(augmentation.key),))
    out, _ = apply(policy, images, labels, np.random.default_rng(7))
    assert not np.array_equal(out, images)
    assert out.std(axis=(1, 2, 3)).min() > 5


@each_augmentation
def test_a_larger_share_of_the_strength_changes_more(augmentation):
    images, labels = batch(33, 64, 64)

    def change(share: float) -> float:
        parameters = augmentation.scaled(augmentation.defaults(), share)
        policy = Policy("p", (step(augmentation.key, **parameters),))
        out, _ = apply(policy, images, labels, np.random.default_rng(8))
        return np.abs(out.astype(float) - images).mean()

    assert change(0) == 0
    assert change(1) > change(0.2) * 0.9 >= 0


@each_augmentation
def test_declares_what_a_person_needs_to_choose_it(augmentation):
    assert augmentation.title
    assert augmentation.summary.endswith(".")
    assert "\n" not in augmentation.summary
    assert augmentation.source
    assert augmentation.group in {"geometry", "colour", "texture", "chains", "mixing"}
    if augmentation.cue:
        assert augmentation.cue.sentence.endswith(".")
        assert {augmentation.cue.changed, augmentation.cue.beside} <= set(CLASS_NAMES)
    assert any(p.strength for p in augmentation.parameters)
    for p in augmentation.parameters:
        assert p.low <= p.default <= p.high
        assert p.low <= p.sensible[0] <= p.sensible[1] <= p.high
        assert p.help.endswith(".")
        assert p.checked(p.default, "here") == p.default


def test_the_catalogue_as_json_holds_all_that_is_declared():
    listed = json.loads(json.dumps(catalogue_json(), allow_nan=False))
    assert [a["key"] for a in listed] == list(CATALOGUE)
    for entry, augmentation in zip(listed, CATALOGUE.values(), strict=True):
        assert (entry["title"], entry["source"]) == (augmentation.title, augmentation.source)
        written = {p["key"]: p["default"] for p in entry["parameters"]}
        assert augmentation.checked(written, "here") == augmentation.defaults()
        for p, declared in zip(entry["parameters"], augmentation.parameters, strict=True):
            assert (p["low"], p["high"], p["unit"]) == (declared.low, declared.high, declared.unit)


def test_the_catalogue_holds_what_the_forerunner_had_and_what_a_cell_lab_adds():
    assert set(CATALOGUE) == {
        *("flip", "quarter_turn", "rotation", "zoom", "translation", "crop", "resize"),
        *("brightness", "contrast", "hue", "saturation", "random_color_degeneration"),
        *("channel_shuffle", "gain_gamma", "stain", "tint", "gaussian_noise", "defocus", "jpeg"),
        *("stain_transfer", "sharpening", "small_platelets"),
        *("random_erasing", "randaugment", "augmix", "cutmix", "mixup"),
    }
