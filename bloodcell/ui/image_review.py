"""From a cell of the confusion matrix to its images, and from an image to its card."""

from functools import partial

import numpy as np
import pandas as pd
import streamlit as st

from bloodcell import figures
from bloodcell.classes import CLASSES, title
from bloodcell.data.dataset import Dataset
from bloodcell.data.pipeline import read_images
from bloodcell.ensemble.ensemble import Ensemble
from bloodcell.evaluation.evaluate import Evaluation
from bloodcell.ui.answers_table import chosen_row
from bloodcell.ui.cell_card import cell_card, cell_of
from bloodcell.ui.gallery import gallery
from bloodcell.ui.image_table import ONLY, chosen_images, image_rows, pictures

__all__ = ["clicked_cell", "confusion_and_images", "image_by_image"]

ANY = "any"
CHOICES = [ANY, *range(len(CLASSES))]
SHOWN = 24
MOST_ROWS = 1000


def _words(choice: int | str) -> str:
    return "any class" if choice == ANY else title(int(choice))


def clicked_cell(selection: dict) -> tuple[int, int] | None:
    """(true, predicted) of the marker chosen in the confusion matrix, or None."""
    points = selection.get("points") or []
    data = points[0].get("customdata") if points else None
    if not data:
        return None
    true, predicted = list(data.values())[:2] if isinstance(data, dict) else data[:2]
    return int(true), int(predicted)


def _on_click(key: str) -> None:
    cell = clicked_cell(st.session_state[key]["selection"])
    st.session_state["review_true"] = cell[0] if cell else ANY
    st.session_state["review_predicted"] = cell[1] if cell else ANY


def _on_select() -> None:
    # The figure would go on showing the cell that was clicked before: draw it anew.
    st.session_state["review_drawn"] = st.session_state.get("review_drawn", 0) + 1


def confusion_and_images(found: Evaluation, dataset: Dataset, ensemble: Ensemble) -> None:
    """The confusion matrix and, beside it, the images of the cell that was chosen."""
    left, right = st.columns([11, 9], gap="medium")
    with left:
        shares = st.segmented_control(
            "Numbers",
            ["Counts", "Row shares"],
            default="Counts",
            required=True,
            key="review_numbers",
            label_visibility="collapsed",
        )
        key = f"confusion_{st.session_state.get('review_drawn', 0)}"
        st.plotly_chart(
            figures.confusion(found.judgement.confusion_matrix, normalise=shares == "Row shares"),
            key=key,
            on_select=partial(_on_click, key),
            selection_mode="points",
            config=figures.CONFIG,
            alt="Confusion matrix; the two lists beside it choose a cell by keyboard",
        )
    with right:
        st.caption("Click a cell of the matrix, or choose here:")
        true_side, predicted_side = st.columns(2)
        true = true_side.selectbox(
            "True class",
            CHOICES,
            format_func=_words,
            key="review_true",
            on_change=_on_select,
        )
        predicted = predicted_side.selectbox(
            "Answered",
            CHOICES,
            format_func=_words,
            key="review_predicted",
            on_change=_on_select,
        )
        nothing_chosen = true == ANY and predicted == ANY
        rows = chosen_images(
            found,
            None if true == ANY else true,
            None if predicted == ANY else predicted,
            "errors" if nothing_chosen else "all",
        )
        what = "answered wrong" if nothing_chosen else f"{_words(true)} → {_words(predicted)}"
        more = f", the first {SHOWN}" if len(rows) > SHOWN else ""
        st.markdown(f"**{len(rows):,} images**: {what}{more}")
        shown = pictures(found, dataset, rows[:SHOWN])
        with st.container(height=430, border=False):
            clicked = gallery(shown, f"review_{true}_{predicted}", side=92)
    if clicked is not None:
        _card(found, dataset, ensemble, clicked)


@st.dialog("One image", width="large")
def _card(found: Evaluation, dataset: Dataset, ensemble: Ensemble, row: int) -> None:
    _draw_card(found, dataset, ensemble, row, "dialog")


def _draw_card(found: Evaluation, dataset: Dataset, ensemble: Ensemble, row: int, key: str) -> None:
    index = int(found.indices[row])
    image = read_images(dataset, np.array([index]), ensemble.size)[0]
    name = str(dataset.items["name"].iloc[index])
    cell = cell_of(found.answers, row, name, image, int(found.labels[row]))
    cell_card(cell, ensemble.info, key)


@st.cache_data(max_entries=12, show_spinner=False)
def _rows(
    key: str, count: int, only: str, _found: Evaluation, _dataset: Dataset, _rows: np.ndarray
) -> pd.DataFrame:
    return image_rows(_found, _dataset, _rows)


def image_by_image(found: Evaluation, dataset: Dataset, ensemble: Ensemble, stamp: str) -> None:
    """A table of the images, errors first, with the card of the chosen one.

    Args:
        stamp: changes whenever the evaluation does.
    """
    only = st.segmented_control(
        "Show",
        ONLY,
        default="errors",
        required=True,
        format_func=str.capitalize,
        key="review_only",
        label_visibility="collapsed",
    )
    rows = chosen_images(found, None, None, only)
    if not len(rows):
        st.info("No image here.", icon=":material/info:")
        return
    part = rows[:MOST_ROWS]
    limit = ensemble.info["novelty"]["threshold"]
    event = st.dataframe(
        _rows(stamp, len(part), only, found, dataset, part),
        hide_index=True,
        row_height=44,
        height=38 + 44 * min(len(part), 8),
        key=f"review_table_{only}",
        on_select="rerun",
        selection_mode=["single-row", "single-cell"],
        column_config={
            "Picture": st.column_config.ImageColumn("", width=52),
            "True": st.column_config.TextColumn(width=150),
            "Answer": st.column_config.TextColumn(width=150),
            "Right": st.column_config.CheckboxColumn(width=50),
            "Probability": st.column_config.ProgressColumn(
                format="%.1f %%", min_value=0, max_value=100, width=110
            ),
            "Votes": st.column_config.TextColumn(
                width=150, help="Each network's own answer and its probability in percent."
            ),
            "Novelty": st.column_config.NumberColumn(
                format="%.2f", width=70, help=f"Not recognised above {limit:.2f}."
            ),
            "Recognised": st.column_config.CheckboxColumn(width=90),
        },
        alt="The judged images, errors first",
    )
    if len(rows) > MOST_ROWS:
        st.caption(f"The first {MOST_ROWS:,} of {len(rows):,}; the CSV below has all of them.")
    chosen = chosen_row(event["selection"], -1)
    if chosen >= 0:
        _draw_card(found, dataset, ensemble, int(part[chosen]), "row")
    else:
        st.caption("Choose a row to see its card. A click on a column's head sorts.")
