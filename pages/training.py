"""Training: start runs, follow and manage them, compare them."""

from typing import Any

import streamlit as st

from bloodcell.errors import BloodCellError
from bloodcell.runs.run import ACTIVE, Run, damaged_runs, list_runs, open_run
from bloodcell.ui.common.errors import show_errors
from bloodcell.ui.common.frame import heading
from bloodcell.ui.common.import_job import show_demo_button
from bloodcell.ui.common.jobs import show_job
from bloodcell.ui.common.state import rerun_page, set_active, workspace
from bloodcell.ui.training.compare import show_comparison
from bloodcell.ui.training.launch_form import draw_launch_form
from bloodcell.ui.training.run_actions import (
    COMPARE,
    NEW_RUN,
    RUNS,
    VIEW,
    show_actions,
    show_deleted,
    show_undo,
)
from bloodcell.ui.training.run_detail import show_epochs, show_live
from bloodcell.ui.training.run_list import (
    COLUMNS,
    is_live,
    list_run_rows,
    read_labels_of,
    table_height,
)
from bloodcell.ui.training.run_queue import show_queue

LIVE_S, CALM_S = 2.0, 5.0
DRAWN = "training_drawn"


def choose_run(runs: list[Run]) -> Run | None:
    """The run that the address names, else one that is running, else the newest."""
    wanted = st.query_params.get("run")
    if wanted and wanted not in workspace().names("runs"):
        # A name and no path: an address must not open what lies elsewhere, nor tell if it is there.
        st.warning(f"There is no run {wanted!r} in this workspace.", icon=":material/link_off:")
    elif wanted:
        try:
            return open_run(workspace(), wanted)
        except BloodCellError as error:
            st.warning(str(error), icon=":material/link_off:")
    live = [run for run in runs if run.status()["state"] in ACTIVE]
    return (live or runs or [None])[0]


def snapshot(runs: list[Run]) -> list[Any]:
    """What, if it changes, changes more of the page than its figures."""
    found = []
    for run in runs:
        status = run.status()
        found.append((run.id, status["state"], "launched" in status, read_labels_of(run)))
    return found


def show_table(runs: list[Run], chosen: Run | None) -> None:
    shown = list_run_rows(runs)
    ids = list(shown["id"])
    default = [ids.index(chosen.id)] if chosen is not None and chosen.id in ids else []
    selected = st.dataframe(
        shown,
        hide_index=True,
        placeholder="–",
        height=table_height(len(shown)),
        column_config=COLUMNS,
        on_select="rerun",
        selection_mode="single-row",
        selection_default={"selection": {"rows": default}},
        # A run more, or another one chosen by its address, is another table.
        key=f"runs_{len(ids)}_{default}",
    ).selection.rows
    if selected and selected != default and selected[0] < len(ids):
        st.query_params["run"] = ids[selected[0]]
        st.rerun(scope="app")


def show_live_table(chosen: Run) -> None:
    runs = list_runs(workspace())
    if snapshot(runs) != st.session_state.get(DRAWN):
        # Another browser, the queue or the run itself: the buttons must follow.
        rerun_page()
    show_table(runs, chosen)


def show_runs(runs: list[Run]) -> None:
    show_undo()
    run = choose_run(runs)
    if run is None:
        st.info(
            "No runs yet. Start one under New run.",
            icon=":material/show_chart:",
        )
        show_damaged()
        show_deleted()
        return
    show_queue()
    beat = LIVE_S if any(is_live(r.status()) for r in runs) else CALM_S
    st.fragment(show_live_table, run_every=beat)(run)
    with st.container(border=True):
        with show_errors():
            show_actions(run)
        live = is_live(run.status())
        st.fragment(show_live, run_every=LIVE_S if live else None)(run)
        st.fragment(show_epochs, run_every=CALM_S if live else None)(run)
    show_damaged()
    show_deleted()


def show_damaged() -> None:
    """Name the runs that cannot be read, which the table leaves out."""
    if problems := damaged_runs(workspace()):
        title = "1 run cannot be read" if len(problems) == 1 else f"{len(problems)} cannot be read"
        with st.expander(title, icon=":material/broken_image:"):
            for problem in problems:
                # A file's content may be in it, whatever marks that holds.
                st.text(problem)


def show_new_run() -> None:
    if not workspace().names("datasets"):
        st.info(
            "There is no dataset to train on yet. Create a demo dataset, or import your images on "
            "the Dataset page.",
            icon=":material/grid_view:",
        )
        show_demo_button("training_demo")
        return
    started = draw_launch_form()
    if started is not None:
        st.query_params["run"] = started.id
        st.session_state["next_view"] = RUNS
        st.rerun()


heading(
    "Training",
    "Train networks and compare them. A run continues when this page is closed, and can be "
    "stopped and resumed at any time.",
)
job = show_job()
if job is not None and hasattr(job.result, "name"):
    set_active("datasets", job.result.name)
    st.rerun()

runs = list_runs(workspace())
st.session_state[DRAWN] = snapshot(runs)
if view := st.session_state.pop("next_view", None):
    st.session_state[VIEW] = view
view = st.segmented_control(
    "View",
    (RUNS, NEW_RUN, COMPARE),
    default=RUNS if runs or st.query_params.get("run") else NEW_RUN,
    required=True,
    label_visibility="collapsed",
    key=VIEW,
    bind="query-params",
)
{RUNS: lambda: show_runs(runs), NEW_RUN: show_new_run, COMPARE: lambda: show_comparison(runs)}[
    view
]()
