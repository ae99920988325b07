"""Copies, longer runs, the trash and the zip."""

import io
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest

from bloodcell.data.store.dataset import open_dataset
from bloodcell.errors import BadInput, NameTaken, NotFound
from bloodcell.runs.execute import execute
from bloodcell.runs.export import export_run, write_run_zip
from bloodcell.runs.labels import read_labels, write_labels
from bloodcell.runs.launch import prepare
from bloodcell.runs.lifecycle import duplicate, extend
from bloodcell.runs.lock import hold
from bloodcell.runs.queue import enqueue
from bloodcell.runs.run import Run, list_runs, open_run
from bloodcell.training.config import make_config
from bloodcell.trash import delete, restore
from bloodcell.workspace import Workspace


@pytest.fixture
def finished(home: Path) -> Run:
    (run,) = list_runs(Workspace(home))
    return run


class TestDuplicate:
    def test_it_is_the_same_but_for_the_changes(self, finished: Run, home: Path):
        copy = duplicate(Workspace(home), finished, seed=5, epochs=3)
        same = {"seed": 5, "epochs": 3}
        assert copy.config().to_json() == {**finished.config().to_json(), **same}
        assert copy.record()["duplicate_of"] == finished.id
        assert (copy.status()["state"], copy.metrics()) == ("queued", [])

    def test_its_policy_is_the_one_used_then_whatever_bears_the_name_now(
        self, finished: Run, home: Path
    ):
        record = json.loads(finished.config_path.read_text())
        record["policy"]["steps"] = record["policy"]["steps"][:1]
        finished.config_path.write_text(json.dumps(record))
        assert duplicate(Workspace(home), finished).record()["policy"] == record["policy"]
        named = duplicate(Workspace(home), finished, policy="gentle").record()["policy"]
        assert named != record["policy"]

    def test_one_that_started_from_another_starts_from_it_too(self, finished: Run, home: Path):
        workspace = Workspace(home)
        config = finished.config().to_json() | {"weights": finished.id}
        second = prepare(workspace, type(finished.config()).from_json(config))
        third = duplicate(workspace, second, seed=1)
        assert third.record()["started_from"] == finished.id
        assert third.config().weights == second.config().weights

    def test_a_value_that_does_not_exist_is_named(self, finished: Run, home: Path):
        with pytest.raises(BadInput, match="no speed"):
            duplicate(Workspace(home), finished, speed=3)
        assert len(list_runs(Workspace(home))) == 1


class TestExtend:
    def test_a_finished_run_goes_on_from_its_last_state(self, finished: Run, home: Path):
        workspace = Workspace(home)
        before = finished.metrics()
        assert extend(workspace, finished, 3).epochs == 3
        assert finished.status()["state"] == "stopped"
        enqueue(workspace, [finished])
        assert execute(workspace, finished, echo=False) == "finished"
        after = finished.metrics()
        assert after[:2] == before
        assert [r["epoch"] for r in after] == [1, 2, 3]
        (entry,) = finished.record()["history"]
        assert (entry["epochs"], entry["epochs_done"]) == (2, 2)
        assert f"continued at epoch {3}" in finished.log_tail()
        # The rate is that of a run of three epochs from its beginning, not the floor of two.
        assert after[2]["learning_rate"] < finished.config().learning_rate / 10
        assert finished.summary()["epochs"] == 3

    @pytest.mark.parametrize("epochs", [0, 1, 2])
    def test_no_more_epochs_than_there_are_is_a_sentence(
        self, finished: Run, home: Path, epochs: int
    ):
        before = finished.config_path.read_bytes(), finished.status_path.read_bytes()
        with pytest.raises(BadInput, match="has done 2 epochs"):
            extend(Workspace(home), finished, epochs)
        assert (finished.config_path.read_bytes(), finished.status_path.read_bytes()) == before

    def test_one_that_early_stopping_ended_needs_more_patience(self, finished: Run, home: Path):
        record = json.loads(finished.config_path.read_text())
        record["config"]["early_stopping"] = 1
        finished.config_path.write_text(json.dumps(record))
        lines = finished.metrics()
        lines[1]["val_calibrated_loss"] = lines[0]["val_calibrated_loss"] + 1
        finished.metrics_path.write_text("".join(json.dumps(line) + "\n" for line in lines))
        with pytest.raises(BadInput, match="would end it at once"):
            extend(Workspace(home), finished, 5)
        assert extend(Workspace(home), finished, 5, early_stopping=0).early_stopping == 0

    def test_one_that_its_time_budget_ended_needs_more_time(self, finished: Run, home: Path):
        record = json.loads(finished.config_path.read_text())
        record["config"]["time_budget"] = 1e-6
        finished.config_path.write_text(json.dumps(record))
        with pytest.raises(BadInput, match="time budget"):
            extend(Workspace(home), finished, 5)
        assert extend(Workspace(home), finished, 5, time_budget=90).time_budget == 90
        assert finished.record()["history"][0]["time_budget"] == 1e-6

    def test_one_whose_dataset_was_changed_stays_finished(self, finished: Run, home: Path):
        open_dataset(Workspace(home), "demo").curation.exclude([0], "blurred")
        with pytest.raises(BadInput, match=r"is not what run .* was made for"):
            extend(Workspace(home), finished, 5)
        (home / "datasets" / "demo").rename(home / "datasets" / "other")
        with pytest.raises(NotFound, match="demo"):
            extend(Workspace(home), finished, 5)
        assert finished.status()["state"] == "finished"
        assert finished.config().epochs == 2

    def test_one_that_has_not_begun_or_runs_is_refused(self, workspace: Workspace, three: list):
        with pytest.raises(BadInput, match="is queued"):
            extend(workspace, three[0], 9)
        with hold(three[1]), pytest.raises(NameTaken):
            extend(workspace, three[1], 9)


