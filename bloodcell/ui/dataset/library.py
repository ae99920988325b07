"""Dataset page, all datasets: side by side, rename, export, delete, restore."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import streamlit as st

from bloodcell.classes import CLASS_NAMES
from bloodcell.data.split_choice import chosen_rule
from bloodcell.data.store.dataset import Dataset, open_dataset
from bloodcell.data.store.export import FORMATS, export_dataset
from bloodcell.data.store.library import rename_dataset
from bloodcell.data.store.merge import merge_datasets
from bloodcell.errors import BloodCellError
from bloodcell.progress import Progress
from bloodcell.runs.run import list_runs
from bloodcell.runs.uses import require_idle, runs_on, uses_text
from bloodcell.trash import (
    KINDS,
    Deleted,
    count_words,
    delete,
    empty_trash,
    list_trash,
    restore,
)
from bloodcell.ui.common.dataset_index import identity
from bloodcell.ui.common.errors import attempt, show_errors, show_problem
from bloodcell.ui.common.format import plain
from bloodcell.ui.common.import_job import begin_import, free_name
from bloodcell.ui.common.jobs import cached_job
from bloodcell.ui.common.state import dialog, set_active, workspace

__all__ = ["library_table", "show_library", "show_trash", "show_undo"]

# A file to download lies in the server's memory as long as the visitor's session.
LARGEST_DOWNLOAD = 2**30
MOST_SHOWN = 50
DELETED = "deleted_dataset"
EXPORTING = "exporting"
PROBLEM, DONE = "library_problem", "library_done"
RESTORE_PROBLEM = "restore_problem"


@st.cache_data(max_entries=64, show_spinner=False)
def _row(state: tuple[str, ...], _dataset: Dataset) -> dict[str, Any]:
    counts = _dataset.counts()
    return {
        "images": sum(counts.values()),
        "excluded": len(_dataset) - sum(counts.values()),
        "classes": sum(counts[name] > 0 for name in CLASS_NAMES),
        "pixels": "×".join(map(str, reversed(_dataset.size))),
        "MiB": _dataset.images.nbytes / 2**20,
        "imported": str(_dataset.info.get("created", "")),
    }


def library_table(active: str) -> pd.DataFrame:
    """A row for each dataset of the workspace; a damaged one has its reason in `images`' place."""
    home = workspace()
    used = [Path(run.config().dataset).name for run in list_runs(home)]
    rows = []
    for name in home.names("datasets"):
        row: dict[str, Any] = {"name": name, "runs": used.count(name), "problem": ""}
        try:
            dataset = open_dataset(home, name)
            row |= _row(identity(dataset), dataset)
        except BloodCellError as error:
            row["problem"] = str(error)
        rows.append({**row, "": "active" if name == active else ""})
    first = ["name", "", "images", "excluded", "classes", "pixels", "MiB", "runs", "imported"]
    table = pd.DataFrame(rows).reindex(columns=[*first, "problem"])
    return table if (table["problem"] != "").any() else table[first]


def show_library(active: str) -> None:
    """All datasets with what can be done to one of them, and the trash."""
    table = library_table(active)
    names = list(table["name"])
    st.caption("Select a dataset to activate, rename, export or delete it.")
    event = st.dataframe(
        table,
        hide_index=True,
        on_select="rerun",
        selection_mode="single-row",
        # Rows move when the list changes: what was selected is another one then.
        key=f"library_{'/'.join(names)}",
        column_config={
            "": st.column_config.TextColumn(width="small"),
            "images": st.column_config.NumberColumn(format="localized"),
            "excluded": st.column_config.NumberColumn(format="localized"),
            "MiB": st.column_config.NumberColumn(format="%.0f"),
            "runs": st.column_config.NumberColumn(help="Runs that use this dataset."),
            "imported": st.column_config.DatetimeColumn(format="YYYY-MM-DD HH:mm"),
        },
    )
    rows = event.selection.rows
    chosen = names[rows[0]] if rows and rows[0] < len(names) else active
    st.markdown(f"**{plain(chosen)}**")
    with st.container(horizontal=True):
        if st.button("Make active", icon=":material/check:", disabled=chosen == active):
            set_active("datasets", chosen)
            st.rerun()
        if st.button("Rename", icon=":material/edit:"):
            _ask_rename(chosen)
        if st.button("Delete", icon=":material/delete:"):
            _ask_delete(chosen)
    sound = "problem" not in table or not table["problem"].iloc[names.index(chosen)]
    if sound:
        with show_errors():
            _export(open_dataset(workspace(), chosen))
    _merge(names)
    show_trash()


