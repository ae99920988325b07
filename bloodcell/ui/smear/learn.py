"""What was reviewed is worth something: kept as a dataset, and the ensemble adapted to it."""

from typing import Any

import streamlit as st

from bloodcell.classes import OTHER
from bloodcell.ensemble.adapt import adapt
from bloodcell.ensemble.ensemble import Ensemble
from bloodcell.progress import Progress
from bloodcell.smear.learn import keep_reviewed, reviewed_cells
from bloodcell.smear.review import About, Review
from bloodcell.ui.common.errors import attempt, show_problem
from bloodcell.ui.common.format import percent, plain
from bloodcell.ui.common.import_job import free_name
from bloodcell.ui.common.jobs import Job, wait_for
from bloodcell.ui.common.state import set_active, workspace

__all__ = ["show_learn"]

JOB, DONE, PROBLEM = "smear_adapt_job", "smear_learnt", "smear_learn_problem"


def show_learn(ensemble: Ensemble, review: Review, about: About) -> None:
    """One button keeps the reviewed cells, one adapts the ensemble to them as well."""
    cells = reviewed_cells(review)
    classes = {label for *_, label in cells if label != OTHER}
    with st.container(border=True):
        n = len(cells)
        reviewed = "1 reviewed cell" if n == 1 else f"{n:,} reviewed cells"
        st.markdown(
            f"**Learn from this smear.** {reviewed} of "
            f"{'1 class' if len(classes) == 1 else f'{len(classes)} classes'}: accepted, corrected "
            "or added. They are kept in the workspace with laboratory, patient and reviewer, as "
            "filled in above, and the smear's name as the slide."
        )
        with st.container(horizontal=True):
            st.button(
                f"Adapt {plain(ensemble.name)} to them", icon=":material/home_work:",
                key="smear_adapt", type="primary", disabled=not classes,
                on_click=_start, args=(ensemble, review, about),
                help="Keeps them and fits a head on them in seconds, as a new ensemble.",
            )  # fmt: skip
            st.button(
                "Keep as a dataset", icon=":material/save:", key="smear_keep", disabled=not n,
                on_click=attempt, args=(PROBLEM, _keep, review, about),
            )  # fmt: skip
        show_problem(PROBLEM)
        job = st.session_state.get(JOB)
        if job is not None and wait_for(job):
            st.session_state.pop(JOB)
            st.session_state[DONE] = _said(job.result)
            set_active("ensembles", job.result["name"])
            st.rerun()
        if done := st.session_state.get(DONE):
            st.success(done, icon=":material/check:")


def _wanted(about: About) -> str:
    return free_name("-".join(filter(None, (about.laboratory, about.name))) or "smear")


def _keep(review: Review, about: About) -> None:
    kept = keep_reviewed(workspace(), _wanted(about), review, about)
    st.session_state[DONE] = f"{len(kept):,} cells are kept as the dataset {plain(kept.name)}."


def _start(ensemble: Ensemble, review: Review, about: About) -> None:
    """A callback: keep and adapt, in a thread of its own."""
    home, name = workspace(), _wanted(about)
    taken = {n.lower() for n in home.names("ensembles")}
    made = next(
        n for n in (name, *(f"{name}-{i}" for i in range(2, 999))) if n.lower() not in taken
    )

    def work(progress: Progress) -> dict[str, Any]:
        dataset = keep_reviewed(home, name, review, about)
        found = adapt(home, ensemble, made, dataset, tta=False, progress=progress)
        return found | {"dataset": name}

    st.session_state.pop(DONE, None)
    st.session_state[JOB] = Job(f"Adapting {ensemble.name}", work)


def _said(found: dict[str, Any]) -> str:
    text = (
        f"{plain(found['name'])} is {plain(found['parent'])} adapted to the dataset "
        f"{plain(found['dataset'])}, and counts this smear now."
    )
    before, after = ((found.get(k) or {}).get("accuracy") for k in ("before", "after"))
    if before is None or after is None:
        return f"{text} The cells are too few to say what that is worth."
    text += f" On these cells: {percent(before)} right before, {percent(after)} after"
    return f"{text} ({found['how']})." if found.get("how") else f"{text}."
