"""Stops, failures and kills: whatever happens to the process, the run can go on."""

import contextlib
import json
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import psutil
import pytest

from bloodcell.data.pipeline import read_images
from bloodcell.data.store.dataset import open_dataset
from bloodcell.data.synthetic.out_of_distribution import make_out_of_distribution
from bloodcell.errors import BadInput, NoSpace
from bloodcell.models.litert import LiteModel
from bloodcell.runs.execute import execute
from bloodcell.runs.launch import ask_to_stop, prepare, start
from bloodcell.runs.run import Run
from bloodcell.training.config import make_config
from bloodcell.workspace import Workspace
from tests.runs.conftest import measured, wait_for

REPOSITORY = Path(__file__).parents[2]
# Long enough to be caught in the middle by another process, short enough to be waited for.
LONG = {
    "preset": "bloodcellcnn", "backbone": "tiny", "input_size": 48, "epochs": 12,
    "batch_size": 8, "early_stopping": 0, "plateau_patience": 2, "ema": 0.9,
}  # fmt: skip


@pytest.fixture(scope="module")
def undisturbed(demo_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """The long recipe, in this process, from its beginning to its end."""
    import shutil

    home = Path(shutil.copytree(demo_home, tmp_path_factory.mktemp("whole") / "home"))
    run = prepare(Workspace(home), make_config("demo", **LONG))
    assert execute(Workspace(home), run, echo=False) == "finished"
    return run


def test_killed_in_the_middle_it_is_lost_and_goes_on_as_if_nothing_had_been(
    undisturbed: Run, demo_copy: Path
):
    workspace = Workspace(demo_copy)
    run = prepare(workspace, make_config("demo", **LONG))
    pid = start(workspace, run)
    with contextlib.ExitStack() as always:
        always.callback(lambda: psutil.pid_exists(pid) and os.kill(pid, signal.SIGKILL))
        # The state on disk is that of an epoch's end, so nearly every moment is in between.
        wait_for(lambda: len(run.metrics()) >= 2)
        assert run.status()["state"] == "running"
        assert run.status()["pid"] == pid
        os.kill(pid, signal.SIGKILL)
    wait_for(lambda: run.status()["state"] == "lost")
    done = len(run.metrics())
    assert 2 <= done < 12
    assert execute(workspace, run, echo=False) == "finished"
    assert measured(run) == measured(undisturbed)
    assert [r["epoch"] for r in run.metrics()] == list(range(1, 13))
    with np.load(run.predictions_path) as a, np.load(undisturbed.predictions_path) as b:
        np.testing.assert_allclose(a["test_probabilities"], b["test_probabilities"], atol=1e-6)
    log = run.log_path.read_text()
    assert "continued at epoch" in log
    assert not list(run.checkpoint.glob(".*")), "the killed process' half file is still there"


def test_a_detached_run_outlives_who_started_it_and_heeds_a_stop(demo_copy: Path):
    workspace = Workspace(demo_copy)
    run = prepare(workspace, make_config("demo", **{**LONG, "epochs": 900}))
    code = f"""
from pathlib import Path
from bloodcell.runs.launch import start
from bloodcell.runs.run import Run
from bloodcell.workspace import Workspace
print(start(Workspace(Path({str(demo_copy)!r})), Run(Path({str(run.path)!r}))))
"""
    parent = subprocess.run(
        [sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    pid = int(parent.stdout)
    with contextlib.ExitStack() as always:
        always.callback(lambda: psutil.pid_exists(pid) and os.kill(pid, signal.SIGKILL))
        wait_for(lambda: run.status()["state"] == "running" and run.status().get("batch"))
        assert psutil.Process(pid).ppid() != os.getpid()
        assert os.getsid(pid) == pid
        assert ask_to_stop(run, wait_s=60) == "stopped"
        wait_for(lambda: not psutil.pid_exists(pid))
    assert run.status()["reason"] == "a stop was asked for"
    assert not run.stop_path.exists()
    assert "Traceback" not in run.log_path.read_text()


def test_a_signal_stops_it_after_the_batch_with_its_state_saved(demo_copy: Path):
    """SIGTERM reaches the process while it trains, here from its own log."""
    workspace = Workspace(demo_copy)
    run = prepare(workspace, make_config("demo", **{**LONG, "epochs": 900}))
    before = signal.getsignal(signal.SIGTERM)
    sender = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import os, sys, time, json, signal\n"
            f"path = {str(run.metrics_path)!r}\n"
            "while not os.path.exists(path): time.sleep(0.02)\n"
            f"os.kill({os.getpid()}, signal.SIGTERM)",
        ]
    )
    assert execute(workspace, run, echo=False) == "stopped"
    sender.wait()
    assert "SIGTERM" in run.status()["reason"]
    assert (run.checkpoint / "state.npz").exists()
    assert signal.getsignal(signal.SIGTERM) == before


@pytest.mark.parametrize("crash", ["line missing", "line torn and line doubled"])
def test_no_epoch_is_lost_or_doubled_whatever_a_crash_did_to_the_metrics(home: Path, crash: str):
    from bloodcell.runs.run import list_runs

    workspace = Workspace(home)
    (run,) = list_runs(workspace)
    wanted = run.metrics_path.read_text()
    lines = wanted.splitlines(keepends=True)
    run.metrics_path.write_text(
        lines[0] if crash == "line missing" else lines[0] + lines[0] + lines[1][:40]
    )
    # As if the process had been killed between the checkpoint and its line.
    status = json.loads(run.status_path.read_text())
    run.status_path.write_text(json.dumps({**status, "state": "running", "pid": 999_999_999}))
    assert run.status()["state"] == "lost"
    assert execute(workspace, run, echo=False) == "finished"
    assert run.metrics_path.read_text() == wanted


def test_a_failed_run_says_why(demo_copy: Path):
    workspace = Workspace(demo_copy)
    run = prepare(
        workspace,
        make_config("demo", backbone="tiny", input_size=48, epochs=9, optimizer="sgd",
                    learning_rate=10.0, weight_decay=1.0, warmup_epochs=0.0, schedule="constant"),
    )  # fmt: skip
    with pytest.raises(BadInput, match="lower learning rate"):
        execute(workspace, run, echo=False)
    status = run.status()
    assert status["state"] == "failed"
    assert "lower learning rate" in status["reason"]
    assert "failed: The loss became" in run.log_path.read_text()


def test_by_what_it_tells_strange_images_is_kept(demo_copy: Path):
    workspace = Workspace(demo_copy)
    config = make_config(
        "demo", backbone="tiny", input_size=48, epochs=8, batch_size=8, outlier_exposure=0.3
    )
    run = prepare(workspace, config)
    assert execute(workspace, run, echo=False) == "finished"
    network = LiteModel(run.read_litert(), "tiny")
    own = run.read_outlier(network.channels)
    dataset = open_dataset(workspace, "demo")
    cells = read_images(dataset, np.arange(60), 48)
    noise = make_out_of_distribution("noise", cells, 60)
    said = [network(images).features @ own[:-1] + own[-1] for images in (cells, noise)]
    # Of two at random, the strange one is told four times of five after these few steps.
    assert (said[1][:, None] > said[0][None]).mean() > 0.8
    with pytest.raises(BadInput, match=r"outlier.npy is damaged .*expected \(13,\)"):
        run.read_outlier(12)
    run.outlier_path.unlink()
    assert run.read_outlier(12) is None


@pytest.mark.parametrize("change", ["excluded", "relabelled", "replaced", "removed"])
def test_a_dataset_changed_since_is_a_sentence(demo_copy: Path, change: str):
    from bloodcell.data.synthetic.demo import make_demo

    workspace = Workspace(demo_copy)
    run = prepare(workspace, make_config("demo", backbone="tiny", input_size=48))
    demo = open_dataset(workspace, "demo")
    if change == "excluded":
        demo.curation.exclude([0], "x")
    elif change == "relabelled":
        demo.curation.relabel([0], 5, "x")
    else:
        os.rename(demo.path, demo_copy / "away")
    if change == "replaced":
        make_demo(workspace, "demo", per_class=20, size=48, seed=1)
    with pytest.raises(Exception, match="demo") as caught:
        execute(workspace, run, echo=False)
    assert type(caught.value).__name__ in ("BadInput", "NotFound")
    assert run.status()["state"] == "failed"
    assert run.status()["reason"] == str(caught.value)
    if change in ("excluded", "relabelled"):
        demo.curation.undo([0])
        assert "undo the change" in run.status()["reason"]


def test_a_full_disk_ends_it_in_a_sentence_and_it_goes_on_when_there_is_room(demo_copy: Path):
    """The size of any file is limited for this process: the checkpoint no longer fits."""
    workspace = Workspace(demo_copy)
    run = prepare(workspace, make_config("demo", **{**LONG, "epochs": 1}))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, before[1]))
    try:
        with pytest.raises(NoSpace, match="disk is full"):
            execute(workspace, run, echo=False)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert run.status()["state"] == "failed"
    assert "disk is full" in run.status()["reason"]
    assert list(run.checkpoint.iterdir()) == []
    assert execute(workspace, run, echo=False) == "finished"
