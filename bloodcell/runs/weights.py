"""The runs that a run learns from, as its start or its teacher: checked before it is launched."""

import dataclasses
import hashlib
import os
from pathlib import Path
from typing import Any

from bloodcell.errors import BadInput
from bloodcell.runs.run import ACTIVE, Run, open_run
from bloodcell.training.checkpoint import best_epoch
from bloodcell.training.config import BETWEEN, TrainConfig
from bloodcell.workspace import Workspace

__all__ = ["MEAN", "SOURCES", "check_teacher", "check_weights", "is_settled", "runs_named"]

# Between runs the mean of whose weights is a start.
MEAN = "+"
HDF5 = b"\x89HDF\r\n\x1a\n"
# What must be the same for a run and the one it starts from: otherwise the first would have been
# trained on what the second calls unseen.
SPLIT = ("split_seed", "split_shares", "split_fold", "split_by", "split_hold_out")
# What the record of a run says of where it learned from.
SOURCES = ("started_from", "taught_by", "weights_sha256")
FINGERPRINTS = ("dataset_fingerprint", "curation_fingerprint")


def check_weights(
    workspace: Workspace, config: TrainConfig, fingerprints: dict[str, str]
) -> tuple[TrainConfig, dict[str, Any]]:
    """A config whose weights are there, and what is recorded of them.

    Args:
        config: its weights are "none", "imagenet", the path of a weights file, or the id or path
            of a finished or stopped run, whose best epoch is then the start; of several, joined
            with "+", the mean of their weights (Wortsman et al., "Model soups", ICML 2022).
        fingerprints: `dataset_fingerprint` and `curation_fingerprint` of its dataset.

    Raises:
        BadInput: no such file, another kind of file, a run of another backbone, or one that was
            divided into other parts.
    """
    if config.weights in ("none", "imagenet"):
        return config, {}
    path = Path(config.weights).expanduser().absolute()
    if names := runs_named(workspace, config.weights):
        runs = [open_run(workspace, name) for name in names]
        best = [str(_best(run, config, fingerprints)) for run in runs]
        return dataclasses.replace(config, weights=BETWEEN.join(best)), {
            "started_from": MEAN.join(run.id for run in runs)
        }
    if not os.path.isfile(path):
        raise BadInput(
            f"There is no weights file {config.weights}: give the path of a .weights.h5 file "
            "without top, the id of a run, --weights imagenet or --weights none."
        )
    content = path.read_bytes()
    if not content.startswith(HDF5):
        raise BadInput(
            f"{config.weights} is not an HDF5 file: give a .weights.h5 file without top, "
            "the id of a run, --weights imagenet or --weights none."
        )
    digest = hashlib.sha256(content).hexdigest()
    return dataclasses.replace(config, weights=str(path)), {"weights_sha256": digest}


def runs_named(workspace: Workspace, weights: str) -> list[str]:
    """The names or paths of the runs that weights name, joined with "+"; none of a file."""
    # A path may hold a plus too.
    whole = os.path.isdir(os.path.expanduser(weights))
    names = [weights] if whole else weights.split(MEAN)
    # Of os.path, since a list of runs may be too long for a path, which pathlib raises for.
    there = [any(os.path.isdir(p) for p in (workspace.runs / name, name) if name) for name in names]
    return names if whole or all(there) else []


def is_settled(run: Run) -> bool:
    """Whether a run's best epoch will stay what it is until someone lets the run go on."""
    return run.status()["state"] not in (*ACTIVE, "queued")


def _best(run: Run, config: TrainConfig, fingerprints: dict[str, str]) -> Path:
    earlier = run.config()
    if earlier.backbone != config.backbone:
        raise BadInput(
            f"{run.id} is a {earlier.backbone}: a {config.backbone} cannot start from it."
        )
    _check_parts(run, config, fingerprints)
    if not is_settled(run):
        state = run.status()["state"]
        raise BadInput(f"{run.id} is {state}: wait for its end, or start from another run.")
    best = best_epoch(run.checkpoint)
    if best is None:
        raise BadInput(f"{run.id} has finished no epoch yet: wait, or start from another run.")
    return best.absolute()


def check_teacher(
    workspace: Workspace, config: TrainConfig, fingerprints: dict[str, str]
) -> tuple[TrainConfig, dict[str, Any]]:
    """A config whose teacher is there, and what is recorded of it.

    Args:
        config: its teacher is empty, the id or path of a finished run, or its ``model.keras``.
        fingerprints: as in :func:`check_weights`.

    Raises:
        NotFound: no such run.
        BadInput: it is not finished, or was divided into other parts.
    """
    if not config.teacher:
        return config, {}
    name = config.teacher
    run = open_run(workspace, str(Path(name).parent) if name.endswith(".keras") else name)
    if run.status()["state"] != "finished":
        raise BadInput(
            f"{run.id} is {run.status()['state']}: only a finished run can teach another."
        )
    _check_parts(run, config, fingerprints)
    config = dataclasses.replace(config, teacher=str(run.keras_path.absolute()))
    return config, {"taught_by": run.id}


def _check_parts(run: Run, config: TrainConfig, fingerprints: dict[str, str]) -> None:
    record, earlier = run.record(), run.config()
    same_data = all(record[key] == fingerprints[key] for key in FINGERPRINTS)
    if not same_data or any(getattr(earlier, key) != getattr(config, key) for key in SPLIT):
        raise BadInput(
            f"{run.id} was trained on other parts of the data, so images that are unseen here "
            "may be known to it: choose a run with the same dataset, decisions and split."
        )
