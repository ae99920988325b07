"""The list of runs: their state, name and tags, as a table that can be filtered."""

from pathlib import Path
from typing import Any

import pandas as pd
import streamlit as st

from bloodcell.errors import BloodCellError
from bloodcell.evaluation.intervals import wilson
from bloodcell.models.classifier import BACKBONES
from bloodcell.runs.labels import Labels, read_labels
from bloodcell.runs.process import Gpu, Resources, gpus, resources
from bloodcell.runs.run import ACTIVE, Run
from bloodcell.training.config import TrainConfig
from bloodcell.ui.common.errors import show_errors
from bloodcell.ui.common.format import interval

__all__ = [
    "COLUMNS",
    "STATE_STYLES",
    "describe_state",
    "estimate_remaining",
    "filter_rows",
    "is_live",
    "is_starting",
    "list_gpus",
    "list_run_rows",
    "measure_load",
    "name_run",
    "read_labels_of",
    "table_height",
]

STATE_STYLES: dict[str, tuple[str, str]] = {
    "starting": ("violet", "hourglass_top"),
    "queued": ("gray", "schedule"),
    "running": ("violet", "play_circle"),
    "stopping": ("orange", "hourglass_top"),
    "stopped": ("gray", "stop_circle"),
    "finished": ("green", "check_circle"),
    "failed": ("red", "error"),
    "lost": ("red", "link_off"),
}

SHORTEST_S = 0.5
FILTERS = ("state", "backbone", "dataset", "tag")
COLUMNS = {
    "val accuracy": st.column_config.NumberColumn(
        format="%.2f %%",
        help="At the epoch with the lowest validation loss, whose weights are kept.",
    ),
    "minutes": st.column_config.NumberColumn(format="%.1f", help="Training time."),
    "tags": st.column_config.ListColumn(),
    "id": None,
    "started": st.column_config.DatetimeColumn(format="D MMM, HH:mm"),
}


def is_starting(status: dict[str, Any]) -> bool:
    """Whether a run was launched and its process has not reported yet."""
    return status["state"] == "queued" and "launched" in status


def describe_state(status: dict[str, Any]) -> str:
    """A key of `STATE_STYLES`."""
    return "starting" if is_starting(status) else status["state"]


def is_live(status: dict[str, Any]) -> bool:
    """Whether the run may change without a click."""
    return status["state"] in (*ACTIVE, "queued")


def read_labels_of(run: Run) -> Labels:
    """Name, tags and note; none where they cannot be read."""
    try:
        return read_labels(run)
    except BloodCellError:
        return Labels()


def name_run(run: Run) -> str:
    """The run's name, else its network and the end of its id."""
    name = read_labels_of(run).name
    return name or f"{BACKBONES[run.config().backbone].split(' ')[0]} {run.id[-4:]}"


def estimate_remaining(config: TrainConfig, status: dict[str, Any]) -> float | None:
    """Seconds of training left if all epochs are run, or None while nobody can tell.

    Validation is not counted, and early stopping or the time budget may end it before.
    """
    rate, batches = status.get("images_per_second"), status.get("batches")
    if not rate or not batches:
        return None
    left = (config.epochs - status["epoch"]) * batches + batches - status["batch"]
    return left * config.batch_size / rate


@st.cache_resource(show_spinner=False)
def _last_loads() -> dict[str, Resources]:
    return {}


@st.cache_data(ttl=4.0, show_spinner=False)
def list_gpus() -> list[Gpu]:
    """The list_gpus processors of this machine, as they were some seconds ago at most."""
    return gpus()


def measure_load(run: Run) -> Resources | None:
    """What a run's process uses since it was last measured; None if it does not run."""
    before = _last_loads().get(run.id)
    now = resources(run.status(), before)
    if now is None:
        _last_loads().pop(run.id, None)
    # Two browsers ask at nearly the same moment: too short a time to measure anything.
    elif before is None or before.pid != now.pid or now.at - before.at > SHORTEST_S:
        _last_loads()[run.id] = now
    else:
        now = before
    return now


def list_run_rows(runs: list[Run]) -> pd.DataFrame:
    """A row for each run: run (name), state, backbone, dataset, epochs, ..., id."""
    rows: list[dict[str, Any]] = []
    for run in runs:
        with show_errors():
            s, status = run.summary(), run.status()
            rows.append(
                {
                    "run": name_run(run),
                    "state": describe_state(status),
                    "backbone": s["backbone"],
                    "dataset": Path(s["dataset"]).name,
                    "epochs": f"{s['epoch']} of {s['epochs']}",
                    "val accuracy": s["val_accuracy"] and 100 * s["val_accuracy"],
                    "95 % interval": _format_interval(s["val_accuracy"], s["val_images"]),
                    "minutes": s["seconds"] / 60,
                    "tags": list(read_labels_of(run).tags),
                    "started": pd.Timestamp(status.get("created", 0), unit="s"),
                    "id": run.id,
                }
            )
    columns = ["run", "state", "backbone", "dataset", "epochs", "val accuracy"]
    columns += ["95 % interval", "minutes", "tags", "started", "id"]
    return pd.DataFrame(rows, columns=columns)


def _format_interval(accuracy: float | None, n: int | None) -> str | None:
    if accuracy is None or not n:
        return None
    return f"{interval(wilson(round(accuracy * n), n))}, n = {n:,}"


def filter_rows(table: pd.DataFrame, key: str) -> pd.DataFrame:
    """Widgets to narrow the table by state, backbone, dataset and tag; returns what is left."""
    options = {
        name: sorted(set(table[name]))
        if name != "tag"
        else sorted({tag for tags in table["tags"] for tag in tags})
        for name in FILTERS
    }
    columns = st.columns(len(FILTERS))
    for column, name in zip(columns, FILTERS, strict=True):
        with column:
            chosen = st.multiselect(
                name.capitalize(),
                options[name],
                key=f"{key}_{name}",
                placeholder="all",
                persist_state="session",
                disabled=not options[name],
            )
        if chosen and name == "tag":
            table = table[[bool(set(tags) & set(chosen)) for tags in table["tags"]]]
        elif chosen:
            table = table[table[name].isin(chosen)]
    return table.reset_index(drop=True)


def table_height(rows: int, most: int = 320) -> int:
    """Pixels of a table that shows its rows without a gap, up to a scrolled one."""
    return min(38 + 35 * max(rows, 1), most)
