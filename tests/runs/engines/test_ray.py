"""A real Ray of two nodes: what becomes of a job is told in its run's folder, and nothing is lost.

Most of the jobs here do nothing but wait: their "Python" is a script that begins
`tests.runs.waits`. The last ones train, on nodes that do not see the workspace either: where the
system lets it, an empty folder hides it and the program from each job.
"""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from bloodcell.errors import BadInput, NameTaken, Offline
from bloodcell.files import read_json, write_json
from bloodcell.runs.engines import describe_job
from bloodcell.runs.engines.ray import Ray, change_ray, ray_settings
from bloodcell.runs.engines.ray_head import Head
from bloodcell.runs.launch import prepare, start
from bloodcell.runs.lifecycle import duplicate
from bloodcell.runs.queue import cancel, end_at_once, enqueue, waiting
from bloodcell.runs.run import Run, list_runs
from bloodcell.runs.supervisor import is_supervised, wake
from bloodcell.training.config import make_config
from bloodcell.workspace import Workspace
from tests.runs.conftest import measured, seen, wait_for
from tests.runs.engines.ray_here import GIVES_UP_S, RAY, ray_here

REPOSITORY = Path(__file__).parents[3]

pytestmark = [
    pytest.mark.nightly,
    pytest.mark.skipif(
        not RAY.exists(), reason="no Ray: pip install -r requirements-cluster.txt brings it"
    ),
]


@pytest.fixture(scope="module")
def address():
    with ray_here() as found:
        yield found


@pytest.fixture
def engine(workspace: Workspace, address: str, tmp_path: Path):
    """An engine whose jobs only wait for a file ``go``; what is left of them is ended."""
    script = tmp_path / "python"
    script.write_text(
        f'#!/bin/sh\ncd {REPOSITORY}\nexec {sys.executable} -m tests.runs.waits "$4"\n'
    )
    script.chmod(0o755)
    change_ray(workspace, address=address, cpus=1, grace=5, python=str(script))
    made = Ray(workspace, every_s=0.0)
    yield made
    for run in made.given():
        stop_in_ray(address, made.job_of(run))


def stop_in_ray(address: str, job: str) -> None:
    urllib.request.urlopen(f"{address}/api/jobs/{job}/stop", b"", timeout=20).close()


def submitted(workspace: Workspace, engine: Ray, run: Run) -> Run:
    enqueue(workspace, [run])

    def taken() -> bool:
        try:
            engine.submit(run)
        except NameTaken:
            return False
        return True

    wait_for(taken, 60)
    return run


def test_each_node_has_its_job_and_each_end_is_told(
    workspace: Workspace, engine: Ray, three: list[Run]
):
    first, second, third = (submitted(workspace, engine, run) for run in three)
    for run in (first, second):
        assert seen(engine, run, "running")["engine"] == "ray"
    wait_for(lambda: engine.watch() or all(read_json(r.job_path)["node"] for r in (first, second)))
    assert len({read_json(run.job_path)["node"] for run in (first, second)}) == 2
    assert "Ray job" in describe_job(first)
    assert ": running on 1" in describe_job(first)
    # The third waits with the reason, longer than Ray itself has patience.
    wait_for(lambda: engine.watch() or "resources" in describe_job(third), 60)
    job = engine.job_of(third)
    with pytest.raises(NameTaken):
        engine.submit(first)
    wait_for(lambda: engine.watch() or engine.job_of(third) != job, 6 * GIVES_UP_S)
    assert third.status()["state"] == "queued"
    # Submitted, but killed before it was written down: found by its run.
    job = engine.job_of(third)
    third.job_path.unlink()
    submitted(workspace, engine, third)
    assert engine.job_of(third) == job
    cancel(workspace, third)
    assert "before it began" in third.status()["reason"]
    # One works, one is killed.
    (first.path / "go").touch()
    os.kill(second.status()["pid"], signal.SIGKILL)
    seen(engine, first, "finished")
    assert "ended by signal 9" in seen(engine, second, "failed")["reason"]
    wait_for(lambda: engine.watch() or read_json(first.job_path)["state"] == "SUCCEEDED", 30)
    # What was killed is another job next time; that is stopped in Ray, as from outside.
    submitted(workspace, engine, second)
    seen(engine, second, "running")
    end_at_once(workspace, second)
    assert "was stopped in Ray: resume it" in seen(engine, second, "stopped")["reason"]
    wait_for(lambda: engine.watch() or not engine.given(), 30)


