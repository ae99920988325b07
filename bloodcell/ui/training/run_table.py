"""The table of runs, to choose one from or several, and what it may be filtered by."""

from pathlib import Path
from typing import Any

import pandas as pd
import streamlit as st

from bloodcell.evaluation.intervals import wilson
from bloodcell.runs.run import Run
from bloodcell.ui.common.format import interval
from bloodcell.ui.common.state import show_errors
from bloodcell.ui.training.run_state import labels_of, state_words, title_of

__all__ = ["COLUMNS", "filter_rows", "run_rows", "table_height"]

FILTERS = ("state", "backbone", "dataset", "tag")
COLUMNS = {
    "validation accuracy": st.column_config.NumberColumn(
        format="%.2f %%", help="Of the epoch with the lowest validation loss."
    ),
    "minutes": st.column_config.NumberColumn(format="%.1f", help="Of training."),
    "tags": st.column_config.ListColumn(),
    "id": None,
    "started": st.column_config.DatetimeColumn(format="D MMM YYYY, HH:mm"),
}


def run_rows(runs: list[Run]) -> pd.DataFrame:
    """A row for each run: run (name), state, backbone, dataset, epochs, ..., id."""
    rows: list[dict[str, Any]] = []
    for run in runs:
        with show_errors():
            s, status = run.summary(), run.status()
            rows.append(
                {
                    "run": title_of(run),
                    "state": state_words(status),
                    "backbone": s["backbone"],
                    "dataset": Path(s["dataset"]).name,
                    "epochs": f"{s['epoch']} of {s['epochs']}",
                    "validation accuracy": s["val_accuracy"] and 100 * s["val_accuracy"],
                    "95 % interval": _accuracy_interval(s["val_accuracy"], s["val_images"]),
                    "minutes": s["seconds"] / 60,
                    "tags": list(labels_of(run).tags),
                    "started": pd.Timestamp(status.get("created", 0), unit="s"),
                    "id": run.id,
                }
            )
    columns = ["run", "state", "backbone", "dataset", "epochs", "validation accuracy"]
    columns += ["95 % interval", "minutes", "tags", "started", "id"]
    return pd.DataFrame(rows, columns=columns)


def _accuracy_interval(accuracy: float | None, n: int | None) -> str | None:
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
