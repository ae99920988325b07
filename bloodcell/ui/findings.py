"""What an audit found, as groups of pictures side by side, and the decisions that followed."""

from collections import Counter
from dataclasses import replace
from itertools import groupby

import pandas as pd
import streamlit as st

from bloodcell.audit.finding import Finding
from bloodcell.classes import title
from bloodcell.data.dataset import Dataset
from bloodcell.ui.dataset_index import DatasetIndex, find_faults
from bloodcell.ui.gallery import gallery
from bloodcell.ui.image_view import picture_of, show_image
from bloodcell.ui.state import sentences

__all__ = ["show_decisions", "show_findings"]

WORDS: dict[str, tuple[str, str]] = {
    "exact_duplicate": (
        "Copies",
        "The same pixels more than once under one label: the first is to stay, the others add "
        "nothing.",
    ),
    "conflicting_label": (
        "Copies under different labels",
        "The same pixels under several labels: nobody can tell which is right, so none is to stay.",
    ),
    "near_duplicate": ("Near copies", "Almost the same picture, for example of one cell twice."),
    "outlier": ("Foreign pictures", "Pictures unlike all others of the dataset."),
    "suspect_label": ("Doubtful labels", "Cells whose look contradicts their label."),
}
GROUPS_PER_PAGE = 12
MOST_IN_GROUP = 12
TILE = 96


def _groups(findings: list[Finding]) -> list[list[Finding]]:
    return [list(rows) for _, rows in groupby(findings, key=lambda f: f.group)]


def show_findings(dataset: Dataset, index: DatasetIndex) -> None:
    """The findings by kind, each with a button that excludes what is suggested."""
    findings = find_faults(dataset)
    if not findings:
        st.success(
            f"No two of the {int(index.kept.sum()):,} images in use have the same pixels.",
            icon=":material/check_circle:",
        )
        return
    numbers = Counter(f.kind for f in findings)
    kinds = [kind for kind in WORDS if numbers[kind]]
    kind = st.segmented_control(
        "Kind of finding",
        kinds,
        default=kinds[0],
        required=True,
        format_func=lambda k: f"{WORDS[k][0]} ({numbers[k]:,})",
        # One of a kind that is gone after an exclusion must not stay chosen.
        key=f"finding_kind_{'_'.join(kinds)}",
    )
    found = [f for f in findings if f.kind == kind]
    suggested = [f.index for f in found if f.suggested == "exclude"]
    groups = _groups(found)
    st.markdown(
        f"{WORDS[kind][1]} **{len(found):,} images in {len(groups):,} groups, "
        f"{len(suggested):,} suggested to exclude.**"
    )
    if suggested and st.button(
        f"Exclude the {len(suggested):,} suggested images",
        type="primary",
        icon=":material/block:",
        help="Reversible: nothing is deleted, and every decision can be undone below.",
    ):
        with sentences():
            n = dataset.curation.exclude(suggested, kind)
            st.toast(f"{n:,} images excluded. Each decision can be undone under Decisions.")
            st.rerun()
    _show_groups(dataset, index, groups, kind)


def _show_groups(
    dataset: Dataset, index: DatasetIndex, groups: list[list[Finding]], kind: str
) -> None:
    pages = (len(groups) + GROUPS_PER_PAGE - 1) // GROUPS_PER_PAGE
    page = st.pagination(pages, key=f"finding_page_{kind}_{pages}") if pages > 1 else 1
    with st.container(horizontal=True, gap="small"):
        first = (page - 1) * GROUPS_PER_PAGE
        for number, group in enumerate(groups[first : first + GROUPS_PER_PAGE], first + 1):
            shown = group[:MOST_IN_GROUP]
            columns = min(len(shown), 4)
            with st.container(border=True, width=columns * (TILE + 12) + 34):
                more = len(group) - len(shown)
                st.caption(
                    f"Group {number}: {len(group)} images"
                    + (f", the first {len(shown)} shown" if more else "")
                )
                clicked = gallery(
                    [
                        picture_of(
                            dataset,
                            index,
                            f.index,
                            f"{f.index} · {'exclude' if f.suggested == 'exclude' else 'keep'}",
                        )
                        for f in shown
                    ],
                    key=f"group_{kind}_{group[0].index}",
                    side=TILE,
                )
                if clicked is not None:
                    show_image(dataset, [f.index for f in shown], clicked)


def show_decisions(dataset: Dataset, index: DatasetIndex) -> None:
    """The list of decisions, each of which can be undone."""
    decisions = dataset.curation.decisions
    st.subheader("Decisions", anchor=False)
    if not decisions:
        st.caption(
            "None yet. What is excluded or relabelled is listed here and can be undone: "
            "nothing is ever deleted from the images."
        )
        return
    table = pd.DataFrame(
        [
            {
                "image": i,
                "name": index.names[i],
                "decision": d["decision"],
                "brought in as": title(int(dataset.given_labels[i])),
                "label now": title(d["label"]) if d["decision"] == "relabel" else "",
                "reason": WORDS[d["reason"]][0] if d["reason"] in WORDS else d["reason"],
                "time": d["time"],
            }
            for i, d in decisions.items()
        ]
    )
    st.caption(
        f"{len(table):,} decisions. Select rows to see the images or to undo them. A decision "
        "makes a new state of the dataset: runs made before it cannot be resumed, new ones use it."
    )
    chosen = st.dataframe(
        table,
        hide_index=True,
        height=min(38 + 35 * len(table), 320),
        column_config={
            "time": st.column_config.DatetimeColumn(format="YYYY-MM-DD HH:mm"),
            "image": st.column_config.NumberColumn(width="small"),
        },
        on_select="rerun",
        selection_mode="multi-row",
        key=f"decisions_{dataset.curation.fingerprint[:12]}_{len(table)}",
    ).selection.rows
    indices = [int(table["image"].iloc[row]) for row in chosen if row < len(table)]
    with st.container(horizontal=True):
        undo = st.button(
            f"Undo {len(indices):,} selected" if indices else "Undo selected",
            icon=":material/undo:",
            disabled=not indices,
        )
        undo_all = st.button(f"Undo all {len(table):,}", icon=":material/restart_alt:")
    if undo or undo_all:
        with sentences():
            n = dataset.curation.undo(indices if undo else list(decisions))
            st.toast(f"{n:,} decisions undone.")
            st.rerun()
    if indices:
        gallery(
            [replace(picture_of(dataset, index, i), faded=False) for i in indices[:24]],
            key="decided",
            side=TILE,
            clickable=False,
        )
