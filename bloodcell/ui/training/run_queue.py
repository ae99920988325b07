"""The queue: which runs wait, in which order, and how many run at a time."""

from pathlib import Path

import streamlit as st

from bloodcell.runs.engines import ENGINES
from bloodcell.runs.engines.scheduled import MOST_SLOTS
from bloodcell.runs.queue import cancel, change_settings, move, settings, slots_of, waiting
from bloodcell.runs.run import Run
from bloodcell.runs.supervisor import is_supervised, wake
from bloodcell.ui.common.errors import attempt, show_errors, show_problem
from bloodcell.ui.common.state import workspace
from bloodcell.ui.training.launch_form import prefill_from
from bloodcell.ui.training.run_actions import NEW_RUN, VIEW
from bloodcell.ui.training.run_list import name_run

__all__ = ["show_queue"]

PROBLEM = "queue_problem"


def _edit(run: Run) -> None:
    prefill_from(run, "edit")
    st.session_state[VIEW] = NEW_RUN


def _set_slots(engine: str) -> None:
    slots = int(st.session_state[f"queue_slots_{engine}"])
    if engine == "local":
        change_settings(workspace(), slots=slots)
    else:
        ENGINES[engine](workspace()).change(slots=slots)


def show_queue() -> None:
    """Show the waiting runs in their order, with buttons to move, edit and cancel each."""
    runs = waiting(workspace())
    show_problem(PROBLEM)
    if not runs:
        return
    with st.container(border=True, key="queue"), show_errors():
        engine = settings(workspace()).engine
        at = "" if engine == "local" else f" for {engine.capitalize()}"
        with st.container(horizontal=True, vertical_alignment="bottom"):
            st.markdown(f"**Queue: {len(runs)} {'runs' if len(runs) > 1 else 'run'} waiting{at}**")
            st.number_input(
                "Queue slots",
                1,
                64 if engine == "local" else MOST_SLOTS,
                slots_of(workspace(), engine),
                key=f"queue_slots_{engine}",
                width=150,
                help="How many runs train at the same time. On two CPU cores one is fastest."
                if engine == "local"
                else "How many runs are with the cluster at the same time, waiting or running.",
                on_change=attempt,
                args=(
                    PROBLEM,
                    _set_slots,
                    engine,
                ),
            )
        if not is_supervised(workspace()):
            with st.container(horizontal=True, vertical_alignment="center"):
                st.markdown(":orange[:material/warning:] No process starts them.")
                st.button(
                    "Start the queue",
                    icon=":material/play_arrow:",
                    key="start_queue",
                    help="Starts a process on the server that gives each run its slot in turn.",
                    on_click=attempt,
                    args=(PROBLEM, wake, workspace()),
                )
        for place, run in enumerate(runs, 1):
            _show_row(run, place, len(runs))


def _show_row(run: Run, place: int, last: int) -> None:
    config = run.config()
    with st.container(
        horizontal=True, vertical_alignment="center", gap="small", key=f"waits_{run.id}"
    ):
        st.markdown(
            f"{place}. **{name_run(run)}** on {Path(config.dataset).name}, "
            f"{config.epochs} epochs, {config.policy}",
            width="stretch",
        )
        for text, icon, to, off in (
            ("Move up", "arrow_upward", place - 1, place == 1),
            ("Move down", "arrow_downward", place + 1, place == last),
        ):
            st.button(
                "",
                icon=f":material/{icon}:",
                key=f"{icon}_{run.id}",
                disabled=off,
                help=text,
                on_click=attempt,
                args=(PROBLEM, move, workspace(), run, max(to, 1)),
            )
        st.button(
            "",
            icon=":material/edit:",
            key=f"edit_{run.id}",
            help="Edit",
            on_click=_edit,
            args=(run,),
        )
        st.button(
            "",
            icon=":material/close:",
            key=f"cancel_{run.id}",
            help="Remove from the queue; it can be started later",
            on_click=attempt,
            args=(PROBLEM, cancel, workspace(), run),
        )
