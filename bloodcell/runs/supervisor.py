"""The process that starts the next run when a slot is free.

``python -m bloodcell queue --supervise`` is the process; :func:`wake` starts it where runs wait.
It outlives the browser, the server and the terminal, there is one to a workspace (by a lock),
and it ends when nobody waits, no sweep goes on and no cluster has to be asked what became of a
job. All it knows it reads from disk at every step, so that after a kill the next one goes on; a
run that goes on has no need of it.
"""

import contextlib
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from datetime import UTC, datetime

from bloodcell.errors import BloodCellError, NameTaken, NoSpace, Offline
from bloodcell.files import write_json
from bloodcell.locks import is_locked, locked
from bloodcell.runs.engines import ENGINES, Engine
from bloodcell.runs.launch import spawn
from bloodcell.runs.queue import (
    engaged,
    engine_wanted,
    is_listed,
    queue_lock,
    read_order,
    settings,
    waiting,
    write_order,
)
from bloodcell.runs.run import Run
from bloodcell.runs.trials import advance, is_sweeping
from bloodcell.workspace import Workspace

__all__ = ["is_supervised", "supervise", "wake"]

EVERY_S = 1.0
# Whoever only looks whether there is a supervisor holds its lock for a moment.
PROBE_S = 1.0


def is_supervised(workspace: Workspace) -> bool:
    """Whether a supervisor is at work here, which starts the runs that wait."""
    return is_locked(workspace.queue / "supervisor")


def wake(workspace: Workspace) -> int | None:
    """Start the supervisor where there is work for one and none; its pid, or None.

    Call it where somebody asks for runs to be started, never where they are looked at.
    """
    given = any(make(workspace).given() for make in ENGINES.values())
    if not waiting(workspace) and not given and not is_sweeping(workspace):
        return None
    with locked(workspace.queue / "supervisor", 0) as free:
        if not free:
            return None
    return spawn(workspace, ["queue", "--supervise"], workspace.queue / "supervisor.log")


def supervise(workspace: Workspace, every_s: float = EVERY_S) -> bool:
    """Start waiting runs as slots become free, until nobody waits or has to be watched.

    Args:
        every_s: seconds between two looks.

    Returns:
        False if another process does it already.
    """
    engines = {name: make(workspace) for name, make in ENGINES.items()}
    with ExitStack() as stack:
        if not stack.enter_context(locked(workspace.queue / "supervisor", PROBE_S)):
            return False
        said = ""
        while True:
            try:
                if _step(workspace, engines, stack):
                    return True
            except NoSpace as error:
                # Until somebody makes room the runs wait on.
                if said != (said := str(error)):
                    _log(said)
            time.sleep(every_s)


def _step(workspace: Workspace, engines: Mapping[str, Engine], holding: ExitStack) -> bool:
    """Look after all runs once; True if there is nothing to look after any more.

    Args:
        holding: the lock of the supervisor, which is let go of then.
    """
    # Not under the lock of the queue: a cluster may take its time to answer.
    for engine in engines.values():
        engine.watch()
    sweeping = advance(workspace)
    _prepare_next(workspace, engines)
    with queue_lock(workspace):
        waits = _start_next(workspace, engines)
        given = any(engine.given() for engine in engines.values())
        if waits or given or sweeping:
            return False
        # Let go of before the queue is: whoever queues a run from now on finds no supervisor and
        # starts one.
        holding.close()
        return True


def _next(workspace: Workspace, engines: Mapping[str, Engine]) -> dict[str, list[Run]]:
    """The runs that each of some engines has a free slot for now."""
    slots, wanted = settings(workspace).slots, defaultdict[str, list[Run]](list)
    for run in waiting(workspace):
        if (name := engine_wanted(workspace, run)) in engines:
            wanted[name].append(run)
    for name, runs in wanted.items():
        free = (engines[name].slots or slots) - len(engaged(workspace, name))
        wanted[name] = runs[: max(free, 0)]
    return wanted


def _prepare_next(workspace: Workspace, engines: Mapping[str, Engine]) -> None:
    preparing = {name: engine for name, engine in engines.items() if engine.prepares}
    for name, runs in _next(workspace, preparing).items():
        for run in runs:
            # Whoever cannot be prepared cannot be submitted either, and is told why then.
            with contextlib.suppress(BloodCellError, OSError):
                engines[name].prepare(run)


def _start_next(workspace: Workspace, engines: Mapping[str, Engine]) -> bool:
    """Fill the free slots; False when nobody waits any more."""
    started: set[str] = set()
    for name, runs in _next(workspace, engines).items():
        engine = engines[name]
        for run in runs:
            _log(f"starts {run.id}" + ("" if name == "local" else f" by {name}"))
            try:
                if _submit(run, engine.submit):
                    started.add(run.id)
            except Offline as error:
                # The others need not ask as well.
                _log(f"{run.id} waits on: {error}")
                break
    # Written after the start: if this process is killed in between, the next one finds the run
    # listed, and looks after it until its process speaks up.
    order = read_order(workspace)
    left = [i for i in order if i not in started and is_listed(Run(workspace.runs / i))]
    if order != left:
        write_order(workspace, left)
    return bool(left)


def _submit(run: Run, submit: Callable[[Run], None]) -> bool:
    """Start a run; one that cannot be started must not keep the others waiting.

    Returns:
        False if it waits on, as what carried it out before is still ending.

    Raises:
        Offline: what should carry it out does not answer.
    """
    try:
        submit(run)
    except Offline:
        raise
    except NameTaken as error:
        _log(f"{run.id} waits on: {error}")
        return False
    except (BloodCellError, OSError) as error:
        _log(f"{run.id} was not started: {error}")
        # The run itself may be gone.
        with contextlib.suppress(BloodCellError, OSError):
            if run.status()["state"] == "queued":
                reason = f"it could not be started: {error}"
                write_json(run.status_path, {**run.status(), "state": "failed", "reason": reason})
    return True


def _log(text: str) -> None:
    # Into a file, for which there may be no room.
    with contextlib.suppress(OSError):
        now = datetime.now(UTC).isoformat(timespec="seconds")
        print(f"{now} {text}", file=sys.stderr, flush=True)
