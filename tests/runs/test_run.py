"""A run is a folder, and the folder tells the truth about it."""

import json
import os
import platform
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest

from bloodcell.data.split import make_split
from bloodcell.data.store.dataset import new_dataset, open_dataset
from bloodcell.ensemble.compose import compose
from bloodcell.ensemble.preview import preview
from bloodcell.errors import BadInput, NameTaken, NotFound
from bloodcell.runs.execute import execute
from bloodcell.runs.launch import ask_to_stop, prepare
from bloodcell.runs.lock import hold
from bloodcell.runs.run import STATES, Run, list_runs, open_run
from bloodcell.training.config import make_config
from bloodcell.workspace import Workspace

TINY = {"backbone": "tiny", "input_size": 48, "epochs": 2}


@pytest.fixture
def finished(home: Path) -> Run:
    (run,) = list_runs(Workspace(home))
    return run


def say(run: Run, **status) -> None:
    """Write a status as the process of a run would have."""
    me = psutil.Process()
    alive = {
        "state": "running",
        "reason": "",
        "pid": me.pid,
        "process_started": me.create_time(),
        "host": platform.node(),
        "heartbeat": time.time(),
        "epochs": 2,
    }
    run.status_path.write_text(json.dumps({**alive, **status}))


class TestAFinishedRun:
    def test_its_folder_holds_what_the_contract_says(self, finished: Run):
        names = {p.name for p in finished.path.iterdir()}
        assert names >= {
            "config.json",
            "status.json",
            "metrics.jsonl",
            "train.log",
            "checkpoint",
            "model.keras",
            "model.tflite",
            "predictions.npz",
        }
        assert not [n for n in names if n.startswith(".")]

    def test_everything_that_made_it_is_in_its_config(self, finished: Run, home: Path):
        record = json.loads(finished.config_path.read_text())
        demo = open_dataset(Workspace(home), "demo")
        assert record["dataset_fingerprint"] == demo.fingerprint
        assert record["curation_fingerprint"] == demo.curation.fingerprint
        assert record["config"]["seed"] == 0
        assert record["policy"]["steps"]
        environment = record["environment"]
        assert {"bloodcell", "python", "tensorflow", "keras"} <= set(environment["versions"])
        assert "git_commit" in environment

    def test_its_predictions_are_those_of_the_exported_model_on_unseen_images(
        self, finished: Run, home: Path
    ):
        from bloodcell.models.litert import LiteModel

        demo = open_dataset(Workspace(home), "demo")
        split = make_split(demo)
        model = LiteModel(finished.litert_path.read_bytes(), "tiny")
        with np.load(finished.predictions_path, allow_pickle=False) as found:
            for part in ("validation", "test"):
                rows = split.indices(part)
                assert found[f"{part}_ids"].tolist() == demo.hashes[rows].tolist()
                np.testing.assert_array_equal(found[f"{part}_labels"], demo.labels[rows])
                p = model(demo.images[rows]).probabilities
                np.testing.assert_allclose(found[f"{part}_probabilities"], p, atol=1e-5)

    def test_the_keras_model_opens_without_code_of_ours_and_answers_alike(
        self, finished: Run, home: Path
    ):
        from bloodcell.models.classifier import load_tensorflow

        load_tensorflow()
        import keras

        demo = open_dataset(Workspace(home), "demo")
        rows = make_split(demo).indices("test")
        model = keras.saving.load_model(finished.keras_path, compile=False, safe_mode=True)
        p = np.asarray(model(demo.images[rows], training=False))
        with np.load(finished.predictions_path, allow_pickle=False) as found:
            np.testing.assert_allclose(found["test_probabilities"], p, atol=2e-3)

    def test_its_row_has_the_keys_of_the_contract(self, finished: Run):
        row = finished.summary()
        assert set(row) >= {
            "id", "state", "backbone", "dataset", "epoch", "epochs", "val_accuracy", "seconds",
        }  # fmt: skip
        assert json.loads(json.dumps(row)) == row
        assert (row["state"], row["backbone"], row["dataset"]) == ("finished", "tiny", "demo")
        assert (row["epoch"], row["epochs"]) == (2, 2)
        best = min(finished.metrics(), key=lambda m: m["val_loss"])
        assert row["val_accuracy"] == best["val_accuracy"]

    def test_carrying_it_out_again_changes_nothing(self, finished: Run, home: Path):
        before = {p.name: p.read_bytes() for p in finished.path.iterdir() if p.is_file()}
        assert execute(Workspace(home), finished, echo=False) == "finished"
        assert {p.name: p.read_bytes() for p in finished.path.iterdir() if p.is_file()} == before

    def test_it_can_be_moved(self, finished: Run, tmp_path: Path):
        moved = Run(Path(shutil.move(finished.path, tmp_path / "moved")))
        assert moved.summary()["state"] == "finished"
        assert open_run(Workspace(tmp_path / "x"), str(moved.path)).config().epochs == 2


