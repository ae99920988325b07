"""The queue: which runs wait for a free slot, and in which order.

``queue/order.json`` lists ids. It holds no truth of its own: a run waits if it is listed and its
folder says that it is queued. Whoever changes the order holds the lock ``queue/lock``; the
process that starts the runs is :mod:`bloodcell.runs.supervisor`.
"""

import dataclasses
import platform
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bloodcell.errors import BadInput, BloodCellError, NameTaken
from bloodcell.files import read_json, write_array, write_json
from bloodcell.locks import locked
from bloodcell.runs.engines import ENGINES, Engine
from bloodcell.runs.lock import hold
from bloodcell.runs.preflight import SOURCES, check_config, seen_before
from bloodcell.runs.run import ACTIVE, Run
from bloodcell.training.config import TrainConfig
from bloodcell.workspace import Workspace

__all__ = [
    "MOST_SLOTS",
    "Settings",
    "cancel",
    "change_settings",
    "changed_config",
    "check_engine",
    "edit",
    "end_at_once",
    "engaged",
    "engine_of",
    "engine_wanted",
    "enqueue",
    "has_begun",
    "is_listed",
    "move",
    "queue_lock",
    "read_order",
    "settings",
    "slots_of",
    "waiting",
    "write_order",
]

WAIT_S = 10.0
MOST_SLOTS = 64


@dataclasses.dataclass(frozen=True)
class Settings:
    """How runs are carried out.

    Attributes:
        slots: how many at a time on this machine, from 1; a cluster has its own number.
        engine: a key of ``bloodcell.runs.engines.ENGINES``.
    """

    slots: int = 1
    engine: str = "local"

    def __post_init__(self):
        whole = isinstance(self.slots, int) and not isinstance(self.slots, bool)
        if not whole or not 1 <= self.slots <= MOST_SLOTS:
            raise BadInput(
                f"The queue has {self.slots!r} slots: expected 1 to {MOST_SLOTS} runs at a time."
            )
        check_engine(self.engine)


def check_engine(name: Any) -> None:
    """Raise BadInput if there is no engine of that name."""
    if not isinstance(name, str) or name not in ENGINES:
        raise BadInput(f"There is no engine {name!r}: expected one of {', '.join(ENGINES)}.")


def settings(workspace: Workspace) -> Settings:
    """How runs are carried out in this workspace.

    Raises:
        BadInput: ``queue/settings.json`` is damaged.
    """
    path = workspace.queue / "settings.json"
    if not path.exists():
        return Settings()
    found = read_json(path)
    if not isinstance(found, dict):
        raise BadInput(f"{path} holds no settings: delete it to have one slot again.")
    # The word of versions before 0.2.
    found = {"slots" if k == "places" else k: v for k, v in found.items()}
    known = {f.name for f in dataclasses.fields(Settings)}
    return Settings(**{k: v for k, v in found.items() if k in known})


def change_settings(workspace: Workspace, **changes: Any) -> Settings:
    """Change how many runs are carried out at a time, or by which engine."""
    with queue_lock(workspace):
        new = dataclasses.replace(settings(workspace), **changes)
        write_json(workspace.queue / "settings.json", dataclasses.asdict(new))
    return new


def slots_of(workspace: Workspace, engine: str) -> int:
    """How many runs an engine is given at a time."""
    return ENGINES[engine](workspace).slots or settings(workspace).slots


@contextmanager
def queue_lock(workspace: Workspace) -> Iterator[None]:
    """Hold the queue, for the moment that it takes to change it.

    Raises:
        NameTaken: another process does not let go of it.
    """
    with locked(workspace.queue / "lock", WAIT_S) as got:
        if not got:
            raise NameTaken(
                f"The queue in {workspace.queue} is being changed by another process: "
                "repeat in a moment."
            )
        yield


def read_order(workspace: Workspace) -> list[str]:
    """All ids in the order file, whatever has become of the runs."""
    path = workspace.queue / "order.json"
    if not path.exists():
        return []
    found = read_json(path)
    # Names and no paths.
    sound = isinstance(found, list) and all(isinstance(i, str) for i in found)
    if not sound or any(Path(i).name != i for i in found):
        raise BadInput(
            f"{path} is no list of runs: remove it, then queue the runs that wait again."
        )
    return found


def write_order(workspace: Workspace, ids: Sequence[str]) -> None:
    """Replace the order; the caller holds :func:`queue_lock`."""
    write_json(workspace.queue / "order.json", list(ids))


def waiting(workspace: Workspace) -> list[Run]:
    """The runs that wait for a slot, the next one first."""
    listed = [Run(workspace.runs / i) for i in read_order(workspace)]
    return [run for run in listed if is_listed(run) and not _launched(_status(run))]


def is_listed(run: Run) -> bool:
    """Whether a run in the order file still belongs there.

    One that was launched, whose process never began, and that is listed all the same was left so
    by a supervisor that was killed in between: it waits again.
    """
    status = _status(run)
    state = status.get("state")
    return state == "queued" or (state == "lost" and "launched" in status)


def _launched(status: dict[str, Any]) -> bool:
    return status.get("state") == "queued" and "launched" in status


def _status(run: Run) -> dict[str, Any]:
    """The status of a run; nothing if there is no such run or it is damaged."""
    try:
        return run.status()
    except (BadInput, OSError):
        return {}


def engaged(workspace: Workspace, engine: str) -> list[Run]:
    """The runs that hold a slot: those that an engine carries out or has been given.

    A run that was begun in a terminal counts, one that another machine carries out does not.
    """
    found = []
    for name in workspace.names("runs"):
        run = Run(workspace.runs / name)
        status = _status(run)
        busy = status.get("state") in ACTIVE or _launched(status)
        here = engine != "local" or status.get("host", platform.node()) == platform.node()
        if busy and here and status.get("engine", "local") == engine:
            found.append(run)
    return found


