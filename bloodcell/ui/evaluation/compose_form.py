"""Combine finished runs into an ensemble."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from bloodcell.ensemble.compose import compose
from bloodcell.ensemble.preview import Preview, preview
from bloodcell.ensemble.weights import contributions, find_weights
from bloodcell.errors import BloodCellError
from bloodcell.evaluation.agreement import pairs
from bloodcell.evaluation.intervals import wilson
from bloodcell.runs.run import Run, list_runs
from bloodcell.ui.common.format import interval, percent
from bloodcell.ui.common.jobs import Job, wait_for
from bloodcell.ui.common.state import set_active, workspace

__all__ = ["compose_form", "default_runs"]

JOB = "compose_job"
HOW_FOUND = "Found on validation"
HOW = ("Equal", "By hand", HOW_FOUND)
HOW_HELP = (
    "How much each network counts. Found: greedy selection with replacement (Caruana et al., "
    "2004) of those that lower the log loss on validation images most."
)


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


def _weights(
    chosen: list[str], runs: list[Run], words: Callable[[str], str]
) -> list[float] | str | None:
    """Equal (None), by hand, or "found"; with what validation says of the networks."""
    if len(chosen) < 2:
        return None
    how = st.segmented_control(
        "Weights", list(HOW), default="Equal", required=True, key="compose_how", help=HOW_HELP
    )
    given = [1.0] * len(chosen)
    if how == "By hand":
        given = [st.slider(words(run), 0.0, 1.0, 1.0, 0.05, key=f"weight_{run}") for run in chosen]
    seen = preview(runs)
    if seen is None:
        st.caption("The runs have no validation images in common, or did not keep their answers.")
    elif sum(given) > 0:
        shares = np.array(given) / sum(given)
        if how == HOW_FOUND:
            # More epochs give a run other answers.
            stamps = tuple((r.id, r.predictions_path.stat().st_mtime_ns) for r in runs)
            shares = _found(stamps, seen)
        _preview(seen, shares, [words(run) for run in chosen])
    if how == HOW_FOUND:
        return "found"
    return None if how == "Equal" or len(set(given)) == 1 else given


@st.cache_data(max_entries=8, show_spinner="Looking for weights")
def _found(key: tuple[tuple[str, int], ...], _seen: Preview) -> np.ndarray:
    return find_weights(_seen.labels, _seen.members)


def _preview(seen: Preview, shares: np.ndarray, names: list[str]) -> None:
    """What the ensemble would be on validation images, and what each network adds."""
    accuracy, loss, without = contributions(seen.labels, seen.members, shares)
    n = len(seen.labels)
    right = round(accuracy * n)
    st.dataframe(
        pd.DataFrame(
            [
                {
                    "Network": name,
                    "Weight": share,
                    "Alone": percent(float((said.argmax(1) == seen.labels).mean()), 2),
                    "Without it": percent(left.accuracy, 2),
                    "Right only with it": left.gained,
                    "Right only without it": left.lost,
                    "Log loss without it": left.log_loss,
                }
                for name, share, said, left in zip(
                    names, shares, seen.members, without, strict=True
                )
            ]
        ),
        hide_index=True,
        column_config={
            "Weight": st.column_config.NumberColumn(format="%.3f"),
            "Log loss without it": st.column_config.NumberColumn(format="%.4f"),
        },
        alt="Each network alone, and the ensemble without it, on validation images",
    )
    st.caption(
        f"On {n:,} validation images, each as it is: together {percent(accuracy, 2)} right (95 %: "
        f"{interval(wilson(right, n), 2)}), log loss {loss:.4f}. Validation chose the networks' "
        "best epochs and fits the weights: these figures flatter; the test part judges."
    )
    agreement = [
        f"{names[p.a]} and {names[p.b]}: differ on {percent(p.differ)} "
        f"({interval(p.differ_interval)}), both wrong on {p.both_wrong:,}, kappa {p.kappa:.2f}"
        + ("" if p.q is None else f", Q {p.q:.2f}")
        for p in pairs(seen.labels, seen.members.argmax(2))
    ]
    with st.expander("Do they err together?"):
        st.markdown("\n".join(f"- {line}" for line in agreement))
        st.caption("Q: 1 they err on the same images, 0 independently. Kappa: 1 the same answers.")


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
    weights = _weights(chosen, [finished[run][0] for run in chosen], words)
    job = st.session_state.get(JOB)
    busy = job is not None and job.running
    wanted = st.button(
        "Combine",
        type="primary",
        icon=":material/join:",
        disabled=busy or not chosen,
        key="compose",
    )
    # A double click is two.
    if wanted and not busy:
        home, runs = workspace(), [finished[run][0] for run in chosen]
        st.session_state[JOB] = Job(
            f"Combining {name}",
            lambda progress: compose(
                home, runs, name.strip(), weights=weights, tta=tta, progress=progress
            ),
        )
        st.rerun()
    if job is not None and wait_for(job):
        st.session_state[JOB] = None
        st.session_state["composed"] = job.result.name
        set_active("ensembles", job.result.name)
        st.rerun()
    st.caption(
        "The networks' probabilities are averaged, then calibrated on validation images alone: "
        "temperature, prediction sets, and the limit above which a cell is none of the eight."
    )
