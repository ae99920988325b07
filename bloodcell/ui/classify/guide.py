"""For the first visit: what the five pages are for, in the order of the work."""

import streamlit as st

__all__ = ["guide"]

PAGES = (
    ("classify", "Classify", "An answer for a photograph, with what speaks for it."),
    ("dataset", "Dataset", "Labelled cells: bring in, look through, exclude what is wrong."),
    ("augmentation", "Augmentation", "How photographs are varied, so that networks learn more."),
    ("training", "Training", "Train a network; it goes on when the browser is closed."),
    ("evaluation", "Evaluation", "Combine networks, and see how far to trust them."),
)


def guide(here: str = "classify") -> None:
    """Five lines, one a page, with a link to each but this one."""
    with st.container(border=True):
        st.markdown("**The way through the five pages**")
        for number, (page, name, purpose) in enumerate(PAGES, 1):
            with st.container(horizontal=True, vertical_alignment="center", gap="small"):
                st.markdown(f"{number}. **{name}**: {purpose}", width="stretch")
                if page != here:
                    st.page_link(
                        f"pages/{page}.py",
                        label="Open",
                        icon=":material/arrow_forward:",
                        width="content",
                    )
