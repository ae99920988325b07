"""A training that does not answer is ended, and its run can go on."""

import json
import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from typer.testing import CliRunner

from bloodcell.cli import app
from bloodcell.errors import BadInput
from bloodcell.runs.launch import ask_to_stop, end_at_once
from bloodcell.runs.run import Run, list_runs
from bloodcell.workspace import Workspace
from tests.runs.test_run import say


@pytest.fixture
def finished(home: Path) -> Run:
    (run,) = list_runs(Workspace(home))
    return run


@pytest.fixture
def deaf(finished: Run):
    """A process that carries a run out and does not answer."""
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    say(finished, pid=process.pid, process_started=psutil.Process(process.pid).create_time())
    yield process
    process.kill()
    process.wait()


class TestEndingAtOnce:
    def test_a_process_that_does_not_answer_is_ended_and_its_run_can_go_on(
        self, finished: Run, deaf: subprocess.Popen
    ):
        assert ask_to_stop(finished, wait_s=0.5) == "stopping"
        end_at_once(finished)
        assert not psutil.pid_exists(deaf.pid)
        assert finished.status()["state"] == "lost"

    def test_so_is_it_by_the_verb(self, finished: Run, deaf: subprocess.Popen, home: Path):
        said = CliRunner().invoke(
            app, ["--home", str(home), "stop", finished.id, "--now", "--json"]
        )
        assert json.loads(said.stdout) == {"id": finished.id, "state": "lost"}
        assert not psutil.pid_exists(deaf.pid)

    def test_one_on_another_machine_is_not(self, finished: Run):
        say(finished, host="elsewhere", pid=os.getpid())
        with pytest.raises(BadInput, match="carried out on elsewhere"):
            end_at_once(finished)

    @pytest.mark.parametrize("state", ["finished", "failed", "stopped"])
    def test_where_nothing_runs_nothing_is_ended(self, finished: Run, state: str):
        say(finished, state=state)  # with the pid of this very process
        end_at_once(finished)
        assert finished.status()["state"] == state
