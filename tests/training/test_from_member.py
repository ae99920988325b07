"""Start from a member of an ensemble: what was folded at export is unfolded."""

from pathlib import Path

import numpy as np
import pytest

from bloodcell.data.store.dataset import open_dataset
from bloodcell.ensemble.combinable import common_images
from bloodcell.errors import BadInput
from bloodcell.models.classifier import build_classifier
from bloodcell.models.litert import LiteModel
from bloodcell.runs.launch import prepare
from bloodcell.runs.recipe import command_of
from bloodcell.runs.run import list_runs
from bloodcell.training.config import make_config
from bloodcell.training.fit import _Training
from bloodcell.training.from_member import start_from_member
from bloodcell.workspace import Workspace


def test_a_network_answers_as_the_member_did_also_while_it_is_trained(trained_home: Path):
    workspace = Workspace(trained_home)
    (run,) = list_runs(workspace)
    content = run.read_litert()
    images = np.array(open_dataset(workspace, "demo").images[::4])
    member = LiteModel(content, "tiny")
    model = build_classifier("tiny", member.size, dropout=0.0)
    start_from_member(model, [content], "tiny", images)
    said = member(images).probabilities
    for training in (False, True):
        found = model(images.astype(np.float32), training=training).numpy()
        np.testing.assert_allclose(found, said, atol=5e-3)


def test_a_member_of_another_backbone_is_no_start(trained_home: Path):
    (run,) = list_runs(Workspace(trained_home))
    model = build_classifier("mobilenetv2", 32)
    with pytest.raises(BadInput, match="does not hold the weights of a mobilenetv2"):
        start_from_member(model, [run.read_litert()], "reference/tiny", np.zeros((1, 32, 32, 3)))


def test_what_the_member_saw_is_never_unseen_of_the_run(home: Path):
    workspace = Workspace(home)
    (run,) = list_runs(workspace)
    later = prepare(workspace, make_config("demo", backbone="tiny", weights="first/tiny"))
    assert later.record()["started_from"] == "first/tiny"
    assert "--weights first/tiny" in command_of(later)
    seen = np.load(workspace.ensembles / "first" / "seen.npy")
    assert len(seen)
    assert np.array_equal(later.seen(), seen)
    dataset = open_dataset(workspace, "demo")
    assert set(seen.astype(str)) <= set(common_images(dataset, [later])[2])
    with pytest.raises(BadInput, match="no member 'mobilenetv2': it has tiny"):
        prepare(workspace, make_config("demo", backbone="tiny", weights="first/mobilenetv2"))
    with pytest.raises(BadInput, match="give the run's id, or the member"):
        prepare(workspace, make_config("demo", backbone="tiny", weights=str(run.litert_path)))


def test_a_run_starts_from_the_mean_of_a_member_and_a_run(home: Path):
    """Weights between those of before and after a fine-tuning (Wortsman et al., WiSE-FT, 2022)."""
    workspace = Workspace(home)
    (run,) = list_runs(workspace)
    both = f"first/tiny+{run.id}"
    config = make_config("demo", backbone="tiny", weights=both, input_size=48)
    later = prepare(workspace, config)
    assert later.record()["started_from"] == both
    assert f"--weights {both}" in command_of(later)
    assert set(np.load(workspace.ensembles / "first" / "seen.npy")) <= set(later.seen())
    dataset = open_dataset(workspace, "demo")
    config = later.config()
    training = _Training(
        config, later.policy(), dataset, config.split_rule.split(dataset), later.path / "none"
    )
    # The member is that run's export, so their mean answers as it did.
    images = np.array(dataset.images[:32])
    said = LiteModel(run.read_litert(), "tiny")(images).probabilities
    found = training.model(images.astype(np.float32), training=False).numpy()
    assert (found.argmax(1) == said.argmax(1)).mean() > 0.9
