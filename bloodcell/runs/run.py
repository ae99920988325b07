"""A run is a folder, and the folder is the only truth.

``artifacts/runs/ID/`` holds ``config.json status.json metrics.jsonl train.log checkpoint/
model.keras model.tflite predictions.npz``. The page and the command line only read it; the
process that carries the run out is its only writer, but for ``stop`` (a request to stop).
"""

import json
import secrets
import time
import zipfile
import zlib
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from bloodcell.augment.policy import Policy, policy_from_json
from bloodcell.errors import BadInput
from bloodcell.files import new_folder, read_json, write_json
from bloodcell.runs.process import is_alive, is_recent
from bloodcell.training.config import TrainConfig
from bloodcell.training.schedule import selection_loss
from bloodcell.workspace import Workspace

__all__ = ["ACTIVE", "STATES", "Run", "create_run", "damaged_runs", "list_runs", "open_run"]

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
    def predictions_path(self) -> Path:
        return self.path / "predictions.npz"

    @property
    def stop_path(self) -> Path:
        return self.path / "stop"

    @property
    def lock_path(self) -> Path:
        return self.path / "lock"

    @property
    def labels_path(self) -> Path:
        return self.path / "labels.json"

    def record(self) -> dict[str, Any]:
        """All of ``config.json``: the config, its policy, and where the run was made."""
        record = read_json(self.config_path)
        needed = {"config", "policy", "dataset_fingerprint", "curation_fingerprint"}
        if not isinstance(record, dict) or not needed <= set(record):
            raise BadInput(
                f"{self.config_path} lacks {', '.join(sorted(needed))}: restore the run from a "
                "copy or remove its folder."
            )
        return record

    def config(self) -> TrainConfig:
        config = self.record()["config"]
        try:
            return TrainConfig.from_json(config)
        except BadInput as error:
            raise BadInput(f"{self.config_path}: {error}") from error

    def policy(self) -> Policy:
        return policy_from_json(self.record()["policy"], str(self.config_path))

    def status(self) -> dict[str, Any]:
        """``status.json`` with the state as it really is: "lost" if its process is gone."""
        status = read_json(self.status_path)
        if not isinstance(status, dict) or status.get("state") not in STATES:
            raise BadInput(
                f"{self.status_path} holds no state of {', '.join(STATES)}: restore the run from "
                "a copy or remove its folder."
            )
        if status["state"] in ACTIVE and not is_alive(status):
            status["state"] = "lost"
            status["reason"] = "its process ended without a word"
        elif (
            status["state"] == "queued"
            and "launched" in status
            and not is_recent(status["launched"])
        ):
            status["state"] = "lost"
            status["reason"] = "its process never began; see train.log"
        elif status["state"] == "running" and self.stop_path.exists():
            status["state"] = "stopping"
        return status

    def metrics(self) -> list[dict[str, Any]]:
        """The records of all epochs, oldest first; a line that is being written is left out."""
        if not self.metrics_path.exists():
            return []
        lines = self.metrics_path.read_text(encoding="utf-8", errors="replace").split("\n")[:-1]
        try:
            return [json.loads(line) for line in lines]
        except json.JSONDecodeError as error:
            raise BadInput(
                f"{self.metrics_path} has a line that is not JSON ({error}): "
                f"`python -m bloodcell resume {self.id}` writes it anew from the checkpoint."
            ) from error

    def predictions(self) -> dict[str, np.ndarray]:
        """The exported model's answers: identities, labels, probabilities of both parts.

        Raises:
            BadInput: the file is damaged.
            FileNotFoundError: the run has none.
        """
        try:
            with np.load(self.predictions_path, allow_pickle=False) as held:
                return {key: held[key] for key in held.files}
        except (ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
            raise BadInput(
                f"{self.predictions_path} is damaged ({error}): restore the run from a copy."
            ) from error

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
        config, status, metrics = self.config(), self.status(), self.metrics()
        best = min(metrics, key=selection_loss, default=None)
        return {
            "id": self.id,
            "state": status["state"],
            "backbone": config.backbone,
            "dataset": Path(config.dataset).name,
            "epoch": len(metrics),
            "epochs": config.epochs,
            "val_accuracy": best and best["val_accuracy"],
            "val_images": best and sum(map(sum, best.get("val_confusion", []))),
            "seconds": round(sum(m["seconds"] for m in metrics), 1),
            "reason": status.get("reason", ""),
        }


def create_run(workspace: Workspace, config: TrainConfig, record: dict[str, Any]) -> Run:
    """Make the folder of a new, queued run.

    Args:
        record: further keys for ``config.json`` (policy, versions, fingerprints).
    """
    stamp = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
    run_id = f"{stamp}-{config.backbone}-{secrets.token_hex(2)}"
    path = workspace.new("runs", run_id)
    with new_folder(path) as folder:
        write_json(folder / "config.json", {"config": config.to_json(), **record})
        now = time.time()
        status = {"state": "queued", "reason": "", "pid": None, "created": now, "heartbeat": now}
        write_json(folder / "status.json", status)
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
        run.config(), run.status(), run.metrics()
    except BadInput as error:
        return str(error)
    except OSError as error:
        return (
            f"{run.path} is not readable as a run ({error.strerror}): "
            "restore the folder from a copy, or remove it."
        )
    return ""
