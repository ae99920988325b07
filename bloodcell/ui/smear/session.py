"""The smear that a visitor looks at: kept in the memory of the session, never on disk."""

import hashlib
import json
from dataclasses import dataclass

import numpy as np
import streamlit as st

from bloodcell.data.imaging.decode import decode_image
from bloodcell.data.readers.inputs import File, content_of, unpacked
from bloodcell.data.readers.strays import passed_over_text
from bloodcell.data.synthetic.drawing.draw import draw_cell, draw_field
from bloodcell.ensemble.ensemble import Ensemble
from bloodcell.errors import BloodCellError
from bloodcell.progress import Progress
from bloodcell.smear.count import Smear, count
from bloodcell.smear.review import Place, Review
from bloodcell.ui.common.gallery import png_bytes
from bloodcell.ui.common.jobs import Job
from bloodcell.ui.common.state import ensemble_identity
from bloodcell.ui.common.uploads import empty_zone

__all__ = [
    "ROUND",
    "Dropped",
    "chosen_place",
    "clear",
    "count_job",
    "current",
    "drawn_smear",
    "photograph",
    "review_of",
    "store",
]

KEY, JOB, REVIEW, PLACE = (f"smear_{k}" for k in ("files", "job", "review", "at"))
ROUND = "smears"
TILE = 160


@dataclass(frozen=True)
class Dropped:
    """Photographs of one smear, with a hash of names and contents."""

    files: list[File]
    note: str
    digest: str


def store(files: list[File], note: str = "") -> None:
    """Make these the visitor's smear, in place of any before; zips are opened."""
    digest = hashlib.blake2b(digest_size=16)
    for name, content in files:
        try:
            data = content_of(content)
        except BloodCellError as error:
            data = str(error).encode()
        digest.update(json.dumps([name, len(data)]).encode())
        digest.update(data)
    clear()
    strays: list[str] = []
    inside = unpacked(list(files), strays)
    note = " ".join(filter(None, [note, passed_over_text(strays)]))
    st.session_state[KEY] = Dropped(inside, note, digest.hexdigest())


def clear() -> None:
    """Forget the smear and its review."""
    if (kept := st.session_state.pop(JOB, None)) is not None:
        kept[1].stop()
    for key in (KEY, REVIEW, PLACE, "smear_photograph", "smear_clicked", "smear_free"):
        st.session_state.pop(key, None)
    empty_zone(ROUND)


def current() -> Dropped | None:
    return st.session_state.get(KEY)


def count_job(ensemble: Ensemble, dropped: Dropped, balance: bool) -> Job:
    """The job, running or done, that counts this smear; its result is a Smear."""
    key = (dropped.digest, ensemble_identity(ensemble), balance)
    kept = st.session_state.get(JOB)
    if kept is not None and kept[0] == key and kept[1].state not in ("failed", "stopped"):
        return kept[1]
    if kept is not None:
        kept[1].stop()

    def work(progress: Progress) -> Smear:
        return count(ensemble, dropped.files, balance=balance, progress=progress)

    n = len(dropped.files)
    job = Job("Counting 1 photograph" if n == 1 else f"Counting {n:,} photographs", work)
    st.session_state[JOB] = (key, job)
    return job


def review_of(smear: Smear) -> Review:
    """The visitor's review of a smear.

    Where the same cells were counted anew, by another ensemble or in another light, the decisions
    on them stay.
    """
    kept = st.session_state.get(REVIEW)
    if kept is None or kept.smear is not smear:
        fresh = Review(smear)
        if kept is not None and _boxes(kept.smear) == _boxes(smear):
            fresh = Review(smear, kept.decisions, kept.added, kept.at)
        kept = st.session_state[REVIEW] = fresh
    return kept


def _boxes(smear: Smear) -> list[list[tuple[int, int, int, int]]]:
    return [[cell.box for cell in photograph.cells] for photograph in smear.photographs]


def chosen_place(place: Place | None = None) -> Place | None:
    """The cell that is looked at; a given one is made it first."""
    if place is not None:
        st.session_state[PLACE] = place
    return st.session_state.get(PLACE)


@st.cache_data(max_entries=4, show_spinner=False)
def _decoded(digest: str, position: int, _files: list[File]) -> np.ndarray:
    name, content = _files[position]
    return decode_image(content_of(content), name)


def photograph(dropped: Dropped, position: int) -> np.ndarray:
    """The pixels of one photograph: uint8, H×W×3."""
    return _decoded(dropped.digest, position, dropped.files)


def drawn_smear() -> list[tuple[str, bytes]]:
    """Two drawn photographs, with a cell of each class."""
    rng = np.random.default_rng(7)
    files = []
    for number, labels in enumerate((range(4), range(4, 8))):
        tiles = [draw_field(rng, TILE) for _ in range(12)]
        for place, label in zip((0, 3, 6, 9), labels, strict=True):
            tiles[place] = draw_cell(label, rng, TILE)
        rows = [np.concatenate(tiles[i : i + 4], axis=1) for i in (0, 4, 8)]
        files.append((f"drawn-{number + 1}.png", png_bytes(np.concatenate(rows))))
    return files