def engine_of(workspace: Workspace, run: Run) -> Engine:
    """The engine that carries a run out, or will."""
    name = run.status().get("engine")
    return ENGINES[name if name in ENGINES else engine_wanted(workspace, run)](workspace)


def engine_wanted(workspace: Workspace, run: Run) -> str:
    """The engine that a waiting run was queued for, else the workspace's."""
    name = _status(run).get("wanted_engine")
    return name if name in ENGINES else settings(workspace).engine


def end_at_once(workspace: Workspace, run: Run) -> None:
    """End a run that does not answer; it can go on from its last saved state.

    Raises:
        BadInput: it is carried out on another machine, and not by a cluster.
        Offline: the cluster does not answer.
    """
    engine_of(workspace, run).end(run)


def has_begun(run: Run) -> bool:
    """Whether something of the run is on disk that a change of its config would contradict."""
    return run.metrics_path.exists() or any(run.checkpoint.glob("*.npz"))


def enqueue(
    workspace: Workspace, runs: Sequence[Run], *, first: bool = False, engine: str | None = None
) -> None:
    """Let runs wait for a slot; one that is stopped, failed or lost will be continued.

    A run that waits already is moved. The caller wakes the supervisor
    (:func:`bloodcell.runs.supervisor.wake`).

    Args:
        first: before all others instead of after them.
        engine: which carries them out, whatever the workspace's is later.

    Raises:
        BadInput: a run is finished, or does not lie in the workspace; there is no such engine.
        NameTaken: a process carries one of them out.
    """
    if engine is not None:
        check_engine(engine)
    with queue_lock(workspace):
        for run in runs:
            if run.path.absolute() != workspace.runs / run.id:
                raise BadInput(
                    f"{run.path} does not lie in {workspace.runs}: move the run there to queue it."
                )
            if run.status()["state"] == "finished":
                raise BadInput(
                    f"Run {run.id} is finished: continue it for more epochs, or duplicate it."
                )
        for run in runs:
            with hold(run):
                run.stop_path.unlink(missing_ok=True)
                gone = ("launched", "engine", "host", *(("wanted_engine",) if engine else ()))
                status = {k: v for k, v in run.status().items() if k not in gone}
                status |= {"state": "queued", "reason": "", "pid": None}
                status |= {"wanted_engine": engine} if engine else {}
                write_json(run.status_path, status)
        ids = [run.id for run in runs]
        others = [r.id for r in waiting(workspace) if r.id not in ids]
        write_order(workspace, [*ids, *others] if first else [*others, *ids])


def move(workspace: Workspace, run: Run, place: int) -> None:
    """Give a waiting run another place.

    Args:
        place: from 1, the next to be started; beyond the end means last.

    Raises:
        BadInput: it does not wait, or there is no such place.
    """
    if place < 1:
        raise BadInput(f"There is no place {place} in the queue: expected 1 or more.")
    with queue_lock(workspace):
        ids = [r.id for r in waiting(workspace)]
        if run.id not in ids:
            raise _does_not_wait(run)
        ids.remove(run.id)
        ids.insert(place - 1, run.id)
        write_order(workspace, ids)


def _does_not_wait(run: Run) -> BloodCellError:
    return BadInput(
        f"Run {run.id} does not wait in the queue, it is {run.status()['state']}: "
        "list those that do with `python -m bloodcell queue`."
    )


def cancel(workspace: Workspace, run: Run) -> str:
    """Take a waiting run out of the queue, or ask one that runs to stop; returns its state.

    Nothing is deleted: it can be queued again.
    """
    with queue_lock(workspace):
        engine_of(workspace, run).cancel(run)
        order = read_order(workspace)
        if run.id in order:
            write_order(workspace, [i for i in order if i != run.id])
    return run.status()["state"]


def edit(workspace: Workspace, run: Run, **changes: Any) -> TrainConfig:
    """Change the config of a run that has not begun; its place in the queue stays.

    Raises:
        BadInput: it has begun, or the new config cannot be started.
        NameTaken: it is being started right now.
    """
    with queue_lock(workspace), hold(run):
        status = run.status()
        waits = status["state"] in ("queued", "stopped") and not _launched(status)
        if not waits or has_begun(run):
            raise BadInput(
                f"Run {run.id} has begun, so its config stays: duplicate it with changes instead."
            )
        # What a check finds is found anew: the run may have had another start or teacher.
        record = {k: v for k, v in run.record().items() if k not in SOURCES}
        policy = None if "policy" in changes else run.policy()
        config, found = check_config(workspace, changed_config(run, **changes), policy)
        seen = seen_before(config, found)
        if len(seen) or run.seen_path.exists():
            write_array(run.seen_path, seen)
        write_json(run.config_path, {**record, **found, "config": config.to_json()})
        write_json(run.status_path, {**status, "edited": time.time()})
    return config


def changed_config(run: Run, **changes: Any) -> TrainConfig:
    """The config of a run with changes, as it would be given to start another one.

    Raises:
        BadInput: there is no such value, or it is out of range.
    """
    known = {f.name for f in dataclasses.fields(TrainConfig)}
    if unknown := sorted(set(changes) - known):
        raise BadInput(
            f"A run has no {', '.join(unknown)}: expected some of {', '.join(sorted(known))}."
        )
    config, record = run.config(), run.record()
    if "started_from" in record and "weights" not in changes:
        changes["weights"] = record["started_from"]
    return dataclasses.replace(config, **changes)
