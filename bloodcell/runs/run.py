"""A run is a folder, and the folder is the only truth.

``artifacts/runs/ID/`` holds ``config.json status.json metrics.jsonl train.log checkpoint/
model.keras model.tflite outlier.npy predictions.npz``. The page and the command line only read it;
the process that carries the run out is its only writer, but for ``stop`` (a request to stop, with
the reason if it is not a person's). Where that process does not see the folder, who fetches its
files is.
"""

import hashlib
import json
import platform
import secrets
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from bloodcell.augment.policy import Policy, policy_from_json
from bloodcell.classes import CLASS_NAMES
from bloodcell.errors import BadInput
from bloodcell.files import (
    load_array,
    new_folder,
    read_json,
    temporary_beside,
    write_array,
    write_json,
)
from bloodcell.runs.process import SILENCE_S, is_alive, is_recent
from bloodcell.runs.remembered import remembered
from bloodcell.training.config import TrainConfig
from bloodcell.training.schedule import selection_loss
from bloodcell.workspace import Workspace

__all__ = [
    "ACTIVE",
    "STATES",
    "Outline",
    "Run",
    "create_run",
    "damaged_runs",
    "list_runs",
    "open_run",
]

# The files that a run is used by, with the sha256 that each had when it was written.
CHECKSUMS = "checksums.json"
_TEXTS = ("reason", "host", "engine", "wanted_engine", "process_mark", "signal")
_NUMBERS = (
    "created", "heartbeat", "launched", "ended", "edited", "process_started", "pid", "epoch",
    "batch", "batches", "epochs", "images_per_second", "memory_bytes", "in_vain",
)  # fmt: skip
_RECORD: dict[str, type] = {
    "config": dict, "policy": dict, "dataset_fingerprint": str, "curation_fingerprint": str,
    "environment": dict, "started_from": str, "taught_by": str, "weights_sha256": str,
    "history": list, "trackers": list, "mirrors": list, "duplicate_of": str,
    "sweep": dict, "launched_by": str,
}  # fmt: skip
# Of an epoch: what every version has written, what later ones have added, and shares among them.
_MEASURED = (
    "loss", "val_loss", "accuracy", "val_accuracy", "val_macro_recall", "learning_rate",
    "seconds", "images_per_second",
)  # fmt: skip
_ADDED = ("macro_recall", "val_calibrated_loss")
_SHARES = ("accuracy", "val_accuracy", "macro_recall", "val_macro_recall")
# More than any number here means, and less than what breaks a date or a figure.
_MOST = 1e11
STATES = ("queued", "running", "stopping", "stopped", "finished", "failed", "lost")
ACTIVE = ("running", "stopping")