def _merge(names: list[str]) -> None:
    if len(names) < 2:
        return
    with st.expander("Merge datasets", icon=":material/merge:"):
        st.caption(
            "Where each cell comes from is kept; sizes are brought to the smallest, and copies "
            "between the datasets are named on the About view of the merged one."
        )
        chosen = st.multiselect("Datasets", names, key="merge_datasets")
        name = st.text_input("Name", free_name("merged"), key="merge_name")
        if st.button("Merge", key="merge_go", disabled=len(chosen) < 2):
            with show_errors():
                opened = [open_dataset(workspace(), n) for n in chosen]
                begin_import(
                    f"Merging {', '.join(chosen)}",
                    name,
                    lambda home, progress: merge_datasets(home, opened, name, progress=progress),
                )


def _show_uses(name: str) -> bool:
    """Say which runs refer to a dataset; returns whether it may be touched."""
    runs = runs_on(workspace(), name)
    try:
        require_idle(name, runs)
    except BloodCellError as error:
        st.error(str(error), icon=":material/error:")
        return False
    if runs:
        st.warning(uses_text(name, runs), icon=":material/link_off:")
    return True


def _run_action(action: Callable[..., Any], *arguments: object) -> None:
    """A callback of a dialog: its result is shown by the run that follows."""
    if attempt(PROBLEM, action, *arguments):
        st.session_state[DONE] = True


def _close_if_done() -> None:
    """Close the dialog if its work is done; else say why it could not be."""
    show_problem(PROBLEM)
    if st.session_state.pop(DONE, False):
        st.rerun()


def _rename_to_new_name(name: str) -> None:
    new_name = st.session_state["rename_to"]
    rename_dataset(workspace(), name, new_name)
    if st.session_state.get("active_datasets", name) == name:
        set_active("datasets", new_name)


@dialog("Rename dataset")
def _ask_rename(name: str) -> None:
    _close_if_done()
    free = _show_uses(name)
    st.text_input("New name", name, max_chars=64, key="rename_to")
    st.button(
        "Rename",
        type="primary",
        disabled=not free,
        key="rename_go",
        on_click=_run_action,
        args=(_rename_to_new_name, name),
    )


def _delete(name: str) -> None:
    st.session_state[DELETED] = delete(workspace(), "datasets", name).entry


@dialog("Delete dataset")
def _ask_delete(name: str) -> None:
    _close_if_done()
    free = _show_uses(name)
    st.markdown(
        f"**{plain(name)}** moves to the trash with all its decisions. You can restore it "
        "until the trash is emptied."
    )
    st.button(
        f"Delete {name}",
        type="primary",
        icon=":material/delete:",
        disabled=not free,
        key="delete_go",
        on_click=_run_action,
        args=(_delete, name),
    )


def _restore(deleted: Deleted) -> None:
    path = restore(workspace(), deleted)
    if deleted.kind == "datasets":
        st.session_state.pop(DELETED, None)
        set_active("datasets", path.name)


def show_undo() -> None:
    """Offer to restore the dataset that this visitor deleted last."""
    show_problem(RESTORE_PROBLEM)
    entry = st.session_state.get(DELETED)
    deleted = next((d for d in list_trash(workspace(), "datasets") if d.entry == entry), None)
    if deleted is None:
        return
    with st.container(horizontal=True, vertical_alignment="center"):
        st.info(f"{plain(deleted.name)} is in the trash.", icon=":material/delete:")
        st.button(
            "Undo",
            icon=":material/undo:",
            on_click=attempt,
            args=(RESTORE_PROBLEM, _restore, deleted),
        )
        st.button(
            "Dismiss",
            type="tertiary",
            icon=":material/close:",
            on_click=lambda: st.session_state.pop(DELETED),
        )


