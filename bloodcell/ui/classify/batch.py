"""Whose cells are labelled, by whom: kept from what was dropped, or kept before."""

from typing import Any

import numpy as np
import streamlit as st

from bloodcell.data.imaging.cropping import cut
from bloodcell.data.imaging.decode import decode_image
from bloodcell.data.pipeline import read_images
from bloodcell.data.readers.inputs import content_of
from bloodcell.data.store.dataset import Dataset, open_dataset
from bloodcell.data.store.labelling import keep_cells, labelling_datasets, labelling_name
from bloodcell.ensemble.classify import Classified
from bloodcell.ensemble.ensemble import Ensemble, Raw
from bloodcell.people import who
from bloodcell.progress import Progress
from bloodcell.ui.classify.photographs import Photographs
from bloodcell.ui.common.errors import attempt, show_problem
from bloodcell.ui.common.format import no_pictures
from bloodcell.ui.common.jobs import Job
from bloodcell.ui.common.state import workspace

__all__ = [
    "PROBLEM",
    "ask_batch",
    "ask_laboratory",
    "ask_reader",
    "keep_one",
    "linked",
    "seen_job",
    "square",
    "unlink",
]

CHOSEN = "label_dataset"
PROBLEM = "label_problem"
KEPT, SEEN = "label_kept", "label_seen"
LINK = "label"
CROP = "as an ensemble is shown them"


def linked() -> bool:
    """Whether the address asks for a batch, as after a reload."""
    return LINK in st.query_params


def unlink() -> None:
    """The address asks for answers again."""
    st.query_params.pop(LINK, None)


def ask_reader() -> str:
    """Who labels: whoever is signed in, and otherwise who they say they are."""
    if name := who():
        st.caption(f"Labels are kept as given by {no_pictures(name).replace('@', '&#64;')}.")
        return name
    return st.text_input(
        "Your name",
        key="label_reader",
        persist_state="session",
        help="Kept with each label, and the time.",
    ).strip()


def ask_laboratory() -> str:
    return st.text_input(
        "Laboratory",
        key="label_laboratory",
        persist_state="session",
        help="Where these cells come from. Cells of one laboratory are labelled together.",
    ).strip()


def ask_batch(mine: Photographs | None, found: Classified | None) -> Dataset | None:
    """The dataset to label, if there is one; keeps what was dropped when it is asked to."""
    show_problem(PROBLEM)
    names = labelling_datasets(workspace())
    if CHOSEN not in st.session_state and st.query_params.get(LINK) in names:
        st.session_state[CHOSEN] = st.query_params[LINK]
    if mine is not None and found is not None and st.session_state.get(KEPT) != mine.digest:
        _ask_to_keep(mine, found)
    if not names:
        return None
    if st.session_state.get(CHOSEN) not in names:
        st.session_state[CHOSEN] = names[0]
    name = st.session_state[CHOSEN]
    if len(names) > 1:
        name = st.selectbox(
            "Laboratory to label", names, key=f"{CHOSEN}_pick", index=names.index(name)
        )
        st.session_state[CHOSEN] = name
    if st.query_params.get(LINK) != name:
        st.query_params[LINK] = name
    return open_dataset(workspace(), name)


def _ask_to_keep(mine: Photographs, found: Classified) -> None:
    n = len(found.images)
    with st.container(border=True):
        cells = "this cell" if n == 1 else f"these {n:,} cells"
        st.markdown(
            f"To label {cells}, they are kept in the workspace as a dataset: the square of each "
            "that the ensemble is shown, a copy only once."
        )
        with st.container(horizontal=True, vertical_alignment="bottom"):
            laboratory = ask_laboratory()
            st.button(
                f"Keep {cells}",
                icon=":material/save:",
                type="primary",
                disabled=not (laboratory and n),
                key="label_keep",
                on_click=attempt,
                args=(PROBLEM, _keep, mine, found, laboratory),
            )


def _keep(mine: Photographs, found: Classified, laboratory: str) -> None:
    names = [file for p, file in enumerate(found.files) if p not in found.errors]
    cells = list(zip(names, found.images, strict=True))
    name = labelling_name(laboratory)
    keep_cells(workspace(), name, cells, laboratory, CROP)
    st.session_state[CHOSEN], st.session_state[KEPT] = name, mine.digest
    st.session_state[f"{CHOSEN}_pick"] = name


def square(ensemble: Ensemble, mine: Photographs, found: Classified, position: int) -> np.ndarray:
    """The square of one photograph that the ensemble was shown, in its own light."""
    name, content = mine.files[position]
    crop = found.crops[found.row_of(position)]
    return cut(decode_image(content_of(content), name), crop, ensemble.size, name)


def keep_one(image: np.ndarray, file: str, laboratory: str) -> tuple[Dataset, int]:
    """Keep one cell among those of a laboratory; returns its dataset and its index there."""
    name = labelling_name(laboratory)
    dataset, (index,) = keep_cells(workspace(), name, [(file, image)], laboratory, CROP)
    st.session_state[CHOSEN] = st.session_state[f"{CHOSEN}_pick"] = name
    return dataset, index


def seen_job(ensemble: Ensemble, dataset: Dataset) -> Job:
    """What the members see of each cell of a batch, worked out once; its result is a Raw."""
    description = ensemble.description
    members = tuple(description.files.get(m.file, m.file) for m in description.members)
    key = (str(dataset.path), dataset.fingerprint, members, description.balance)
    jobs: dict[Any, Job] = st.session_state.setdefault(SEEN, {})
    job = jobs.pop(key, None)
    if job is None or job.state in ("failed", "stopped"):

        def work(progress: Progress) -> Raw:
            rows = np.arange(len(dataset))
            return ensemble.look(lambda i: read_images(dataset, i, ensemble.size), rows, progress)

        job = Job(f"Looking at {len(dataset):,} cells", work)
    jobs[key] = job
    # An ensemble, and what it is held against.
    while len(jobs) > 2:
        jobs.pop(next(iter(jobs))).stop()
    return job