@dataclass(frozen=True)
class Run:
    """Where the things of one run lie, and what they say."""

    path: Path

    @property
    def id(self) -> str:
        return self.path.name

    @property
    def config_path(self) -> Path:
        return self.path / "config.json"

    @property
    def status_path(self) -> Path:
        return self.path / "status.json"

    @property
    def metrics_path(self) -> Path:
        return self.path / "metrics.jsonl"

    @property
    def log_path(self) -> Path:
        return self.path / "train.log"

    @property
    def checkpoint(self) -> Path:
        return self.path / "checkpoint"

    @property
    def keras_path(self) -> Path:
        return self.path / "model.keras"

    @property
    def litert_path(self) -> Path:
        return self.path / "model.tflite"

    @property
    def outlier_path(self) -> Path:
        return self.path / "outlier.npy"

    @property
    def predictions_path(self) -> Path:
        return self.path / "predictions.npz"

    @property
    def stop_path(self) -> Path:
        return self.path / "stop"

    @property
    def job_path(self) -> Path:
        """What a cluster's scheduler said last of the job that carries the run out."""
        return self.path / "job.json"

    @property
    def lock_path(self) -> Path:
        return self.path / "lock"

    @property
    def seen_path(self) -> Path:
        return self.path / "seen.npy"

    @property
    def labels_path(self) -> Path:
        return self.path / "labels.json"

    def record(self) -> dict[str, Any]:
        """All of ``config.json``: the config, its policy, and where the run was made."""
        return dict(remembered(self.config_path, _read_record))

    def seen(self) -> np.ndarray:
        """bytes (S32): identities of images that its initial weights saw, beyond its own parts."""
        if not self.seen_path.exists():
            return np.zeros(0, "S32")
        return load_array(self.seen_path)

    def config(self) -> TrainConfig:
        return remembered(self.config_path, _read_config)

    def policy(self) -> Policy:
        return policy_from_json(self.record()["policy"], str(self.config_path))

    def status(self) -> dict[str, Any]:
        """``status.json`` with the state as it really is: "lost" if its process is gone."""
        status = dict(remembered(self.status_path, _read_status))
        alive = status["state"] not in ACTIVE or is_alive(status) or self.is_away()
        if not alive and status.get("host", platform.node()) != platform.node():
            alive = _was_just_written(self.status_path)
        if not alive:
            status["state"] = "lost"
            status["reason"] = "its process ended without a word"
        elif (
            status["state"] == "queued"
            and "launched" in status
            and not is_recent(status["launched"])
            # A scheduler may let it wait for days; what it says of it is written there.
            and (status.get("engine", "local") == "local" or not self.job_path.exists())
        ):
            status["state"] = "lost"
            status["reason"] = "its process never began; see train.log"
        elif status["state"] == "running" and self.stop_path.exists():
            status["state"] = "stopping"
        return status

    def is_away(self) -> bool:
        """Whether a job has it that does not see this folder, or whose files were not all fetched.

        Nothing that this machine knows tells whether that lives: who fetches its files will.
        """
        try:
            job = remembered(self.job_path, read_json)
        except (OSError, BadInput):
            return False
        return isinstance(job, dict) and job.get("sent") is True and job.get("ended") is None

    def stop_asked(self) -> str:
        """Why it is to stop, in words; "" if it is not."""
        try:
            said = self.stop_path.read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            return ""
        return said.strip()[:300] or "a stop was asked for"

    def metrics(self) -> list[dict[str, Any]]:
        """The records of all epochs, oldest first; a line that is being written is left out.

        Raises:
            BadInput: a line is no record of its epoch.
        """
        try:
            return _read_metrics(self.metrics_path)
        except FileNotFoundError:
            return []

    def outline(self) -> "Outline":
        """What a list shows of :meth:`metrics`, and no more, so that it can be kept in mind.

        Raises:
            BadInput: as there.
        """
        try:
            return remembered(self.metrics_path, _read_outline)
        except FileNotFoundError:
            return Outline()

    def predictions(self) -> dict[str, np.ndarray]:
        """The exported model's answers: identities, labels, probabilities of both parts.

        Raises:
            BadInput: the file is damaged.
            FileNotFoundError: the run has none.
        """
        try:
            with np.load(self.predictions_path, allow_pickle=False) as held:
                found = {key: held[key] for key in held.files}
        except FileNotFoundError:
            raise
        # A flipped bit in a header makes zipfile and numpy raise almost anything.
        except Exception as error:
            raise self._damaged(self.predictions_path, str(error)) from error
        for part in ("validation", "test"):
            shapes = [found.get(f"{part}_{k}", np.empty(0)).shape for k in _ANSWERS]
            n = len(found.get(f"{part}_ids", ()))
            if shapes != [(n,), (n,), (n, len(CLASS_NAMES))]:
                raise self._damaged(self.predictions_path, f"its {part} part has {shapes}")
            if not np.isfinite(found[f"{part}_probabilities"]).all():
                raise self._damaged(self.predictions_path, "a probability is no number")
        return found

    def _damaged(self, path: Path, problem: str) -> BadInput:
        return BadInput(f"{path} is damaged ({problem[:120]}): restore the run from a copy.")

    def read_litert(self) -> bytes:
        """The exported network, held against the checksum it was written with.

        Raises:
            BadInput: it is another one now, or gone.
        """
        try:
            content = self.litert_path.read_bytes()
        except OSError as error:
            raise self._damaged(self.litert_path, error.strerror or str(error)) from error
        # Earlier versions kept no checksums.
        kept = read_json(self.path / CHECKSUMS) if (self.path / CHECKSUMS).exists() else {}
        if not isinstance(kept, dict):
            raise self._damaged(self.path / CHECKSUMS, "it holds no checksums")
        wanted = kept.get(self.litert_path.name)
        found = hashlib.sha256(content).hexdigest()
        if kept and found != wanted:
            raise self._damaged(
                self.litert_path,
                f"its checksum is {found[:12]}, expected {str(wanted)[:12]}",
            )
        return content

    def read_outlier(self, features: int) -> np.ndarray | None:
        """How the network's second output tells what is none of the eight.

        Args:
            features: C of the network.

        Returns:
            float32, C+1: weights of its features, and the constant; None where it learned without
            outlier exposure.

        Raises:
            BadInput: the file is damaged.
        """
        if not self.outlier_path.exists():
            return None
        found = load_array(self.outlier_path)
        if found.shape != (features + 1,) or not np.isfinite(found).all():
            raise self._damaged(
                self.outlier_path, f"it has the shape {found.shape}, expected ({features + 1},)"
            )
        return found

    def write_checksums(self) -> None:
        """Keep what the exported network is, for :meth:`read_litert`."""
        name = self.litert_path.name
        digest = hashlib.sha256(self.litert_path.read_bytes()).hexdigest()
        write_json(self.path / CHECKSUMS, {name: digest}, self.path)

    def log_tail(self, lines: int = 40) -> str:
        """The last lines of ``train.log``."""
        if not self.log_path.exists():
            return ""
        with self.log_path.open("rb") as file:
            file.seek(max(0, self.log_path.stat().st_size - 64_000))
            text = file.read().decode("utf-8", "replace")
        return "\n".join(text.splitlines()[-lines:])

    def summary(self) -> dict[str, Any]:
        """One row of ``runs --json``; `val_accuracy` is that of the exported (best) epoch."""
        config, status, outline = self.config(), self.status(), self.outline()
        return {
            "id": self.id,
            "state": status["state"],
            "backbone": config.backbone,
            "dataset": Path(config.dataset).name,
            "epoch": len(outline.losses),
            "epochs": config.epochs,
            "val_accuracy": outline.accuracy,
            "val_images": outline.images,
            "seconds": outline.seconds,
            "reason": status.get("reason", ""),
        }


