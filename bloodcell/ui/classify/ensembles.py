"""Ensembles as files: read the card, download the zip, import another."""

import re

import streamlit as st

from bloodcell.ensemble.bundle import MAX_FILE_BYTES, zipped
from bloodcell.ensemble.ensemble import Ensemble
from bloodcell.ensemble.import_zip import import_ensemble
from bloodcell.errors import BloodCellError
from bloodcell.ui.common.format import no_pictures
from bloodcell.ui.common.state import set_active, workspace
from bloodcell.ui.common.uploads import drop_round, drop_zone, dropped, empty_zone

__all__ = ["show_ensemble_import", "show_ensembles", "show_import_result"]

ROUND = "imports"
RESULT = "ensemble_import_result"


def _import_uploaded() -> None:
    """A callback: its result is shown by the run that follows, see :func:`show_import_result`."""
    files = dropped(f"ensemble_upload_{drop_round(ROUND)}")
    if not files:
        return
    file = files[0]
    empty_zone(ROUND)
    try:
        there = workspace().names("ensembles")
        path = import_ensemble(workspace(), file.getvalue(), file.name, numbered=True)
    except BloodCellError as error:
        st.session_state[RESULT] = ("error", str(error))
        return
    set_active("ensembles", path.name)
    text = f"Imported {path.name}. It is now the active ensemble."
    own = path.name.rpartition("-")[0]
    if own in there:
        text = f"There is a {own} already: the new one is {path.name}, and it is active now."
    st.session_state[RESULT] = ("success", text)


def show_ensemble_import() -> None:
    """A drop zone for the zip of an ensemble."""
    drop_zone(
        "Import an ensemble (.zip)",
        max_upload_size=MAX_FILE_BYTES >> 20,
        key=f"ensemble_upload_{drop_round(ROUND)}",
        on_change=_import_uploaded,
    )


def show_import_result() -> None:
    """What came of the zip that was uploaded last."""
    kind, text = st.session_state.pop(RESULT, (None, ""))
    if kind == "error":
        st.error(no_pictures(text), icon=":material/error:")
    elif kind:
        st.success(no_pictures(text), icon=":material/check:")


def show_ensembles(ensemble: Ensemble) -> None:
    """The active ensemble's card and zip, and a way to import another."""
    with st.expander("Model card, download and import", icon=":material/folder_zip:"):
        st.caption("The active ensemble is chosen in the sidebar, for all pages.")
        show_ensemble_import()
        folder = ensemble.bundle.path
        st.download_button(
            f"Download {ensemble.name}.zip",
            lambda: zipped(folder),
            f"{ensemble.name}.zip",
            "application/zip",
            icon=":material/download:",
            on_click="ignore",
            key="ensemble_zip",
            help="One file with all that is needed to classify, on this page of another computer "
            "or on its command line.",
        )
        card = ensemble.bundle.read("card.md").decode("utf-8", "replace")
        with st.container(border=True):
            st.markdown(no_pictures(re.sub(r"^(#+) ", r"###\1 ", card, flags=re.MULTILINE)))
