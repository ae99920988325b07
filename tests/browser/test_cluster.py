"""Trainings sent to a real Slurm from the page, in a real browser: watched, stopped, resumed."""

import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from bloodcell.files import read_json
from bloodcell.runs.engines import describe_job
from bloodcell.runs.engines.slurm import slurm_settings
from bloodcell.runs.queue import cancel, settings
from bloodcell.runs.run import Run, list_runs
from bloodcell.runs.trials import list_sweeps, trials_of
from bloodcell.workspace import Workspace
from tests.browser.conftest import PATIENCE_S, Server, settle
from tests.browser.test_training import (
    at_work,
    busy_home,
    button,
    fill,
    launch_tiny,
    open_run,
    wait_for_redrawing,
    wait_for_state,
)
from tests.runs.engines.test_slurm import REASON

__all__ = ["busy_home"]

pytestmark = [
    pytest.mark.browser,
    pytest.mark.nightly,
    pytest.mark.slurm,
    pytest.mark.skipif(bool(REASON), reason=REASON),
    pytest.mark.usefixtures("slurm_alone"),
    # It may wait for the other tests of Slurm first.
    pytest.mark.timeout(1200),
]

# Always stopped: long enough for a machine ten times as fast.
LONG, TRIALS = 1000, 3


@pytest.fixture
def sent(busy_home: Path) -> Iterator[Workspace]:
    """The workspace; whatever of it is left at Slurm is cancelled."""
    workspace = Workspace(busy_home)
    yield workspace
    for run in list_runs(workspace):
        if run.job_path.exists():
            subprocess.run(["scancel", read_json(run.job_path)["job"]], check=False)


def until(condition: Callable[[], Any]) -> Any:
    end = time.monotonic() + 2 * PATIENCE_S
    while not (found := condition()):
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.1)
    return found


def choose_slurm(page: Any, workspace: Workspace) -> None:
    page.get_by_text("Runs on: This machine").click()
    page.get_by_role("radio", name="Slurm").or_(page.get_by_role("button", name="Slurm")).click()
    settle(page)
    fill(page, "Cores", "1")
    fill(page, "Memory (GB)", "0.5")
    fill(page, "Time limit (minutes)", "30")
    button(page, "set_engine").click()
    page.get_by_text("Runs on: Slurm").wait_for()
    assert settings(workspace).engine == "slurm"
    asked = slurm_settings(workspace)
    assert (asked.cpus, asked.memory, asked.minutes) == (1, 0.5, 30)


def launch_three(page: Any, workspace: Workspace) -> list[Run]:
    launch_tiny(page, LONG)
    page.get_by_text("Several seeds", exact=True).click()
    settle(page)
    fill(page, "Number of seeds", "3")
    button(page, "start").click()
    found = until(lambda: (runs := list_runs(workspace)) and len(runs) == 3 and runs)
    return sorted(found, key=lambda run: run.status()["created"])


def launch_sweep(page: Any, workspace: Workspace) -> None:
    launch_tiny(page, 2)
    page.get_by_text("Sweep", exact=True).click()
    settle(page)
    page.locator(".st-key-train_axes textarea").fill("dropout=0:0.4")
    page.locator(".st-key-train_axes textarea").press("Control+Enter")
    settle(page)
    fill(page, "Trials", str(TRIALS))
    button(page, "start").click()
    until(lambda: list_sweeps(workspace))


def test_three_seeds_and_a_sweep_on_slurm_are_watched_stopped_and_resumed(
    page: Any, server: Server, sent: Workspace
):
    page.set_default_timeout(1000 * PATIENCE_S)
    address = server.show(sent.home)
    page.goto(f"{address}/training")
    button(page, "start").wait_for()
    choose_slurm(page, sent)
    page.goto(f"{address}/training")
    first, *others = launch_three(page, sent)

    # It is shown where it is, and drawn again as its epochs pass.
    connection = open_run(page, address, first)
    page.get_by_text("Slurm job").first.wait_for()
    at_work(page).wait_for()
    wait_for_redrawing(connection, 2)
    assert first.status()["engine"] == "slurm"
    assert "running on" in until(lambda: describe_job(first))

    # There are two cores: the third waits, and says why.
    waits = until(lambda: [run for run in others if "waits (" in describe_job(run)])[0]

    # Stopped by a click: its core goes to the one that waits. Resumed by one: it waits in turn.
    button(page, "stop_run").click()
    wait_for_state(first, "stopped")
    before = first.metrics()
    wait_for_state(waits, "running")
    button(page, "resume_run").click()
    until(lambda: "waits (" in describe_job(first))
    page.get_by_text("waits (").first.wait_for()
    for run in others:
        cancel(sent, run)
        wait_for_state(run, "stopped")
    until(lambda: len(first.metrics()) > len(before))
    assert first.metrics()[: len(before)] == before
    at_work(page).wait_for()
    button(page, "stop_run").click()
    wait_for_state(first, "stopped")
    jobs = until(lambda: not any(map(describe_job, (first, *others))) and (first, *others))
    assert {read_json(run.job_path)["state"] for run in jobs} == {"COMPLETED"}

    # A sweep, whose trials are jobs too.
    page.goto(f"{address}/training")
    page.get_by_text("New run", exact=True).click()
    launch_sweep(page, sent)
    (sweep,) = list_sweeps(sent)
    page.goto(f"{address}/training")
    page.get_by_text("Compare", exact=True).click()
    page.get_by_text(f"{TRIALS} of {TRIALS} trials ended").wait_for(timeout=2000 * PATIENCE_S)
    # While a page is drawn again it may hold the figure of before, too.
    page.locator(".st-key-sweep_history").first.wait_for()
    trials = trials_of(sent, sweep)
    assert len(trials) == TRIALS
    assert {trial.run.status()["engine"] for trial in trials} == {"slurm"}
