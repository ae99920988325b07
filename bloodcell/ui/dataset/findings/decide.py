"""Decisions on findings: on one, on a group, or on all of a kind with a preview of the numbers."""

from collections import Counter

import numpy as np
import streamlit as st

from bloodcell.audit.finding import Finding
from bloodcell.classes import CLASS_NAMES, title
from bloodcell.data.store.dataset import Dataset
from bloodcell.errors import BloodCellError
from bloodcell.ui.common.dataset_index import DatasetIndex
from bloodcell.ui.dataset.findings.words import DECIDED, KIND_TITLES

__all__ = [
    "COPIES",
    "apply_decisions",
    "button_row",
    "decide_on_all",
    "decisions_for",
    "keep_one",
    "show_last_step",
    "undo_step",
]

# Of these, what is to be excluded is a matter of the group, not of the score.
COPIES = ("exact_duplicate", "conflicting_label", "near_duplicate")
ACTIONS = {"exclude": "Exclude", "relabel": "Give the label they look like", "keep": "Keep"}
LAST_STEP = "last_step"


def decisions_for(findings: list[Finding], action: str, reason: str) -> dict[int, dict]:
    """index → decision, as `Curation.decide` takes them.

    Args:
        action: "exclude", "keep", or "relabel" to the class that each looks like; one that looks
            like none is left alone.
    """
    found: dict[int, dict] = {}
    for f in findings:
        decision: dict = {"decision": action, "reason": reason}
        if action == "relabel":
            if f.looks_like is None:
                continue
            decision["label"] = CLASS_NAMES.index(f.looks_like)
        found[f.index] = decision
    return found


def apply_decisions(dataset: Dataset, decisions: dict[int, dict]) -> None:
    """A callback: decide, and leave a line on it for the next run of the page."""
    try:
        dataset.curation.decide(decisions)
    except BloodCellError as error:
        st.session_state[LAST_STEP] = (dataset.name, str(error), None)
        return
    numbers = Counter(d["decision"] for d in decisions.values())
    text = ", ".join(f"{n:,} {DECIDED[kind]}" for kind, n in numbers.items())
    st.session_state[LAST_STEP] = (dataset.name, f"{text}.", dataset.curation.last_step)


def undo_step(dataset: Dataset, step: str) -> None:
    """A callback: take the step back that was shown, not one that somebody took meanwhile."""
    st.session_state.pop(LAST_STEP, None)
    try:
        n = dataset.curation.undo_last(step)
    except BloodCellError as error:
        st.session_state[LAST_STEP] = (dataset.name, str(error), None)
    else:
        st.toast(f"{n:,} decisions taken back.")


def show_last_step(dataset: Dataset) -> None:
    """What was decided last in this visit, with a way back."""
    name, text, step = st.session_state.get(LAST_STEP, ("", "", None))
    if name != dataset.name:
        return
    if step is None:
        st.error(text, icon=":material/error:")
    elif step == dataset.curation.last_step:
        with st.container(horizontal=True, vertical_alignment="center"):
            st.success(text, icon=":material/check_circle:", width="stretch")
            st.button("Undo", icon=":material/undo:", on_click=undo_step, args=(dataset, step))


def _possible(kind: str) -> list[str]:
    return ["exclude", "relabel", "keep"] if kind == "suspect_label" else ["exclude", "keep"]


def decide_on_all(
    dataset: Dataset, index: DatasetIndex, findings: list[Finding], kind: str
) -> None:
    """Ask what to do with findings of one kind, and say beforehand what that will change."""
    action = st.segmented_control(
        "What to do",
        _possible(kind),
        default="exclude",
        required=True,
        format_func=ACTIONS.get,
        key=f"all_action_{kind}",
    )
    suggested = [f for f in findings if f.suggested == "exclude"]
    meant = findings
    if action == "exclude" and kind in COPIES:
        meant = suggested
        st.caption("Of each group only those suggested, so that one of the copies stays.")
    elif (
        action == "exclude"
        and 0 < len(suggested) < len(findings)
        and st.toggle(f"Only the {len(suggested):,} suggested to be excluded", True)
    ):
        meant = suggested
    decisions = decisions_for(meant, action, kind)
    _preview(index, decisions, action)
    st.text_input("Reason", KIND_TITLES[kind], max_chars=200, key=f"all_reason_{kind}")
    verb = {"exclude": "Exclude", "relabel": "Relabel", "keep": "Keep"}[action]
    st.button(
        f"{verb} {len(decisions):,} images",
        type="primary",
        disabled=not decisions,
        help="Reversible: nothing is deleted, and the whole step can be undone as one.",
        on_click=_apply_to_all,
        args=(dataset, decisions, kind),
    )


