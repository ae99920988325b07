"""What can be done with a run: stop, resume, copy, go on, label, take along, delete."""

import tempfile
from pathlib import Path
from typing import Any

import streamlit as st

from bloodcell.runs.export import export_run
from bloodcell.runs.labels import write_labels
from bloodcell.runs.launch import end_at_once
from bloodcell.runs.lifecycle import delete, deleted, extend, restore
from bloodcell.runs.queue import begun, cancel, enqueue
from bloodcell.runs.run import ACTIVE, Run
from bloodcell.runs.supervisor import wake
from bloodcell.training.config import MOST_EPOCHS
from bloodcell.ui.common.errors import attempt, show_errors, show_problem
from bloodcell.ui.common.state import dialog, workspace
from bloodcell.ui.training.launch_form import prefill_from
from bloodcell.ui.training.preflight import readable_bytes
from bloodcell.ui.training.run_list import (
    STATE_LOOK,
    is_starting,
    labels_of,
    state_words,
    title_of,
)

__all__ = ["VIEW", "show_acts", "show_deleted", "show_undo"]

VIEW = "training_view"
PROBLEM = "run_problem"
UNDO = "deleted_run"
RESUMABLE = ("stopped", "failed", "lost")


def _resume(run: Run) -> None:
    enqueue(workspace(), [run], first=True)
    wake(workspace())


def _copy(run: Run, how: str) -> None:
    prefill_from(run, how)
    st.session_state[VIEW] = "Launch"


def _delete(run: Run) -> None:
    name = title_of(run)
    delete(workspace(), run)
    st.session_state[UNDO] = (run.id, name)
    st.query_params.pop("run", None)


def _undo(run_id: str) -> None:
    restore(workspace(), run_id)
    st.session_state.pop(UNDO, None)
    st.query_params["run"] = run_id


@dialog("Name, tags and note")
def _label(run: Run) -> None:
    labels = labels_of(run)
    name = st.text_input("Name", labels.name, placeholder=run.id, max_chars=80)
    tags = st.multiselect(
        "Tags", list(labels.tags), default=list(labels.tags), accept_new_options=True
    )
    note = st.text_area("Note", labels.note, height=140)
    with show_errors():
        if st.button("Save", type="primary", icon=":material/save:", key="save_labels"):
            write_labels(run, name=name, tags=tuple(tags), note=note)
            st.rerun()


@dialog("Continue for more epochs")
def _go_on(run: Run) -> None:
    config, done = run.config(), len(run.metrics())
    st.markdown(
        f"It has done {done} of {config.epochs} epochs and goes on from its last state: weights, "
        "optimizer and averages are those it ended with."
    )
    if done >= MOST_EPOCHS:
        st.info(f"It has done {MOST_EPOCHS:,} epochs, the most there can be.")
        return
    epochs = st.number_input(
        "Epochs in all",
        done + 1,
        MOST_EPOCHS,
        min(done + max(done, 1), MOST_EPOCHS),
        key="more_epochs",
    )
    patience = config.early_stopping
    if patience:
        patience = st.number_input(
            "Early stopping", 0, 1000, patience, key="more_patience", help="0 = never."
        )
    budget = config.time_budget
    if budget:
        budget = st.number_input(
            "Time budget in all (minutes)", 0.0, 100_000.0, budget, key="more_budget",
            help="0 = no limit.",
        )  # fmt: skip
    if config.schedule == "cosine":
        st.caption(
            "The learning rate follows the longer cosine from where it would be now: it rises "
            "again at first."
        )
    with show_errors():
        if st.button("Continue", type="primary", icon=":material/play_arrow:", key="go_on"):
            extend(workspace(), run, int(epochs), int(patience), float(budget))
            _resume(run)
            st.rerun()


def _zipped(run: Run, checkpoint: bool) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = export_run(run, Path(folder) / "run.zip", checkpoint=checkpoint)
        return path.read_bytes()


def _size(folder: Path) -> int:
    return sum(p.stat().st_size for p in folder.rglob("*") if p.is_file())


@dialog("Take the run along")
def _take(run: Run) -> None:
    whole = st.toggle(
        f"With the state to continue from ({readable_bytes(_size(run.checkpoint))})",
        key="zip_checkpoint",
        help="Needed to resume it on another machine; not to combine or judge it.",
    )
    st.download_button(
        f"{run.id}.zip",
        lambda: _zipped(run, whole),
        f"{run.id}.zip",
        "application/zip",
        icon=":material/download:",
        type="primary",
        on_click="ignore",
        key="run_zip",
    )
    st.caption("Unpacked into the runs folder of another workspace it is a run there.")


