"""Carry a run out, in this process, from wherever it was left to its end.

``python -m bloodcell resume RUN`` is all there is to it: a new run, a stopped one, a failed
one and one whose process was killed are continued by the same words.
"""

import contextlib
import json
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import numpy as np

from bloodcell.data.pipeline import read_images
from bloodcell.data.split import Split
from bloodcell.data.store.dataset import Dataset, open_dataset
from bloodcell.errors import BadInput, BloodCellError, NoSpace, is_out_of_space
from bloodcell.files import replacing, write_array, write_json, write_text
from bloodcell.models.litert import LiteModel
from bloodcell.runs.lock import hold
from bloodcell.runs.preflight import check_startable
from bloodcell.runs.process import this_process
from bloodcell.runs.run import Run
from bloodcell.runs.tracker import LiveTrackers
from bloodcell.training.checkpoint import load_state
from bloodcell.workspace import Workspace

__all__ = ["DETACHED", "RunWriter", "execute", "same_dataset"]

# Set in the environment of a process that `bloodcell.runs.launch.start` made.
DETACHED = "BLOODCELL_DETACHED"
HEARTBEAT_S = 2.0
# Of many runs whose folders lie on one file server.
CLUSTER_HEARTBEAT_S = 5.0
# A run that is told again and again to make room before it has done one batch will never end.
MOST_IN_VAIN = 3
PREDICT_BATCH = 64


# What the status says of a process before this one.
_OF_ANOTHER = ("launched", "ended", "signal")


class RunWriter:
    """The callback of a training that writes its status and metrics into the run's folder."""

    def __init__(self, run: Run, log: Callable[[str], None]):
        self.run = run
        self.log = log
        self.trackers = LiveTrackers(run, log)
        self.reason: str | None = None
        # The signal that ended it, "" for none, and whether a scheduler wants it back later.
        self.signal = ""
        self.evicted = False
        self.batches = 0
        self._asked = 0.0
        self._ended = threading.Event()
        # A beat that was being written must not land on top of the final state.
        self._writing = threading.Lock()
        before = {k: v for k, v in run.status().items() if k not in _OF_ANOTHER}
        self.status: dict[str, Any] = {
            **before,
            "state": "running",
            "reason": "",
            **this_process(),
            "epochs": run.config().epochs,
        }

    def beat(self) -> None:
        with self._writing:
            self.status["heartbeat"] = time.time()
            # A copy: the training adds to it meanwhile.
            write_json(self.run.status_path, dict(self.status))

    def keep_beating(self, every_s: float = HEARTBEAT_S) -> None:
        while not self._ended.wait(every_s):
            # A full disk must not end the heart: the next beat may find room again.
            with contextlib.suppress(OSError, NoSpace):
                self.beat()

    def end(self, state: str, reason: str) -> None:
        self.trackers.close(state)
        self._ended.set()
        if self.signal and state == "stopped":
            self.status["signal"] = self.signal
        self.status.update(state=state, reason=reason, ended=time.time())
        self.beat()

    def wait_again(self) -> bool:
        """Say that it goes on in another process; False if that has been in vain too often."""
        vain = 0 if self.batches else self.status.get("in_vain", 0) + 1
        self.trackers.close("stopped")
        self._ended.set()
        self.status.update(in_vain=vain, state="queued", pid=None, launched=time.time())
        self.status["reason"] = "its time was over, its state is saved, and it waits to go on"
        self.beat()
        return vain < MOST_IN_VAIN

    def fail(self, reason: str) -> None:
        # The error that is on its way says more than that its note could not be written.
        with contextlib.suppress(OSError, NoSpace):
            self.end("failed", reason)

    def batch(self, epoch: int, batch: int, batches: int, images_per_second: float) -> None:
        self.batches += 1
        self.status.update(
            epoch=epoch,
            batch=batch,
            batches=batches,
            images_per_second=round(images_per_second, 1),
        )

    def epoch(self, history: list[dict[str, Any]]) -> None:
        """Bring ``metrics.jsonl`` up to `history`: normally by one appended line."""
        lines = [json.dumps(record, allow_nan=False) + "\n" for record in history]
        path = self.run.metrics_path
        there = path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""
        done = "".join(lines[:-1])
        if there == done and lines:
            try:
                with path.open("a", encoding="utf-8") as file:
                    file.write(lines[-1])
            except OSError as error:
                if is_out_of_space(error):
                    raise NoSpace(
                        f"{path} could not be written because the disk is full: free some space "
                        f"and continue with `python -m bloodcell resume {self.run.id}`."
                    ) from error
                raise
        elif there != "".join(lines):
            # A crash between checkpoint and append, or in the middle of a line.
            write_text(path, "".join(lines))
        self.trackers.update(history)

    def stop_reason(self) -> str | None:
        now = time.monotonic()
        if self.reason is None and now - self._asked > 0.2:
            self._asked = now
            self.reason = self.run.stop_asked() or None
        if self.reason is not None:
            self.status["state"] = "stopping"
        return self.reason


