"""A real Ray whose nodes do not see the workspace: files are sent to them and fetched back.

Where the system lets it, an empty folder hides the workspace and the program from each job; a job
that opened either would fail.
"""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from bloodcell.runs.engines.ray import Ray, change_ray
from bloodcell.runs.engines.ray_head import Head
from bloodcell.runs.launch import start
from bloodcell.runs.lifecycle import duplicate
from bloodcell.runs.queue import cancel, enqueue
from bloodcell.runs.run import Run, list_runs
from bloodcell.workspace import Workspace
from tests.runs.conftest import wait_for
from tests.runs.engines.ray_here import RAY

REPOSITORY = Path(__file__).parents[3]

pytestmark = [
    pytest.mark.nightly,
    pytest.mark.slow,
    pytest.mark.skipif(
        not RAY.exists(), reason="no Ray: pip install -r requirements-cluster.txt brings it"
    ),
]


def hides() -> bool:
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
        if hides()
        else f'#!/bin/sh\nexec {sys.executable} "$@"\n'
    )
    script.chmod(0o755)
    workspace = Workspace(home)
    change_ray(workspace, address=address, cpus=1, shared=False, python=str(script))
    return workspace


def begun(engine: Ray, run: Run) -> None:
    enqueue(engine.workspace, [run], engine="ray")
    engine.submit(run)


def seen(engine: Ray, run: Run, *states: str) -> dict:
    """The run's status once it is one of `states`, and Ray's job is over if they are ends."""

    def look():
        engine.watch()
        status = run.status()
        over = status["state"] in ("running", "stopping") or not run.is_away()
        return status if status["state"] in states and over else None

    return wait_for(look, 120)


def measured(run: Run) -> list[dict]:
    timed = ("seconds", "images_per_second")
    return [{k: v for k, v in m.items() if k not in timed} for m in run.metrics()]


def files_of(run: Run) -> set[str]:
    made = {p.relative_to(run.path).as_posix() for p in run.path.rglob("*") if p.is_file()}
    return made - {"job.json", "lock", "labels.json"}


def test_a_run_that_was_killed_and_stopped_elsewhere_ends_like_one_of_this_machine(
    away: Workspace, monkeypatch: pytest.MonkeyPatch
):
    (first,) = list_runs(away)
    run, quiet = duplicate(away, first, epochs=6), duplicate(away, first, epochs=6)
    engine = Ray(away, every_s=0.0)
    begun(engine, run)
    # Watched live: batch by batch, and each epoch.
    assert seen(engine, run, "running")["engine"] == "ray"
    wait_for(lambda: engine.watch() or run.status().get("batch"), 60)
    wait_for(lambda: engine.watch() or run.metrics(), 60)
    place = Path(f"/proc/{run.status()['pid']}/cwd").resolve()
    assert place.parts[-4:] == ("logs", "bloodcell", engine.job_of(run), "home")
    os.kill(run.status()["pid"], signal.SIGKILL)
    assert "ended by signal 9" in seen(engine, run, "failed")["reason"]
    done = len(run.metrics())
    assert 1 <= done < 6
    # Goes on elsewhere from what was fetched, and is stopped by a person.
    begun(engine, run)
    seen(engine, run, "running")
    wait_for(lambda: engine.watch() or run.status().get("batch"), 60)
    assert cancel(away, run) == "stopping"
    status = seen(engine, run, "stopped")
    assert status["reason"] == "a stop was asked for"
    assert "signal" not in status
    assert f"continued at epoch {done + 1}, batch 1" in run.log_path.read_text()
    begun(engine, run)
    start(away, quiet)
    assert "all 6 epochs" in seen(engine, run, "finished")["reason"]
    wait_for(lambda: quiet.status()["state"] == "finished", 120)
    assert measured(run) == measured(quiet)
    assert files_of(run) == files_of(quiet)
    assert run.log_path.read_text().count("continued at epoch") == 2
    run.read_litert()
    assert json.loads(run.job_path.read_text())["state"] == "SUCCEEDED"
    # What the other run would be sent is there already, but for its own files.
    sent: list[str] = []
    take = Head.take
    monkeypatch.setattr(Head, "take", lambda *words: (sent.append(words[1]), take(*words)))
    engine.prepare(duplicate(away, first))
    assert len(sent) == 2
