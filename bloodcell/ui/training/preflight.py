"""What is checked before a training starts, as a short list of sentences."""

import streamlit as st

from bloodcell.data.split import SplitRule
from bloodcell.data.store.dataset import Dataset
from bloodcell.runs.preflight import Check, check_split
from bloodcell.ui.common.dataset_index import dataset_index, identity

__all__ = ["find_split_checks", "show_checks"]

STYLES = {
    "ok": ("check_circle", "green"),
    "warning": ("warning", "orange"),
    "error": ("error", "red"),
}


def find_split_checks(dataset: Dataset, rule: SplitRule) -> list[Check]:
    """`check_split` for a dataset as it is curated now, worked out once."""
    return _split_checks(identity(dataset), rule, dataset)


@st.cache_data(max_entries=16, show_spinner=False)
def _split_checks(state: tuple[str, ...], rule: SplitRule, _dataset: Dataset) -> list[Check]:
    return check_split(_dataset, dataset_index(_dataset, rule=rule).split)


def show_checks(checks: list[Check]) -> bool:
    """Show the checks; returns whether the run can start."""
    with st.container(border=True, gap="small", key="launch_checks"):
        st.markdown("**Checks**")
        for check in sorted(checks, key=lambda c: list(STYLES)[::-1].index(c.level)):
            icon, colour = STYLES[check.level]
            st.markdown(f":{colour}[:material/{icon}:] {check.words}")
    return all(check.level != "error" for check in checks)
