"""Batches are a pure function of (seed, epoch, batch): the ground that resuming stands on."""

from pathlib import Path

import numpy as np
import pytest

from bloodcell.augment.policy import PRESETS, Policy, step
from bloodcell.data.pipeline import TrainingBatches, read_images
from bloodcell.data.split import balanced_weights
from bloodcell.data.store.dataset import Dataset, new_dataset, open_dataset
from bloodcell.workspace import Workspace

NOTHING = Policy("nothing", ())


@pytest.fixture(scope="module")
def demo(demo_home: Path) -> Dataset:
    return open_dataset(Workspace(demo_home), "demo")


def batches(dataset: Dataset, policy: Policy = NOTHING, **changes) -> TrainingBatches:
    given = {
        "dataset": dataset,
        "indices": np.arange(0, 150),
        "labels": dataset.labels,
        "weights": np.ones(len(dataset), np.float32),
        "policy": policy,
        "batch_size": 32,
        "size": 48,
        "seed": 3,
    }
    return TrainingBatches(**{**given, **changes})


def same(a, b) -> bool:
    return all(np.array_equal(x, y) for x, y in zip(a, b, strict=True))


@pytest.mark.parametrize("policy", sorted(PRESETS))
def test_a_batch_depends_on_seed_epoch_and_number_alone(demo: Dataset, policy: str):
    make = batches(demo, PRESETS[policy])
    forwards = [make.reader(1)(b) for b in range(len(make))]
    again = batches(demo, PRESETS[policy]).reader(1)
    for b in reversed(range(len(make))):
        assert same(again(b), forwards[b])


def test_seed_and_epoch_both_count(demo: Dataset):
    first = batches(demo).reader(1)(0)
    assert not same(first, batches(demo).reader(2)(0))
    assert not same(first, batches(demo, seed=4).reader(1)(0))


def test_the_augmentation_differs_from_epoch_to_epoch_also_of_one_order(demo: Dataset):
    one = batches(demo, PRESETS["gentle"], indices=np.array([5, 5]), batch_size=2)
    images = [one.reader(e)(0)[0] for e in range(1, 5)]
    assert len({i.tobytes() for i in images}) == 4


def test_an_epoch_shows_every_image_once(demo: Dataset):
    make = batches(demo)
    shown = np.concatenate([make.reader(1)(b)[0] for b in range(len(make))])
    assert len(shown) == 150
    wanted = sorted(image.tobytes() for image in demo.images[:150])
    assert sorted(image.tobytes() for image in shown) == wanted


def test_the_last_batch_is_what_is_left(demo: Dataset):
    make = batches(demo)
    assert len(make) == 5
    images, labels, weights = make.reader(1)(4)
    assert (images.shape, labels.shape, weights.shape) == ((22, 48, 48, 3), (22, 8), (22,))
    assert len(batches(demo, indices=np.arange(64))) == 2


def test_types_are_those_of_the_contract(demo: Dataset):
    images, labels, weights = batches(demo, PRESETS["bloodcellcnn"]).reader(1)(0)
    assert (images.dtype, labels.dtype, weights.dtype) == (np.uint8, np.float32, np.float32)
    np.testing.assert_allclose(labels.sum(1), 1, atol=1e-5)


def test_labels_are_those_of_the_images_after_curation(demo: Dataset):
    labels = demo.labels
    labels[:] = 7 - labels
    images, one_hot, _ = batches(demo, labels=labels).reader(1)(0)
    of_image = {image.tobytes(): label for image, label in zip(demo.images, labels, strict=True)}
    assert [of_image[i.tobytes()] for i in images] == one_hot.argmax(1).tolist()


@pytest.mark.parametrize("key", ["mixup", "cutmix"])
def test_a_mixed_sample_weighs_what_its_labels_weigh(demo: Dataset, key: str):
    weights = balanced_weights(np.array([0] * 50 + [1] * 10 + list(range(2, 8))))
    mixed = batches(demo, Policy("m", (step(key),)), weights=weights[demo.labels])
    _, labels, found = mixed.reader(1)(0)
    assert ((labels > 0).sum(1) == 2).any()
    by_hand = [
        sum(share * weights[k] for k, share in enumerate(row)) for row in labels.astype(float)
    ]
    np.testing.assert_allclose(found, by_hand, rtol=1e-5)


def test_the_tensorflow_side_gives_the_same_batches_in_order(demo: Dataset):
    make = batches(demo, PRESETS["gentle"])
    wanted = [make.reader(2)(b) for b in range(len(make))]
    for _ in range(3):
        found = [tuple(t.numpy() for t in batch) for batch in make.epoch(2)]
        assert len(found) == len(wanted)
        assert all(same(f, w) for f, w in zip(found, wanted, strict=True))


@pytest.mark.parametrize("start", [0, 1, 4, 5])
def test_an_epoch_can_begin_anywhere(demo: Dataset, start: int):
    make = batches(demo, PRESETS["gentle"])
    wanted = [make.reader(1)(b) for b in range(start, len(make))]
    found = [tuple(t.numpy() for t in batch) for batch in make.epoch(1, start)]
    assert len(found) == len(wanted) == 5 - start
    assert all(same(f, w) for f, w in zip(found, wanted, strict=True))


def test_shapes_are_known_before_the_first_batch(demo: Dataset):
    image, label, weight = batches(demo).epoch(1).element_spec
    assert image.shape.as_list() == [None, 48, 48, 3]
    assert label.shape.as_list() == [None, 8]
    assert weight.shape.as_list() == [None]


def test_images_are_read_in_the_order_asked_for(demo: Dataset):
    order = np.array([9, 0, 9, 150])
    np.testing.assert_array_equal(read_images(demo, order, 48), demo.images[order])


@pytest.mark.parametrize("size", [32, 64])
def test_another_size_is_resized_without_shifting_or_darkening(tmp_path: Path, size: int):
    ramp = np.linspace(0, 255, 48).astype(np.uint8)
    image = np.broadcast_to(ramp[None, :, None], (48, 48, 3))
    with new_dataset(Workspace(tmp_path), "d", (48, 48), "a test", "none") as writer:
        writer.add(image, 0, "ramp")
    (found,) = read_images(open_dataset(Workspace(tmp_path), "d"), np.array([0]), size)
    assert found.shape == (size, size, 3)
    assert found.dtype == np.uint8
    # The pixel centres of the wanted size, seen in the old one.
    at = (np.arange(size) + 0.5) * 48 / size - 0.5
    wanted = np.interp(at, np.arange(48), ramp)
    inner = slice(2, -2)
    np.testing.assert_allclose(found[0, inner, 0], wanted[inner], atol=3)
    assert abs(found.mean() - image.mean()) < 2


def test_half_of_the_strangers_are_those_that_a_person_named(demo: Dataset):
    named = np.array([151, 155])
    made = batches(demo, outlier_exposure=0.25, others=named)
    images, labels, weights = made.reader(1)(0)
    strangers = np.flatnonzero(labels.sum(1) == 0)
    assert strangers.tolist() == list(range(8))
    assert (weights[strangers] == 0).all()
    known = {demo.images[i].tobytes() for i in named}
    assert [images[i].tobytes() in known for i in strangers] == [True] * 4 + [False] * 4
    assert same(made.reader(1)(0), (images, labels, weights))
