"""Training: start runs, watch them, stop and resume them."""

from typing import Any

import pandas as pd
import streamlit as st

from bloodcell.errors import BloodCellError
from bloodcell.runs.run import ACTIVE, Run, list_runs, open_run
from bloodcell.ui.bring_in import draw_demo_button
from bloodcell.ui.jobs import show_job
from bloodcell.ui.launch_form import launch_form
from bloodcell.ui.run_view import is_live, mark_started, show_run
from bloodcell.ui.state import heading, sentences, set_active, workspace

REFRESH_S = 2.0


def chosen_run(runs: list[Run]) -> Run | None:
    """The run that the address names, else one that is going on, else the newest."""
    wanted = st.query_params.get("run")
    if wanted:
        try:
            return open_run(workspace(), wanted)
        except BloodCellError as error:
            st.warning(str(error), icon=":material/link_off:")
    live = [run for run in runs if run.status()["state"] in ACTIVE]
    return (live or runs or [None])[0]


def rows(runs: list[Run]) -> list[dict[str, Any]]:
    found = []
    for run in runs:
        with sentences():
            found.append(run.summary())
    return found


def table(runs: list[Run], chosen: Run | None) -> None:
    summaries = rows(runs)
    shown = pd.DataFrame(
        {
            "run": [s["id"] for s in summaries],
            "state": [s["state"] for s in summaries],
            "backbone": [s["backbone"] for s in summaries],
            "dataset": [s["dataset"] for s in summaries],
            "epochs": [f"{s['epoch']} of {s['epochs']}" for s in summaries],
            "validation accuracy": [
                s["val_accuracy"] and 100 * s["val_accuracy"] for s in summaries
            ],
            "minutes": [s["seconds"] / 60 for s in summaries],
        }
    )
    ids = list(shown["run"])
    default = [ids.index(chosen.id)] if chosen is not None and chosen.id in ids else []
    selected = st.dataframe(
        shown,
        hide_index=True,
        placeholder="–",
        height=min(38 + 35 * max(len(shown), 1), 320),
        column_config={
            "validation accuracy": st.column_config.NumberColumn(
                format="%.2f %%", help="Of the epoch with the lowest validation loss."
            ),
            "minutes": st.column_config.NumberColumn(format="%.1f", help="Of training."),
        },
        on_select="rerun",
        selection_mode="single-row",
        selection_default={"selection": {"rows": default}},
        # A run more, or another one chosen by its address, is another table.
        key=f"runs_{len(ids)}_{default}",
    ).selection.rows
    if selected and selected != default and selected[0] < len(ids):
        st.query_params["run"] = ids[selected[0]]
        st.rerun(scope="app")


def live(chosen: Run) -> None:
    runs = list_runs(workspace())
    table(runs, chosen)
    with st.container(border=True):
        show_run(chosen)
    # The last beat of a run ends the beat of the page too.
    if st.session_state.get("page_beats") and not any(is_live(run) for run in runs):
        st.session_state["page_beats"] = False
        st.rerun(scope="app")


heading(
    "Training",
    "Start a run and watch it. A run goes on when this page is closed, and can be stopped and "
    "resumed at any batch.",
)
job = show_job()
if job is not None:
    set_active("datasets", job.result.name)
    st.rerun()

runs = list_runs(workspace())
if workspace().names("datasets"):
    # A form that has done its work makes room for the run it began.
    if st.session_state.pop("form_done", False):
        st.session_state["new_run"] = False
    with st.expander(
        "New run", icon=":material/add:", expanded=not runs, key="new_run", on_change="rerun"
    ):
        begun = launch_form()
    if begun is not None:
        mark_started(begun)
        st.session_state["form_done"] = True
        st.query_params["run"] = begun
        st.rerun()
else:
    st.info(
        "There is no dataset to train on yet: draw one to try it, or bring your images in on the "
        "Dataset page.",
        icon=":material/grid_view:",
    )
    draw_demo_button("training_demo")

run = chosen_run(runs)
if run is None:
    st.caption("No run yet: it will be listed here, with its curves, from its first batch on.")
else:
    beats = any(is_live(r) for r in runs)
    st.session_state["page_beats"] = beats
    st.fragment(live, run_every=REFRESH_S if beats else None)(run)