@dataclass(frozen=True)
class Outline:
    """The epochs of a run in short.

    Attributes:
        losses: what each epoch is judged by.
        accuracy, images: of the validation part at the best epoch; None before the first.
        seconds: of training.
    """

    losses: tuple[float, ...] = ()
    accuracy: float | None = None
    images: int | None = None
    seconds: float = 0.0


def _read_outline(path: Path) -> Outline:
    metrics = _read_metrics(path)
    best = min(metrics, key=selection_loss, default=None)
    return Outline(
        tuple(map(selection_loss, metrics)),
        best and best["val_accuracy"],
        best and sum(map(sum, best.get("val_confusion", []))),
        round(sum(m["seconds"] for m in metrics), 1),
    )


def _read_metrics(path: Path) -> list[dict[str, Any]]:
    lines = path.read_text(encoding="utf-8", errors="replace").split("\n")[:-1]
    found = []
    for number, line in enumerate(lines, 1):
        try:
            # A number of very many digits is a ValueError of Python itself.
            record = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise _no_record(path, number, f"it is not JSON ({error})") from error
        if problem := _problem_of(record, number):
            raise _no_record(path, number, problem)
        found.append(record)
    return found


def _no_record(path: Path, number: int, problem: str) -> BadInput:
    return BadInput(
        f"{path} has no record of epoch {number} in line {number}: {problem}; "
        f"`python -m bloodcell resume {path.parent.name}` writes it anew from the checkpoint."
    )


def _read_record(path: Path) -> dict[str, Any]:
    record = read_json(path)
    needed = {"config", "policy", "dataset_fingerprint", "curation_fingerprint"}
    if not isinstance(record, dict) or not needed <= set(record):
        raise BadInput(
            f"{path} lacks {', '.join(sorted(needed))}: restore the run from a "
            "copy or remove its folder."
        )
    wrong = [k for k, kind in _RECORD.items() if not isinstance(record.get(k, kind()), kind)]
    trackers = record.get("trackers") or record.get("mirrors") or []
    if not wrong and not all(_is_tracker(t) for t in trackers):
        wrong = ["trackers"]
    if wrong:
        raise BadInput(
            f"{path} holds {str(record[wrong[0]])[:60]!r} for {wrong[0]}: restore "
            "the run from a copy or remove its folder."
        )
    return record


def _read_config(path: Path) -> TrainConfig:
    config = remembered(path, _read_record)["config"]
    try:
        return TrainConfig.from_json(config)
    except BadInput as error:
        raise BadInput(f"{path}: {error}") from error


def _read_status(path: Path) -> dict[str, Any]:
    status = read_json(path)
    if not isinstance(status, dict) or status.get("state") not in STATES:
        raise BadInput(
            f"{path} holds no state of {', '.join(STATES)}: restore the run from "
            "a copy or remove its folder."
        )
    wrong = [k for k in _NUMBERS if not _is_number(status.get(k, 0), none=True)]
    wrong += [k for k in _TEXTS if not isinstance(status.get(k, ""), str)]
    if wrong:
        raise BadInput(
            f"{path} holds {str(status[wrong[0]])[:60]!r} for {wrong[0]}: restore "
            "the run from a copy or remove its folder."
        )
    return status


# Files of runs elsewhere that have been found to be silent, as they were then.
_silent: dict[Path, int] = {}


def _was_just_written(path: Path) -> bool:
    """Whether a file was written a moment ago by the clock of its file server.

    Asked of a run whose heartbeat is old by our clock, or to come: it is another machine's that
    wrote it, and one of the two may be wrong.
    """
    try:
        written = path.stat()
        if _silent.get(path) == written.st_mtime_ns:
            return False
        probe = temporary_beside(path)
        try:
            probe.touch()
            age = probe.stat().st_mtime - written.st_mtime
        finally:
            probe.unlink(missing_ok=True)
    except OSError:
        # One may only read there, or it is gone: our clock has to do.
        return False
    if 0 <= age < SILENCE_S:
        return True
    _silent[path] = written.st_mtime_ns
    return False


