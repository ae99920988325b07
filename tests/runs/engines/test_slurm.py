"""A real Slurm: what becomes of a job is told in its run's folder, and a run loses nothing.

``.ci/run`` starts one of a single node. All but one of the jobs here do nothing but wait: their
"Python" is a script that begins `tests.runs.waits`.
"""

import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

from bloodcell.errors import BadInput, NameTaken, Offline
from bloodcell.files import read_json, write_json
from bloodcell.runs.engines import describe_job
from bloodcell.runs.engines.slurm import Slurm, SlurmSettings, change_slurm
from bloodcell.runs.lifecycle import duplicate
from bloodcell.runs.queue import cancel, end_at_once, enqueue, waiting
from bloodcell.runs.run import Run, list_runs
from bloodcell.workspace import Workspace
from tests.runs.conftest import measured, seen, wait_for

REPOSITORY = Path(__file__).parents[3]


def why_not() -> str:
    if shutil.which("sbatch") is None or "SLURM_CONF" not in os.environ:
        return "no Slurm: start one (CONTRIBUTING.md) and set SLURM_CONF"
    told = subprocess.run(["scontrol", "ping"], capture_output=True, text=True, check=False).stdout
    return "" if "is UP" in told else f"Slurm does not answer: {told.strip()}"


REASON = why_not()
pytestmark = [
    pytest.mark.slurm,
    pytest.mark.skipif(bool(REASON), reason=REASON),
    pytest.mark.usefixtures("slurm_alone"),
]


def slurm(*words: str) -> str:
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout


def set_up(workspace: Workspace, **settings) -> Slurm:
    change_slurm(workspace, minutes=10, memory=0.5, cpus=1, **settings)
    return Slurm(workspace, every_s=0.0)


@pytest.fixture
def engine(workspace: Workspace, tmp_path: Path):
    """An engine whose jobs only wait for a file ``go``; what is left of them is cancelled."""
    script = tmp_path / "python"
    script.write_text(
        f'#!/bin/sh\ncd {REPOSITORY}\nexec {sys.executable} -m tests.runs.waits "${{4%/slurm}}"\n'
    )
    script.chmod(0o755)
    made = set_up(workspace, python=str(script))
    yield made
    for run in made.given():
        subprocess.run(["scancel", "--signal=KILL", "--full", job_of(run)], check=False)
        subprocess.run(["scancel", job_of(run)], check=False)


def job_of(run: Run) -> str:
    return read_json(run.job_path)["job"]


def submitted(workspace: Workspace, engine: Slurm, run: Run) -> Run:
    enqueue(workspace, [run])
    wait_for(lambda: not_ending(engine, run), 60)
    return run


def not_ending(engine: Slurm, run: Run) -> bool:
    """Submit it, once the job that it had before has ended."""
    try:
        engine.submit(run)
    except NameTaken:
        return False
    return True


def test_a_job_that_works_ends_its_run_and_is_no_longer_watched(
    workspace: Workspace, engine: Slurm, three: list[Run]
):
    run = submitted(workspace, engine, three[0])
    status = seen(engine, run, "running")
    assert status["engine"] == "slurm"
    wait_for(lambda: engine.watch() or read_json(run.job_path)["node"])
    (run.path / "go").touch()
    seen(engine, run, "finished")
    wait_for(lambda: engine.watch() or not engine.given(), 30)
    assert read_json(run.job_path)["state"] == "COMPLETED"


def test_killed_and_cancelled_from_outside_are_told_apart(
    workspace: Workspace, engine: Slurm, three: list[Run]
):
    killed, cancelled = (submitted(workspace, engine, run) for run in three[:2])
    os.kill(seen(engine, killed, "running")["pid"], signal.SIGKILL)
    seen(engine, cancelled, "running")
    slurm("scancel", job_of(cancelled))
    reason = seen(engine, killed, "failed")["reason"]
    assert "ended by signal 9" in reason
    assert "cancelled in Slurm" in seen(engine, cancelled, "stopped")["reason"]
    assert not engine.given()
    # What was ended can be queued again, and is another job.
    before = job_of(killed)
    submitted(workspace, engine, killed)
    seen(engine, killed, "running")
    assert job_of(killed) != before
    end_at_once(workspace, killed)
    assert "cancelled" in seen(engine, killed, "stopped")["reason"]


def test_what_waits_in_slurm_says_why_and_can_be_taken_back(
    workspace: Workspace, engine: Slurm, three: list[Run]
):
    change_slurm(workspace, cpus=os.cpu_count())
    first, second, third = three
    seen(engine, submitted(workspace, engine, first), "running")
    for run in (second, third):
        submitted(workspace, engine, run)
    wait_for(lambda: engine.watch() or read_json(third.job_path)["reason"])
    assert describe_job(third).startswith(f"Slurm job {job_of(third)}: waits (")
    # For days, if need be.
    write_json(second.status_path, {**second.status(), "launched": time.time() - 86_400})
    assert second.status()["state"] == "queued"
    # Submitted, but killed before it was written down: found by its name.
    job = job_of(second)
    second.job_path.unlink()
    submitted(workspace, engine, second)
    assert job_of(second) == job
    cancel(workspace, second)
    slurm("scancel", job_of(third))
    assert "before it began" in seen(engine, third, "stopped")["reason"]
    assert "before it began" in seen(engine, second, "stopped")["reason"]


