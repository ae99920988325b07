"""Start runs, each in a process of its own, and ask them to stop."""

import contextlib
import os
import platform
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil

from bloodcell.augment.policy import Policy
from bloodcell.errors import BadInput, NameTaken
from bloodcell.files import write_json, write_text
from bloodcell.people import who
from bloodcell.runs.execute import DETACHED
from bloodcell.runs.lock import hold
from bloodcell.runs.preflight import check_config, seen_before
from bloodcell.runs.process import ROOT, find_process
from bloodcell.runs.run import ACTIVE, Run, create_run
from bloodcell.training.config import TrainConfig
from bloodcell.workspace import Workspace

__all__ = [
    "DETACHED",
    "ask_to_stop",
    "end_at_once",
    "prepare",
    "spawn",
    "start",
    "wait_for_end",
]


def prepare(
    workspace: Workspace, config: TrainConfig, policy: Policy | None = None, **record: Any
) -> Run:
    """Check a config against what is on disk and make its run, queued.

    Args:
        policy: instead of the one that has the config's name now.
        record: further keys for ``config.json``.

    Raises:
        NotFound: no such dataset or policy.
        BadInput: the split is unsound, a class too small, or the weights file missing.
    """
    by = {"launched_by": name} if (name := who()) else {}
    config, found = check_config(workspace, config, policy)
    seen = seen_before(config, found)
    return create_run(workspace, config, {**found, **by, **record}, seen)


def start(workspace: Workspace, run: Run) -> int:
    """Carry a run out in a new process that outlives this one; returns its pid.

    Raises:
        NameTaken: a process carries it out already.
    """
    with hold(run):
        run.stop_path.unlink(missing_ok=True)
        status = run.status()
        if status["state"] != "finished":
            # Until the new process speaks up, the run waits; what it was before is in its log.
            status |= {"state": "queued", "reason": "", "pid": None, "launched": time.time()}
            status |= {"engine": "local", "host": platform.node()}
            write_json(run.status_path, status)
    return spawn(workspace, ["resume", str(run.path.absolute())], run.log_path, DETACHED)


def spawn(workspace: Workspace, verb: list[str], log: Path, *flags: str) -> int:
    """Run a verb in a process that outlives this one, its terminal and its server.

    Args:
        verb: with its arguments.
        log: what it prints to stderr is added to this file.
        flags: environment variables to set to 1.

    Returns:
        Its pid.
    """
    command = [sys.executable, "-m", "bloodcell", "--home", str(workspace.home), *verb]
    paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {k: v for k, v in os.environ.items() if k != DETACHED}
    environment |= {"PYTHONPATH": os.pathsep.join(paths), **dict.fromkeys(flags, "1")}
    with log.open("ab") as file:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=file,
            start_new_session=True,
            env=environment,
        )
    return process.pid


def ask_to_stop(run: Run, wait_s: float = 0.0, reason: str = "") -> str:
    """Ask a run to stop after its current batch; returns its state then.

    A run that waits is stopped at once. For one that does not run there is nothing to do.

    Args:
        wait_s: seconds to wait for its end.
        reason: what its status says then, where it is not a person who asks.
    """
    if run.status()["state"] == "queued":
        by = f" by {name}" if (name := who()) else ""
        run.stop_path.touch()
        # If its process is starting already, it finds the request when it is there.
        with contextlib.suppress(NameTaken), hold(run, away=True):
            status = {**run.status(), "state": "stopped", "reason": f"stopped before it began{by}"}
            write_json(run.status_path, status)
    if not reason and (name := who()):
        reason = f"a stop was asked for by {name}"
    if run.status()["state"] in ACTIVE:
        # Of no words it is made also where the disk is full.
        write_text(run.stop_path, reason) if reason else run.stop_path.touch()
    return wait_for_end(run, wait_s)


def end_at_once(run: Run) -> None:
    """End the process of a run that does not answer; it can go on from its last saved state.

    Its state is "lost" then: what it did since that state was saved is gone.

    Raises:
        BadInput: it is carried out on another machine.
    """
    status = run.status()
    if status["state"] not in ACTIVE:
        return
    if status.get("host") != platform.node():
        raise BadInput(
            f"Run {run.id} is carried out on {status.get('host')}, whose processes cannot be ended "
            f"from {platform.node()}: end process {status.get('pid')} there."
        )
    # It may have ended by itself in between, or need a moment more than this.
    if process := find_process(status):
        with contextlib.suppress(psutil.Error):
            process.kill()
            process.wait(10)


def wait_for_end(run: Run, wait_s: float) -> str:
    """Wait until no process carries the run out, or for `wait_s` seconds; its state then."""
    end = time.monotonic() + wait_s
    while (state := run.status()["state"]) in ACTIVE and time.monotonic() < end:
        time.sleep(0.2)
    return state
