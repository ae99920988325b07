"""What can be done with a run besides stopping and resuming it."""

import dataclasses
import shutil
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from bloodcell.errors import BadInput
from bloodcell.files import write_json
from bloodcell.runs.execute import same_dataset
from bloodcell.runs.labels import write_labels
from bloodcell.runs.launch import prepare
from bloodcell.runs.lock import hold
from bloodcell.runs.queue import changed_config, has_begun
from bloodcell.runs.run import ACTIVE, Run
from bloodcell.training.config import TrainConfig
from bloodcell.training.schedule import selection_loss
from bloodcell.workspace import Workspace

__all__ = ["duplicate", "extend", "prepare_all"]


def duplicate(workspace: Workspace, run: Run, **changes: Any) -> Run:
    """Make a new run like another one, queued and from the start.

    Its policy is the one that the other was made with, unless `changes` names another.

    Args:
        changes: values of ``TrainConfig``.

    Raises:
        BadInput: there is no such value, or the new config cannot be started.
    """
    policy = None if "policy" in changes else run.policy()
    return prepare(workspace, changed_config(run, **changes), policy, duplicate_of=run.id)


def extend(
    workspace: Workspace,
    run: Run,
    epochs: int,
    early_stopping: int | None = None,
    time_budget: float | None = None,
) -> TrainConfig:
    """Let a run go on to more epochs from its last saved state; queue or resume it then.

    The learning rate of the epochs to come is that of a run that was planned for `epochs` from
    the beginning: with the cosine schedule it rises again from its floor to the place on the
    longer curve. The config it had is kept in ``history`` of ``config.json``.

    Args:
        epochs: in all, more than it has done.
        early_stopping, time_budget: new ones; needed where the old one has ended the run.

    Raises:
        BadInput: it has not begun, would end at once, or its dataset was changed; the run stays
            as it is.
        NameTaken: it is being carried out.
        NotFound: its dataset is gone.
    """
    with hold(run):
        status, record, old = run.status(), run.record(), run.config()
        done = len(run.metrics())
        if status["state"] in ACTIVE or not has_begun(run):
            raise BadInput(
                f"Run {run.id} is {status['state']}: only one that has begun and does not run now "
                "can go on to more epochs."
            )
        if epochs <= done:
            raise BadInput(f"Run {run.id} has done {done} epochs: give more than that.")
        changes = {"early_stopping": early_stopping, "time_budget": time_budget}
        changes = {key: value for key, value in changes.items() if value is not None}
        new = dataclasses.replace(old, epochs=epochs, **changes)
        _would_go_on(run, new)
        same_dataset(workspace, run)
        now = datetime.now(UTC).isoformat(timespec="seconds")
        entry = {"time": now, "epochs_done": done, "epochs": old.epochs}
        entry |= {key: getattr(old, key) for key in changes}
        reason = f"to go on to {epochs} epochs"
        write_json(run.status_path, {**status, "state": "stopped", "reason": reason})
        history = [*record.get("history", []), entry]
        write_json(run.config_path, {**record, "config": new.to_json(), "history": history})
        with run.log_path.open("a", encoding="utf-8") as log:
            log.write(
                f"{now} after {done} of {old.epochs} epochs it is to go on to {epochs}: from here "
                f"the learning rate is that of a run of {epochs} epochs\n"
            )
    return new


def _would_go_on(run: Run, config: TrainConfig) -> None:
    """Raise BadInput if early stopping or the time budget would end the run at once."""
    metrics = run.metrics()
    waited = _waited(metrics)
    if waited >= config.early_stopping > 0:
        raise BadInput(
            f"Run {run.id} has had {waited} epochs without a lower validation loss, and early "
            f"stopping after {config.early_stopping} would end it at once: give "
            "--early-stopping 0 or a larger number."
        )
    minutes = sum(record["seconds"] for record in metrics) / 60
    if minutes >= config.time_budget > 0:
        raise BadInput(
            f"Run {run.id} has trained for {minutes:.0f} minutes, and its time budget of "
            f"{config.time_budget:g} would end it at once: give --time-budget 0 or a larger number."
        )


def _waited(metrics: list[dict[str, Any]]) -> int:
    """Epochs since the lowest validation loss."""
    losses = [selection_loss(record) for record in metrics]
    return len(losses) - 1 - losses.index(min(losses)) if losses else 0


def prepare_all(
    workspace: Workspace,
    configs: list[TrainConfig],
    tags: tuple[str, ...] = (),
    trackers: Sequence[dict[str, str]] = (),
) -> list[Run]:
    """Make a run for each config, or none of them if one cannot be started.

    Args:
        tags: to find them by.
        trackers: where to show them too, see :func:`bloodcell.runs.tracker.parse_tracker`.
    """
    record = {"trackers": list(trackers)} if trackers else {}
    made: list[Run] = []
    try:
        for config in configs:
            made.append(prepare(workspace, config, **record))
            if tags:
                write_labels(made[-1], tags=tags)
    except BaseException:
        for run in made:
            shutil.rmtree(run.path)
        raise
    return made