def test_deleted_and_restored_it_is_as_it_was(finished: Run, home: Path):
    workspace = Workspace(home)
    write_labels(finished, name="dear")
    before = {p.name: p.read_bytes() for p in finished.path.iterdir() if p.is_file()}
    deleted = delete(workspace, "runs", finished.id)
    assert list_runs(workspace) == []
    with pytest.raises(NotFound):
        open_run(workspace, finished.id)
    back = Run(restore(workspace, deleted))
    assert {p.name: p.read_bytes() for p in back.path.iterdir() if p.is_file()} == before
    assert read_labels(back).name == "dear"


class OneWay(io.RawIOBase):
    """A file that can only be written on, as a download is."""

    def __init__(self):
        self.parts: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, data) -> int:
        self.parts.append(bytes(data))
        return len(data)


class TestZip:
    def test_unpacked_anywhere_it_is_the_run(self, finished: Run, tmp_path: Path):
        (finished.path / ".half.tmp").write_text("x")
        path = export_run(finished, tmp_path / "run.zip")
        with zipfile.ZipFile(path) as packed:
            packed.extractall(tmp_path / "away")
        found = Run(tmp_path / "away" / finished.id)
        assert found.summary() == finished.summary()
        names = {p.relative_to(found.path) for p in found.path.rglob("*") if p.is_file()}
        assert Path("checkpoint/state.npz") in names
        assert not {n for n in names if n.name in ("lock", "stop") or n.name.startswith(".")}
        with np.load(found.predictions_path) as a, np.load(finished.predictions_path) as b:
            np.testing.assert_array_equal(a["test_ids"], b["test_ids"])

    def test_without_its_training_state_it_is_smaller(self, finished: Run, tmp_path: Path):
        path = export_run(finished, tmp_path / "run.zip", checkpoint=False)
        with zipfile.ZipFile(path) as packed:
            names = packed.namelist()
        assert f"{finished.id}/model.tflite" in names
        assert not [n for n in names if "checkpoint" in n]

    def test_it_can_be_sent_while_it_is_made(self, finished: Run):
        file = OneWay()
        write_run_zip(finished, file)
        with zipfile.ZipFile(io.BytesIO(b"".join(file.parts))) as packed:
            assert packed.testzip() is None
            assert packed.read(f"{finished.id}/config.json") == finished.config_path.read_bytes()

    def test_files_from_a_time_when_the_clock_was_wrong(self, finished: Run, tmp_path: Path):
        import os

        os.utime(finished.config_path, (0, 0))
        assert export_run(finished, tmp_path / "run.zip").is_file()

    def test_nothing_is_overwritten(self, finished: Run, tmp_path: Path):
        (tmp_path / "run.zip").write_text("precious")
        with pytest.raises(NameTaken, match=r"run\.zip is there already"):
            export_run(finished, tmp_path / "run.zip")
        assert (tmp_path / "run.zip").read_text() == "precious"


def test_a_longer_run_rises_again_to_its_place_on_the_longer_curve(finished: Run):
    from bloodcell.training.schedule import learning_rate

    config = make_config("demo", epochs=8)
    longer = make_config("demo", epochs=16)
    steps = 100
    assert learning_rate(config, 8 * steps - 1, steps, 0) < 0.02 * config.learning_rate
    assert learning_rate(longer, 8 * steps, steps, 0) > 0.5 * config.learning_rate
