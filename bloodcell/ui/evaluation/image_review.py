"""From a cell of the confusion matrix to its images, from a table of them to one image."""

from functools import partial

import numpy as np
import pandas as pd
import streamlit as st

from bloodcell import figures
from bloodcell.classes import CLASSES, class_id, title
from bloodcell.data.store.dataset import Dataset
from bloodcell.evaluation.evaluate import Evaluation
from bloodcell.evaluation.intervals import wilson
from bloodcell.evaluation.metrics import confusion_matrix
from bloodcell.ui.common.format import interval, percent
from bloodcell.ui.common.gallery import gallery
from bloodcell.ui.common.table import chosen_row
from bloodcell.ui.evaluation.image import image_dialog
from bloodcell.ui.evaluation.image_table import (
    ONLY,
    ORDERS,
    answers_of,
    chosen_images,
    image_rows,
    networks,
    pictures,
)

__all__ = ["clicked_cell", "confusion_and_images", "hard_pair", "image_by_image", "pair_rows"]

ANY = "any"
CHOICES = [ANY, *range(len(CLASSES))]
SHOWN = 24
MOST_ROWS = 300
PAIR = (class_id("immature_granulocyte") or 0, class_id("neutrophil") or 0)


def _words(choice: int | str) -> str:
    return "any class" if choice == ANY else title(int(choice))


def _class(choice: int | str) -> int | None:
    return None if choice == ANY else int(choice)


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


@st.fragment
def confusion_and_images(found: Evaluation, dataset: Dataset, name: str) -> None:
    """The confusion matrix and, beside it, the images of the cell that was chosen."""
    names = networks(found)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        network = 0
        other = None
        if len(names) > 2:
            network = st.selectbox(
                "Answers of", range(len(names)), format_func=names.__getitem__, key="review_network"
            )
            others = [None, *(i for i in range(len(names)) if i != network)]
            other = st.selectbox(
                "Minus those of",
                others,
                format_func=lambda i: "nobody" if i is None else names[i],
                key="review_other",
                help="The difference of two confusion matrices on the same images.",
            )
        shares = st.segmented_control(
            "Numbers",
            ["Counts", "Row shares"],
            default="Counts",
            required=True,
            key="review_numbers",
            disabled=other is not None,
        )
    left, right = st.columns([11, 9], gap="medium")
    said, _ = answers_of(found, network)
    matrix = confusion_matrix(found.labels, said)
    with left:
        key = f"confusion_{st.session_state.get('review_drawn', 0)}_{network}_{other}"
        if other is None:
            fig = figures.confusion(matrix, normalise=shares == "Row shares")
        else:
            second = confusion_matrix(found.labels, answers_of(found, other)[0])
            fig = figures.confusion_difference(matrix, second, (names[network], names[other]))
        st.plotly_chart(
            fig,
            key=key,
            on_select=partial(_on_click, key),
            selection_mode="points",
            config=figures.CONFIG,
            alt="Confusion matrix; the two lists beside it choose a cell by keyboard",
        )
        if other is not None:
            st.caption(
                f"Violet: in favour of {names[network]}; orange: of {names[other]}. On the "
                "diagonal more is better, elsewhere less."
            )
    with right:
        _chosen_cell(found, dataset, name, network, other)


def _chosen_cell(
    found: Evaluation, dataset: Dataset, name: str, network: int, other: int | None
) -> None:
    st.caption("Click a cell of the matrix, or choose here:")
    sides = st.columns(2)
    true = sides[0].selectbox(
        "True class", CHOICES, format_func=_words, key="review_true", on_change=_on_select
    )
    predicted = sides[1].selectbox(
        "Answered", CHOICES, format_func=_words, key="review_predicted", on_change=_on_select
    )
    nothing = true == ANY and predicted == ANY
    wanted = _class(true), _class(predicted)
    only = "errors" if nothing else "all"
    rows = chosen_images(found, *wanted, only, network=network)
    what = "answered wrong" if nothing else f"{_words(true)} → {_words(predicted)}"
    if other is not None:
        also = chosen_images(found, *wanted, only, network=other)
        rows = np.concatenate([np.setdiff1d(rows, also), np.setdiff1d(also, rows)])
        what += ", by one of the two only"
    more = f", the first {SHOWN}" if len(rows) > SHOWN else ""
    count = "1 image" if len(rows) == 1 else f"{len(rows):,} images"
    st.markdown(f"**{count}**: {what}{more}")
    with st.container(height=430, border=False):
        shown = pictures(found, dataset, rows[:SHOWN], network)
        key = f"review_{true}_{predicted}_{network}_{other}"
        clicked = gallery(shown, key, side=92)
    if clicked is not None:
        image_dialog(found, dataset, name, clicked)


def pair_rows(found: Evaluation, pair: tuple[int, int]) -> pd.DataFrame:
    """How often each network takes one class of a pair for the other, both ways."""
    rows = []
    a, b = pair
    for place, network in enumerate(networks(found)):
        said, _ = answers_of(found, place)
        row: dict[str, str | int] = {"Network": network}
        for true, other in ((a, b), (b, a)):
            n = int((found.labels == true).sum())
            count = int((said[found.labels == true] == other).sum())
            way = f"{title(true)} → {title(other).lower()}"
            row[way] = f"{count:,} of {n:,}"
            row[f"95 %, {way}"] = interval(wilson(count, n)) if n else ""
        rows.append(row)
    return pd.DataFrame(rows)


