"""An evaluation is worked out once and then read from beside its dataset."""

from dataclasses import fields

import numpy as np
import pytest

from bloodcell.data.store.dataset import Dataset
from bloodcell.ensemble.ensemble import Ensemble
from bloodcell.errors import Stopped
from bloodcell.evaluation.evaluate import Evaluation, evaluate
from bloodcell.evaluation.stored import KEPT, evaluated, load_evaluation


def never(*_):
    raise Stopped("worked out again")


def same(a: Evaluation, b: Evaluation) -> bool:
    arrays = all(
        np.array_equal(getattr(a.answers, f.name), getattr(b.answers, f.name))
        for f in fields(a.answers)
        if f.name != "maps"
    )
    return arrays and a.to_json() == b.to_json() and a.members == b.members


def test_the_second_time_nothing_is_worked_out_and_all_is_the_same(first: Ensemble, own: Dataset):
    assert load_evaluation(first.description, own, "test") is None
    before = evaluated(first, own)
    after = evaluated(first, own, progress=never)
    assert same(before, after)
    assert same(before, evaluate(first, own))
    assert after.indices.tolist() == before.indices.tolist()


@pytest.mark.parametrize("how", [{"part": "validation"}, {"tta": True}])
def test_another_question_is_another_evaluation(first: Ensemble, own: Dataset, how: dict):
    evaluated(first, own)
    with pytest.raises(Stopped):
        evaluated(first, own, **how, progress=never)


def test_averaging_as_composed_is_the_same_as_asking_for_it(first: Ensemble, own: Dataset):
    evaluated(first, own)
    assert load_evaluation(first.description, own, "test", first.description.tta) is not None


def test_what_is_added_to_the_card_makes_nothing_stale(first: Ensemble, own: Dataset):
    evaluated(first, own)
    files = first.description.files | {"card.md": "0" * 64}
    assert load_evaluation(first.description.changed(files=files), own, "test") is not None


def test_a_decision_about_an_image_or_another_ensemble_makes_it_stale(first, own: Dataset):
    found = evaluated(first, own)
    assert load_evaluation(first.description.changed(temperature=1.5), own, "test") is None
    own.curation.exclude([int(found.indices[0])], "x")
    assert load_evaluation(first.description, own, "test") is None


def test_a_damaged_file_is_as_good_as_none(first: Ensemble, own: Dataset):
    found = evaluated(first, own)
    (file,) = (own.path / "evaluations").iterdir()
    whole = file.read_bytes()
    for content in (b"", whole[:100], whole[: len(whole) // 2], b"x" * 500):
        file.write_bytes(content)
        assert load_evaluation(first.description, own, "test") is None
    assert same(evaluated(first, own), found)


def test_a_dataset_that_can_only_be_read_is_evaluated_all_the_same(first, own, only_to_be_read):
    only_to_be_read(own.path)
    assert evaluated(first, own).judgement.n == 16
    assert load_evaluation(first.description, own, "test") is None


def test_only_so_many_are_kept(first: Ensemble, own: Dataset):
    folder = own.path / "evaluations"
    folder.mkdir()
    for i in range(KEPT + 3):
        (folder / f"{i:032x}.npz").write_bytes(b"old")
    evaluated(first, own)
    assert len(list(folder.glob("*.npz"))) == KEPT
    assert load_evaluation(first.description, own, "test") is not None


def test_maps_are_not_held(first: Ensemble, own: Dataset):
    assert evaluate(first, own).answers.maps == []
