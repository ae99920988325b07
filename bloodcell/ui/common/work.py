"""Wait for a job at the place of the page where its result belongs."""

import streamlit as st

from bloodcell.ui.common.jobs import Job, show_progress
from bloodcell.ui.common.state import draw_anew

__all__ = ["ended"]

PATIENCE_S = 1.0


def ended(job: Job) -> bool:
    """Whether a job is done; until then its progress and a stop button are shown.

    A short job is waited for, so that nothing flickers; a longer one goes on in its thread and
    the page is drawn again at its end. One that failed or was stopped says so.
    """
    job.wait(PATIENCE_S)
    if job.running:
        _live(job)
        return False
    if job.state == "failed":
        st.error(job.error, icon=":material/error:")
    elif job.state == "stopped":
        st.info(job.error, icon=":material/stop_circle:")
    return job.state == "done"


@st.fragment(run_every=0.5)
def _live(job: Job) -> None:
    if not job.running:
        draw_anew()
    with st.container(horizontal=True, vertical_alignment="center"):
        show_progress(job)