def test_a_job_that_slurm_does_not_know_is_lost(
    workspace: Workspace, engine: Slurm, three: list[Run]
):
    said = {"state": "queued", "launched": time.time(), "engine": "slurm", "reason": ""}
    write_json(three[0].status_path, {**three[0].status(), **said})
    write_json(three[0].job_path, {"engine": "slurm", "job": "99999999", "ended": None})
    assert "does not know job 99999999" in seen(engine, three[0], "lost")["reason"]


def test_what_slurm_could_never_begin_is_refused_beforehand(workspace: Workspace):
    for wrong in ({"partition": "nowhere"}, {"cpus": 9999}, {"account": 5, "gpus": 900}):
        with pytest.raises(BadInput, match="Slurm refuses"):
            change_slurm(workspace, memory=0.5, **wrong)
    assert Slurm(workspace).slots == SlurmSettings.slots


def test_while_every_node_is_drained_a_run_waits(
    workspace: Workspace, engine: Slurm, three: list[Run]
):
    (node,) = set(slurm("sinfo", "-h", "-N", "-o", "%N").split())
    slurm("scontrol", "update", f"NodeName={node}", "State=DRAIN", "Reason=test")
    try:
        run = submitted(workspace, engine, three[0])
        wait_for(lambda: engine.watch() or read_json(run.job_path)["reason"])
        assert run.status()["state"] == "queued"
    finally:
        slurm("scontrol", "update", f"NodeName={node}", "State=RESUME")
    seen(engine, run, "running")


def test_while_slurm_does_not_answer_a_run_waits_on(
    workspace: Workspace, engine: Slurm, three: list[Run], tmp_path: Path, monkeypatch
):
    run = submitted(workspace, engine, three[0])
    seen(engine, run, "running")
    enqueue(workspace, three[1:2])
    conf = Path(os.environ["SLURM_CONF"]).read_text()
    elsewhere = tmp_path / "slurm.conf"
    elsewhere.write_text(conf + "SlurmctldPort=1\nMessageTimeout=2\n")
    with monkeypatch.context() as away:
        away.setenv("SLURM_CONF", str(elsewhere))
        with pytest.raises(Offline, match="does not answer"):
            engine.submit(three[1])
        engine.watch()
    assert waiting(workspace) == three[1:2]
    assert seen(engine, run, "running")


@pytest.mark.slow
def test_a_run_that_has_to_make_room_ends_like_one_that_did_not(home: Path):
    """A training is told, as before a time limit, to save its state and come back."""
    workspace = Workspace(home)
    (quiet,) = list_runs(workspace)
    engine = set_up(workspace)
    run = submitted(workspace, engine, duplicate(workspace, quiet))

    def begins_once_more() -> bool:
        # Slurm would wait for two minutes.
        words = ["scontrol", "update", f"JobId={job_of(run)}", "StartTime=now"]
        subprocess.run(words, check=False, capture_output=True)
        told = slurm("scontrol", "show", "job", job_of(run))
        return "JobState=RUNNING" in told and "Restarts=1" in told

    # Before its first batch: it does that one, and no more.
    wait_for(lambda: run.log_path.exists() and "process" in run.log_path.read_text(), 60)
    slurm("scancel", "--signal=USR2", job_of(run))
    wait_for(lambda: run.status()["state"] == "queued", 60)
    assert not run.metrics()
    wait_for(begins_once_more, 60)
    seen(engine, run, "finished")
    assert run.log_tail().count(": tiny on demo") == 2
    same_metrics(run, quiet)


def same_metrics(run: Run, other: Run) -> None:
    assert measured(run) == measured(other)


@contextmanager
def little_room(folder: Path, kilobytes: int):
    """`folder` on a file system of its own, that is so small; yields what gives it more."""

    def mount(*words: str) -> None:
        done = subprocess.run(["mount", *words, folder], check=False, capture_output=True)
        if done.returncode:
            pytest.skip(f"no file system can be mounted here ({done.stderr.decode().strip()})")

    aside = Path(shutil.copytree(folder, folder.with_name("aside")))
    mount("-t", "tmpfs", "-o", f"size={kilobytes}k", "tmpfs")
    try:
        shutil.copytree(aside, folder, dirs_exist_ok=True)
        shutil.rmtree(aside)
        yield lambda: mount("-o", "remount,size=50m")
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


@pytest.mark.nightly
def test_where_the_workspace_is_full_a_run_waits_for_room_and_loses_nothing(home: Path):
    workspace = Workspace(home)
    (quiet,) = list_runs(workspace)
    engine = set_up(workspace)
    run = duplicate(workspace, quiet)
    # Enough to begin, and not for the first saved state.
    with little_room(run.path, 250) as give_more:
        submitted(workspace, engine, run)
        assert "the disk is full" in seen(engine, run, "failed")["reason"]
        assert not run.metrics()
        give_more()
        submitted(workspace, engine, run)
        seen(engine, run, "finished")
        wait_for(lambda: engine.watch() or not engine.given(), 30)
        same_metrics(run, quiet)
