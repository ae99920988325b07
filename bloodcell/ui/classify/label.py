"""One cell after another is labelled, one key each."""

import cv2
import numpy as np
import streamlit as st

from bloodcell.classes import LABELS, OTHER
from bloodcell.data.store.dataset import Dataset, open_dataset
from bloodcell.data.store.labelling import label_cell, labelled_cells, take_back, waiting_cells
from bloodcell.ensemble.adapted_head import joined
from bloodcell.ensemble.ensemble import Ensemble, Raw
from bloodcell.ensemble.label_order import label_order
from bloodcell.ui.classify.batch import PROBLEM
from bloodcell.ui.common.errors import attempt
from bloodcell.ui.common.format import plain, swatch
from bloodcell.ui.common.state import ensemble_identity, workspace

__all__ = ["label_counts", "look_at_cell", "queue_of", "show_labelling"]

AT, SKIPPED, QUEUE = "label_at", "label_skipped", "label_queue"
SIDE = 320
KEYS = {cell.id: "0" if cell.id == OTHER else str(cell.id + 1) for cell in LABELS}


def look_at_cell(dataset: Dataset, index: int) -> None:
    """Make a cell the one that is labelled next, whether it has a label or not."""
    st.session_state[AT] = (dataset.name, index)


def label_counts(dataset: Dataset) -> dict[int, int]:
    """Label → cells that have it, of the eight and OTHER."""
    labels = dataset.labels[labelled_cells(dataset)]
    return {cell.id: int((labels == cell.id).sum()) for cell in LABELS}


def queue_of(ensemble: Ensemble, dataset: Dataset, raw: Raw) -> np.ndarray:
    """The order in which to label the cells, found once for an ensemble and a batch.

    Args:
        raw: what the members see of all of its cells.
    """
    key = (ensemble_identity(ensemble), str(dataset.path), dataset.fingerprint)
    kept = st.session_state.get(QUEUE)
    if kept is None or kept[0] != key:
        said = ensemble.calibrate(raw).probabilities
        order = label_order(said, joined(raw.features), labelled_cells(dataset))
        kept = st.session_state[QUEUE] = (key, order)
    return kept[1]


def _label(name: str, index: int, label: int, reader: str) -> None:
    label_cell(open_dataset(workspace(), name), index, label, reader)
    st.session_state.pop(AT, None)


def _skip(name: str, index: int) -> None:
    skipped = [i for i in st.session_state.get(SKIPPED, {}).get(name, []) if i != index]
    st.session_state[SKIPPED] = {name: [*skipped, index]}
    st.session_state.pop(AT, None)


def _undo(name: str) -> None:
    dataset = open_dataset(workspace(), name)
    if back := take_back(dataset):
        look_at_cell(dataset, back[0])


def _at_hand(dataset: Dataset, order: np.ndarray) -> int | None:
    """The cell that was asked for, else the next that waits, those that were skipped last."""
    name, index = st.session_state.get(AT, ("", -1))
    if name == dataset.name and 0 <= index < len(dataset):
        return index
    waiting = set(waiting_cells(dataset).tolist())
    queue = [int(i) for i in order if i in waiting]
    skipped = [i for i in st.session_state.get(SKIPPED, {}).get(dataset.name, []) if i in waiting]
    queue = [*(i for i in queue if i not in skipped), *skipped]
    return queue[0] if queue else None


def show_labelling(dataset: Dataset, order: np.ndarray, reader: str) -> None:
    """The cell at hand, and a button and key for each class.

    Args:
        order: in which to label the cells that wait.
        reader: who labels them; without a name nobody can.
    """
    index = _at_hand(dataset, order)
    waiting, done = len(waiting_cells(dataset)), len(labelled_cells(dataset))
    if index is None:
        st.success(f"All {done:,} cells are labelled.", icon=":material/check:")
        st.button("Undo", icon=":material/undo:", shortcut="U", key="label_undo",
                  on_click=attempt, args=(PROBLEM, _undo, dataset.name))  # fmt: skip
        return
    known = index in labelled_cells(dataset)
    left, right = st.columns([4, 6], gap="medium")
    with left:
        name = str(dataset.items["name"].iloc[index])
        st.image(
            cv2.resize(dataset.images[index], (SIDE, SIDE), interpolation=cv2.INTER_CUBIC),
            width="stretch",
            caption=plain(name),
            alt=f"The cell to label, {name}",
        )
    with right:
        now = f" It is labelled {swatch(int(dataset.labels[index]))} now." if known else ""
        st.markdown(
            f"**What is it?** {done:,} labelled, {waiting:,} left.{now}", unsafe_allow_html=True
        )
        if not reader:
            st.info("Give your name above: it is kept with each label.", icon=":material/edit:")
        with st.container(horizontal=True, gap="small"):
            for cell in LABELS:
                st.button(
                    cell.title,
                    key=f"label_as_{cell.name}",
                    shortcut=KEYS[cell.id],
                    help=cell.cytology,
                    disabled=not reader,
                    on_click=attempt,
                    args=(PROBLEM, _label, dataset.name, index, cell.id, reader),
                )
        with st.container(horizontal=True, gap="small"):
            st.button("Undo", icon=":material/undo:", shortcut="U", key="label_undo",
                      disabled=not done, on_click=attempt,
                      args=(PROBLEM, _undo, dataset.name))  # fmt: skip
            st.button("Skip", icon=":material/skip_next:", shortcut="Space", key="label_skip",
                      on_click=_skip, args=(dataset.name, index))  # fmt: skip
        st.caption(
            "The least certain and most diverse come first. What the ensemble says of a cell is "
            "not shown here, so that the label is yours."
        )
        counts = label_counts(dataset)
        st.markdown(
            " &nbsp; ".join(f"{swatch(k)} **{n:,}**" for k, n in counts.items() if n)
            or "No label yet.",
            unsafe_allow_html=True,
        )
