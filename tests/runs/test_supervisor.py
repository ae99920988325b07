"""The supervisor: one run after the other, whatever becomes of it or of others of its kind."""

import contextlib
import json
import os
import platform
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import psutil
import pytest

from bloodcell.errors import BadInput, NoSpace
from bloodcell.files import write_json
from bloodcell.locks import locked
from bloodcell.runs.engines import ENGINES
from bloodcell.runs.queue import change_settings, enqueue, read_order, waiting, write_order
from bloodcell.runs.run import Run, list_runs
from bloodcell.runs.supervisor import supervise, wake
from bloodcell.workspace import Workspace
from tests.runs.conftest import wait_for
from tests.runs.other_engine import REPOSITORY, Waiting


@pytest.fixture
def queue(
    workspace: Workspace, three: list[Run], monkeypatch: pytest.MonkeyPatch
) -> Iterator[list[Run]]:
    """Three runs that wait to be carried out by the engine of the tests."""
    monkeypatch.setitem(ENGINES, Waiting.name, Waiting)
    change_settings(workspace, engine=Waiting.name)
    enqueue(workspace, three)
    yield three
    for run in three:
        run.stop_path.touch()
    wait_for(lambda: not [r for r in three if r.status()["state"] in ("running", "stopping")])


@contextlib.contextmanager
def supervisor(workspace: Workspace) -> Iterator[subprocess.Popen]:
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.runs.other_engine", workspace.home], cwd=REPOSITORY
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def running(runs: list[Run]) -> list[Run]:
    return [run for run in runs if run.status()["state"] == "running"]


def go(run: Run) -> None:
    (run.path / "go").touch()


def times(run: Run) -> list[float]:
    """When its process began and ended; four numbers if it was started twice."""
    return [float(line.split()[-1]) for line in run.log_tail().splitlines()]


def test_one_after_the_other_in_order_and_then_it_ends(workspace: Workspace, queue: list[Run]):
    with supervisor(workspace) as process:
        for i, run in enumerate(queue):
            wait_for(lambda r=run: running([r]))
            assert waiting(workspace) == queue[i + 1 :]
            go(run)
        assert process.wait(60) == 0
    spans = [times(run) for run in queue]
    assert [len(span) for span in spans[:2]] == [2, 2]
    assert spans[0][1] < spans[1][0] < spans[1][1] < spans[2][0]
    assert read_order(workspace) == []


def test_two_places_are_filled_at_once(workspace: Workspace, queue: list[Run]):
    change_settings(workspace, slots=2)
    with supervisor(workspace):
        wait_for(lambda: len(running(queue)) == 2)
        assert waiting(workspace) == queue[2:]
        go(queue[1])
        wait_for(lambda: running(queue) == [queue[0], queue[2]])


def test_killed_it_leaves_the_run_alone_and_the_next_one_goes_on(
    workspace: Workspace, queue: list[Run]
):
    with supervisor(workspace) as process:
        wait_for(lambda: running(queue[:1]))
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    assert running(queue) == queue[:1]
    assert waiting(workspace) == queue[1:]
    with supervisor(workspace) as process:
        # Long enough for many looks: the place is taken, so nothing begins.
        time.sleep(1.0)
        assert running(queue) == queue[:1]
        for run in queue:
            go(run)
        assert process.wait(60) == 0
    wait_for(lambda: all(r.status()["state"] == "finished" for r in queue))
    assert [len(times(run)) for run in queue] == [2, 2, 2], "each was started once"


def test_of_several_started_at_once_one_stays(workspace: Workspace, queue: list[Run]):
    with contextlib.ExitStack() as stack:
        processes = [stack.enter_context(supervisor(workspace)) for _ in range(4)]
        wait_for(lambda: sum(p.poll() == 3 for p in processes) == 3)
        for run in queue:
            go(run)
        (last,) = [p for p in processes if p.poll() != 3]
        assert last.wait(60) == 0
    wait_for(lambda: all(r.status()["state"] == "finished" for r in queue))
    assert [len(times(run)) for run in queue] == [2, 2, 2]


