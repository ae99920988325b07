"""Verification: compare readers of cells, and a machine with readers of smears."""

import streamlit as st

from bloodcell.ui.common.errors import show_errors
from bloodcell.ui.common.frame import heading
from bloodcell.ui.verification.readers import show_readers
from bloodcell.ui.verification.smears import show_plan, show_results

READERS, PLAN, RESULTS = "Readers", "Plan", "Results"

heading(
    "Verification",
    "How far readers agree, and whether a machine counts smears as they do: planned first, then "
    "measured.",
)
view = st.segmented_control(
    "View",
    (READERS, PLAN, RESULTS),
    default=READERS,
    required=True,
    key="verification_view",
    bind="query-params",
    label_visibility="collapsed",
)
with show_errors():
    if view == READERS:
        show_readers()
    elif view == PLAN:
        show_plan()
    else:
        show_results()
