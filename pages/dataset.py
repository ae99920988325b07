"""Dataset: import images, review and curate them, split them."""

import streamlit as st

from bloodcell.data.store.dataset import Dataset
from bloodcell.ui.common.dataset_index import dataset_index
from bloodcell.ui.common.errors import show_errors
from bloodcell.ui.common.format import plain
from bloodcell.ui.common.frame import heading
from bloodcell.ui.common.import_job import show_demo_button
from bloodcell.ui.common.jobs import show_job
from bloodcell.ui.common.state import active_dataset, set_active, workspace
from bloodcell.ui.dataset.about import show_about
from bloodcell.ui.dataset.embeddings import show_embeddings
from bloodcell.ui.dataset.findings.browse import show_findings
from bloodcell.ui.dataset.findings.decisions import show_decisions
from bloodcell.ui.dataset.images import show_images
from bloodcell.ui.dataset.import_form import show_import_form
from bloodcell.ui.dataset.library import show_library, show_trash, show_undo
from bloodcell.ui.dataset.overview import show_overview
from bloodcell.ui.dataset.split import show_split

IMPORTED = "import_result"
VIEWS = ("Overview", "Images", "Embeddings", "Findings", "Split", "About", "Import", "All datasets")


def show_import_job() -> None:
    """Show the import that is running; make the dataset of one that ended the active one."""
    job = show_job()
    if job is not None:
        if isinstance(job.result, Dataset):
            name, n = job.result.name, len(job.result)
            set_active("datasets", name)
            # What came in is what one wants to see next, not the form again.
            st.session_state["view"] = VIEWS[0]
            st.session_state[IMPORTED] = f"Imported {n:,} images as {plain(name)}."
        st.rerun()
    if text := st.session_state.pop(IMPORTED, None):
        st.success(text, icon=":material/check_circle:")


def summary(dataset: Dataset) -> None:
    index = dataset_index(dataset)
    kept = int(index.kept.sum())
    excluded = len(dataset) - kept
    height, width = dataset.size
    with st.container(horizontal=True):
        st.metric(
            "Images in use",
            f"{kept:,}",
            delta=f"{excluded:,} excluded" if excluded else None,
            delta_color="off",
            delta_arrow="off",
            border=True,
            height="stretch",
        )
        st.metric(
            "Classes", int((index.counts.sum(axis=1) > 0).sum()), border=True, height="stretch"
        )
        st.metric("Pixels", f"{width}×{height}", border=True, height="stretch")
        st.metric(
            "Leakage",
            index.shared,
            border=True,
            height="stretch",
            help="Distinct images that are in more than one part of the split.",
        )


heading(
    "Dataset",
    "Import labelled cells, review them, exclude what is wrong, and split them for training.",
)
show_import_job()
show_undo()
dataset = active_dataset()
if dataset is None and workspace().names("datasets"):
    # What is wrong with it stands above: another one can be chosen, or this one deleted.
    show_library(st.session_state["active_datasets"])
    st.divider()
    show_import_form()
    st.stop()
if dataset is None:
    st.info(
        "There is no dataset in this workspace yet. Create the demo to try everything at once, or "
        "import your own images below.",
        icon=":material/grid_view:",
    )
    show_demo_button("first_demo")
    st.divider()
    show_import_form()
    show_trash()
    st.stop()

with show_errors():
    summary(dataset)
    tabs = dict(
        zip(VIEWS, st.tabs(VIEWS, key="view", on_change="rerun", bind="query-params"), strict=True)
    )
    index = dataset_index(dataset)
    with tabs["Overview"]:
        if tabs["Overview"].open:
            show_overview(dataset, index)
    with tabs["Images"]:
        if tabs["Images"].open:
            show_images(dataset, index)
    with tabs["Embeddings"]:
        if tabs["Embeddings"].open:
            show_embeddings(dataset, index)
    with tabs["Findings"]:
        if tabs["Findings"].open:
            show_findings(dataset, index)
            show_decisions(dataset, index)
    with tabs["Split"]:
        if tabs["Split"].open:
            show_split(dataset, index)
    with tabs["About"]:
        if tabs["About"].open:
            show_about(dataset)
    with tabs["Import"]:
        if tabs["Import"].open:
            show_import_form()
    with tabs["All datasets"]:
        if tabs["All datasets"].open:
            show_library(dataset.name)