def _apply_to_all(dataset: Dataset, decisions: dict[int, dict], kind: str) -> None:
    # A reason that was typed right before the click is in the state, but not in the last run.
    reason = str(st.session_state.get(f"all_reason_{kind}", "")).strip()
    reason = kind if reason in ("", KIND_TITLES[kind]) else reason
    apply_decisions(dataset, {i: d | {"reason": reason} for i, d in decisions.items()})


def _preview(index: DatasetIndex, decisions: dict[int, dict], action: str) -> None:
    before = Counter(int(index.labels[i]) for i in decisions)
    if not before:
        st.markdown("None of them is suggested: nothing would change.")
        return
    verb = {"exclude": "would be excluded", "keep": "would be kept", "relabel": "would change"}
    st.markdown(f"**{len(decisions):,} images** {verb[action]}:")
    after = Counter(d["label"] for d in decisions.values() if action == "relabel")
    used = Counter(int(c) for c in index.labels[index.kept])
    rows = []
    for c in sorted(set(before) | set(after)):
        then = used[c] - before[c] + after[c] if action != "keep" else used[c]
        numbers = f"{used[c]:,} → {then:,}" if then != used[c] else f"{used[c]:,}"
        rows.append({"label": title(c), "images": before[c], "in use": numbers})
    st.dataframe(rows, hide_index=True, height=min(38 + 35 * len(rows), 320))


def keep_one(findings: list[Finding], labels: np.ndarray) -> dict[int, dict]:
    """Of copies under several labels, keep the first that has the label it looks like.

    Args:
        labels: int64, N: of all images of the dataset.

    Returns:
        index → decision; empty where none of them has that label.
    """
    like = findings[0].looks_like
    right = [f for f in findings if like == CLASS_NAMES[int(labels[f.index])]]
    if not right:
        return {}
    others = [f for f in findings if f is not right[0]]
    found = decisions_for(others, "exclude", findings[0].kind)
    return found | decisions_for(right[:1], "keep", f"looks like {like}".replace("_", " "))


def button_row(dataset: Dataset, index: DatasetIndex, group: list[Finding], key: str) -> None:
    """Accept or reject one group of findings."""
    kind, like = group[0].kind, group[0].looks_like
    suggested = [f for f in group if f.suggested == "exclude"]
    excluded = suggested if kind in COPIES and suggested else group
    many = len(group) > 1

    def button(name: str, label: str, icon: str, decisions: dict[int, dict]) -> None:
        st.button(
            label,
            icon=f":material/{icon}:",
            key=f"{name}_{key}",
            on_click=apply_decisions,
            args=(dataset, decisions),
        )

    with st.container(horizontal=True):
        text = f"Exclude {len(excluded):,}" if many else "Exclude"
        button("exclude", text, "block", decisions_for(excluded, "exclude", kind))
        text = f"Keep all {len(group):,}" if many else "Keep"
        reason = f"not {KIND_TITLES[kind].lower()}"
        button("keep", text, "check", decisions_for(group, "keep", reason))
        if like is None:
            return
        name = title(CLASS_NAMES.index(like)).lower()
        if kind == "suspect_label":
            button("relabel", f"Label as {name}", "label", decisions_for(group, "relabel", kind))
        elif kind == "conflicting_label" and (decisions := keep_one(group, index.labels)):
            button("keep_one", f"Keep one as {name}", "filter_1", decisions)
