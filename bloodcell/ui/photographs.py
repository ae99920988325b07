"""What a visitor dropped on the page: kept in the memory of the session, never on disk."""

import hashlib
import json
import time
from dataclasses import dataclass
from typing import Any

import streamlit as st

from bloodcell.ensemble.classify import Classified, classify
from bloodcell.ensemble.ensemble import Ensemble
from bloodcell.progress import Progress
from bloodcell.ui.jobs import Job

__all__ = ["Answered", "Photographs", "answering", "clear", "current", "drops", "keep"]

KEY = "photographs"
ANSWERS = "photographs_answers"
DROPS = "photographs_drops"
KEPT_ANSWERS = 4


@dataclass(frozen=True)
class Photographs:
    """Some image files.

    Attributes:
        files: (name, content).
        truths: known class of each, or None.
        note: what the visitor should know about them, or "".
        digest: hash of names and contents.
    """

    files: list[tuple[str, bytes]]
    truths: list[int | None] | None
    note: str
    digest: str


@dataclass(frozen=True)
class Answered:
    """The ensemble's answers for some photographs, and how long they took."""

    found: Classified
    milliseconds: float


def keep(
    files: list[tuple[str, bytes]], truths: list[int | None] | None = None, note: str = ""
) -> None:
    """Make these the visitor's photographs, in place of any before."""
    digest = hashlib.blake2b(digest_size=16)
    for name, content in files:
        digest.update(json.dumps([name, len(content)]).encode())
        digest.update(content)
    st.session_state[KEY] = Photographs(files, truths, note, digest.hexdigest())


def clear() -> None:
    """Forget the visitor's photographs and all answers for them."""
    st.session_state.pop(KEY, None)
    st.session_state.pop(ANSWERS, None)
    st.session_state[DROPS] = drops() + 1


def drops() -> int:
    """A number for the drop zone's key: when it changes, the zone is empty again."""
    return st.session_state.get(DROPS, 0)


def current() -> Photographs | None:
    """The visitor's photographs, or None."""
    return st.session_state.get(KEY)


def answering(ensemble: Ensemble, photographs: Photographs, tta: bool) -> Job:
    """The job, running or done, that answers for these photographs; its result is Answered.

    The same files, ensemble and `tta` are answered once in a session.
    """
    jobs: dict[Any, Job] = st.session_state.setdefault(ANSWERS, {})
    key = (photographs.digest, id(ensemble), tta)
    job = jobs.pop(key, None)
    if job is None or job.state == "failed":
        n = len(photographs.files)
        what = "1 photograph" if n == 1 else f"{n:,} photographs"

        def work(progress: Progress) -> Answered:
            begin = time.perf_counter()
            found = classify(ensemble, photographs.files, tta=tta, progress=progress)
            return Answered(found, 1000 * (time.perf_counter() - begin))

        job = Job(f"Classifying {what}", work)
    jobs[key] = job
    while len(jobs) > KEPT_ANSWERS:
        jobs.pop(next(iter(jobs))).stop()
    return job
