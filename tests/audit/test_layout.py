"""Alike images lie close together, and an image unlike the others is alone."""

from pathlib import Path

import numpy as np
import pytest
from sklearn.neighbors import KNeighborsClassifier

from bloodcell.audit.features import Features, image_statistics
from bloodcell.audit.layout import lay_out
from bloodcell.data.store.dataset import Dataset, open_dataset
from bloodcell.errors import Stopped
from bloodcell.workspace import Workspace


@pytest.fixture
def dataset(demo_copy: Path) -> Dataset:
    return open_dataset(Workspace(demo_copy), "demo")


def grouped(dataset: Dataset) -> Features:
    """Features in which each class is a group of its own and image 3 is far from all."""
    rng = np.random.default_rng(0)
    values = 6 * np.eye(8)[dataset.labels] @ rng.normal(size=(8, 16)) + rng.normal(size=(160, 16))
    values[3] = -40
    return Features(values.astype(np.float16), "groups")


def test_groups_stay_together_and_what_is_alone_is_unusual(dataset: Dataset):
    found = lay_out(dataset, grouped(dataset))
    assert found.points.shape == (160, 2)
    assert np.isfinite(found.points).all()
    others = np.arange(160) != 3
    points, labels = found.points[others], dataset.labels[others]
    assert KNeighborsClassifier(5).fit(points, labels).score(points, labels) > 0.95
    assert int(found.novelty.argmax()) == 3
    assert np.median(found.novelty) == pytest.approx(1)


def test_images_beyond_the_sample_lie_among_those_like_them(
    dataset: Dataset, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("bloodcell.audit.layout.SAMPLE", 80)
    found = lay_out(dataset, grouped(dataset))
    assert len(found.sample) == 80
    rest = np.setdiff1d(np.arange(160), [*found.sample, 3])
    known = KNeighborsClassifier(5).fit(found.points[found.sample], dataset.labels[found.sample])
    assert known.score(found.points[rest], dataset.labels[rest]) > 0.95


def test_is_made_once_for_the_same_features(dataset: Dataset):
    features, _ = image_statistics(dataset)
    first = lay_out(dataset, features)

    def work(done: int, total: int, what: str) -> None:
        pytest.fail("it was made again")

    again = lay_out(dataset, features, work)
    assert (again.points == first.points).all()
    assert (again.novelty == first.novelty).all()


def test_other_features_are_another_layout(dataset: Dataset):
    features, _ = image_statistics(dataset)
    first, second = lay_out(dataset, features), lay_out(dataset, grouped(dataset))
    assert first.source != second.source
    assert (first.points != second.points).any()


def test_a_stop_leaves_nothing_behind(dataset: Dataset):
    def stop(done: int, total: int, what: str) -> None:
        if what == "stages of the map" and done == 1:
            raise Stopped("enough")

    with pytest.raises(Stopped):
        lay_out(dataset, grouped(dataset), stop)
    assert not list(dataset.path.glob("audit/*"))


def test_a_handful_of_images_is_laid_out_too(tmp_path: Path):
    from bloodcell.data.synthetic.demo import make_demo

    few = make_demo(Workspace(tmp_path), "few", per_class=1, size=32)
    features, _ = image_statistics(few)
    found = lay_out(few, features)
    assert np.isfinite(found.points).all()
    assert len(found.points) == 8