@st.fragment
def hard_pair(found: Evaluation, dataset: Dataset, name: str) -> None:
    """Two classes that are hard to tell apart: counts both ways, and the images between them."""
    st.caption(
        "Neutrophils ripen out of immature granulocytes without a step: band cells lie between, "
        "and people draw the line differently. Any other two classes can be looked at too."
    )
    sides = st.columns(2)
    every = range(len(CLASSES))
    a = sides[0].selectbox("One class", every, PAIR[0], format_func=title, key="pair_a")
    b = sides[1].selectbox("The other", every, PAIR[1], format_func=title, key="pair_b")
    if a == b:
        st.info("Choose two classes.", icon=":material/info:")
        return
    st.dataframe(
        pair_rows(found, (a, b)),
        hide_index=True,
        alt=f"How often each network takes {title(a).lower()} and {title(b).lower()} for another",
    )
    between = np.minimum(found.answers.probabilities[:, a], found.answers.probabilities[:, b])
    wrong = chosen_images(found, None, None, "errors", pair=(a, b))
    rest = chosen_images(found, None, None, pair=(a, b))
    rest = np.setdiff1d(rest, wrong)
    closest = rest[np.argsort(-between[rest], kind="stable")][: SHOWN // 2]
    clicked = None
    for rows, words, key in (
        (wrong[:SHOWN], f"Taken for one another ({len(wrong):,})", "pair_wrong"),
        (closest, "Right, but closest to the line", "pair_close"),
    ):
        st.markdown(f"**{words}**")
        if len(rows):
            tile = gallery(pictures(found, dataset, rows), f"{key}_{a}_{b}", side=104)
            clicked = tile if tile is not None else clicked
        else:
            st.caption("None.")
    if clicked is not None:
        image_dialog(found, dataset, name, clicked)


@st.cache_data(max_entries=12, show_spinner=False)
def _rows(key: str, _found: Evaluation, _dataset: Dataset, _rows: np.ndarray) -> pd.DataFrame:
    return image_rows(_found, _dataset, _rows)


@st.fragment
def image_by_image(found: Evaluation, dataset: Dataset, name: str, limit: float) -> None:
    """A table of the images, confident errors first; a row opens the image.

    Args:
        limit: the novelty above which an image is none of the eight.
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
    with st.container(horizontal=True):
        true = st.selectbox("True class", CHOICES, format_func=_words, key="images_true")
        said = st.selectbox("Answered", CHOICES, format_func=_words, key="images_predicted")
        order = st.selectbox("Order", ORDERS, format_func=str.capitalize, key="images_order")
    rows = chosen_images(found, _class(true), _class(said), only, order=order)
    if not len(rows):
        st.info("No image here.", icon=":material/info:")
        return
    part = rows[:MOST_ROWS]
    more = f", the first {MOST_ROWS} shown; the CSV has all" if len(rows) > MOST_ROWS else ""
    st.markdown(f"**{len(rows):,}** of {len(found.labels):,} images{more}")
    said_of_all = found.answers.probabilities.tobytes()
    labels = found.labels[part].tobytes()
    key = f"{dataset.path}_{hash(said_of_all)}_{hash(part.tobytes())}_{hash(labels)}"
    event = st.dataframe(
        _rows(key, found, dataset, part),
        hide_index=True,
        row_height=44,
        height=38 + 44 * min(len(part), 8),
        key=f"review_table_{only}_{true}_{said}_{order}",
        on_select="rerun",
        selection_mode=["single-row", "single-cell"],
        column_config={
            "Picture": st.column_config.ImageColumn("", width=52),
            "True": st.column_config.TextColumn(width=140),
            "Answer": st.column_config.TextColumn(width=140),
            "Right": st.column_config.CheckboxColumn(width=50),
            "Probability": st.column_config.ProgressColumn(
                format="%.1f %%", min_value=0, max_value=100, width=110
            ),
            "Votes": st.column_config.TextColumn(
                width=190, help="Each network's own answer and its probability in percent."
            ),
            "Disagreement": st.column_config.NumberColumn(
                format="%.0f %%",
                width=100,
                help="Jensen-Shannon divergence of the networks' probabilities: 0 all say the "
                "same, 100 each is sure of another class.",
            ),
            "Novelty": st.column_config.NumberColumn(
                format="%.2f", width=70, help=f"Not recognised above {limit:.2f}."
            ),
            "Recognised": st.column_config.CheckboxColumn(width=90),
            "Could be": st.column_config.TextColumn(
                width=130, help="The prediction set at 95 % coverage."
            ),
        },
        alt="The judged images",
    )
    chosen = chosen_row(event["selection"], -1)
    # A table keeps its selection: without this a filter would open the image once more.
    last = st.session_state.get("review_opened")
    now = (only, true, said, order, chosen)
    st.session_state["review_opened"] = now
    if chosen >= 0 and now != last:
        image_dialog(found, dataset, name, int(part[chosen]))
    sure = percent(float(found.answers.probabilities.max(1).mean()))
    st.caption(f"Choose a row to open its image. Mean top probability of all images: {sure}.")
