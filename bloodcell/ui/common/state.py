"""What all pages share: the workspace, and the dataset and ensemble that a visitor works with."""

from collections.abc import Callable
from contextlib import suppress
from functools import wraps
from pathlib import Path
from typing import Any

import streamlit as st

from bloodcell.data.store.dataset import Dataset, open_dataset
from bloodcell.ensemble.ensemble import Ensemble, open_ensemble
from bloodcell.errors import BloodCellError
from bloodcell.ui.common.format import no_pictures
from bloodcell.workspace import Workspace, open_workspace

__all__ = [
    "active_dataset",
    "active_ensemble",
    "active_name",
    "changed_at",
    "close_dialog",
    "dialog",
    "ensemble_identity",
    "load_ensemble",
    "rerun_page",
    "set_active",
    "workspace",
]

DIALOG = "dialog_is_open"


def workspace() -> Workspace:
    """The workspace of the server: ``$BLOODCELL_HOME``, else ``artifacts/``."""
    return open_workspace()


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


def close_dialog() -> None:
    """Forget that a dialog was open: the whole page is drawn again."""
    st.session_state.pop(DIALOG, None)


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


def active_name(kind: str) -> str | None:
    """The name of the active one of "datasets" or "ensembles", or None where there is none."""
    names = workspace().names(kind)
    # A link may name them: ?dataset=NAME&ensemble=NAME.
    linked = st.query_params.get(kind.removesuffix("s"))
    chosen = st.session_state.get(f"active_{kind}", linked)
    if chosen in names:
        return chosen
    if kind == "ensembles":
        return workspace().default_ensemble
    return names[0] if names else None


def active_dataset() -> Dataset | None:
    """The dataset that this visitor works on, or None where there is none."""
    name = active_name("datasets")
    if name is None:
        return None
    try:
        return open_dataset(workspace(), name)
    except BloodCellError as error:
        st.error(no_pictures(str(error)), icon=":material/error:")
        return None


def active_ensemble() -> str | None:
    """The name of the ensemble that this visitor works with, or None where there is none."""
    return active_name("ensembles")


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


def ensemble_identity(ensemble: Ensemble) -> tuple[str, int]:
    """What a cache needs to know of an ensemble: its place and when it was written there."""
    path = ensemble.bundle.path
    return str(path), changed_at(path)