# What predictions hold of each part: n, n and n×8.
_ANSWERS = ("ids", "labels", "probabilities")


def _is_number(value: Any, *, none: bool = False) -> bool:
    if value is None:
        return none
    return type(value) in (int, float) and -_MOST <= value <= _MOST


def _is_tracker(value: Any) -> bool:
    return isinstance(value, dict) and all(isinstance(value.get(k), str) for k in ("to", "where"))


def _problem_of(record: Any, number: int) -> str:
    """Why a line of ``metrics.jsonl`` is no record of its epoch, or ""."""
    if not isinstance(record, dict) or record.get("epoch") != number:
        return f"it holds {str(record)[:60]!r}"
    for key in (*_MEASURED, *(k for k in _ADDED if k in record)):
        value = record.get(key)
        if not _is_number(value) or (key in _SHARES and not 0 <= value <= 1):
            return f"its {key} is {str(value)[:60]!r}"
    recalls = record.get("val_recall", [])
    if not isinstance(recalls, list) or not all(_is_number(r, none=True) for r in recalls):
        return f"its val_recall is {str(recalls)[:60]!r}"
    return _problem_of_confusion(record)


def _problem_of_confusion(record: dict[str, Any]) -> str:
    if "val_confusion" not in record:
        return ""
    matrix, k = record["val_confusion"], len(CLASS_NAMES)
    sound = isinstance(matrix, list) and len(matrix) == k
    sound = sound and all(isinstance(row, list) and len(row) == k for row in matrix)
    # By the quickest words there are: a long list of runs has a million of these numbers.
    counts = list(chain.from_iterable(matrix)) if sound else []
    sound = set(map(type, counts)) == {int} and min(counts) >= 0 and max(counts) <= _MOST
    if not sound or not (total := sum(counts)):
        return "its val_confusion is no table of counts"
    # Told twice: a digit that changed in one of them is noticed.
    right = sum(matrix[i][i] for i in range(k)) / total
    if abs(right - record["val_accuracy"]) > 1e-6:
        return f"its val_accuracy is {record['val_accuracy']}, and {right:.6f} by its val_confusion"
    return ""


def create_run(
    workspace: Workspace,
    config: TrainConfig,
    record: dict[str, Any],
    seen: np.ndarray | None = None,
) -> Run:
    """Make the folder of a new, queued run.

    Args:
        record: further keys for ``config.json`` (policy, versions, fingerprints).
        seen: what :meth:`Run.seen` will say.
    """
    stamp = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
    run_id = f"{stamp}-{config.backbone}-{secrets.token_hex(2)}"
    path = workspace.new("runs", run_id)
    with new_folder(path) as folder:
        write_json(folder / "config.json", {"config": config.to_json(), **record})
        now = time.time()
        status = {"state": "queued", "reason": "", "pid": None, "created": now, "heartbeat": now}
        write_json(folder / "status.json", status)
        if seen is not None and len(seen):
            write_array(folder / "seen.npy", seen)
        (folder / "checkpoint").mkdir()
    return Run(path)


def open_run(workspace: Workspace, name_or_path: str) -> Run:
    """Open a run by its id in the workspace or by its path.

    Raises:
        NotFound: there is none.
        BadInput: the folder is not a run.
    """
    run = Run(workspace.find("runs", name_or_path))
    if not run.config_path.is_file() or not run.status_path.is_file():
        raise BadInput(
            f"{run.path} is not a run (it lacks config.json or status.json): "
            "give the id of a run that `python -m bloodcell runs` lists."
        )
    return run


def list_runs(workspace: Workspace) -> list[Run]:
    """All runs of the workspace, newest first; a damaged one does not hide the others."""
    runs = [Run(workspace.runs / name) for name in workspace.names("runs")]
    return [r for r in reversed(runs) if not _damage(r)]


def damaged_runs(workspace: Workspace) -> list[str]:
    """A sentence for each folder among the runs that :func:`list_runs` leaves out."""
    runs = [Run(workspace.runs / name) for name in workspace.names("runs")]
    return [found for r in runs if (found := _damage(r))]


def _damage(run: Run) -> str:
    """Why a run cannot be read, or ""."""
    try:
        run.config(), run.status(), run.outline()
    except BadInput as error:
        return str(error)
    except OSError as error:
        return (
            f"{run.path} is not readable as a run ({error.strerror}): "
            "restore the folder from a copy, or remove it."
        )
    return ""
