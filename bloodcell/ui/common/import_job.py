"""Imports as the job of a workspace, and the button that creates the demo dataset."""

import re
from collections.abc import Callable

import streamlit as st

from bloodcell.data.store.dataset import Dataset
from bloodcell.data.synthetic.demo import make_demo
from bloodcell.progress import Progress
from bloodcell.ui.common.errors import show_errors
from bloodcell.ui.common.jobs import start_job
from bloodcell.ui.common.state import workspace
from bloodcell.workspace import Workspace

__all__ = ["begin_import", "free_name", "show_demo_button"]


def begin_import(title: str, name: str, work: Callable[[Workspace, Progress], Dataset]) -> None:
    """Start the job if the name is free; says so in a sentence if it is not."""
    home = workspace()
    with show_errors():
        home.new("datasets", name)
        start_job(title, lambda progress: work(home, progress))
        st.rerun()


def free_name(wanted: str) -> str:
    """`wanted` made usable as a name, with a number behind it if it is taken."""
    stem = re.sub(r"[^A-Za-z0-9._-]+", "-", wanted).strip(".-_")[:48] or "dataset"
    taken = {n.lower() for n in workspace().names("datasets")}
    numbered = (stem if i == 1 else f"{stem}-{i}" for i in range(1, len(taken) + 2))
    return next(n for n in numbered if n.lower() not in taken)


def show_demo_button(key: str) -> None:
    """A button that creates the demo dataset at once."""
    if st.button("Create the demo dataset", type="primary", icon=":material/draw:", key=key):
        name = free_name("demo")
        begin_import(
            f"Creating {name}",
            name,
            lambda home, progress: make_demo(home, name, progress=progress),
        )
