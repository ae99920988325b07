"""Eleven corruptions at five strengths: stopped, gone on with, and added up."""

import json

import numpy as np
import pytest

from bloodcell.data.pipeline import read_images
from bloodcell.data.store.dataset import Dataset
from bloodcell.ensemble.ensemble import Ensemble
from bloodcell.errors import BadInput, Stopped
from bloodcell.evaluation.corruptions import corrupt
from bloodcell.evaluation.evaluate import evaluate
from bloodcell.evaluation.intervals import wilson
from bloodcell.evaluation.stress import (
    CONDITIONS,
    Stressed,
    Study,
    load_study,
    spread_over,
    study,
)


@pytest.fixture(scope="module")
def whole(first: Ensemble, demo_home, tmp_path_factory) -> Study:
    import shutil

    from bloodcell.data.store.dataset import open_dataset
    from bloodcell.workspace import Workspace

    folder = tmp_path_factory.mktemp("stress") / "demo"
    shutil.copytree(demo_home / "datasets" / "demo", folder)
    return study(first, open_dataset(Workspace(folder.parent), str(folder)))


def test_there_are_56_conditions_with_the_clean_one(whole: Study):
    assert len(CONDITIONS) == 56
    assert whole.complete
    assert [(d.corruption, d.strength) for d in whole.done] == list(CONDITIONS)


def test_the_clean_condition_is_the_evaluation(whole: Study, first: Ensemble, own: Dataset):
    found = evaluate(first, own)
    assert whole.labels.tolist() == found.labels.tolist()
    assert whole.done[0].right[0].tolist() == (found.answers.labels == found.labels).tolist()
    assert whole.done[0].recognised == found.answers.recognised.sum()
    row = whole.table().iloc[0]
    assert row["accuracy"] == found.judgement.accuracy
    assert row["macro_recall"] == pytest.approx(found.judgement.macro_recall)


def test_a_condition_is_the_answers_for_the_corrupted_images(whole, first, own):
    images = read_images(own, evaluate(first, own).indices, first.size)
    answers = first.predict(corrupt(images, "saturate", 4))
    place = CONDITIONS.index(("saturate", 4))
    assert whole.done[place].right[0].tolist() == (answers.labels == whole.labels).tolist()
    votes = answers.members[0].argmax(1) == whole.labels
    assert whole.done[place].right[1].tolist() == votes.tolist()


def test_a_study_that_is_stopped_goes_on_where_it_was(first, own: Dataset, whole: Study):
    reports = []

    def stop_later(done: int, total: int, what: str) -> None:
        reports.append((done, total))
        if done > total * 0.4:
            raise Stopped("enough")

    with pytest.raises(Stopped):
        study(first, own, progress=stop_later)
    half = load_study(first.description, own)
    assert not half.complete
    assert len(half.done) == int(56 * 0.4)
    again = []
    found = study(first, own, progress=lambda *report: again.append(report[:2]))
    assert again[0][0] > len(half.done) * whole.n
    assert again[-1] == (56 * whole.n, 56 * whole.n)
    assert found.to_json() == whole.to_json()
    assert load_study(first.description, own).to_json() == whole.to_json()
    study(first, own, progress=lambda *_: pytest.fail("it was done already"))


def test_a_study_of_other_images_is_another_one(first, own: Dataset):
    def once(done: int, total: int, what: str) -> None:
        if done == 16:
            raise Stopped("enough")

    with pytest.raises(Stopped):
        study(first, own, images=8, progress=once)
    assert load_study(first.description, own, images=8).n == 8
    assert load_study(first.description, own) is None
    file = next((own.path / "evaluations").glob("*.stress.json"))
    file.write_text(file.read_text()[:40])
    assert load_study(first.description, own, images=8) is None


def test_the_document_is_json_and_has_every_network(whole: Study):
    found = whole.to_json()
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert set(found["mean"]) == {"first", "tiny"}
    assert len(found["conditions"]) == 56 * 2


def test_the_mean_counts_images_and_not_pictures_of_them():
    labels = np.arange(100) % 8
    # Each image is right under all conditions or under none: 55 times the same evidence.
    right = np.tile(np.arange(100) < 80, (1, 1))
    done = tuple(Stressed(name, s, right, 100) for name, s in CONDITIONS)
    value, pair = Study("e", "d", "test", ("e",), labels, done).mean()
    assert value == pytest.approx(0.8)
    assert pair == pytest.approx(wilson(80, 100), abs=0.002)


def test_without_a_corruption_there_is_no_mean():
    only = Study("e", "d", "test", ("e",), np.zeros(3, int), ())
    with pytest.raises(BadInput, match="No corruption is done yet"):
        only.mean()


def test_some_images_are_spread_over_the_classes():
    labels = np.repeat(np.arange(8), [5, 50, 5, 5, 5, 5, 5, 20])
    places = spread_over(labels, 20)
    assert len(set(places)) == 20
    assert np.bincount(labels[places]).min() >= 1
    assert spread_over(labels, 0).tolist() == list(range(100))
    assert spread_over(labels, 1000).tolist() == list(range(100))


def test_a_number_below_0_is_refused(first, own: Dataset):
    with pytest.raises(BadInput, match="number of images is -1"):
        study(first, own, images=-1)
