"""What an audit found, ranked, filtered and paged, and the decisions that follow from it."""

from collections import Counter

import streamlit as st

from bloodcell.data.store.dataset import Dataset
from bloodcell.ui.common.dataset_index import DatasetIndex, find_faults
from bloodcell.ui.dataset.findings.audit import show_audit
from bloodcell.ui.dataset.findings.card import show_group
from bloodcell.ui.dataset.findings.decide import (
    COPIES,
    apply_decisions,
    decide_on_all,
    decisions_for,
    show_last_step,
)
from bloodcell.ui.dataset.findings.decisions import show_decisions
from bloodcell.ui.dataset.findings.filters import ask, groups_of
from bloodcell.ui.dataset.findings.words import KIND_TITLES, KIND_WORDS

__all__ = ["show_decisions", "show_findings"]

GROUPS_PER_PAGE = 6


def show_findings(dataset: Dataset, index: DatasetIndex) -> None:
    """The audit, and its findings by kind as cards on which one decides."""
    found = show_audit(dataset)
    show_last_step(dataset)
    findings = find_faults(dataset)
    used = int(index.kept.sum())
    if not findings:
        text = f"No two of the {used:,} images in use have the same pixels"
        text += "." if found is None else ", and nothing else that the audit found is left."
        st.success(text, icon=":material/check_circle:")
        return
    numbers = Counter(f.kind for f in findings)
    kinds = [kind for kind in KIND_TITLES if numbers[kind]]
    kind = st.segmented_control(
        "Kind of finding",
        kinds,
        default=kinds[0],
        required=True,
        format_func=lambda k: f"{KIND_TITLES[k]} ({numbers[k]:,})",
        # One of a kind that is gone after a decision must not stay chosen.
        key=f"finding_kind_{'_'.join(kinds)}",
    )
    of_kind = [f for f in findings if f.kind == kind]
    st.markdown(KIND_WORDS[kind])
    wanted = ask(of_kind, index.labels, kind)
    groups = groups_of(of_kind, index.labels, wanted)
    shown = [f for group in groups for f in group]
    suggested = [f for f in shown if f.suggested == "exclude"]
    images = "image" if len(shown) == 1 else "images"
    text = f"{len(shown):,} {images}"
    if kind in COPIES:
        text += f" in {len(groups):,} {'group' if len(groups) == 1 else 'groups'}"
    text += f", {len(suggested):,} suggested to exclude"
    st.markdown(f"**{text}.**")
    with st.container(horizontal=True):
        if suggested:
            st.button(
                f"Exclude the {len(suggested):,} suggested images",
                type="primary",
                icon=":material/block:",
                help="Reversible: nothing is deleted, and every decision can be undone below.",
                on_click=apply_decisions,
                args=(dataset, decisions_for(suggested, "exclude", kind)),
            )
        if shown:
            with st.popover(
                f"Decide on all {len(shown):,}",
                icon=":material/checklist:",
                help="Exclude, keep or relabel all that are chosen above, after a preview.",
                width="content",
            ):
                decide_on_all(dataset, index, shown, kind)
    pages = max(1, -(-len(groups) // GROUPS_PER_PAGE))
    page = st.pagination(pages, key=f"finding_page_{kind}_{pages}") if pages > 1 else 1
    begin = (page - 1) * GROUPS_PER_PAGE
    for group in groups[begin : begin + GROUPS_PER_PAGE]:
        show_group(dataset, index, found, group, f"{kind}_{group[0].index}")
