"""Decisions on findings: on one, on a group, on all of a kind; the list of them, and undo."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pandas as pd
import streamlit as st

from bloodcell.audit.finding import KIND_TITLES, Finding
from bloodcell.classes import CLASS_NAMES, LABEL_NAMES, title
from bloodcell.data.store.dataset import Dataset
from bloodcell.data.store.decisions import decisions_csv, import_decisions
from bloodcell.errors import BloodCellError
from bloodcell.ui.common.dataset_index import DatasetIndex
from bloodcell.ui.common.errors import show_errors
from bloodcell.ui.common.gallery import gallery
from bloodcell.ui.common.uploads import drop_zone
from bloodcell.ui.dataset.image_view import picture_of

__all__ = [
    "COPIES",
    "apply_decisions",
    "ask_decision",
    "decisions_for",
    "keep_one",
    "show_decision_buttons",
    "show_decisions",
    "show_last_step",
    "undo_step",
]

# Of these, what is to be excluded is a matter of the group, not of the score.
COPIES = ("exact_duplicate", "conflicting_label", "near_duplicate")
ACTIONS = {"exclude": "Exclude", "relabel": "Relabel as suggested", "keep": "Keep"}
LAST_STEP = "last_step"
IMPORT_RESULT = "decisions_import_result"
DONE = {"exclude": "excluded", "relabel": "relabelled", "keep": "kept"}
TILE = 96
MOST_PICTURES = 24


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
    text = ", ".join(f"{n:,} {DONE[kind]}" for kind, n in numbers.items())
    st.session_state[LAST_STEP] = (dataset.name, f"{text}.", dataset.curation.last_step)


def undo_step(dataset: Dataset, step: str) -> None:
    """A callback: undo the step that was shown, not one that somebody took meanwhile."""
    st.session_state.pop(LAST_STEP, None)
    try:
        n = dataset.curation.undo_last(step)
    except BloodCellError as error:
        st.session_state[LAST_STEP] = (dataset.name, str(error), None)
    else:
        st.toast(f"{n:,} decisions undone.")


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


def _actions(kind: str) -> list[str]:
    return ["exclude", "relabel", "keep"] if kind == "suspect_label" else ["exclude", "keep"]


def ask_decision(dataset: Dataset, index: DatasetIndex, findings: list[Finding], kind: str) -> None:
    """Ask what to do with findings of one kind, and say beforehand what that will change."""
    action = st.segmented_control(
        "Decision",
        _actions(kind),
        default="exclude",
        required=True,
        format_func=ACTIONS.get,
        key=f"all_action_{kind}",
    )
    suggested = [f for f in findings if f.suggested == "exclude"]
    meant = findings
    if action == "exclude" and kind in COPIES:
        meant = suggested
        st.caption("In each group only the suggested images are excluded, so that one copy stays.")
    elif (
        action == "exclude"
        and 0 < len(suggested) < len(findings)
        and st.toggle(f"Only the {len(suggested):,} suggested images", True)
    ):
        meant = suggested
    decisions = decisions_for(meant, action, kind)
    _show_preview(index, decisions, action)
    st.text_input("Reason", KIND_TITLES[kind], max_chars=200, key=f"all_reason_{kind}")
    verb = {"exclude": "Exclude", "relabel": "Relabel", "keep": "Keep"}[action]
    st.button(
        f"{verb} {len(decisions):,} images",
        type="primary",
        disabled=not decisions,
        help="Nothing is deleted. The whole step can be undone at once.",
        on_click=_apply_to_all,
        args=(dataset, decisions, kind),
    )


def _apply_to_all(dataset: Dataset, decisions: dict[int, dict], kind: str) -> None:
    # A reason that was typed right before the click is in the state, but not in the last run.
    reason = str(st.session_state.get(f"all_reason_{kind}", "")).strip()
    reason = kind if reason in ("", KIND_TITLES[kind]) else reason
    apply_decisions(dataset, {i: d | {"reason": reason} for i, d in decisions.items()})


def _show_preview(index: DatasetIndex, decisions: dict[int, dict], action: str) -> None:
    before = Counter(int(index.labels[i]) for i in decisions)
    if not before:
        st.markdown("None of them is suggested, so nothing would change.")
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
    right = [f for f in findings if like == LABEL_NAMES[int(labels[f.index])]]
    if not right:
        return {}
    others = [f for f in findings if f is not right[0]]
    found = decisions_for(others, "exclude", findings[0].kind)
    return found | decisions_for(right[:1], "keep", f"looks like {like}".replace("_", " "))


def show_decision_buttons(
    dataset: Dataset, index: DatasetIndex, group: list[Finding], key: str
) -> None:
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
            button("relabel", f"Relabel as {name}", "label", decisions_for(group, "relabel", kind))
        elif kind == "conflicting_label" and (decisions := keep_one(group, index.labels)):
            button("keep_one", f"Keep one as {name}", "filter_1", decisions)


def _table(dataset: Dataset, index: DatasetIndex) -> pd.DataFrame:
    decisions = dataset.curation.decisions
    signed = any("by" in d for d in decisions.values())
    return pd.DataFrame(
        [
            {
                "image": i,
                "name": index.names[i],
                "decision": DONE[d["decision"]],
                "original label": title(int(dataset.given_labels[i])),
                "new label": title(d["label"]) if "label" in d else "",
                "reason": KIND_TITLES.get(d["reason"], d["reason"]),
                "time": d["time"],
                **({"by": d.get("by", "")} if signed else {}),
                "step": d.get("batch", 0),
            }
            for i, d in decisions.items()
        ]
    )


def _show_import(dataset: Dataset) -> None:
    with st.popover("Import", icon=":material/upload_file:"):
        st.markdown(
            "A table of decisions that was exported from this dataset or from another copy of its "
            "images. Images are matched by their pixels; names and order do not matter."
        )
        files = drop_zone("Decisions (CSV)", type="csv", key="decisions_file")
        if not files or not st.button("Import decisions", type="primary"):
            return
        file = files[0]
        with show_errors():
            done = import_decisions(dataset, file.getvalue(), file.name)
            result = f"{done.applied:,} decisions imported, {done.changed:,} of them new."
            if done.unknown:
                result += f" {done.unknown:,} are for images that are not in {dataset.name}."
            st.session_state[IMPORT_RESULT] = result
            st.rerun()


def _show_export_import(dataset: Dataset, n: int) -> None:
    if n:
        st.download_button(
            "Export",
            lambda: decisions_csv(dataset),
            file_name=f"{dataset.name}-decisions.csv",
            mime="text/csv",
            icon=":material/download:",
            on_click="ignore",
        )
    _show_import(dataset)


def show_decisions(dataset: Dataset, index: DatasetIndex) -> None:
    """The list of decisions, each of which can be undone, and a way in and out as CSV."""
    st.subheader("Decisions", anchor=False)
    if result := st.session_state.pop(IMPORT_RESULT, None):
        st.success(result, icon=":material/check_circle:")
    table = _table(dataset, index)
    if table.empty:
        st.caption(
            "None yet. Images that you exclude, relabel or keep are listed here, and each decision "
            "can be undone. Nothing is ever deleted from the images."
        )
        with st.container(horizontal=True):
            _show_export_import(dataset, 0)
        return
    st.caption(
        f"{len(table):,} decisions. Select rows to see the images or to undo them. A decision "
        "changes the dataset: runs started before it cannot be resumed, new runs use it."
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
                width="small", help="Decisions of one step were made together."
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
            f"Undo last step ({last:,})",
            icon=":material/history:",
            help="Also brings back the decisions that it replaced.",
            on_click=undo_step,
            args=(dataset, step),
        )
        undo_all = st.button(f"Undo all {len(table):,}", icon=":material/restart_alt:")
        _show_export_import(dataset, len(table))
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
