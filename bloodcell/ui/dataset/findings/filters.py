"""Which of the findings are shown: by label, by the class they look like, by score."""

from dataclasses import dataclass
from itertools import groupby

import numpy as np
import streamlit as st

from bloodcell.audit.finding import Finding
from bloodcell.classes import CLASS_NAMES, CLASSES, title

__all__ = ["Wanted", "ask", "groups_of"]

SUGGESTED = {"all": "All", "exclude": "To exclude", "review": "To look at"}


@dataclass(frozen=True)
class Wanted:
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


def groups_of(findings: list[Finding], labels: np.ndarray, wanted: Wanted) -> list[list[Finding]]:
    """Whole groups of which at least one finding is wanted, in their order.

    Args:
        labels: int64, N: of all images of the dataset.
    """
    groups = (list(rows) for _, rows in groupby(findings, key=lambda f: f.group))
    return [g for g in groups if any(wanted(f, int(labels[f.index])) for f in g)]


def ask(findings: list[Finding], labels: np.ndarray, kind: str) -> Wanted:
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
                    "Score at least",
                    float(low),
                    float(high),
                    step=0.01,
                    key=f"above_{kind}_{low:.2f}_{high:.2f}",
                    help="How sure the audit is, from 0 to 1.",
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
    return Wanted(tuple(own), tuple(like), above, suggested)