def test_what_no_node_has_is_refused_beforehand(workspace: Workspace, address: str):
    for wrong in ({"cpus": 9}, {"gpus": 1}, {"memory": 9000}):
        with pytest.raises(BadInput, match="None of the 2 nodes"):
            change_ray(workspace, **{"address": address, "cpus": 1, **wrong})
    assert ray_settings(workspace).gpus == 0
    change_ray(workspace, address=address, gpus=1, autoscale=True)
    assert "with 2 nodes" in Ray(workspace).check()


def test_what_ray_does_not_know_or_cannot_carry_out(
    workspace: Workspace, engine: Ray, three: list[Run], tmp_path: Path
):
    unknown, unseen, nowhere = three
    said = {"state": "queued", "launched": time.time(), "engine": "ray", "reason": ""}
    write_json(unknown.status_path, {**unknown.status(), **said})
    write_json(unknown.job_path, {"engine": "ray", "job": "no-such-job", "ended": None})
    assert "does not know job no-such-job" in seen(engine, unknown, "lost")["reason"]
    # A node that does not see the workspace; and one that has no such Python.
    settings = ray_settings(workspace)
    script = tmp_path / "python"
    script.write_text(f'#!/bin/sh\nexec {sys.executable} -m "$2" "$3" /not/shared\n')
    submitted(workspace, engine, unseen)
    reason = seen(engine, unseen, "failed")["reason"]
    assert "does not see /not/shared" in reason
    assert "--set shared=false" in reason
    change_ray(workspace, python="/no/python")
    submitted(workspace, engine, nowhere)
    assert "exit code 127" in seen(engine, nowhere, "failed")["reason"]
    # No Ray answers, and what answers is none: the run waits on.
    enqueue(workspace, [nowhere])
    for elsewhere in ("http://127.0.0.1:9", f"{settings.address}/api"):
        with pytest.raises(Offline):
            change_ray(workspace, address=elsewhere)
    kept = read_json(workspace.queue / "ray.json")
    write_json(workspace.queue / "ray.json", kept | {"address": "http://127.0.0.1:9"})
    with pytest.raises(Offline, match="No Ray answers"):
        engine.submit(nowhere)
    engine.watch()
    assert waiting(workspace) == [nowhere]


@pytest.mark.slow
def test_a_run_that_was_killed_and_stopped_ends_like_one_that_was_not(home: Path, address: str):
    workspace = Workspace(home)
    (quiet,) = list_runs(workspace)
    change_ray(workspace, address=address, cpus=1)
    run = duplicate(workspace, quiet)

    def begun_again() -> None:
        enqueue(workspace, [run], engine="ray")
        wake(workspace)

    begun_again()
    wait_for(lambda: run.metrics() or run.status()["state"] == "failed", 90)
    os.kill(run.status()["pid"], signal.SIGKILL)
    wait_for(lambda: run.status()["state"] == "failed", 60)
    assert "ended by signal 9" in run.status()["reason"]
    assert len(run.metrics()) == 1
    begun_again()
    wait_for(lambda: run.status()["state"] == "running", 60)
    cancel(workspace, run)
    wait_for(lambda: run.status()["state"] == "stopped", 60)
    begun_again()
    wait_for(lambda: run.status()["state"] == "finished", 90)
    assert measured(run) == measured(quiet)
    wait_for(lambda: not is_supervised(workspace), 60)
    assert json.loads(run.job_path.read_text())["state"] == "SUCCEEDED"


def can_hide() -> bool:
    """Whether one may mount an empty folder over another one here, for one process alone."""
    command = ["unshare", "-rm", "mount", "-t", "tmpfs", "none", str(REPOSITORY)]
    try:
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    except OSError:
        return False