class TestStates:
    def test_a_new_run_is_queued(self, demo_copy: Path):
        run = prepare(Workspace(demo_copy), make_config("demo", **TINY))
        assert run.status()["state"] == "queued"
        # The keys of the contract are there from the first moment.
        assert json.loads(run.status_path.read_text())["pid"] is None
        assert run.summary()["val_accuracy"] is None
        assert run.metrics() == []

    def test_it_runs_while_its_process_lives(self, finished: Run):
        say(finished)
        assert finished.status()["state"] == "running"

    def test_it_is_stopping_once_a_stop_was_asked_for(self, finished: Run):
        say(finished)
        finished.stop_path.touch()
        assert finished.status()["state"] == "stopping"

    @pytest.mark.parametrize("state", ["running", "stopping"])
    def test_it_is_lost_when_its_process_is_gone(self, finished: Run, state: str):
        process = subprocess.Popen([sys.executable, "-c", ""])
        started = psutil.Process(process.pid).create_time()
        process.wait()
        say(finished, state=state, pid=process.pid, process_started=started)
        assert finished.status()["state"] == "lost"
        assert "without a word" in finished.status()["reason"]

    def test_it_is_lost_when_its_process_is_a_zombie(self, finished: Run):
        process = subprocess.Popen([sys.executable, "-c", ""])
        started = psutil.Process(process.pid).create_time()
        while psutil.Process(process.pid).status() != psutil.STATUS_ZOMBIE:
            time.sleep(0.01)
        say(finished, pid=process.pid, process_started=started)
        assert finished.status()["state"] == "lost"
        process.wait()

    def test_a_pid_that_now_belongs_to_another_process_is_no_sign_of_life(self, finished: Run):
        say(finished, process_started=psutil.Process().create_time() - 1000)
        assert finished.status()["state"] == "lost"

    @pytest.mark.parametrize("missing", ["pid", "process_started", "host"])
    def test_a_status_without_proof_of_life_is_lost(self, finished: Run, missing: str):
        say(finished, heartbeat=0)
        status = json.loads(finished.status_path.read_text())
        del status[missing]
        finished.status_path.write_text(json.dumps(status))
        assert finished.status()["state"] == "lost"

    def test_on_another_machine_the_heartbeat_counts(self, finished: Run):
        say(finished, host="elsewhere", pid=1)
        assert finished.status()["state"] == "running"
        say(finished, host="elsewhere", pid=1, heartbeat=time.time() - 3600)
        os.utime(finished.status_path, (time.time() - 3600,) * 2)
        assert finished.status()["state"] == "lost"

    @pytest.mark.parametrize("wrong", [-3600, 3600])
    def test_a_machine_whose_clock_is_wrong_is_alive_by_that_of_the_file_server(
        self, finished: Run, wrong: float, monkeypatch: pytest.MonkeyPatch
    ):
        say(finished, host="elsewhere", pid=1, heartbeat=time.time() + wrong)
        assert finished.status()["state"] == "running"
        os.utime(finished.status_path, (time.time() - 300,) * 2)
        assert finished.status()["state"] == "lost"
        assert [p.name for p in finished.path.iterdir() if "tmp" in p.name] == []
        # Silent once, it is not asked about again.
        monkeypatch.setattr(Path, "touch", lambda path: pytest.fail("asked again"))
        assert finished.status()["state"] == "lost"

    def test_a_process_that_never_spoke_up_is_lost_after_a_while(self, finished: Run):
        say(finished, state="queued", launched=time.time())
        assert finished.status()["state"] == "queued"
        say(finished, state="queued", launched=time.time() - 3600)
        assert finished.status()["state"] == "lost"

    @pytest.mark.parametrize("state", ["queued", "stopped", "finished", "failed"])
    def test_the_others_need_no_process(self, finished: Run, state: str):
        say(finished, state=state, pid=999_999_999, heartbeat=0)
        assert finished.status()["state"] == state
        assert state in STATES


