"""Trackers show what is in the run's folder, and never get in its way."""

import importlib.util
import json
import sys
from pathlib import Path

import pytest

from bloodcell.classes import CLASS_NAMES
from bloodcell.errors import BadInput
from bloodcell.runs.run import Run, list_runs
from bloodcell.runs.tracker import (
    TRACKERS,
    LiveTrackers,
    parse_tracker,
    scalars,
    track_run,
)
from bloodcell.workspace import Workspace


@pytest.fixture
def finished(home: Path) -> Run:
    (run,) = list_runs(Workspace(home))
    return run


def add_tracker(run: Run, to: str, where: str) -> None:
    record = json.loads(run.config_path.read_text())
    run.config_path.write_text(json.dumps({**record, "trackers": [{"to": to, "where": where}]}))


def in_tensorboard(folder: Path) -> dict[str, list[tuple[int, float]]]:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    found = EventAccumulator(str(folder))
    found.Reload()
    return {tag: [(e.step, e.value) for e in found.Scalars(tag)] for tag in found.Tags()["scalars"]}


def in_mlflow(folder: Path, run: Run):
    from mlflow.tracking import MlflowClient

    client = MlflowClient(folder.absolute().as_uri())
    experiment = client.get_experiment_by_name("bloodcell")
    (shown,) = client.search_runs([experiment.experiment_id])
    assert shown.data.tags["bloodcell.run"] == run.id
    history = client.get_metric_history(shown.info.run_id, "val_loss")
    return shown, [(m.step, m.value) for m in history]


def test_single_numbers_and_the_recall_of_each_class_are_shown(finished: Run):
    record = finished.metrics()[0]
    found = scalars({**record, "val_recall": [0.5, None, *record["val_recall"][2:]]})
    assert found["val_loss"] == record["val_loss"]
    assert found[f"val_recall/{CLASS_NAMES[0]}"] == 0.5
    assert f"val_recall/{CLASS_NAMES[1]}" not in found
    assert not {"epoch", "val_confusion", "val_recall"} & set(found)


@pytest.mark.parametrize("text", ["", "tensorboard", "tensorboard=", "aim=x", "=x"])
def test_what_is_no_mirror_is_refused(text: str):
    with pytest.raises(BadInput, match="expected tensorboard=FOLDER"):
        parse_tracker(text)


def test_a_folder_does_not_depend_on_the_working_directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert parse_tracker("tensorboard=a/b")["where"] == str(tmp_path / "a" / "b")
    assert parse_tracker("mlflow=http://h:5000")["where"] == "http://h:5000"


@pytest.mark.parametrize(("to", "package"), [("tensorboard", "tensorboard"), ("mlflow", "mlflow")])
def test_without_its_package_a_sentence_says_how_to_get_it(
    finished: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, to: str, package: str
):
    if importlib.util.find_spec(package):
        # As Python itself says "not installed".
        for name in (package, f"{package}.tracking", "tensorboard.compat.proto.event_pb2"):
            monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(BadInput, match=rf"`pip install {package}"):
        track_run(finished, {"to": to, "where": str(tmp_path / "m")})


def test_a_mirror_that_fails_is_left_behind_and_said_once(finished: Run):
    class Broken:
        def __init__(self, run: Run, where: str):
            pass

        def add(self, records) -> None:
            raise OSError("the server is gone")

        def close(self, state: str) -> None:
            raise AssertionError("it was left behind")

    add_tracker(finished, "tensorboard", "x")
    said: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(TRACKERS, "tensorboard", Broken)
        live = LiveTrackers(finished, said.append)
        live.update(finished.metrics())
        live.update(finished.metrics())
        live.close("finished")
    assert said == ["no longer logged to tensorboard: the server is gone"]


class TestTensorBoard:
    @pytest.fixture(autouse=True)
    def _installed(self):
        pytest.importorskip("tensorboard", reason="TensorBoard is an extra")

    def test_it_shows_every_epoch_once_however_often_it_is_filled(
        self, finished: Run, tmp_path: Path
    ):
        for _ in range(2):
            assert track_run(finished, parse_tracker(f"tensorboard={tmp_path}")) == 2
        found = in_tensorboard(tmp_path / finished.id)
        expected = [(m["epoch"], pytest.approx(m["val_loss"])) for m in finished.metrics()]
        assert found["val_loss"] == expected
        assert set(found) == set(scalars(finished.metrics()[0]))

    def test_it_follows_a_run_epoch_by_epoch_and_through_a_resume(
        self, finished: Run, tmp_path: Path
    ):
        add_tracker(finished, "tensorboard", str(tmp_path))
        metrics = finished.metrics()
        before = LiveTrackers(finished, print)
        before.update(metrics[:1])
        assert len(in_tensorboard(tmp_path / finished.id)["loss"]) == 1
        # The process was killed; the next one begins with what is there.
        after = LiveTrackers(finished, print)
        after.update(metrics[:1])
        after.update(metrics)
        after.close("finished")
        assert [step for step, _ in in_tensorboard(tmp_path / finished.id)["loss"]] == [1, 2]


class TestMLflow:
    @pytest.fixture(autouse=True)
    def _installed(self):
        pytest.importorskip("mlflow", reason="MLflow is an extra")

    def test_it_shows_every_epoch_once_however_often_it_is_filled(
        self, finished: Run, tmp_path: Path
    ):
        for _ in range(2):
            assert track_run(finished, parse_tracker(f"mlflow={tmp_path / 'ml'}")) == 2
        shown, losses = in_mlflow(tmp_path / "ml", finished)
        assert losses == [(m["epoch"], pytest.approx(m["val_loss"])) for m in finished.metrics()]
        assert shown.info.status == "FINISHED"
        assert shown.data.params["backbone"] == "tiny"

    def test_it_follows_a_run_through_a_resume(self, finished: Run, tmp_path: Path):
        add_tracker(finished, "mlflow", str(tmp_path / "ml"))
        metrics = finished.metrics()
        LiveTrackers(finished, print).update(metrics[:1])
        after = LiveTrackers(finished, print)
        after.update(metrics)
        assert in_mlflow(tmp_path / "ml", finished)[0].info.status == "RUNNING"
        after.close("stopped")
        shown, losses = in_mlflow(tmp_path / "ml", finished)
        assert [step for step, _ in losses] == [1, 2]
        assert shown.info.status == "KILLED"
