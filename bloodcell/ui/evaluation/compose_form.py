"""The form of a new ensemble: which runs, with which weights."""

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
from bloodcell.ui.common.views import TTA_HELP

__all__ = ["choose_default_runs", "draw_compose_form"]

JOB = "compose_job"
EQUAL, MANUAL, OPTIMISED = "Equal", "Manual", "Optimised on validation"
HOW_HELP = (
    "Influence of each member. Optimised: greedy selection with replacement (Caruana et al., "
    "2004), which minimises the log loss on validation images."
)
CASCADE_HELP = (
    "Let the smallest network answer alone where it is sure, all of them elsewhere: several times "
    "as fast. The limits are fitted on validation images so that neither accuracy nor refusal "
    "suffers; without such limits every network is asked."
)


def _list_finished() -> dict[str, tuple[Run, dict[str, Any]]]:
    found = {}
    for run in list_runs(workspace()):
        try:
            summary = run.summary()
        except BloodCellError:
            continue  # the Training page tells what is wrong with it
        if summary["state"] == "finished":
            found[run.id] = (run, summary)
    return found


def choose_default_runs(summaries: list[dict[str, Any]]) -> list[str]:
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


def _find_free_name(dataset: str) -> str:
    taken, number = workspace().names("ensembles"), 1
    while f"{dataset}-{number}" in taken:
        number += 1
    return f"{dataset}-{number}"


def _choose_weights(
    chosen: list[str], runs: list[Run], words: Callable[[str], str]
) -> list[float] | str | None:
    """Equal (None), manual, or "found"; with a preview on validation images."""
    if len(chosen) < 2:
        return None
    how = st.segmented_control(
        "Member weights",
        [EQUAL, MANUAL, OPTIMISED],
        default=EQUAL,
        required=True,
        key="compose_how",
        help=HOW_HELP,
    )
    given = [1.0] * len(chosen)
    if how == MANUAL:
        given = [st.slider(words(run), 0.0, 1.0, 1.0, 0.05, key=f"weight_{run}") for run in chosen]
    seen = preview(runs)
    if seen is None:
        st.caption("No preview: the runs share no validation images, or kept no predictions.")
    elif sum(given) > 0:
        shares = np.array(given) / sum(given)
        if how == OPTIMISED:
            # More epochs give a run other answers.
            stamps = tuple((r.id, r.predictions_path.stat().st_mtime_ns) for r in runs)
            shares = _find_weights_once(stamps, seen)
        _show_preview(seen, shares, [words(run) for run in chosen])
    if how == OPTIMISED:
        return "found"
    return None if how == EQUAL or len(set(given)) == 1 else given


@st.cache_data(max_entries=8, show_spinner="Optimising the weights")
def _find_weights_once(key: tuple[tuple[str, int], ...], _seen: Preview) -> np.ndarray:
    return find_weights(_seen.labels, _seen.members)


def _show_preview(seen: Preview, shares: np.ndarray, names: list[str]) -> None:
    """The ensemble on validation images, and the contribution of each member."""
    accuracy, loss, without = contributions(seen.labels, seen.members, shares)
    n = len(seen.labels)
    right = round(accuracy * n)
    st.dataframe(
        pd.DataFrame(
            [
                {
                    "Member": name,
                    "Weight": share,
                    "Accuracy": percent(float((own.argmax(1) == seen.labels).mean()), 2),
                    "Ensemble without it": percent(left.accuracy, 2),
                    "Correct only with it": left.gained,
                    "Correct only without it": left.lost,
                    "Log loss without it": left.log_loss,
                }
                for name, share, own, left in zip(names, shares, seen.members, without, strict=True)
            ]
        ),
        hide_index=True,
        column_config={
            "Weight": st.column_config.NumberColumn(format="%.3f"),
            "Log loss without it": st.column_config.NumberColumn(format="%.4f"),
        },
        alt="Each member alone, and the ensemble without it, on validation images",
    )
    st.caption(
        f"Ensemble on {n:,} validation images: accuracy {percent(accuracy, 2)} (95 % interval "
        f"{interval(wilson(right, n), 2)}), log loss {loss:.4f}. Validation chose the epochs and "
        "the weights, so this is optimistic: evaluate on the test part."
    )
    agreement = [
        f"{names[p.a]} and {names[p.b]}: disagree on {percent(p.differ)} "
        f"({interval(p.differ_interval)}), both wrong on {p.both_wrong:,}, kappa {p.kappa:.2f}"
        + ("" if p.q is None else f", Q {p.q:.2f}")
        for p in pairs(seen.labels, seen.members.argmax(2))
    ]
    with st.expander("Agreement between members"):
        st.markdown("\n".join(f"- {line}" for line in agreement))
        st.caption(
            "Cohen's kappa: 1 = identical predictions, 0 = agreement by chance. Yule's Q: 1 = "
            "errors on the same images, 0 = independent errors."
        )


def draw_compose_form() -> None:
    """Draw the form; the new ensemble becomes the active one."""
    finished = _list_finished()
    if not finished:
        st.info(
            "No run is finished yet. An ensemble is made of finished runs.",
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
        "Members (finished runs, with validation accuracy)",
        list(finished),
        default=choose_default_runs(list(summaries.values())),
        format_func=words,
        key="compose_runs",
        help="All must be trained on the same dataset with the same exclusions and split.",
    )
    left, right = st.columns([3, 2], vertical_alignment="bottom")
    dataset = summaries[chosen[0]]["dataset"] if chosen else "ensemble"
    name = left.text_input("Name", _find_free_name(dataset), max_chars=64, key="compose_name")
    tta = right.toggle(
        "Test-time augmentation",
        key="compose_tta",
        help=TTA_HELP,
    )
    cascade = right.toggle(
        "Cascade", key="compose_cascade", disabled=len(chosen) < 2, help=CASCADE_HELP
    )
    weights = _choose_weights(chosen, [finished[run][0] for run in chosen], words)
    job = st.session_state.get(JOB)
    busy = job is not None and job.running
    wanted = st.button(
        "Create ensemble",
        type="primary",
        icon=":material/join:",
        disabled=busy or not chosen,
        key="compose",
    )
    # A double click is two.
    if wanted and not busy:
        home, runs = workspace(), [finished[run][0] for run in chosen]
        st.session_state[JOB] = Job(
            f"Creating {name}",
            lambda progress: compose(
                home,
                runs,
                name.strip(),
                weights=weights,
                tta=tta,
                cascade=cascade and len(runs) > 1,
                progress=progress,
            ),
        )
        st.rerun()
    if job is not None and wait_for(job):
        st.session_state[JOB] = None
        st.session_state["composed"] = job.result.name
        set_active("ensembles", job.result.name)
        st.rerun()
    st.caption(
        "The members' probabilities are averaged, then calibrated on validation images: "
        "temperature, prediction sets, and the novelty threshold above which a cell is not "
        "recognised."
    )
