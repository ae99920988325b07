"""What an audit found: ranked, filtered, a page of groups at a time."""

from collections import Counter
from dataclasses import dataclass
from itertools import groupby

import numpy as np
import streamlit as st

from bloodcell.audit.finding import KIND_TITLES, Finding
from bloodcell.classes import CLASS_NAMES, CLASSES, title
from bloodcell.data.store.dataset import Dataset
from bloodcell.ui.common.dataset_index import DatasetIndex, find_faults
from bloodcell.ui.dataset.findings.audit import show_audit
from bloodcell.ui.dataset.findings.decisions import (
    COPIES,
    apply_decisions,
    ask_decision,
    decisions_for,
    show_last_step,
)
from bloodcell.ui.dataset.findings.group import show_group

__all__ = ["KIND_TEXTS", "FindingFilter", "groups_of", "show_findings"]

GROUPS_PER_PAGE = 6
SUGGESTED = {"all": "All", "exclude": "Exclude", "review": "Review"}
KIND_TEXTS = {
    "exact_duplicate": "The same pixels more than once under one label. The first is to stay; the "
    "others add nothing.",
    "conflicting_label": "The same pixels under different labels. Nobody can tell which is right, "
    "so none is to stay.",
    "near_duplicate": "Almost the same picture, for example one cell photographed twice.",
    "outlier": "Pictures unlike all others: foreign ones, no cell or half a cell, and cells that "
    "are odd but real. Only the former are suggested to be excluded.",
    "suspect_label": "Cells whose look contradicts their label.",
}


@dataclass(frozen=True)
class FindingFilter:
    """A choice among findings of one kind.

    Attributes:
        labels: ids of the labels meant; none means all.
        looks_like: names of the classes meant; none means all.
        above: lowest score.
        suggested: "all", "exclude" or "review".
    """

    labels: tuple[int, ...] = ()
    looks_like: tuple[str, ...] = ()
    above: float = 0.0
    suggested: str = "all"

    def __call__(self, finding: Finding, label: int) -> bool:
        return (
            (not self.labels or label in self.labels)
            and (not self.looks_like or finding.looks_like in self.looks_like)
            and finding.score >= self.above
            and self.suggested in ("all", finding.suggested)
        )


def groups_of(
    findings: list[Finding], labels: np.ndarray, wanted: FindingFilter
) -> list[list[Finding]]:
    """Whole groups of which at least one finding is wanted, in their order.

    Args:
        labels: int64, N: of all images of the dataset.
    """
    groups = (list(rows) for _, rows in groupby(findings, key=lambda f: f.group))
    return [g for g in groups if any(wanted(f, int(labels[f.index])) for f in g)]


def _ask_filter(findings: list[Finding], labels: np.ndarray, kind: str) -> FindingFilter:
    """Widgets to choose among the findings of one kind; those that make no difference are not
    shown.
    """
    present = sorted({int(labels[f.index]) for f in findings})
    alike = [c for c in CLASS_NAMES if any(f.looks_like == c for f in findings)]
    scores = {f.score for f in findings}
    suggestions = {f.suggested for f in findings}
    with st.container(horizontal=True, vertical_alignment="bottom"):
        own = (
            st.multiselect("Label", present, format_func=title, key=f"of_label_{kind}", width=200)
            if len(present) > 1
            else []
        )
        like = (
            st.multiselect(
                "Looks like",
                alike,
                format_func=lambda c: CLASSES[CLASS_NAMES.index(c)].title,
                key=f"like_{kind}",
                width=200,
            )
            if len(alike) > 1
            else []
        )
        above = 0.0
        if len(scores) > 1:
            low, high = np.floor(min(scores) * 100) / 100, np.floor(max(scores) * 100) / 100
            if low < high:
                above = st.slider(
                    "Minimum score",
                    float(low),
                    float(high),
                    step=0.01,
                    key=f"above_{kind}_{low:.2f}_{high:.2f}",
                    help="How certain the audit is, from 0 to 1.",
                    width=180,
                )
        suggested = "all"
        if len(suggestions) > 1:
            suggested = st.segmented_control(
                "Suggestion",
                list(SUGGESTED),
                default="all",
                required=True,
                format_func=SUGGESTED.get,
                key=f"suggested_{kind}",
            )
    return FindingFilter(tuple(own), tuple(like), above, suggested)


def show_findings(dataset: Dataset, index: DatasetIndex) -> None:
    """The audit, and its findings by kind as cards on which one decides."""
    found = show_audit(dataset)
    show_last_step(dataset)
    findings = find_faults(dataset)
    used = int(index.kept.sum())
    if not findings:
        text = f"No exact duplicates among the {used:,} images in use"
        text += "." if found is None else ", and no other finding of the audit is open."
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
    st.markdown(KIND_TEXTS[kind])
    wanted = _ask_filter(of_kind, index.labels, kind)
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
                help="Nothing is deleted. Every decision can be undone below.",
                on_click=apply_decisions,
                args=(dataset, decisions_for(suggested, "exclude", kind)),
            )
        if shown:
            with st.popover(
                f"Apply to all {len(shown):,}",
                icon=":material/checklist:",
                help="Exclude, keep or relabel all that pass the filters above, after a preview.",
                width="content",
            ):
                ask_decision(dataset, index, shown, kind)
    pages = max(1, -(-len(groups) // GROUPS_PER_PAGE))
    page = st.pagination(pages, key=f"finding_page_{kind}_{pages}") if pages > 1 else 1
    begin = (page - 1) * GROUPS_PER_PAGE
    for group in groups[begin : begin + GROUPS_PER_PAGE]:
        show_group(dataset, index, found, group, f"{kind}_{group[0].index}")
