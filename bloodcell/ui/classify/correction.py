"""On the card of an answer: this is wrong, it is another cell."""

from collections.abc import Callable

import numpy as np
import streamlit as st

from bloodcell.classes import LABELS, title
from bloodcell.data.store.labelling import label_cell
from bloodcell.ui.classify.batch import PROBLEM, ask_laboratory, ask_reader, keep_one
from bloodcell.ui.classify.photographs import Photographs
from bloodcell.ui.common.errors import attempt, show_problem
from bloodcell.ui.common.format import plain

__all__ = ["show_correction"]

DONE = "correction_done"


def show_correction(
    kept: Photographs, position: int, said: str, cut: Callable[[], np.ndarray], on_label: Callable
) -> None:
    """Ask what the cell is, and keep it among those labelled for its laboratory.

    Args:
        said: what the ensemble answered.
        cut: the square that it was shown.
        on_label: a callback that opens the view where cells are labelled.
    """
    file = kept.files[position][0]
    with st.popover("This is wrong", icon=":material/edit:"):
        label = st.selectbox(
            "It is",
            [cell.id for cell in LABELS],
            index=None,
            format_func=title,
            placeholder="Choose a class",
            key=f"correction_{kept.digest}_{position}",
        )
        reader, laboratory = ask_reader(), ask_laboratory()
        st.button(
            "Keep the correction",
            icon=":material/save:",
            type="primary",
            key="correction_keep",
            disabled=label is None or not (reader and laboratory),
            on_click=attempt,
            args=(PROBLEM, _keep, file, said, cut, label, reader, laboratory),
            help="Keeps this square of the photograph in the workspace, labelled, for adapting.",
        )
    show_problem(PROBLEM)
    if (done := st.session_state.get(DONE)) and done[0] == file:
        with st.container(horizontal=True, vertical_alignment="center"):
            st.success(done[1], icon=":material/check:", width="stretch")
            st.button("Label and adapt", icon=":material/arrow_forward:", on_click=on_label)


def _keep(
    file: str,
    said: str,
    cut: Callable[[], np.ndarray],
    label: int,
    reader: str,
    laboratory: str,
) -> None:
    dataset, index = keep_one(cut(), file, laboratory)
    label_cell(dataset, index, label, reader, f"the answer was {said}")
    st.session_state[DONE] = (file, f"Kept as {title(label).lower()} in {plain(dataset.name)}.")
