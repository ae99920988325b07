"""Weights found on validation, what each member adds, and what later judgement needs."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from bloodcell.data.split import make_split
from bloodcell.data.store.dataset import open_dataset
from bloodcell.ensemble.compose import compose
from bloodcell.ensemble.description import Conformal
from bloodcell.ensemble.ensemble import open_ensemble
from bloodcell.ensemble.preview import preview
from bloodcell.evaluation.calibration import fit_conformal
from bloodcell.runs.run import Run, list_runs
from bloodcell.workspace import Workspace


def worse(workspace: Workspace) -> Run:
    """A second finished run whose network answers another class than it means."""
    (run,) = list_runs(workspace)
    path = run.path.with_name(f"{run.id}-b")
    shutil.copytree(run.path, path)
    other = Run(path)
    record = {**other.record(), "id": path.name}
    other.config_path.write_text(json.dumps(record))
    return other


def info_of(workspace: Workspace, runs: list[Run], name: str, **how) -> dict:
    path = compose(workspace, runs, name, **how)
    return json.loads((path / "ensemble.json").read_text())


def test_of_two_equal_members_one_is_enough(home: Path):
    workspace = Workspace(home)
    runs = [*list_runs(workspace), worse(workspace)]
    info = info_of(workspace, runs, "found", weights="found")
    assert [m["weight"] for m in info["members"]] == [1]
    assert info["weighting"] == "found on validation"
    assert len(info["left_out"]) == 1
    assert {*info["left_out"], info["members"][0]["run"]} == {r.id for r in runs}
    files = {p.name for p in (home / "ensembles" / "found" / "members").iterdir()}
    assert files == {"tiny.tflite", "tiny.features.npy", "tiny.basis.npy", "tiny.detector.npy"}
    assert open_ensemble(workspace, "found").predict(np.zeros((1, 48, 48, 3), np.uint8))


def test_a_member_of_weight_0_is_left_out(home: Path):
    workspace = Workspace(home)
    runs = [*list_runs(workspace), worse(workspace)]
    info = info_of(workspace, runs, "hand", weights=[0, 2])
    assert [(m["run"], m["weight"]) for m in info["members"]] == [(runs[1].id, 1)]


def test_what_each_member_adds_is_kept(home: Path):
    workspace = Workspace(home)
    info = info_of(workspace, [*list_runs(workspace), worse(workspace)], "both")
    on = info["measured"]["validation"]
    assert [w["accuracy"] for w in on["without"]] == [on["accuracy"]] * 2
    assert all((w["gained"], w["lost"]) == (0, 0) for w in on["without"])


def test_thresholds_for_every_coverage_are_those_of_the_validation_images(home: Path):
    workspace = Workspace(home)
    first, demo = open_ensemble(workspace, "first"), open_dataset(workspace, "demo")
    validation = make_split(demo).indices("validation")
    answers = first.predict(demo.images[validation])
    found = first.description.conformal.by_coverage()
    sets = first.description.conformal
    assert found[sets.coverage] == sets.threshold
    for aimed, threshold in found.items():
        wanted = fit_conformal(demo.labels[validation], answers.probabilities, aimed)
        assert threshold == pytest.approx(wanted, abs=1e-6)
    assert list(found) == sorted(found)


def test_an_ensemble_that_kept_one_threshold_has_that_one():
    assert Conformal(coverage=0.9, threshold=0.4).by_coverage() == {0.9: 0.4}


class TestThePreview:
    def test_is_what_the_runs_answered_on_validation(self, home: Path):
        workspace = Workspace(home)
        (run,) = list_runs(workspace)
        found = preview([run, worse(workspace)])
        demo = open_dataset(workspace, "demo")
        truth = demo.labels[make_split(demo).indices("validation")]
        assert sorted(found.labels) == sorted(truth)
        assert found.members.shape == (2, len(truth), 8)
        assert np.array_equal(found.members[0], found.members[1])
        accuracy = json.loads((home / "ensembles/first/ensemble.json").read_text())
        wanted = accuracy["members"][0]["validation_accuracy"]
        assert (found.members[0].argmax(1) == found.labels).mean() == pytest.approx(wanted)

    def test_without_common_images_there_is_none(self, home: Path):
        workspace = Workspace(home)
        (run,) = list_runs(workspace)
        other = worse(workspace)
        with np.load(other.predictions_path) as held:
            arrays = dict(held)
        arrays["validation_ids"] = np.array(["x"] * len(arrays["validation_ids"]))
        np.savez(other.predictions_path, **arrays)
        assert preview([run, other]) is None
        other.predictions_path.write_bytes(b"damaged")
        assert preview([run, other]) is None
