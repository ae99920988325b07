"""For the first visit: what the pages are for, and the way to a first ensemble."""

import streamlit as st

from bloodcell.ui.classify.ensembles import show_ensemble_import
from bloodcell.ui.common.frame import PAGES

__all__ = ["show_first_steps", "show_guide"]

HERE = "Classify"


def show_guide() -> None:
    """A line for each page, with a link to all but this one."""
    with st.container(border=True):
        st.markdown("**The way through the pages**")
        for number, page in enumerate(PAGES, 1):
            with st.container(horizontal=True, vertical_alignment="center", gap="small"):
                st.markdown(f"{number}. **{page.title}**: {page.purpose}", width="stretch")
                if page.title != HERE:
                    st.page_link(
                        page.file,
                        label="Open",
                        icon=":material/arrow_forward:",
                        width="content",
                    )


def show_first_steps() -> None:
    """The way from nothing to an ensemble."""
    st.info("There is no ensemble yet. Three steps lead to one:", icon=":material/info:")
    steps = (
        ("pages/dataset.py", "Dataset", "1. Import labelled cells, or create the demo dataset"),
        ("pages/training.py", "Training", "2. Train a network on them"),
        ("pages/evaluation.py", "Evaluation", "3. Combine finished runs into an ensemble"),
    )
    for column, (page, link, text) in zip(st.columns(3), steps, strict=True):
        with column.container(border=True, height="stretch"):
            st.markdown(text)
            st.page_link(page, label=f"Open {link}", icon=":material/arrow_forward:")
    show_ensemble_import()
    st.caption("For research use only. Not a medical device.")
