"""Show a run's metrics in TensorBoard or MLflow too. The run's folder stays the truth.

Both packages are extras (``pip install -r requirements-trackers.txt``). A tracker is filled from
``metrics.jsonl``, at any time by ``python -m bloodcell track RUN --to tensorboard=FOLDER`` or
after each epoch by ``python -m bloodcell train --tracker tensorboard=FOLDER``.
"""

import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol

from bloodcell.classes import CLASS_NAMES
from bloodcell.errors import BadInput
from bloodcell.runs.labels import read_labels
from bloodcell.runs.run import Run

__all__ = ["TRACKERS", "LiveTrackers", "Tracker", "parse_tracker", "scalars", "track_run"]

EXPERIMENT = "bloodcell"
RUN_TAG = "bloodcell.run"
Record = dict[str, Any]


class Tracker(Protocol):
    """A run as another program shows it."""

    def add(self, records: Sequence[Record]) -> None:
        """Show these epochs; those that are shown already stay as they are."""

    def close(self, state: str) -> None:
        """No more comes for now: the run is in this state."""


def scalars(record: Record) -> dict[str, float]:
    """The single numbers of an epoch's record; the recall of a class as ``val_recall/CLASS``."""
    found = {
        key: float(value)
        for key, value in record.items()
        if isinstance(value, int | float) and key != "epoch"
    }
    recalls = zip(CLASS_NAMES, record.get("val_recall", ()), strict=False)
    return found | {f"val_recall/{name}": float(r) for name, r in recalls if r is not None}


def _missing(to: str, package: str, error: ImportError) -> BadInput:
    return BadInput(
        f"The tracker {to} needs a package that is not installed ({error}): "
        f"`pip install {package}`, or leave it out."
    )


class TensorBoard:
    """Event files in ``FOLDER/RUN``; start ``tensorboard --logdir FOLDER`` to see them."""

    def __init__(self, run: Run, where: str):
        # TensorBoard's own switch for its stand-in: importing TensorFlow takes ten seconds.
        sys.modules.setdefault("tensorboard.compat.notf", ModuleType("tensorboard.compat.notf"))
        try:
            from tensorboard.compat.proto.event_pb2 import Event
            from tensorboard.compat.proto.summary_pb2 import Summary
            from tensorboard.summary.writer.event_file_writer import EventFileWriter
        except ImportError as error:
            raise _missing("TensorBoard", "tensorboard", error) from error
        folder = Path(where).expanduser().absolute() / run.id
        folder.mkdir(parents=True, exist_ok=True)
        # All epochs are written anew: a second file beside the first would draw them twice.
        for old in folder.glob("events.out.tfevents.*"):
            old.unlink()
        self._event, self._summary = Event, Summary
        self._writer = EventFileWriter(str(folder))
        self._shown = 0

    def add(self, records: Sequence[Record]) -> None:
        for record in records:
            if record["epoch"] > self._shown:
                values = [
                    self._summary.Value(tag=tag, simple_value=value)
                    for tag, value in scalars(record).items()
                ]
                self._shown = record["epoch"]
                summary = self._summary(value=values)
                self._writer.add_event(
                    self._event(wall_time=time.time(), step=self._shown, summary=summary)
                )
        self._writer.flush()

    def close(self, state: str) -> None:
        self._writer.close()


class MLflow:
    """A run of the experiment "bloodcell" at a tracking server, a database or in a folder."""

    def __init__(self, run: Run, where: str):
        # A server that does not answer must not hold a training up for minutes.
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")
        # It prints addresses to stdout, where a verb's JSON document stands alone.
        os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
        if "://" not in where:
            where = Path(where).expanduser().absolute().as_uri()
            # MLflow 3.13 and later take a folder only if they are told that it is meant.
            os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")
        try:
            from mlflow.tracking import MlflowClient
        except ImportError as error:
            raise _missing("MLflow", "mlflow-skinny", error) from error
        self._client = MlflowClient(tracking_uri=where)
        experiment = self._client.get_experiment_by_name(EXPERIMENT)
        experiment_id = (
            experiment.experiment_id if experiment else self._client.create_experiment(EXPERIMENT)
        )
        query = f"tags.`{RUN_TAG}` = '{run.id}'"
        found = self._client.search_runs([experiment_id], query, max_results=1)
        if found:
            self._id = found[0].info.run_id
            self._client.update_run(self._id, status="RUNNING")
        else:
            labels = read_labels(run)
            tags = {RUN_TAG: run.id, **{f"bloodcell.tag.{t}": "" for t in labels.tags}}
            made = self._client.create_run(experiment_id, tags=tags, run_name=labels.name or run.id)
            self._id = made.info.run_id
            for key, value in run.config().to_json().items():
                self._client.log_param(self._id, key, value)
        history = self._client.get_metric_history(self._id, "loss")
        self._shown = max((m.step for m in history), default=0)

    def add(self, records: Sequence[Record]) -> None:
        for record in records:
            if record["epoch"] > self._shown:
                self._shown = record["epoch"]
                for key, value in scalars(record).items():
                    self._client.log_metric(self._id, key, value, step=self._shown)

    def close(self, state: str) -> None:
        ends = {"finished": "FINISHED", "failed": "FAILED", "running": "RUNNING"}
        state_there = ends.get(state, "KILLED")
        if state_there == "RUNNING":
            return
        self._client.set_terminated(self._id, state_there)


TRACKERS: dict[str, Callable[[Run, str], Tracker]] = {"tensorboard": TensorBoard, "mlflow": MLflow}


def parse_tracker(text: str) -> dict[str, str]:
    """``tensorboard=FOLDER`` as it is kept in ``config.json``.

    Raises:
        BadInput: it is no such text.
    """
    to, equals, where = text.partition("=")
    if to not in TRACKERS or not equals or not where:
        raise BadInput(
            f"{text!r} is no tracker: expected tensorboard=FOLDER or mlflow=FOLDER-OR-ADDRESS."
        )
    if "://" not in where:
        where = str(Path(where).expanduser().absolute())
    return {"to": to, "where": where}


def track_run(run: Run, tracker: Mapping[str, str]) -> int:
    """Show all epochs that a run has done so far; returns how many those are.

    Args:
        tracker: what :func:`parse_tracker` returns.

    Raises:
        BadInput: its package is not installed.
    """
    opened = TRACKERS[tracker["to"]](run, tracker["where"])
    records = run.metrics()
    opened.add(records)
    opened.close(run.status()["state"])
    return len(records)


class LiveTrackers:
    """The trackers of a run in progress. Whatever becomes of them, the run goes on."""

    def __init__(self, run: Run, log: Callable[[str], None]):
        self.run, self.log = run, log
        self._open: dict[str, Tracker] = {}
        self._wanted = {
            m["to"]: m for m in (run.record().get("trackers") or run.record().get("mirrors", ()))
        }

    def _each(self, act: Callable[[Tracker], None]) -> None:
        for to in list(self._wanted):
            try:
                if to not in self._open:
                    self._open[to] = TRACKERS[to](self.run, self._wanted[to]["where"])
                act(self._open[to])
            except Exception as error:
                del self._wanted[to]
                self.log(f"no longer logged to {to}: {error}")

    def update(self, history: Sequence[Record]) -> None:
        self._each(lambda tracker: tracker.add(history))

    def close(self, state: str) -> None:
        self._each(lambda tracker: tracker.close(state))
