"""What takes a while and is worth keeping: worked out once for all visitors, in a thread."""

from collections.abc import Callable, Hashable
from typing import Any

import streamlit as st

from bloodcell.progress import Progress
from bloodcell.ui.common.jobs import Job
from bloodcell.ui.common.work import ended

__all__ = ["worked_out"]

KEPT = 12


@st.cache_resource
def _jobs() -> dict[Hashable, Job]:
    return {}


def worked_out(key: Hashable, title: str, work: Callable[[Progress], Any]) -> Any | None:
    """The result of `work`, or None while its progress, or why it came to nothing, is shown.

    Args:
        key: of the result: all that it depends on.
        title: what is done, e.g. "Reading all pixels".
        work: called once, in a thread, with a progress function that raises Stopped.
    """
    jobs = _jobs()
    job = jobs.pop(key, None) or Job(title, work)
    jobs[key] = job
    for old in [k for k, j in jobs.items() if not j.running][: max(0, len(jobs) - KEPT)]:
        if old != key:
            del jobs[old]
    if ended(job):
        return job.result
    if not job.running and st.button(
        "Begin again", icon=":material/refresh:", key=f"begin_again_{hash(key)}"
    ):
        del jobs[key]
        st.rerun()
    return None
