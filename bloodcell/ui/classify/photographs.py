"""What a visitor dropped on the page: kept in the memory of the session, never on disk."""

import hashlib
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import streamlit as st

from bloodcell.data.imaging.cropping import Crop
from bloodcell.data.readers.decoded import Decoded
from bloodcell.data.readers.inputs import File, unpacked
from bloodcell.data.readers.strays import passed_over_text
from bloodcell.ensemble.classify import Classified, classify
from bloodcell.ensemble.ensemble import Ensemble
from bloodcell.explain import Evidence, find_evidence
from bloodcell.progress import Progress
from bloodcell.smear.squares import squares
from bloodcell.ui.common.jobs import Job
from bloodcell.ui.common.state import ensemble_identity
from bloodcell.ui.common.uploads import empty_zone

__all__ = [
    "DROPS",
    "Answered",
    "Photographs",
    "apply_moved_crops",
    "cached_evidence",
    "classify_job",
    "clear",
    "current",
    "moved_crops",
    "retry",
    "set_crop",
    "squares_job",
    "store",
]

KEY = "photographs"
ANSWERS = "photographs_answers"
EVIDENCE = "photographs_evidence"
MOVED = "photographs_moved"
DROPS = "drops"
KEPT_ANSWERS = 4
KEPT_EVIDENCE = 16


@dataclass(frozen=True)
class Photographs:
    """Some image files.

    Attributes:
        files: (name, content).
        truths: known class of each, or None.
        note: what the visitor should know about them, or "".
        digest: hash of names and contents.
    """

    files: list[File]
    truths: list[int | None] | None
    note: str
    digest: str


@dataclass(frozen=True)
class Answered:
    """The ensemble's answers for some photographs, and how long they took.

    Attributes:
        several: positions of photographs that show more white cells than one.
    """

    found: Classified
    milliseconds: float
    several: tuple[int, ...] = ()


def store(
    files: list[tuple[str, bytes]],
    truths: list[int | None] | None = None,
    note: str = "",
    strays: list[str] | None = None,
) -> None:
    """Make these the visitor's photographs, in place of any before; zips are opened.

    Args:
        strays: names of files that were passed over, for the note.
    """
    digest = hashlib.blake2b(digest_size=16)
    for name, content in files:
        digest.update(json.dumps([name, len(content)]).encode())
        digest.update(content)
    _forget()
    strays = list(strays or [])
    inside = unpacked(list(files), strays)
    note = " ".join(filter(None, [note, passed_over_text(strays)]))
    st.session_state[KEY] = Photographs(inside, truths, note, digest.hexdigest())


def _forget() -> None:
    for job in st.session_state.pop(ANSWERS, {}).values():
        job.stop()
    for key in (KEY, EVIDENCE, MOVED):
        st.session_state.pop(key, None)


def clear() -> None:
    """Forget the visitor's photographs and all answers for them."""
    _forget()
    empty_zone(DROPS)


def current() -> Photographs | None:
    """The visitor's photographs, or None."""
    return st.session_state.get(KEY)


def moved_crops() -> dict[int, Crop]:
    """The squares that the visitor chose, by position of the file."""
    return st.session_state.setdefault(MOVED, {})


def set_crop(position: int, crop: Crop | None) -> None:
    """Choose the square of one file; None: the proposed one again."""
    if crop is None:
        moved_crops().pop(position, None)
    else:
        moved_crops()[position] = crop


def _cached(where: str, key: Any, most: int, make: Callable[[], Any]) -> Any:
    """`make()`, or what it made for `key` before; the least lately used is forgotten."""
    kept: dict[Any, Any] = st.session_state.setdefault(where, {})
    found = kept.pop(key) if key in kept else make()
    kept[key] = found
    while len(kept) > most:
        gone = kept.pop(next(iter(kept)))
        if isinstance(gone, Job):
            gone.stop()
    return found


def classify_job(
    ensemble: Ensemble, photographs: Photographs, tta: bool | None, balance: bool
) -> Job:
    """The job, running or done, that answers for these photographs; its result is Answered.

    The same files, ensemble and settings are answered once in a session; a file whose square was
    moved is answered again by itself, in :func:`apply_moved_crops`.
    """
    key = (photographs.digest, ensemble_identity(ensemble), tta, balance)
    jobs: dict[Any, Job] = st.session_state.setdefault(ANSWERS, {})
    if key in jobs and jobs[key].state == "failed":
        del jobs[key]

    def start() -> Job:
        n = len(photographs.files)
        what = "1 photograph" if n == 1 else f"{n:,} photographs"

        def work(progress: Progress) -> Answered:
            begin = time.perf_counter()
            known = ensemble.description.field_of_view.sizes
            decoded = Decoded(photographs.files)
            alone, several = squares(decoded, known, progress)
            found = classify(
                ensemble,
                decoded,
                tta=tta,
                moved=alone,
                balance=balance,
                progress=progress,
            )
            return Answered(found, 1000 * (time.perf_counter() - begin), tuple(several))

        return Job(f"Classifying {what}", work)

    return _cached(ANSWERS, key, KEPT_ANSWERS, start)


def squares_job(ensemble: Ensemble, photographs: Photographs) -> Job:
    """A job like :func:`classify_job`, for the squares: one that is done, else the quickest."""
    identity, jobs = ensemble_identity(ensemble), st.session_state.get(ANSWERS, {})
    for (digest, of, tta, balance), job in jobs.items():
        if (digest, of, balance) == (photographs.digest, identity, False) and job.state == "done":
            return classify_job(ensemble, photographs, tta, False)
    return classify_job(ensemble, photographs, False, False)


def retry(job: Job) -> None:
    """Forget a job that was stopped, so that its photographs are answered anew."""
    jobs: dict[Any, Job] = st.session_state.get(ANSWERS, {})
    for key in [key for key, known in jobs.items() if known is job]:
        del jobs[key]


def apply_moved_crops(
    ensemble: Ensemble, photographs: Photographs, found: Classified, tta: bool | None, balance: bool
) -> Classified:
    """The answers with those of the files whose square the visitor moved in their places."""
    for position, crop in moved_crops().items():
        one = classify(
            ensemble,
            [photographs.files[position]],
            tta=tta,
            crop=crop,
            balance=balance,
            beside=found.backgrounds,
        )
        found = found.with_one(position, one)
    return found


def cached_evidence(ensemble: Ensemble, found: Classified, row: int) -> Evidence:
    """The evidence on the photograph in row `row`, worked out when it is first looked at."""
    image = found.images[row]
    key = (ensemble_identity(ensemble), hashlib.blake2b(image.tobytes(), digest_size=16).digest())
    return _cached(EVIDENCE, key, KEPT_EVIDENCE, lambda: find_evidence(ensemble, image))
