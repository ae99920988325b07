"""Several configs from one."""

import pytest

from bloodcell.data.split import make_split
from bloodcell.data.store.dataset import open_dataset
from bloodcell.errors import BadInput
from bloodcell.runs.labels import read_labels
from bloodcell.runs.lifecycle import prepare_all
from bloodcell.runs.run import list_runs
from bloodcell.runs.sweep import MEMBERS, k_folds, members, seeds
from bloodcell.training.config import make_config
from bloodcell.workspace import Workspace

CONFIG = make_config("demo", backbone="tiny", input_size=48, epochs=2, seed=7)


def test_members_differ_in_the_backbone_and_nothing_else():
    config = make_config("demo", epochs=5)
    made = members(config)
    assert [c.backbone for c in made] == list(MEMBERS)
    assert {c.weights for c in made} == {"imagenet"}
    alike = [{**c.to_json(), "backbone": ""} for c in made]
    assert alike[0] == alike[1] == alike[2]


def test_a_file_of_weights_is_for_its_own_backbone():
    config = make_config("demo", backbone="resnet50", weights="resnet.h5")
    made = members(config, weights={"mobilenetv2": "mobile.h5"})
    assert {c.backbone: c.weights for c in made} == {
        "mobilenetv2": "mobile.h5", "resnet50": "resnet.h5", "efficientnetb3": "imagenet",
    }  # fmt: skip


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