@pytest.fixture
def away(home: Path, address: str, tmp_path: Path) -> Workspace:
    """A workspace with a finished run, that no job of the Ray sees."""
    script = tmp_path / "python"
    hide = "".join(f"mount -t tmpfs none {folder} && " for folder in (home, REPOSITORY))
    script.write_text(
        f'#!/bin/sh\nexec unshare -rm sh -c \'{hide}exec {sys.executable} "$@"\' sh "$@"\n'
        if can_hide()
        else f'#!/bin/sh\nexec {sys.executable} "$@"\n'
    )
    script.chmod(0o755)
    workspace = Workspace(home)
    change_ray(workspace, address=address, cpus=1, shared=False, python=str(script))
    return workspace


def fetched(engine: Ray, run: Run, state: str) -> dict:
    """The run's status once it is `state`, and if that is an end, once all files are here."""

    def look():
        status = seen(engine, run, state)
        return status if state == "running" or not run.is_away() else None

    return wait_for(look, 120)


def files_of(run: Run) -> set[str]:
    made = {p.relative_to(run.path).as_posix() for p in run.path.rglob("*") if p.is_file()}
    return made - {"job.json", "lock", "labels.json"}


@pytest.mark.slow
def test_where_nodes_do_not_see_the_workspace_runs_are_sent_and_fetched(
    away: Workspace, monkeypatch: pytest.MonkeyPatch
):
    (first,) = list_runs(away)
    # So many that a busy machine is still at work on them when it is told to stop.
    epochs = 24
    run, quiet = (duplicate(away, first, epochs=epochs) for _ in range(2))
    engine = Ray(away, every_s=0.0)
    submitted(away, engine, run)
    # Watched live: batch by batch, and each epoch.
    assert fetched(engine, run, "running")["engine"] == "ray"
    wait_for(lambda: engine.watch() or run.status().get("batch"), 60)
    wait_for(lambda: engine.watch() or run.metrics(), 60)
    place = Path(f"/proc/{run.status()['pid']}/cwd").resolve()
    assert place.parts[-4:] == ("logs", "bloodcell", engine.job_of(run), "home")
    os.kill(run.status()["pid"], signal.SIGKILL)
    assert "ended by signal 9" in fetched(engine, run, "failed")["reason"]
    done = len(run.metrics())
    assert 1 <= done < epochs
    # It goes on from what was fetched, and is stopped by a person.
    submitted(away, engine, run)
    fetched(engine, run, "running")
    wait_for(lambda: engine.watch() or run.status().get("batch"), 60)
    assert cancel(away, run) == "stopping"
    status = fetched(engine, run, "stopped")
    assert status["reason"] == "a stop was asked for"
    assert "signal" not in status
    assert f"continued at epoch {done + 1}, batch 1" in run.log_path.read_text()
    submitted(away, engine, run)
    start(away, quiet)
    assert f"all {epochs} epochs" in fetched(engine, run, "finished")["reason"]
    wait_for(lambda: quiet.status()["state"] == "finished", 120)
    assert measured(run) == measured(quiet)
    assert files_of(run) == files_of(quiet)
    assert run.log_path.read_text().count("continued at epoch") == 2
    run.read_litert()
    assert json.loads(run.job_path.read_text())["state"] == "SUCCEEDED"
    # Another run is sent its own folder and how it is put together; the rest is there.
    sent: list[str] = []
    take = Head.take
    monkeypatch.setattr(Head, "take", lambda *words: (sent.append(words[1]), take(*words)))
    engine.prepare(duplicate(away, first))
    assert len(sent) == 2


@pytest.mark.slow
def test_what_a_run_learns_from_goes_with_it_and_no_supervisor_is_missed(away: Workspace):
    (first,) = list_runs(away)
    config = make_config(
        "demo", backbone="tiny", input_size=48, epochs=4, weights=first.id, teacher=first.id
    )
    run = prepare(away, config)
    enqueue(away, [run], engine="ray")
    pid = wake(away)
    wait_for(lambda: run.status()["state"] in ("running", "failed"), 90)
    assert run.status()["state"] == "running", run.status()["reason"]
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    assert wake(away)
    wait_for(lambda: run.status()["state"] not in ("running", "queued"), 120)
    assert run.status()["state"] == "finished", run.status()["reason"]
    assert len(run.metrics()) == 4
    assert run.predictions()["test_ids"].size
    wait_for(lambda: not is_supervised(away), 60)
    assert not run.is_away()
