"""Several configs from one."""

import pytest

from bloodcell.data.split import make_split
from bloodcell.data.store.dataset import open_dataset
from bloodcell.errors import BadInput
from bloodcell.runs.labels import read_labels
from bloodcell.runs.lifecycle import prepare_all
from bloodcell.runs.run import list_runs
from bloodcell.runs.sweep import MEMBERS, k_folds, leave_one_out, members, seeds
from bloodcell.training.config import PRESETS, make_config
from bloodcell.workspace import Workspace

CONFIG = make_config("demo", backbone="tiny", input_size=48, epochs=2, seed=7)


@pytest.fixture
def with_bfloat16(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("bloodcell.training.config.has_bfloat16", lambda: True)


@pytest.mark.parametrize("backbone", [None, "tiny", "resnet50"])
def test_every_member_has_the_preset_of_its_own_network(with_bfloat16, backbone: str | None):
    made = members("demo", "fast", backbone=backbone, epochs=5)
    assert made == [make_config("demo", backbone=b, epochs=5) for b in MEMBERS]
    assert [c.precision for c in made] == ["float32", "bfloat16", "float32"]


def test_what_is_given_is_the_same_for_all(with_bfloat16):
    given = {"precision": "float32", "batch_size": 16, "weights": "none", "learning_rate": None}
    made = members("demo", "bloodcellcnn", **given)
    assert {(c.precision, c.batch_size, c.weights) for c in made} == {("float32", 16, "none")}
    assert {c.learning_rate for c in made} == {PRESETS["bloodcellcnn"]["learning_rate"]}


def test_a_file_of_weights_is_for_its_own_backbone():
    weights = {"mobilenetv2": "mobile.h5"}
    made = members("demo", weights=weights, backbone="resnet50")
    assert [c.weights for c in made] == ["mobile.h5", "imagenet", "imagenet"]
    made = members("demo", backbone="resnet50", weights="resnet.h5")
    assert [c.weights for c in made] == ["imagenet", "resnet.h5", "imagenet"]
    with pytest.raises(BadInput, match="tiny, which is none of the members"):
        members("demo", backbone="tiny", weights="tiny.h5")


def test_folds_share_their_test_part_and_divide_the_rest(workspace: Workspace):
    demo = open_dataset(workspace, "demo")
    made = k_folds(CONFIG, 4)
    splits = [make_split(demo, c.split_seed, c.split_shares, c.split_fold) for c in made]
    tests = [set(s.indices("test")) for s in splits]
    assert all(t == tests[0] for t in tests)
    validations = [set(s.indices("validation")) for s in splits]
    assert sum(len(v) for v in validations) == len(set.union(*validations))
    assert set.union(*validations) | tests[0] == set(range(len(demo)))


def test_seeds_share_their_split():
    made = seeds(CONFIG, 3)
    assert [c.seed for c in made] == [7, 8, 9]
    assert {c.split_seed for c in made} == {0}


@pytest.mark.parametrize("make", [lambda: k_folds(CONFIG, 1), lambda: seeds(CONFIG, 0),
                                  lambda: k_folds(CONFIG, 21)])  # fmt: skip
def test_a_number_that_makes_no_sense_is_refused(make):
    with pytest.raises(BadInput):
        make()


def test_all_runs_are_made_with_their_tag_or_none(workspace: Workspace):
    made = prepare_all(workspace, seeds(CONFIG, 2), tags=("chance",))
    assert [read_labels(run).tags for run in made] == [("chance",)] * 2
    wrong = [*seeds(CONFIG, 2), make_config("demo", weights="absent.h5")]
    with pytest.raises(BadInput, match=r"absent\.h5"):
        prepare_all(workspace, wrong)
    assert len(list_runs(workspace)) == 2


def test_each_laboratory_is_left_out_once():
    made = leave_one_out(CONFIG, "laboratory", ["south", "north"])
    assert [c.split_hold_out for c in made] == ["laboratory=north", "laboratory=south"]
    with pytest.raises(BadInput, match="at least two that are named, there is north"):
        leave_one_out(CONFIG, "laboratory", ["north"])