class TestOneProcessAtATime:
    def test_a_second_one_is_refused_and_the_run_is_unharmed(self, finished: Run, home: Path):
        code = f"""
import sys, time
from pathlib import Path
from bloodcell.runs.lock import hold
from bloodcell.runs.run import Run
with hold(Run(Path({str(finished.path)!r}))):
    print("held", flush=True)
    sys.stdin.read()
"""
        process = subprocess.Popen(
            [sys.executable, "-c", code],
            cwd=Path(__file__).parents[2],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdout.readline() == "held\n"
        before = finished.status_path.read_bytes()
        with pytest.raises(NameTaken, match=r"by another process.*stop it first"):
            execute(Workspace(home), finished, echo=False)
        assert finished.status_path.read_bytes() == before
        process.kill()
        process.communicate()
        with hold(finished):
            pass


class TestAskingToStop:
    def test_a_run_that_waits_is_stopped_at_once(self, demo_copy: Path):
        run = prepare(Workspace(demo_copy), make_config("demo", **TINY))
        assert ask_to_stop(run) == "stopped"
        assert run.status()["state"] == "stopped"

    def test_a_detached_process_that_was_still_starting_hears_it(
        self, demo_copy: Path, monkeypatch: pytest.MonkeyPatch
    ):
        workspace = Workspace(demo_copy)
        run = prepare(workspace, make_config("demo", **TINY))
        ask_to_stop(run)
        monkeypatch.setenv("BLOODCELL_DETACHED", "1")
        assert execute(workspace, run, echo=False) == "stopped"
        assert run.status()["state"] == "stopped"
        assert run.metrics() == []

    def test_a_run_that_runs_is_asked(self, finished: Run):
        say(finished)
        assert ask_to_stop(finished) == "stopping"
        assert finished.stop_path.exists()

    @pytest.mark.parametrize("state", ["finished", "failed", "stopped"])
    def test_where_nothing_runs_nothing_happens(self, finished: Run, state: str):
        say(finished, state=state)
        before = finished.status_path.read_bytes()
        assert ask_to_stop(finished) == state
        assert finished.status_path.read_bytes() == before
        assert not finished.stop_path.exists()


class TestPreparing:
    def test_what_is_not_there_is_refused(self, demo_copy: Path):
        workspace = Workspace(demo_copy)
        with pytest.raises(NotFound, match="dataset"):
            prepare(workspace, make_config("absent", **TINY))
        with pytest.raises(NotFound):
            prepare(workspace, make_config("demo", policy="absent", **TINY))
        with pytest.raises(BadInput, match="no weights file"):
            prepare(workspace, make_config("demo", weights="absent.h5"))
        assert list_runs(workspace) == []

    def test_a_weights_file_of_another_kind_is_refused_before_there_is_a_run(
        self, demo_copy: Path, tmp_path: Path
    ):
        (tmp_path / "w.weights.h5").write_text("hello")
        with pytest.raises(BadInput, match="is not an HDF5 file"):
            prepare(
                Workspace(demo_copy), make_config("demo", weights=str(tmp_path / "w.weights.h5"))
            )
        assert list_runs(Workspace(demo_copy)) == []

    def test_a_class_too_small_to_be_divided_is_named(self, demo_copy: Path):
        workspace = Workspace(demo_copy)
        demo = open_dataset(workspace, "demo")
        basophils = np.flatnonzero(demo.labels == 0)
        demo.curation.exclude(basophils[2:], "x")
        with pytest.raises(BadInput, match=r"validation part of demo has no basophil"):
            prepare(workspace, make_config("demo", **TINY))
        demo.curation.exclude(basophils, "x")
        assert prepare(workspace, make_config("demo", **TINY)).status()["state"] == "queued"

    def test_a_split_of_the_source_without_a_train_part_is_refused(self, tmp_path: Path):
        workspace = Workspace(tmp_path)
        images = np.random.default_rng(0).integers(0, 256, (40, 48, 48, 3), dtype=np.uint8)
        with new_dataset(workspace, "d", (48, 48), "a test", "none") as writer:
            for i, image in enumerate(images):
                writer.add(image, i % 2, str(i), ("validation", "test")[i // 30])
        with pytest.raises(BadInput, match="train part of d is empty"):
            prepare(workspace, make_config("d", **TINY))

    def test_paths_do_not_depend_on_the_working_directory(
        self, demo_copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ):
        shutil.move(demo_copy / "datasets" / "demo", tmp_path / "outside")
        monkeypatch.chdir(tmp_path)
        run = prepare(Workspace(demo_copy), make_config("./outside", **TINY))
        assert run.config().dataset == str(tmp_path / "outside")
        assert run.summary()["dataset"] == "outside"


class TestDamage:
    @pytest.mark.parametrize("keep", [0.0, 0.5, 0.99])
    def test_damaged_predictions_are_named(self, finished: Run, home: Path, keep: float):
        whole = finished.predictions_path.read_bytes()
        finished.predictions_path.write_bytes(whole[: int(keep * len(whole))])
        with pytest.raises(BadInput, match=r"predictions\.npz is damaged"):
            finished.predictions()
        with pytest.raises(BadInput, match=r"predictions\.npz is damaged"):
            compose(Workspace(home), [finished], "second")
        assert preview([finished]) is None

    def test_one_damaged_run_does_not_hide_the_others(self, finished: Run, home: Path):
        workspace = Workspace(home)
        for i, damage in enumerate(["", "{", "[]", '{"config": {}}', '{"state": "odd"}']):
            for name in ("config.json", "status.json"):
                broken = workspace.runs / f"2020-{i}-{name[0]}"
                shutil.copytree(finished.path, broken)
                (broken / name).write_text(damage)
        shutil.copytree(finished.path, workspace.runs / "2020-m")
        (workspace.runs / "2020-m" / "metrics.jsonl").write_text("nonsense\n")
        (workspace.runs / "empty").mkdir()
        assert [r.id for r in list_runs(workspace)] == [finished.id]

    def test_addressed_directly_it_says_what_is_wrong(self, finished: Run, home: Path):
        finished.config_path.write_text('{"config": {"dataset": "demo", "epochs": -1}}')
        with pytest.raises(BadInput, match=r"config\.json"):
            open_run(Workspace(home), finished.id).config()
        finished.status_path.write_text("[]")
        with pytest.raises(BadInput, match=r"status\.json"):
            finished.status()
        with pytest.raises(BadInput, match="is not a run"):
            open_run(Workspace(home), str(home))

    def test_a_line_that_is_just_being_written_is_left_out(self, finished: Run):
        whole = finished.metrics()
        with finished.metrics_path.open("a") as file:
            file.write('{"epoch": 3, "lo')
        assert finished.metrics() == whole

    def test_the_end_of_a_long_log_is_shown(self, finished: Run):
        with finished.log_path.open("w") as file:
            file.writelines(f"line {i} µ\n" for i in range(50_000))
        assert finished.log_tail(3).splitlines() == [
            f"line {i} µ" for i in (49_997, 49_998, 49_999)
        ]


def test_runs_are_listed_newest_first(demo_copy: Path):
    workspace = Workspace(demo_copy)
    made = [prepare(workspace, make_config("demo", **TINY)) for _ in range(2)]
    os.rename(made[0].path, workspace.runs / "20200101-000000-tiny-0000")
    assert [r.id for r in list_runs(workspace)] == [made[1].id, "20200101-000000-tiny-0000"]
