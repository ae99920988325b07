"""What all pages share: the workspace, the active dataset and ensemble, the frame around them."""

from collections.abc import Callable
from contextlib import suppress
from functools import wraps
from pathlib import Path
from typing import Any

import streamlit as st
from streamlit.runtime.pages_manager import PagesManager

from bloodcell.data.store.dataset import Dataset, open_dataset
from bloodcell.ensemble.ensemble import Ensemble, open_ensemble
from bloodcell.errors import BloodCellError
from bloodcell.workspace import Workspace, open_workspace

__all__ = [
    "active_dataset",
    "active_ensemble",
    "changed_at",
    "dialog",
    "heading",
    "load_ensemble",
    "rerun_page",
    "set_active",
    "sidebar",
    "workspace",
]

REFERENCE = "reference"
DIALOG = "dialog_is_open"


def workspace() -> Workspace:
    """The workspace of the server: ``$BLOODCELL_HOME``, else ``artifacts/``."""
    return open_workspace()


def _framed() -> None:
    """Begin again with app.py's frame if the page was run without it.

    Streamlit runs a folder named pages/ by itself until st.navigation is first called: without
    this, a deep link that is the first request to a new server shows a page without frame.
    """
    if st.session_state.get("framed"):
        return
    # Once a session: beginning again loses a click.
    st.session_state["framed"] = True
    if PagesManager.uses_pages_directory:
        PagesManager.uses_pages_directory = False
        st.rerun()


def heading(title: str, purpose: str) -> None:
    """A page's title and one line on what it is for."""
    _framed()
    st.session_state.pop(DIALOG, None)
    st.title(title, anchor=False)
    st.markdown(purpose)


def dialog(title: str, **options: Any) -> Callable:
    """``st.dialog`` that is not closed by what happens elsewhere, see :func:`rerun_page`."""

    def decorate(show: Callable) -> Callable:
        opened = st.dialog(title, on_dismiss="rerun", **options)(show)

        @wraps(show)
        def open_(*arguments: Any, **more: Any) -> None:
            st.session_state[DIALOG] = True
            opened(*arguments, **more)

        return open_

    return decorate


def rerun_page() -> None:
    """Draw the whole page again because something has changed that nobody clicked on.

    That would close a dialog with what was typed into it: while one is open it is put off until
    it is closed.
    """
    if not st.session_state.get(DIALOG):
        st.rerun(scope="app")


def set_active(kind: str, name: str | None) -> None:
    """Make `name` the active one of "datasets" or "ensembles" for this visitor."""
    st.session_state[f"active_{kind}"] = name
    # The picker in the sidebar takes it over at the next run of the script.
    st.session_state.pop(f"pick_{kind}", None)


def _active(kind: str) -> str | None:
    names = workspace().names(kind)
    # A link may name them: ?dataset=NAME&ensemble=NAME.
    linked = st.query_params.get(kind.removesuffix("s"))
    chosen = st.session_state.get(f"active_{kind}", linked)
    if chosen in names:
        return chosen
    if kind == "ensembles" and REFERENCE in names:
        return REFERENCE
    return names[0] if names else None


def active_dataset() -> Dataset | None:
    """The dataset that this visitor works on, or None where there is none."""
    name = _active("datasets")
    if name is None:
        return None
    try:
        return open_dataset(workspace(), name)
    except BloodCellError as error:
        st.error(str(error), icon=":material/error:")
        return None


def active_ensemble() -> str | None:
    """The name of the ensemble that this visitor works with, or None where there is none."""
    return _active("ensembles")


@st.cache_resource(max_entries=3, show_spinner="Loading the ensemble")
def _loaded(path: str, stamp: int) -> Ensemble:
    return open_ensemble(workspace(), path)


def load_ensemble(name: str) -> Ensemble:
    """An ensemble of the workspace, loaded once for all visitors.

    Raises:
        BloodCellError: it is missing or damaged.
    """
    path = workspace().find("ensembles", name)
    return _loaded(str(path), changed_at(path))


def changed_at(ensemble: str | Path) -> int:
    """When the description of an ensemble was written; 0 where it has none."""
    with suppress(OSError):
        return (Path(ensemble) / "ensemble.json").stat().st_mtime_ns
    return 0


def _pick(kind: str, label: str, empty: str) -> None:
    names = workspace().names(kind)
    if not names:
        st.caption(empty)
        return
    key = f"pick_{kind}"
    active = _active(kind)
    # What the pages work on is what the picker shows, whatever comes and goes beside it.
    st.session_state[f"active_{kind}"] = active
    if st.session_state.get(key) != active:
        # Set only where it differs: a widget that is set anew is sent anew at every run.
        st.session_state[key] = active
    st.selectbox(
        label,
        names,
        key=key,
        on_change=lambda: st.session_state.update({f"active_{kind}": st.session_state[key]}),
    )


def sidebar() -> None:
    """The active ensemble and dataset, and what this is not."""
    with st.sidebar:
        _pick("ensembles", "Ensemble", "No ensemble yet: combine runs on the Evaluation page.")
        _pick("datasets", "Dataset", "No dataset yet: bring one in on the Dataset page.")
        st.caption("For research use only. Not a medical device.")
