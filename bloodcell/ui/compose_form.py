"""Combine finished runs into an ensemble."""

from typing import Any

import streamlit as st

from bloodcell.ensemble.compose import compose
from bloodcell.errors import BloodCellError
from bloodcell.runs.run import Run, list_runs
from bloodcell.ui.jobs import Job
from bloodcell.ui.state import set_active, workspace
from bloodcell.ui.words import percent
from bloodcell.ui.work import ended

__all__ = ["compose_form", "default_runs"]

JOB = "compose_job"


def _finished() -> dict[str, tuple[Run, dict[str, Any]]]:
    found = {}
    for run in list_runs(workspace()):
        try:
            summary = run.summary()
        except BloodCellError:
            continue  # the Training page says what is wrong with it
        if summary["state"] == "finished":
            found[run.id] = (run, summary)
    return found


def default_runs(summaries: list[dict[str, Any]]) -> list[str]:
    """The best run of each backbone on the dataset of the newest run.

    Args:
        summaries: of finished runs, newest first.
    """
    best: dict[str, dict[str, Any]] = {}
    for s in summaries:
        if s["dataset"] != summaries[0]["dataset"]:
            continue
        before = best.get(s["backbone"])
        if before is None or (s["val_accuracy"] or 0) > (before["val_accuracy"] or 0):
            best[s["backbone"]] = s
    return [s["id"] for s in best.values()]


def _free_name(dataset: str) -> str:
    taken, number = workspace().names("ensembles"), 1
    while f"{dataset}-{number}" in taken:
        number += 1
    return f"{dataset}-{number}"


def compose_form() -> None:
    """Choose runs, name, weights; combine them; the result becomes the active ensemble."""
    finished = _finished()
    if not finished:
        st.info(
            "No run is finished yet: an ensemble is made of finished runs.",
            icon=":material/info:",
        )
        st.page_link("pages/training.py", label="Open Training", icon=":material/arrow_forward:")
        return
    summaries = {name: summary for name, (_, summary) in finished.items()}

    def words(name: str) -> str:
        s = summaries[name]
        accuracy = "" if s["val_accuracy"] is None else f", {percent(s['val_accuracy'])}"
        return f"{s['backbone']} on {s['dataset']}{accuracy} ({name.rsplit('-', 1)[-1]})"

    chosen = st.multiselect(
        "Finished runs: network, dataset, validation accuracy",
        list(finished),
        default=default_runs(list(summaries.values())),
        format_func=words,
        key="compose_runs",
        help="All must be trained on the same images with the same exclusions.",
    )
    left, right = st.columns([3, 2], vertical_alignment="bottom")
    dataset = summaries[chosen[0]]["dataset"] if chosen else "ensemble"
    name = left.text_input("Name", _free_name(dataset), max_chars=64, key="compose_name")
    tta = right.toggle(
        "Average over flips and turns",
        key="compose_tta",
        help="Eight views of each image at every answer: slower, often a little better.",
    )
    weights = None
    if len(chosen) > 1:
        with st.expander("Weights"):
            st.caption("How much each network counts; equal unless you know better.")
            given = [
                st.slider(words(run), 0.0, 1.0, 1.0, 0.05, key=f"weight_{run}") for run in chosen
            ]
        weights = None if len(set(given)) == 1 else given
    if st.button(
        "Combine", type="primary", icon=":material/join:", disabled=not chosen, key="compose"
    ):
        home, runs = workspace(), [finished[run][0] for run in chosen]
        st.session_state[JOB] = Job(
            f"Combining {name}",
            lambda progress: compose(
                home, runs, name.strip(), weights=weights, tta=tta, progress=progress
            ),
        )
    job = st.session_state.get(JOB)
    if job is not None and ended(job):
        st.session_state[JOB] = None
        st.session_state["composed"] = job.result.name
        set_active("ensembles", job.result.name)
        st.rerun()
    st.caption(
        "The networks' probabilities are averaged, then calibrated on validation images alone: "
        "temperature, prediction sets, and the limit above which a cell is none of the eight."
    )
