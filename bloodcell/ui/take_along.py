"""The ensemble as one file, and its card."""

import re
import tempfile
from pathlib import Path

import streamlit as st

from bloodcell.ensemble.bundle import write_zip
from bloodcell.ensemble.ensemble import Ensemble

__all__ = ["take_along", "zipped"]


def zipped(folder: Path) -> bytes:
    """The ensemble as one file: the zip beside it, or made now."""
    ready = folder.parent / f"{folder.name}.zip"
    if ready.is_file():
        return ready.read_bytes()
    with tempfile.TemporaryDirectory() as temporary:
        target = Path(temporary) / "ensemble.zip"
        write_zip(folder, target)
        return target.read_bytes()


def take_along(ensemble: Ensemble) -> None:
    """The ensemble's zip and its card."""
    st.markdown(
        "One file that needs nothing else: `python -m bloodcell classify "
        f"{ensemble.name}.zip cell.png` works with it on any machine."
    )
    folder = ensemble.bundle.path
    st.download_button(
        f"{ensemble.name}.zip",
        lambda: zipped(folder),
        f"{ensemble.name}.zip",
        "application/zip",
        icon=":material/download:",
        type="primary",
        on_click="ignore",
        key="zip",
    )
    card = ensemble.bundle.read("card.md").decode("utf-8", "replace")
    with st.container(border=True):
        st.markdown(re.sub(r"^(#+) ", r"##\1 ", card, flags=re.MULTILINE))
