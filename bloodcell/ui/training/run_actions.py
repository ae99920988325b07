"""What can be done with a run: stop, resume, duplicate, continue, label, export, delete."""

import tempfile
from pathlib import Path
from typing import Any

import streamlit as st

from bloodcell.files import bytes_of, format_bytes
from bloodcell.runs.export import export_run
from bloodcell.runs.labels import Labels, write_labels
from bloodcell.runs.lifecycle import extend
from bloodcell.runs.queue import cancel, end_at_once, enqueue, has_begun
from bloodcell.runs.run import ACTIVE, Run
from bloodcell.runs.supervisor import wake
from bloodcell.training.config import MOST_EPOCHS
from bloodcell.trash import Deleted, delete, list_trash, restore
from bloodcell.ui.common.errors import attempt, show_errors, show_problem
from bloodcell.ui.common.state import dialog, workspace
from bloodcell.ui.training.launch_form import prefill_from
from bloodcell.ui.training.run_list import (
    STATE_STYLES,
    describe_state,
    is_starting,
    name_run,
    read_labels_of,
)

__all__ = ["COMPARE", "NEW_RUN", "RUNS", "VIEW", "show_actions", "show_deleted", "show_undo"]

VIEW = "training_view"
RUNS = "Runs"
NEW_RUN = "New run"
COMPARE = "Compare"
PROBLEM = "run_problem"
UNDO = "deleted_run"
SEEN = "labels_seen"
RESUMABLE = ("stopped", "failed", "lost")


def _resume(run: Run) -> None:
    enqueue(workspace(), [run], first=True)
    wake(workspace())


def _open_form(run: Run, how: str) -> None:
    prefill_from(run, how)
    st.session_state[VIEW] = NEW_RUN


def _delete(run: Run) -> None:
    name = name_run(run)
    st.session_state[UNDO] = (delete(workspace(), "runs", run.id), name)
    st.query_params.pop("run", None)


def _restore(deleted: Deleted) -> None:
    restore(workspace(), deleted)
    st.session_state.pop(UNDO, None)
    st.query_params["run"] = deleted.name


@dialog("Name, tags and note")
def _edit_labels_dialog(run: Run, labels: Labels) -> None:
    """Change the labels that were `labels` when the dialog was opened."""
    name = st.text_input("Name", labels.name, placeholder=run.id, max_chars=80)
    tags = st.multiselect(
        "Tags", list(labels.tags), default=list(labels.tags), accept_new_options=True
    )
    note = st.text_area("Note", labels.note, height=140)
    with show_errors():
        if st.button("Save", type="primary", icon=":material/save:", key="save_labels"):
            # Told once what another has changed meanwhile, who saves again means it.
            since = st.session_state.get(SEEN, labels)
            st.session_state[SEEN] = read_labels_of(run)
            write_labels(run, name=name, tags=tuple(tags), note=note, since=since)
            st.rerun()


@dialog("Train for more epochs")
def _continue_dialog(run: Run) -> None:
    config, done = run.config(), len(run.metrics())
    st.markdown(
        f"{done} of {config.epochs} epochs are done. Training continues from the last checkpoint, "
        "with the same optimizer state."
    )
    if done >= MOST_EPOCHS:
        st.info(f"This run has the most epochs there can be, {MOST_EPOCHS:,}.")
        return
    epochs = st.number_input(
        "Total epochs",
        done + 1,
        MOST_EPOCHS,
        min(done + max(done, 1), MOST_EPOCHS),
        key="more_epochs",
    )
    patience = config.early_stopping
    if patience:
        patience = st.number_input(
            "Early stopping (patience in epochs)",
            0,
            1000,
            patience,
            key="more_patience",
            help="0 = off.",
        )
    budget = config.time_budget
    if budget:
        budget = st.number_input(
            "Total time budget (minutes)", 0.0, 100_000.0, budget, key="more_budget",
            help="0 = no limit.",
        )  # fmt: skip
    if config.schedule == "cosine":
        st.caption(
            "The cosine schedule is stretched to the new number of epochs, so the learning rate "
            "rises again at first."
        )
    with show_errors():
        if st.button("Continue", type="primary", icon=":material/play_arrow:", key="go_on"):
            extend(workspace(), run, int(epochs), int(patience), float(budget))
            _resume(run)
            st.rerun()


def _zip_run(run: Run, checkpoint: bool) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = export_run(run, Path(folder) / "run.zip", checkpoint=checkpoint)
        return path.read_bytes()


@dialog("Export the run")
def _export_dialog(run: Run) -> None:
    whole = st.toggle(
        f"Include the checkpoint ({format_bytes(bytes_of(run.checkpoint))})",
        key="zip_checkpoint",
        help="Needed to resume the run on another machine, not to use or evaluate its network.",
    )
    st.download_button(
        f"{run.id}.zip",
        lambda: _zip_run(run, whole),
        f"{run.id}.zip",
        "application/zip",
        icon=":material/download:",
        type="primary",
        on_click="ignore",
        key="run_zip",
    )
    st.caption("To import it, unpack it into the runs folder of another workspace.")


