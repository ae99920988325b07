"""Work that goes on in a thread of the server, whatever becomes of the browser.

Three ways to wait for it: :func:`show_job` for the one job of a workspace (two imports would only
share the disk; a visitor who comes back, or another one, finds it where it is), :func:`wait_for`
at the place of the page where a result belongs, and :func:`cached_job` for what is worth keeping.
"""

import itertools
import logging
import threading
import time
from collections.abc import Callable, Hashable
from typing import Any

import streamlit as st

from bloodcell.errors import BloodCellError, NameTaken, Stopped
from bloodcell.progress import Progress
from bloodcell.ui.common.format import no_pictures
from bloodcell.ui.common.state import rerun_page, workspace

__all__ = [
    "Job",
    "cached_job",
    "current_job",
    "progress_text",
    "shared_job",
    "show_job",
    "show_progress",
    "start_job",
    "wait_for",
]

PATIENCE_S = 1.0
KEPT = 20
# What is kept for all visitors is looked at and changed in one go.
_LOCK = threading.RLock()
_LOG = logging.getLogger(__name__)


class Job:
    """A piece of work with its progress.

    Attributes:
        title: what is done, as shown.
        state: "running", "done", "stopped" or "failed".
        done, total, what: progress; total is 0 while unknown.
        result: what the work returned.
        error: a sentence, if it failed.
        number: of no other job of this server.
    """

    _numbers = itertools.count()

    def __init__(self, title: str, work: Callable[[Progress], Any]):
        self.title, self.number = title, next(self._numbers)
        self.state = "running"
        self.done, self.total, self.what = 0, 0, ""
        self.result: Any = None
        self.error = ""
        self._phase_began = time.monotonic()
        self._stop = threading.Event()
        self._work = work
        self._thread = threading.Thread(target=self._run, name=title, daemon=True)
        self._thread.start()

    @property
    def running(self) -> bool:
        return self.state == "running"

    @property
    def stopping(self) -> bool:
        return self.running and self._stop.is_set()

    @property
    def seconds(self) -> float:
        """Seconds since the present phase began."""
        return time.monotonic() - self._phase_began

    def stop(self) -> None:
        """Ask for a stop; the work ends at its next report of progress."""
        self._stop.set()

    def wait(self, timeout: float | None = None) -> None:
        self._thread.join(timeout)

    def _progress(self, done: int, total: int, what: str) -> None:
        if self._stop.is_set():
            raise Stopped(f"{self.title} was stopped. Nothing of it was kept.")
        if what != self.what:
            self._phase_began = time.monotonic()
        self.done, self.total, self.what = done, total, what

    def _run(self) -> None:
        try:
            self.result = self._work(self._progress)
            self.state = "done"
        except Stopped as error:
            self.error, self.state = str(error), "stopped"
        except BloodCellError as error:
            self.error, self.state = str(error), "failed"
        except Exception as error:
            _LOG.exception("%s failed", self.title)
            self.error = (
                f"{self.title} failed inside the program ({type(error).__name__}): "
                "the server's log has the details."
            )
            self.state = "failed"


@st.cache_resource
def _jobs() -> dict[str, Job]:
    return {}


def current_job() -> Job | None:
    """The latest job of the workspace, running or ended, or None."""
    return _jobs().get(str(workspace().home))


def start_job(title: str, work: Callable[[Progress], Any]) -> Job:
    """Start a job.

    Args:
        title: what is done, e.g. "Importing cells.zip".
        work: called in a thread with a progress function that raises Stopped.

    Raises:
        NameTaken: another job is running.
    """
    with _LOCK:
        job = current_job()
        if job is not None and job.running:
            raise NameTaken(f"{job.title} is still running: wait until it ends, or stop it first.")
        job = _jobs()[str(workspace().home)] = Job(title, work)
    st.session_state["my_job"] = job
    return job


def progress_text(done: int, total: int, what: str, seconds: float) -> str:
    """ "images, 1,200 of 14,528, about 20 s left", with bytes as MiB."""
    if what == "bytes":
        text = f"{done / 2**20:,.1f} of {total / 2**20:,.1f} MiB"
    else:
        text = f"{what}, {done:,} of {total:,}"
    if 0 < done < total and seconds > 1:
        text += f", about {seconds / done * (total - done):,.0f} s left"
    return text


