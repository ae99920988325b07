"""What state a run is in, as the page says it."""

from typing import Any

import streamlit as st

from bloodcell.errors import BloodCellError
from bloodcell.models.classifier import BACKBONES
from bloodcell.runs.labels import Labels, read_labels
from bloodcell.runs.resources import Gpu, Resources, gpus, resources
from bloodcell.runs.run import ACTIVE, Run
from bloodcell.training.config import TrainConfig

__all__ = [
    "STATE_LOOK",
    "graphics",
    "is_live",
    "is_starting",
    "labels_of",
    "load_of",
    "remaining_seconds",
    "state_words",
    "title_of",
]

STATE_LOOK: dict[str, tuple[str, str]] = {
    "starting": ("violet", "hourglass_top"),
    "queued": ("gray", "schedule"),
    "running": ("violet", "play_circle"),
    "stopping": ("orange", "hourglass_top"),
    "stopped": ("gray", "stop_circle"),
    "finished": ("green", "check_circle"),
    "failed": ("red", "error"),
    "lost": ("red", "heart_broken"),
}

SHORTEST_S = 0.5


def is_starting(status: dict[str, Any]) -> bool:
    """Whether a run was launched and its process has not spoken up yet."""
    return status["state"] == "queued" and "launched" in status


def state_words(status: dict[str, Any]) -> str:
    """A key of `STATE_LOOK`."""
    return "starting" if is_starting(status) else status["state"]


def is_live(status: dict[str, Any]) -> bool:
    """Whether the run may change without a click."""
    return status["state"] in (*ACTIVE, "queued")


def labels_of(run: Run) -> Labels:
    """Name, tags and note; none where they cannot be read."""
    try:
        return read_labels(run)
    except BloodCellError:
        return Labels()


def title_of(run: Run) -> str:
    """The run's name, else its network and the end of its id."""
    name = labels_of(run).name
    return name or f"{BACKBONES[run.config().backbone].split(' ')[0]} {run.id[-4:]}"


def remaining_seconds(config: TrainConfig, status: dict[str, Any]) -> float | None:
    """Seconds of training left if all epochs are run, or None while nobody can tell.

    Validation is not counted, and early stopping or the time budget may end it before.
    """
    rate, batches = status.get("images_per_second"), status.get("batches")
    if not rate or not batches:
        return None
    left = (config.epochs - status["epoch"]) * batches + batches - status["batch"]
    return left * config.batch_size / rate


@st.cache_resource(show_spinner=False)
def _taken() -> dict[str, Resources]:
    return {}


@st.cache_data(ttl=4.0, show_spinner=False)
def graphics() -> list[Gpu]:
    """The graphics processors of this machine, as they were some seconds ago at most."""
    return gpus()


def load_of(run: Run) -> Resources | None:
    """What a run's process takes since the last look of any visitor; None if it does not run."""
    before = _taken().get(run.id)
    now = resources(run, before)
    if now is None:
        _taken().pop(run.id, None)
    # Two browsers look at nearly the same moment: in an instant nothing is measured.
    elif before is None or before.pid != now.pid or now.at - before.at > SHORTEST_S:
        _taken()[run.id] = now
    else:
        now = before
    return now
