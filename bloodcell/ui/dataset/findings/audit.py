"""The audit of a dataset on its page: when it was made, and a button to make it again."""

from datetime import datetime

import streamlit as st

from bloodcell.audit import Audit, audit, audit_path, load_audit, save_audit
from bloodcell.data.store.dataset import Dataset, open_dataset
from bloodcell.ensemble.ensemble import open_ensemble
from bloodcell.progress import Progress
from bloodcell.ui.common.errors import show_errors
from bloodcell.ui.common.jobs import current_job, start_job
from bloodcell.ui.common.state import active_ensemble, workspace

__all__ = ["last_audit", "show_audit"]


@st.cache_resource(max_entries=4, show_spinner=False)
def _read(path: str, stamp: int, _dataset: Dataset) -> Audit | None:
    return load_audit(_dataset)


def last_audit(dataset: Dataset) -> Audit | None:
    """The last audit of a dataset, read once."""
    path = audit_path(dataset)
    return _read(str(path), path.stat().st_mtime_ns if path.exists() else 0, dataset)


def _start(name: str, ensemble: str | None) -> None:
    place = workspace()

    def work(progress: Progress) -> Audit:
        dataset = open_dataset(place, name)
        model = open_ensemble(place, ensemble) if ensemble else None
        found = audit(dataset, ensemble=model, progress=progress)
        save_audit(dataset, found)
        return found

    with show_errors():
        start_job(f"Audit of {name}", work)


def _changed(dataset: Dataset, found: Audit) -> int:
    """Images that are in use now and were not looked at, or not under their label."""
    back = set(found.left_out) - set(dataset.curation.excluded())
    now = dataset.curation.relabelled()
    return len(back | {i for i, label in found.labelled.items() if now.get(i) != label})


def show_audit(dataset: Dataset) -> Audit | None:
    """Say what the last audit looked at, and offer another one.

    Returns:
        The last audit, or None.
    """
    found = last_audit(dataset)
    ensemble = active_ensemble()
    job = current_job()
    by = f"the features of the ensemble {ensemble}" if ensemble else "plain image statistics"
    with st.container(horizontal=True, vertical_alignment="center"):
        if found is None:
            text = (
                "Only exact duplicates are known so far. The audit also looks for near duplicates, "
                "outliers and suspect labels. It runs in the background."
            )
        else:
            when = datetime.fromisoformat(found.created).strftime("%Y-%m-%d %H:%M")
            text = (
                f"Audit of {when} UTC: {found.n:,} images in {found.seconds:,.0f} s, by "
                f"{found.source}."
            )
            if changed := _changed(dataset, found):
                text += f" **{changed:,} images were restored or relabelled since.**"
        st.markdown(text, width="stretch")
        st.button(
            "Run audit" if found is None else "Run again",
            type="primary" if found is None else "secondary",
            icon=":material/search:",
            help=f"Suspect labels are found with {by}, where those predict the labels better "
            "than image statistics do.",
            disabled=job is not None and job.running,
            on_click=_start,
            args=(dataset.name, ensemble),
        )
    if found is not None and found.notes:
        with st.expander("About the suspect labels"):
            for note in found.notes:
                st.markdown(note)
    return found
