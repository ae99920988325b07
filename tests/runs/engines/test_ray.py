"""A real Ray of two nodes: what becomes of a job is told in its run's folder, and nothing is lost.

All but one of the jobs here do nothing but wait: their "Python" is a script that begins
`tests.runs.waits`.
"""

import json
import os
import signal
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from bloodcell.errors import BadInput, NameTaken, Offline
from bloodcell.files import read_json, write_json
from bloodcell.runs.engines import describe_job
from bloodcell.runs.engines.ray import Ray, change_ray, ray_settings
from bloodcell.runs.lifecycle import duplicate
from bloodcell.runs.queue import cancel, end_at_once, enqueue, waiting
from bloodcell.runs.run import Run, list_runs
from bloodcell.runs.supervisor import is_supervised, wake
from bloodcell.workspace import Workspace
from tests.runs.conftest import wait_for
from tests.runs.engines.ray_here import GIVES_UP_S, RAY

REPOSITORY = Path(__file__).parents[3]

pytestmark = [
    pytest.mark.nightly,
    pytest.mark.skipif(
        not RAY.exists(), reason="no Ray: pip install -r requirements-cluster.txt brings it"
    ),
]


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


def seen(engine: Ray, run: Run, state: str) -> dict:
    """The run's status once it is `state`."""

    def look():
        engine.watch()
        status = run.status()
        return status if status["state"] == state else None

    return wait_for(look, 60)


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
    timed = ("seconds", "images_per_second")
    told = [
        [{k: v for k, v in m.items() if k not in timed} for m in each.metrics()]
        for each in (run, quiet)
    ]
    assert told[0] == told[1]
    wait_for(lambda: not is_supervised(workspace), 60)
    assert json.loads(run.job_path.read_text())["state"] == "SUCCEEDED"