def show_trash() -> None:
    """What is in the trash, each to be restored, and a way to delete it permanently."""
    trash = list_trash(workspace())
    if not trash:
        return
    total = sum(t.bytes for t in trash)
    title = f"Trash: {count_words(trash)}, {total / 2**20:,.0f} MiB"
    with st.expander(title, icon=":material/delete:"):
        for deleted in trash[:MOST_SHOWN]:
            with st.container(horizontal=True, vertical_alignment="center"):
                st.markdown(
                    f"{KINDS[deleted.kind].capitalize()} **{plain(deleted.name)}**, deleted "
                    f"{deleted.when:%Y-%m-%d %H:%M} UTC"
                )
                st.button(
                    "Restore",
                    icon=":material/restore_from_trash:",
                    key=f"restore_{deleted.kind}_{deleted.entry}",
                    on_click=attempt,
                    args=(
                        RESTORE_PROBLEM,
                        _restore,
                        deleted,
                    ),
                )
        if st.button("Empty trash", icon=":material/delete_forever:"):
            _ask_empty(count_words(trash), total)


@dialog("Empty trash")
def _ask_empty(what: str, total: int) -> None:
    _close_if_done()
    st.markdown(
        f"**{what}, {total / 2**20:,.0f} MiB in all: deleted permanently.** This cannot be undone."
    )
    st.button(
        "Delete permanently",
        type="primary",
        icon=":material/delete_forever:",
        on_click=_run_action,
        args=(empty_trash, workspace()),
    )


def _export(dataset: Dataset) -> None:
    with st.expander("Export the curated dataset", icon=":material/download:"):
        st.caption("Without excluded images, with the current labels.")
        with st.container(horizontal=True, vertical_alignment="bottom"):
            suffix = st.segmented_control(
                "Format",
                FORMATS,
                default=FORMATS[0],
                required=True,
                key="export_format",
                format_func={".npz": "Arrays (.npz)", ".zip": "Folders (.zip)"}.get,
                help="The .npz holds images and labels. The .zip holds one folder per class with a "
                "PNG of the exact pixels of each image.",
            )
            parts = st.checkbox(
                "Separate train, validation and test",
                key="export_parts",
                help="MedMNIST's array names in the .npz, one folder per part in the .zip.",
            )
            wanted = ("export", *identity(dataset), chosen_rule(dataset), suffix, parts)
            if st.button("Export", icon=":material/save:", key="export_go"):
                st.session_state[EXPORTING] = wanted, time.monotonic_ns()
        asked = st.session_state.get(EXPORTING)
        if asked and asked[0] == wanted:
            target = workspace().exports / f"{dataset.name}{'_parts' if parts else ''}{suffix}"
            _write(asked, dataset, target, parts)


def _write(key: tuple, dataset: Dataset, target: Path, parts: bool) -> None:
    def work(progress: Progress) -> int:
        split = chosen_rule(dataset).split(dataset) if parts else None
        return export_dataset(dataset, target, split=split, progress=progress)

    n = cached_job(key, f"Exporting {target.name}", work)
    if n is None:
        return
    if not target.is_file():
        st.info(f"{target} was moved or deleted: export it again.")
        return
    size = target.stat().st_size
    st.markdown(f"{n:,} images, {size / 2**20:,.1f} MiB, on the server at")
    st.code(str(target), language=None, wrap_lines=True)
    if size <= LARGEST_DOWNLOAD:
        st.download_button(
            f"Download {target.name}",
            target.read_bytes,
            file_name=target.name,
            mime="application/zip",
            icon=":material/download:",
            on_click="ignore",
            key="export_download",
        )
    else:
        st.caption("Too large to download in the browser: copy it from the server.")