def _show_start_or_stop(run: Run, status: dict[str, Any]) -> None:
    """The one button that fits the run's state."""
    state = status["state"]
    if state == "running" or is_starting(status):
        st.button(
            "Stop",
            icon=":material/stop_circle:",
            key="stop_run",
            help="Stops after the current batch and saves a checkpoint.",
            on_click=attempt,
            args=(PROBLEM, cancel, workspace(), run),
        )
    elif state == "stopping":
        st.button(
            "Force stop",
            icon=":material/dangerous:",
            key="end_run",
            help="Only if it does not respond. Progress since the last checkpoint is lost.",
            on_click=attempt,
            args=(PROBLEM, end_at_once, workspace(), run),
        )
    elif state == "queued":
        st.button(
            "Start",
            type="primary",
            icon=":material/play_arrow:",
            key="resume_run",
            help="Moves it to the front of the queue.",
            on_click=attempt,
            args=(PROBLEM, _resume, run),
        )
    elif state in RESUMABLE:
        st.button(
            "Resume" if has_begun(run) else "Start",
            type="primary",
            icon=":material/play_arrow:",
            key="resume_run",
            on_click=attempt,
            args=(PROBLEM, _resume, run),
        )


def _show_other_actions(run: Run, status: dict[str, Any], labels: Labels) -> None:
    idle = status["state"] not in ACTIVE and not is_starting(status)
    if idle and not has_begun(run) and status["state"] in ("queued", "stopped"):
        st.button(
            "Edit",
            icon=":material/edit:",
            key="edit_run",
            on_click=_open_form,
            args=(run, "edit"),
        )
    st.button(
        "Duplicate",
        icon=":material/content_copy:",
        key="duplicate_run",
        help="New run with these settings, which can be changed before it starts.",
        on_click=_open_form,
        args=(run, "duplicate"),
    )
    can_continue = idle and status["state"] != "queued" and run.metrics()
    if can_continue and st.button("More epochs", icon=":material/fast_forward:", key="more_run"):
        _continue_dialog(run)
    if st.button("Name, tags, note", icon=":material/label:", key="label_run"):
        st.session_state.pop(SEEN, None)
        _edit_labels_dialog(run, labels)
    if st.button("Export", icon=":material/folder_zip:", key="export_run"):
        _export_dialog(run)
    st.button(
        "Delete",
        icon=":material/delete:",
        key="delete_run",
        disabled=not idle,
        help="Moves it to the trash; it can be restored." if idle else "Stop it first.",
        on_click=attempt,
        args=(PROBLEM, _delete, run),
    )


def show_actions(run: Run) -> None:
    """Show the run's state, name, labels and buttons."""
    status, config, labels = run.status(), run.config(), read_labels_of(run)
    words = describe_state(status)
    colour, icon = STATE_STYLES[words]
    with st.container(horizontal=True, vertical_alignment="center", key="run_head"):
        st.badge(words, color=colour, icon=f":material/{icon}:")
        st.markdown(f"**{name_run(run)}** on **{Path(config.dataset).name}**, `{run.id}`")
        for tag in labels.tags:
            st.badge(tag, color="gray")
    with st.container(horizontal=True, gap="small", key="run_actions"):
        _show_start_or_stop(run, status)
        _show_other_actions(run, status, labels)
    show_problem(PROBLEM)
    if labels.note:
        # A note is text, whatever marks it holds.
        st.text(labels.note)
    if status["state"] == "finished":
        st.page_link(
            "pages/evaluation.py",
            label="Evaluate it or add it to an ensemble",
            icon=":material/fact_check:",
        )


def show_undo() -> None:
    """After a deletion: say what was deleted, and offer to undo it."""
    if UNDO not in st.session_state:
        return
    deleted, name = st.session_state[UNDO]
    with st.container(horizontal=True, vertical_alignment="center", border=True):
        st.markdown(f":material/delete: **{name}** (`{deleted.name}`) was deleted.")
        st.button(
            "Undo",
            icon=":material/undo:",
            key="undo_delete",
            on_click=attempt,
            args=(PROBLEM, _restore, deleted),
        )
        st.button(
            "Dismiss",
            type="tertiary",
            key="dismiss_delete",
            on_click=lambda: st.session_state.pop(UNDO, None),
        )


def show_deleted() -> None:
    """List the runs in the trash, to be restored."""
    gone = list_trash(workspace(), "runs")
    if not gone:
        return
    with st.popover(f"Deleted runs ({len(gone)})", icon=":material/delete:"):
        for deleted in gone[:20]:
            with st.container(horizontal=True, vertical_alignment="center"):
                st.markdown(f"`{deleted.name}`")
                st.button(
                    "Restore",
                    key=f"restore_{deleted.entry}",
                    on_click=attempt,
                    args=(PROBLEM, _restore, deleted),
                )
        st.caption(
            f"They stay in {workspace().trash / 'runs'} until the trash is emptied, on the Dataset "
            "page or by `python -m bloodcell trash --empty`."
        )