def test_killed_between_saying_and_doing_it_has_forgotten_nobody(
    workspace: Workspace, queue: list[Run]
):
    """The status says "launched", but there is no process; the order still names the run."""
    status = {**queue[0].status(), "engine": Waiting.name, "host": platform.node()}
    write_json(queue[0].status_path, {**status, "launched": time.time()})
    with supervisor(workspace) as process:
        time.sleep(0.5)
        # Its process may be about to speak up: nothing is started instead of it.
        assert running(queue) == []
        assert process.poll() is None
        write_json(queue[0].status_path, {**status, "launched": time.time() - 3600})
        wait_for(lambda: running(queue))
        # It holds the only place: the others wait.
        assert waiting(workspace) == queue[1:]
        assert running(queue) == queue[:1]


@pytest.mark.parametrize("elsewhere", [True, False])
def test_a_folder_from_another_machine_takes_no_place_and_no_process_is_harmed(
    workspace: Workspace, queue: list[Run], elsewhere: bool
):
    """Its pid belongs to somebody else here; the name of the machine may even be the same."""
    change_settings(workspace, engine="local")
    innocent = subprocess.Popen(["sleep", "600"])
    try:
        created = psutil.Process(innocent.pid).create_time()
        said = {
            "state": "running", "pid": innocent.pid, "process_started": created,
            "process_mark": "another boot:123", "heartbeat": time.time(), "reason": "",
            "host": "elsewhere" if elsewhere else platform.node(),
        }  # fmt: skip
        queue[0].status_path.write_text(json.dumps(said))
        change_settings(workspace, engine=Waiting.name)
        assert queue[0].status()["state"] == ("running" if elsewhere else "lost")
        with supervisor(workspace):
            wait_for(lambda: running(queue[1:2]))
        assert innocent.poll() is None
        queue[0].status_path.write_text(json.dumps({**said, "state": "stopped"}))
    finally:
        innocent.kill()
        innocent.wait()


def test_one_that_cannot_be_started_does_not_block_the_others(
    workspace: Workspace, three: list[Run], monkeypatch: pytest.MonkeyPatch
):
    class Picky(Waiting):
        name = "picky"

        def submit(self, run: Run) -> None:
            if run.id == three[0].id:
                raise BadInput("it is not liked")
            super().submit(run)
            go(run)

    monkeypatch.setitem(ENGINES, Picky.name, Picky)
    change_settings(workspace, engine=Picky.name)
    enqueue(workspace, three)
    assert supervise(workspace, every_s=0.05)
    wait_for(lambda: three[2].status()["state"] == "finished")
    assert three[0].status()["state"] == "failed"
    assert "it is not liked" in three[0].status()["reason"]
    assert three[1].status()["state"] == "finished"


def test_where_the_disk_is_full_the_runs_wait_for_room(
    workspace: Workspace, queue: list[Run], monkeypatch: pytest.MonkeyPatch, capfd
):
    full = [NoSpace("the disk is full")] * 3

    def write_order_(*given) -> None:
        if full:
            raise full.pop()
        write_order(*given)

    monkeypatch.setattr("bloodcell.runs.supervisor.write_order", write_order_)
    for run in queue:
        go(run)
    assert supervise(workspace, every_s=0.05)
    wait_for(lambda: all(run.status()["state"] == "finished" for run in queue))
    assert not full
    # Each began once; and it is said once.
    assert all(len(times(run)) == 2 for run in queue)
    assert capfd.readouterr().err.count("the disk is full") == 1


def test_where_nobody_waits_nobody_is_woken(workspace: Workspace, three: list[Run]):
    assert wake(workspace) is None
    assert not (workspace.queue / "supervisor.log").exists()


def test_where_there_is_a_supervisor_no_other_is_woken(workspace: Workspace, three: list[Run]):
    enqueue(workspace, three)
    with locked(workspace.queue / "supervisor", 0) as got:
        assert got
        assert wake(workspace) is None


def test_queued_again_and_again_no_run_is_left_waiting(workspace: Workspace, queue: list[Run]):
    """Between its last look and its end a supervisor must not miss what is queued."""
    for run in queue:
        go(run)
    with supervisor(workspace) as process:
        assert process.wait(60) == 0
    for _ in range(2):
        wait_for(lambda: all(r.status()["state"] == "finished" for r in list_runs(workspace)))
        for run in queue:
            run.status_path.write_text(json.dumps({"state": "stopped", "reason": ""}))
        enqueue(workspace, queue)
        with supervisor(workspace) as process:
            assert process.wait(60) == 0
        assert waiting(workspace) == []