def _steer(run: Run, status: dict[str, Any]) -> None:
    """The one button that fits the run's state."""
    state = status["state"]
    if state == "running" or is_starting(status):
        st.button(
            "Stop",
            icon=":material/stop_circle:",
            key="stop_run",
            help="After the present batch, with its whole state saved.",
            on_click=attempt,
            args=(PROBLEM, cancel, workspace(), run),
        )
    elif state == "stopping":
        st.button(
            "End at once",
            icon=":material/dangerous:",
            key="end_run",
            help="Only if it does not answer: what it did since its last saved state is lost.",
            on_click=attempt,
            args=(PROBLEM, end_at_once, run),
        )
    elif state == "queued":
        st.button(
            "Start",
            type="primary",
            icon=":material/play_arrow:",
            key="resume_run",
            help="As the next one.",
            on_click=attempt,
            args=(PROBLEM, _resume, run),
        )
    elif state in RESUMABLE:
        st.button(
            "Resume" if begun(run) else "Start",
            type="primary",
            icon=":material/play_arrow:",
            key="resume_run",
            on_click=attempt,
            args=(PROBLEM, _resume, run),
        )


def _more(run: Run, status: dict[str, Any]) -> None:
    idle = status["state"] not in ACTIVE and not is_starting(status)
    if idle and not begun(run) and status["state"] in ("queued", "stopped"):
        st.button(
            "Edit",
            icon=":material/edit:",
            key="edit_run",
            on_click=_copy,
            args=(run, "edit"),
        )
    st.button(
        "Duplicate",
        icon=":material/content_copy:",
        key="duplicate_run",
        help="A new run with these settings; change what you like before it begins.",
        on_click=_copy,
        args=(run, "duplicate"),
    )
    can_go_on = idle and status["state"] != "queued" and run.metrics()
    if can_go_on and st.button("More epochs", icon=":material/fast_forward:", key="more_run"):
        _go_on(run)
    if st.button("Name, tags, note", icon=":material/label:", key="label_run"):
        _label(run)
    if st.button("Take along", icon=":material/folder_zip:", key="take_run"):
        _take(run)
    st.button(
        "Delete",
        icon=":material/delete:",
        key="delete_run",
        disabled=not idle,
        help="Into the workspace's trash; it can be brought back." if idle else "Stop it first.",
        on_click=attempt,
        args=(PROBLEM, _delete, run),
    )


def show_acts(run: Run) -> None:
    """The run's state, name, labels and buttons."""
    status, config, labels = run.status(), run.config(), labels_of(run)
    words = state_words(status)
    colour, icon = STATE_LOOK[words]
    with st.container(horizontal=True, vertical_alignment="center", key="run_head"):
        st.badge(words, color=colour, icon=f":material/{icon}:")
        st.markdown(f"**{title_of(run)}** on **{Path(config.dataset).name}**, `{run.id}`")
        for tag in labels.tags:
            st.badge(tag, color="gray")
    with st.container(horizontal=True, gap="small", key="run_acts"):
        _steer(run, status)
        _more(run, status)
    show_problem(PROBLEM)
    if labels.note:
        # A note is text, whatever marks it holds.
        st.text(labels.note)
    if status["state"] == "finished":
        st.page_link(
            "pages/evaluation.py",
            label="Judge and combine it: Evaluation",
            icon=":material/fact_check:",
        )


def show_undo() -> None:
    """After a deletion: what is gone, and the way back."""
    if UNDO not in st.session_state:
        return
    run_id, name = st.session_state[UNDO]
    with st.container(horizontal=True, vertical_alignment="center", border=True):
        st.markdown(f":material/delete: **{name}** (`{run_id}`) is deleted.")
        st.button(
            "Undo",
            icon=":material/undo:",
            key="undo_delete",
            on_click=attempt,
            args=(PROBLEM, _undo, run_id),
        )
        st.button(
            "Dismiss",
            type="tertiary",
            key="dismiss_delete",
            on_click=lambda: st.session_state.pop(UNDO, None),
        )


def show_deleted() -> None:
    """The runs in the trash, to be brought back."""
    gone = deleted(workspace())
    if not gone:
        return
    with st.popover(f"Deleted runs ({len(gone)})", icon=":material/delete:"):
        for run in gone[:20]:
            with st.container(horizontal=True, vertical_alignment="center"):
                st.markdown(f"`{run.id}`")
                st.button(
                    "Bring back",
                    key=f"restore_{run.id}",
                    on_click=attempt,
                    args=(PROBLEM, _undo, run.id),
                )
        st.caption(f"They lie in {workspace().trash / 'runs'} until you empty it.")