@contextmanager
def _signals(writer: RunWriter, *, scheduled: bool) -> Iterator[None]:
    """Signals that stop the run after the current batch, with its state saved.

    SIGINT and SIGTERM, and where a scheduler carries it out those by which it says that the time
    is nearly over.
    """
    notices = (signal.SIGUSR1, signal.SIGUSR2) if scheduled else ()

    def ask(number: int, frame: Any) -> None:
        writer.signal = signal.Signals(number).name
        writer.evicted = writer.evicted or number in notices
        writer.reason = f"the process received {writer.signal}"

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    asks = (signal.SIGINT, signal.SIGTERM, *notices)
    before = {n: signal.signal(n, ask) for n in asks}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def execute(
    workspace: Workspace,
    run: Run,
    *,
    echo: bool = True,
    requeue: Callable[[], None] | None = None,
) -> str:
    """Carry `run` out to its end or until a stop is asked for.

    Args:
        echo: also write the log's lines to stderr.
        requeue: called when a scheduler's signal has ended it, to have it begun once more; it
            raises BloodCellError where that cannot be.

    Returns:
        The state it ended in: "finished", "stopped" or, given to `requeue`, "queued".

    Raises:
        NameTaken: another process carries it out.
        BloodCellError: it cannot go on; the run is then "failed", with this as its reason.
    """
    with hold(run):
        if run.status()["state"] == "finished":
            _mend_metrics(run)
            return "finished"
        if DETACHED in os.environ and run.stop_path.exists():
            # Asked for while this process was still starting.
            run.stop_path.unlink()
            write_json(run.status_path, {**run.status(), "state": "stopped"})
            return "stopped"
        run.stop_path.unlink(missing_ok=True)

        def log(text: str) -> None:
            line = f"{datetime.now(UTC).isoformat(timespec='seconds')} {text}"
            # A log that does not fit on the disk must not end what it reports on.
            with (
                contextlib.suppress(OSError),
                run.log_path.open("a", encoding="utf-8") as file,
            ):
                file.write(line + "\n")
            if echo:
                print(line, file=sys.stderr, flush=True)

        writer = RunWriter(run, log)
        writer.beat()
        here = writer.status.get("engine", "local") == "local"
        every_s = HEARTBEAT_S if here else CLUSTER_HEARTBEAT_S
        threading.Thread(target=writer.keep_beating, args=(every_s,), daemon=True).start()
        try:
            with _signals(writer, scheduled=requeue is not None):
                state, reason = _train(workspace, run, writer)
        except BloodCellError as error:
            log(f"failed: {error}")
            writer.fail(str(error))
            raise
        except BaseException as error:
            log(traceback.format_exc())
            writer.fail(f"{type(error).__name__}: {error}; see train.log")
            raise
        asked = run.stop_path.exists()
        run.stop_path.unlink(missing_ok=True)
        log(f"{state}: {reason}")
        if state == "stopped" and writer.evicted and not asked and requeue is not None:
            state, reason = _hand_back(writer, requeue)
        if state != "queued":
            writer.end(state, reason)
        return state


