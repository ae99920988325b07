"""Mean images and colours of the classes, against NumPy over all pixels at once."""

from pathlib import Path

import numpy as np
import pytest

from bloodcell.data.store.dataset import Dataset, new_dataset, open_dataset
from bloodcell.data.store.pixels import ClassPixels, class_pixels
from bloodcell.errors import Stopped
from bloodcell.workspace import Workspace
from tests.data.samples import pixels


@pytest.fixture
def dataset(demo_copy: Path) -> Dataset:
    return open_dataset(Workspace(demo_copy), "demo")


def check(found: ClassPixels, dataset: Dataset) -> None:
    labels, kept = dataset.labels, dataset.kept
    mean, deviation = found.moments()
    for label in range(8):
        images = np.asarray(dataset.images[(labels == label) & kept], np.float64)
        assert found.n[label] == len(images)
        if not len(images):
            assert np.isnan(mean[label]).all()
            continue
        assert np.abs(found.mean_image(label) - images.mean(axis=0)).max() <= 0.5
        assert mean[label] == pytest.approx(images.mean(axis=(0, 1, 2)))
        assert deviation[label] == pytest.approx(images.std(axis=(0, 1, 2)))
        middle = np.median(images.reshape(-1, 3), axis=0)
        assert np.abs(found.percentiles((0.5,))[label, :, 0] - middle).max() <= 1


def test_are_those_of_the_images_in_use(dataset: Dataset):
    check(class_pixels(dataset), dataset)


def test_decisions_count_without_another_pass(dataset: Dataset):
    class_pixels(dataset)
    dataset.curation.exclude([0, 9, *np.flatnonzero(dataset.labels == 7)], "a test")
    dataset.curation.relabel([2, 10], 4, "a test")

    def passed(done: int, total: int, what: str) -> None:
        pytest.fail("the pixels were gone through again")

    check(class_pixels(dataset, passed), dataset)


def test_a_damaged_cache_is_made_anew(dataset: Dataset):
    class_pixels(dataset)
    (path,) = (dataset.path / "audit").glob("pixels-*.npz")
    path.write_bytes(path.read_bytes()[:200])
    check(class_pixels(dataset), dataset)


def test_large_images_are_thinned_out(tmp_path: Path):
    with new_dataset(Workspace(tmp_path), "large", (300, 300), "a test", "none") as writer:
        for i in range(4):
            writer.add(pixels(i, 300), i % 2, f"{i}.png")
    found = class_pixels(open_dataset(Workspace(tmp_path), "large"))
    assert found.mean_image(0).shape == (100, 100, 3)
    assert found.moments()[0][0] == pytest.approx([127.5] * 3, abs=2)


def test_a_stop_leaves_nothing_behind(dataset: Dataset):
    def stop(done: int, total: int, what: str) -> None:
        raise Stopped("enough")

    with pytest.raises(Stopped):
        class_pixels(dataset, stop)
    assert not list(dataset.path.glob("audit/*"))
