"""The frame around every page: navigation, sidebar, title."""

from dataclasses import dataclass
from typing import Any

import streamlit as st

from bloodcell.ui.common.sign_in import require_sign_in, show_person
from bloodcell.ui.common.state import active_name, close_dialog, workspace

__all__ = ["PAGES", "PageInfo", "heading", "navigation", "sidebar"]

FRAMED = "framed"


@dataclass(frozen=True)
class PageInfo:
    """A page in the navigation.

    Attributes:
        file: relative to app.py.
        title: as shown.
        icon: name of a Material symbol.
        purpose: what it is for, in one short sentence.
    """

    file: str
    title: str
    icon: str
    purpose: str


PAGES = (
    PageInfo(
        "pages/classify.py",
        "Classify",
        "search",
        "Drop a photograph of a cell: its class, the confidence, and the evidence.",
    ),
    PageInfo(
        "pages/smear.py",
        "Smear",
        "biotech",
        "Drop whole photographs of a smear: its cells found, reviewed, and the differential.",
    ),
    PageInfo(
        "pages/dataset.py",
        "Dataset",
        "grid_view",
        "Import labelled cells, review them, exclude what is wrong.",
    ),
    PageInfo(
        "pages/augmentation.py",
        "Augmentation",
        "tune",
        "Choose how training images are varied.",
    ),
    PageInfo(
        "pages/training.py",
        "Training",
        "show_chart",
        "Train networks. Training goes on when the browser is closed.",
    ),
    PageInfo(
        "pages/evaluation.py",
        "Evaluation",
        "fact_check",
        "Combine networks into an ensemble and measure how good it is.",
    ),
    PageInfo(
        "pages/verification.py",
        "Verification",
        "balance",
        "Compare readers, and a machine with them, as planned beforehand.",
    ),
)


def navigation() -> Any:
    """The pages in the sidebar; returns the one that was asked for."""
    st.session_state[FRAMED] = True
    # Before the pages are named: without an icon of its own a tab takes the page's symbol.
    st.set_page_config(
        page_title="BloodCell Lab",
        # A symbol of the Material font would be fetched from another host.
        page_icon="🩸",
        layout="wide",
        menu_items={"About": "BloodCell Lab. For research use only, not a medical device."},
    )
    return st.navigation(
        [
            st.Page(
                page.file,
                title=page.title,
                icon=f":material/{page.icon}:",
                default=page is PAGES[0],
            )
            for page in PAGES
        ]
    )


def heading(title: str, purpose: str) -> None:
    """A page's title and one line on what it is for."""
    if FRAMED not in st.session_state:
        # A new server runs a folder named pages/ by itself until st.navigation is called once:
        # a deep link that is its first request would show the page without the frame.
        navigation()
        st.rerun()
    require_sign_in()
    close_dialog()
    st.title(title, anchor=False)
    st.markdown(purpose)


def _pick(kind: str, label: str, empty: str) -> None:
    names = workspace().names(kind)
    if not names:
        st.caption(empty)
        return
    key = f"pick_{kind}"
    active = active_name(kind)
    # What the pages work on is what the picker shows, whatever comes and goes beside it.
    st.session_state[f"active_{kind}"] = active
    if st.session_state.get(key) != active:
        # Set only where it differs: a widget that is set anew is sent anew at every run.
        st.session_state[key] = active
    st.selectbox(label, names, names.index(active), key=key, on_change=_picked, args=(kind,))


def _picked(kind: str) -> None:
    """A callback: what the picker shows becomes active."""
    # Another choice may have been made in between, which takes the picker's away.
    if chosen := st.session_state.get(f"pick_{kind}"):
        st.session_state[f"active_{kind}"] = chosen


def sidebar() -> None:
    """The pickers of the active ensemble and dataset."""
    with st.sidebar:
        _pick("ensembles", "Ensemble", "No ensemble yet. Combine runs on the Evaluation page.")
        _pick("datasets", "Dataset", "No dataset yet. Import one on the Dataset page.")
        show_person()
        st.caption("For research use only. Not a medical device.")
