"""The list of decisions: each can be undone, all can be taken along and brought in."""

from dataclasses import replace

import pandas as pd
import streamlit as st

from bloodcell.classes import title
from bloodcell.data.store.dataset import Dataset
from bloodcell.data.store.decisions import decisions_csv, import_decisions
from bloodcell.errors import BadInput
from bloodcell.ui.common.dataset_index import DatasetIndex
from bloodcell.ui.common.errors import show_errors
from bloodcell.ui.common.gallery import gallery
from bloodcell.ui.dataset.findings.decide import undo_step
from bloodcell.ui.dataset.findings.words import DECIDED, reason_words
from bloodcell.ui.dataset.image_view import picture_of

__all__ = ["show_decisions"]

TILE = 96
MOST_PICTURES = 24


def _table(dataset: Dataset, index: DatasetIndex) -> pd.DataFrame:
    return pd.DataFrame(
        [
            {
                "image": i,
                "name": index.names[i],
                "decision": DECIDED[d["decision"]],
                "brought in as": title(int(dataset.given_labels[i])),
                "label now": title(d["label"]) if "label" in d else "",
                "reason": reason_words(d["reason"]),
                "time": d["time"],
                "step": d.get("batch", 0),
            }
            for i, d in dataset.curation.decisions.items()
        ]
    )


def _take_in(dataset: Dataset) -> None:
    with st.popover("Import", icon=":material/upload_file:"):
        st.markdown(
            "A table of decisions exported from this or another copy of the images. An image is "
            "known by its pixels; names and order do not matter."
        )
        file = st.file_uploader("Table of decisions (CSV)", type="csv", key="decisions_file")
        if file is None or not st.button("Take over the decisions", type="primary"):
            return
        with show_errors():
            try:
                text = file.getvalue().decode("utf-8-sig")
            except UnicodeDecodeError as error:
                raise BadInput(
                    f"{file.name} is not UTF-8 text: export the table of decisions again as CSV."
                ) from error
            done = import_decisions(dataset, text, file.name)
            said = f"{done.applied:,} decisions taken over, {done.changed:,} of them new."
            if done.unknown:
                said += f" {done.unknown:,} are about images that are not in {dataset.name}."
            st.session_state["decisions_said"] = said
            st.rerun()


def _carry(dataset: Dataset, n: int) -> None:
    if n:
        st.download_button(
            "Export",
            lambda: decisions_csv(dataset),
            file_name=f"{dataset.name}-decisions.csv",
            mime="text/csv",
            icon=":material/download:",
            on_click="ignore",
        )
    _take_in(dataset)


def show_decisions(dataset: Dataset, index: DatasetIndex) -> None:
    """The list of decisions, each of which can be undone, and a way in and out as CSV."""
    st.subheader("Decisions", anchor=False)
    if said := st.session_state.pop("decisions_said", None):
        st.success(said, icon=":material/check_circle:")
    table = _table(dataset, index)
    if table.empty:
        st.caption(
            "None yet. What is excluded, relabelled or kept is listed here and can be undone: "
            "nothing is ever deleted from the images."
        )
        with st.container(horizontal=True):
            _carry(dataset, 0)
        return
    st.caption(
        f"{len(table):,} decisions. Select rows to see the images or to undo them. A decision "
        "makes a new state of the dataset: runs made before it cannot be resumed, new ones use it."
    )
    step = dataset.curation.last_step
    chosen = st.dataframe(
        table,
        hide_index=True,
        height=min(38 + 35 * len(table), 320),
        column_config={
            "time": st.column_config.DatetimeColumn(format="YYYY-MM-DD HH:mm"),
            "image": st.column_config.NumberColumn(width="small"),
            "step": st.column_config.NumberColumn(
                width="small", help="Decisions of one step were taken together."
            ),
        },
        on_select="rerun",
        selection_mode="multi-row",
        key=f"decisions_{dataset.curation.fingerprint[:12]}_{step[:12]}_{len(table)}",
    ).selection.rows
    indices = [int(table["image"].iloc[row]) for row in chosen if row < len(table)]
    last = len(dataset.curation.in_last_batch())
    with st.container(horizontal=True):
        undo = st.button(
            f"Undo {len(indices):,} selected" if indices else "Undo selected",
            icon=":material/undo:",
            disabled=not indices,
        )
        st.button(
            f"Undo the last step ({last:,})",
            icon=":material/history:",
            help="What these decisions replaced holds again.",
            on_click=undo_step,
            args=(dataset, step),
        )
        undo_all = st.button(f"Undo all {len(table):,}", icon=":material/restart_alt:")
        _carry(dataset, len(table))
    if undo or undo_all:
        with show_errors():
            n = dataset.curation.undo(indices if undo else table["image"])
            st.toast(f"{n:,} decisions undone.")
            st.rerun()
    if indices:
        gallery(
            [replace(picture_of(dataset, index, i), faded=False) for i in indices[:MOST_PICTURES]],
            key="decided",
            side=TILE,
            clickable=False,
        )