def show_progress(job: Job) -> None:
    """A job's bar and its stop button, in the container around it."""
    share = min(job.done / job.total, 1.0) if job.total else 0.0
    if not job.running:
        text = "Done"
    elif job.stopping:
        text = "Stopping"
    elif job.total:
        text = progress_text(job.done, job.total, job.what, job.seconds)
    else:
        text = "Starting"
    st.progress(share, text=no_pictures(f"**{job.title}**: {text}"))
    # Two jobs of a page may be at work at once.
    key = f"stop_job_{job.number}"
    st.button(
        "Stop", icon=":material/stop_circle:", disabled=job.stopping, on_click=job.stop, key=key
    )


@st.fragment(run_every=0.5)
def _live(job: Job) -> None:
    if not job.running:
        rerun_page()
    with st.container(border=True):
        show_progress(job)


def _dismiss() -> None:
    st.session_state["my_job"] = None


def show_job() -> Job | None:
    """Show the job that is running, or why the one that this visitor started came to nothing.

    Returns:
        The visitor's job once it is done, and only once: the rest is the page's to say.
    """
    job = current_job()
    if job is not None and job.running:
        _live(job)
        return None
    mine = st.session_state.get("my_job")
    if mine is None or mine.running:
        return None
    if mine.state == "done":
        _dismiss()
        return mine
    with st.container(horizontal=True, vertical_alignment="center"):
        if mine.state == "stopped":
            st.warning(no_pictures(mine.error), icon=":material/stop_circle:")
        else:
            st.error(no_pictures(mine.error), icon=":material/error:")
        st.button("Dismiss", type="tertiary", icon=":material/close:", on_click=_dismiss)
    return None


def wait_for(job: Job) -> bool:
    """Whether a job is done; until then its progress and a stop button are shown.

    A short job is waited for, so that nothing flickers; a longer one goes on in its thread and
    the page is drawn again at its end. One that failed or was stopped says so.
    """
    job.wait(PATIENCE_S)
    if job.running:
        _live_in_line(job)
        return False
    if job.state == "failed":
        st.error(no_pictures(job.error), icon=":material/error:")
    elif job.state == "stopped":
        st.info(no_pictures(job.error), icon=":material/stop_circle:")
    return job.state == "done"


@st.fragment(run_every=0.5)
def _live_in_line(job: Job) -> None:
    if not job.running:
        rerun_page()
    with st.container(horizontal=True, vertical_alignment="center"):
        show_progress(job)


@st.cache_resource
def _shared() -> dict[Hashable, Job]:
    return {}


def shared_job(
    key: Hashable, title: str, work: Callable[[Progress], Any] | None, *, anew: bool = False
) -> Job | None:
    """The job of all visitors for `key`; without work, None where there is none.

    Of several who ask at once, one starts it. The least lately asked for that have ended are
    forgotten.

    Args:
        key: all that its result depends on.
        anew: start it again if it has ended.
    """
    with _LOCK:
        jobs = _shared()
        job = jobs.pop(key, None)
        if work is not None and (job is None or (anew and not job.running)):
            job = Job(title, work)
        if job is not None:
            jobs[key] = job
        ended = [k for k, j in jobs.items() if k != key and not j.running]
        for old in ended[: max(0, len(jobs) - KEPT)]:
            del jobs[old]
    return job


def cached_job(key: Hashable, title: str, work: Callable[[Progress], Any]) -> Any | None:
    """The result of `work`, or None while its progress, or why it came to nothing, is shown.

    Args:
        key: of the result: all that it depends on.
        title: what is done, e.g. "Reading all pixels".
        work: called once, in a thread, with a progress function that raises Stopped.
    """
    job = shared_job(key, title, work)
    if wait_for(job):
        return job.result
    if not job.running and st.button(
        "Start again", icon=":material/refresh:", key=f"begin_again_{hash(key)}"
    ):
        shared_job(key, title, work, anew=True)
        st.rerun()
    return None