def _hand_back(writer: RunWriter, requeue: Callable[[], None]) -> tuple[str, str]:
    """Have a run that was told to make room begun once more; its state and the reason."""
    if not writer.wait_again():
        return "failed", (
            f"its time was over {MOST_IN_VAIN} times in a row before one batch was done: give its "
            "jobs more time, then resume it"
        )
    try:
        requeue()
    except BloodCellError as error:
        writer.log(str(error))
        return "stopped", f"its time was over and its state is saved; {error}: resume it"
    return "queued", ""


def _mend_metrics(run: Run) -> None:
    """Write ``metrics.jsonl`` of a finished run anew from its checkpoint if it is damaged."""
    try:
        run.metrics()
    except BadInput:
        saved = load_state(run.checkpoint)
        if saved is None:
            raise
        lines = [json.dumps(record, allow_nan=False) + "\n" for record in saved[1]["history"]]
        write_text(run.metrics_path, "".join(lines), run.path)


def _train(workspace: Workspace, run: Run, writer: RunWriter) -> tuple[str, str]:
    from bloodcell.models.export import export_litert
    from bloodcell.training.fit import fit

    config, dataset = run.config(), same_dataset(workspace, run)
    split = config.split_rule.split(dataset)
    check_startable(dataset, split)
    writer.log(
        f"process {os.getpid()}: {config.backbone} on {dataset.name}, "
        + ", ".join(f"{len(split.indices(p)):,} {p}" for p in ("train", "validation", "test"))
    )
    fitted = fit(config, run.policy(), dataset, split, run.checkpoint, writer, writer.log)
    if not fitted.finished:
        return "stopped", fitted.reason
    writer.log("export")
    with replacing(run.keras_path) as temporary:
        fitted.model.save(temporary)
    export_litert(fitted.model, run.litert_path)
    if fitted.outlier is not None:
        write_array(run.outlier_path, fitted.outlier)
    run.write_checksums()
    _predict(run, dataset, split)
    return "finished", fitted.reason


def same_dataset(workspace: Workspace, run: Run) -> Dataset:
    """The dataset of a run, as it was when the run was made.

    Raises:
        BadInput: its images or the decisions about them have changed since.
        NotFound: there is none of that name.
    """
    config, record = run.config(), run.record()
    dataset = open_dataset(workspace, config.dataset)
    for key, now in (
        ("dataset_fingerprint", dataset.fingerprint),
        ("curation_fingerprint", dataset.curation.fingerprint),
    ):
        if record[key] != now:
            raise BadInput(
                f"Dataset {dataset.name} is not what run {run.id} was made for ({key} "
                f"{now[:12]}, expected {record[key][:12]}): undo the change, or start a new run."
            )
    return dataset


def _predict(run: Run, dataset: Dataset, split: Split) -> None:
    """Write the exported model's answers on validation and test."""
    model = LiteModel(run.read_litert(), run.id)
    hashes, labels = dataset.hashes, dataset.labels
    arrays: dict[str, np.ndarray] = {}
    for part in ("validation", "test"):
        indices = split.indices(part)
        batches = np.split(indices, range(PREDICT_BATCH, len(indices), PREDICT_BATCH))
        found = [model(read_images(dataset, b, model.size)).probabilities for b in batches]
        arrays[f"{part}_ids"] = hashes[indices]
        arrays[f"{part}_indices"] = indices
        arrays[f"{part}_labels"] = labels[indices]
        arrays[f"{part}_probabilities"] = np.concatenate(found).astype(np.float32)
    with replacing(run.predictions_path) as temporary, temporary.open("wb") as file:
        np.savez(file, **arrays)
