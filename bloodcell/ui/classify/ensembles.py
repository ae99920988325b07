"""Ensembles as things: read the card, take one along, bring one in."""

import re

import streamlit as st

from bloodcell.ensemble.bundle import MAX_FILE_BYTES, zipped
from bloodcell.ensemble.ensemble import Ensemble
from bloodcell.ensemble.import_zip import adopt
from bloodcell.errors import BloodCellError
from bloodcell.ui.common.state import set_active, workspace

__all__ = ["bring_in_ensemble", "ensembles_section", "said"]


def _taken_in() -> None:
    """A callback: what it has to say is shown by the run that follows."""
    turn = st.session_state.get("ensemble_turn", 0)
    file = st.session_state.get(f"ensemble_upload_{turn}")
    if file is None:
        return
    st.session_state["ensemble_turn"] = turn + 1
    try:
        there = workspace().names("ensembles")
        path = adopt(workspace(), file.getvalue(), file.name, numbered=True)
    except BloodCellError as error:
        st.session_state["ensemble_said"] = ("error", str(error))
        return
    set_active("ensembles", path.name)
    text = f"{path.name} is now the ensemble at work."
    own = path.name.rpartition("-")[0]
    if own in there:
        text = f"There is a {own} already: this one is now {path.name}, and at work."
    st.session_state["ensemble_said"] = ("success", text)


def bring_in_ensemble() -> None:
    """A place for the zip of an ensemble from elsewhere."""
    st.file_uploader(
        "Bring in the .zip of an ensemble from elsewhere",
        max_upload_size=MAX_FILE_BYTES >> 20,
        key=f"ensemble_upload_{st.session_state.get('ensemble_turn', 0)}",
        on_change=_taken_in,
    )


def said() -> None:
    """What came of the last zip that was brought in."""
    kind, text = st.session_state.pop("ensemble_said", (None, ""))
    if kind == "error":
        st.error(text, icon=":material/error:")
    elif kind:
        st.success(text, icon=":material/check:")


def ensembles_section(ensemble: Ensemble) -> None:
    """The active ensemble's card and zip, and a way to bring in another."""
    with st.expander("This ensemble, and others", icon=":material/folder_zip:"):
        st.caption("The one at work is chosen at the left, for all pages.")
        bring_in_ensemble()
        folder = ensemble.bundle.path
        st.download_button(
            f"Take {ensemble.name}.zip along",
            lambda: zipped(folder),
            f"{ensemble.name}.zip",
            "application/zip",
            icon=":material/download:",
            on_click="ignore",
            key="ensemble_zip",
            help="One file that needs nothing else: the command line classifies with it.",
        )
        card = ensemble.bundle.read("card.md").decode("utf-8", "replace")
        with st.container(border=True):
            st.markdown(re.sub(r"^(#+) ", r"###\1 ", card, flags=re.MULTILINE))
