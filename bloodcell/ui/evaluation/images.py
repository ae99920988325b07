"""The images of an evaluation, from the confusion matrix or as a table, and one in detail."""

from functools import partial

import cv2
import numpy as np
import pandas as pd
import streamlit as st

from bloodcell import figures
from bloodcell.classes import CLASS_NAMES, CLASSES, class_id, title
from bloodcell.data.pipeline import read_images
from bloodcell.data.store.dataset import Dataset
from bloodcell.ensemble.ensemble import Ensemble
from bloodcell.evaluation.agreement import disagreement
from bloodcell.evaluation.evaluate import Evaluation
from bloodcell.evaluation.intervals import wilson
from bloodcell.evaluation.metrics import confusion_matrix
from bloodcell.explain import Evidence, find_evidence
from bloodcell.figures import SHORT_TITLES
from bloodcell.ui.common.cell_card import Cell, cell_card, cell_of
from bloodcell.ui.common.format import interval, percent, thumbnail
from bloodcell.ui.common.gallery import Picture, gallery
from bloodcell.ui.common.overlay import overlaid, shown_evidence
from bloodcell.ui.common.similar import show_similar_cells
from bloodcell.ui.common.state import load_ensemble
from bloodcell.ui.common.table import chosen_row

__all__ = [
    "ONLY",
    "ORDERS",
    "count_pair",
    "draw_tiles",
    "list_image_rows",
    "name_models",
    "open_image",
    "read_clicked_cell",
    "select_images",
    "select_predictions",
    "show_class_pair",
    "show_confusion",
    "show_images",
]

ONLY = ("all", "errors", "not recognised", "members disagree")
ORDERS = (
    "confident errors first",
    "lowest confidence first",
    "highest disagreement first",
    "highest novelty first",
)
SHORT = [SHORT_TITLES[name] for name in CLASS_NAMES]
SIDE = 192
OPACITY = 0.6
ANY = "any"
COUNTS, NORMALISED = "Counts", "Row percent"
CHOICES = [ANY, *range(len(CLASSES))]
SHOWN = 24
MOST_ROWS = 300
PAIR = (class_id("immature_granulocyte") or 0, class_id("neutrophil") or 0)


def name_models(evaluation: Evaluation) -> list[str]:
    """The ensemble's name, then its members'."""
    return [evaluation.ensemble, *(name for name, _ in evaluation.members)]


def select_predictions(evaluation: Evaluation, network: int) -> tuple[np.ndarray, np.ndarray]:
    """Predicted classes (int64, n) and probabilities (n×8): of 0 the ensemble, 1 the first member.

    A member's probabilities are uncalibrated.
    """
    answers = evaluation.answers
    probabilities = answers.members[network - 1] if network else answers.probabilities
    return probabilities.argmax(1), probabilities


def select_images(
    evaluation: Evaluation,
    true: int | None,
    predicted: int | None,
    only: str = "all",
    *,
    network: int = 0,
    pair: tuple[int, int] | None = None,
    order: str = ORDERS[0],
) -> np.ndarray:
    """Rows of an evaluation, filtered and sorted.

    Args:
        true: the true class, or None for any.
        predicted: the predicted class, or None for any.
        only: one of ONLY.
        network: whose predictions count, see :func:`select_predictions`.
        pair: two classes, for images whose true and predicted class are among them.
        order: one of ORDERS; "confident errors first": the least probable true class foremost.

    Returns:
        int64, rows of ``evaluation.indices``.
    """
    labels = evaluation.labels
    predictions, probabilities = select_predictions(evaluation, network)
    wrong = predictions != labels
    shown = np.ones(len(labels), bool)
    if true is not None:
        shown &= labels == true
    if predicted is not None:
        shown &= predictions == predicted
    if pair is not None:
        shown &= np.isin(labels, pair) & np.isin(predictions, pair)
    votes = evaluation.answers.members.argmax(2)
    shown &= {
        "all": np.True_,
        "errors": wrong,
        "not recognised": ~evaluation.answers.recognised,
        "members disagree": (votes != votes[0]).any(0),
    }[only]
    of_truth = probabilities[np.arange(len(labels)), labels]
    keys = {
        ORDERS[0]: (of_truth, ~wrong),
        ORDERS[1]: (probabilities.max(1),),
        ORDERS[2]: (-disagreement(evaluation.answers.members),),
        ORDERS[3]: (-evaluation.answers.novelty,),
    }[order]
    rows = np.lexsort((evaluation.indices, *keys))
    return rows[shown[rows]]


def _format_votes(evaluation: Evaluation, row: int) -> str:
    of_members = evaluation.answers.members[:, row]
    return " · ".join(f"{SHORT[int(p.argmax())]} {100 * p.max():.0f}" for p in of_members)


def list_image_rows(evaluation: Evaluation, dataset: Dataset, rows: np.ndarray) -> pd.DataFrame:
    """The table of images, one a row, with a thumbnail; probabilities in percent."""
    answers, labels = evaluation.answers, evaluation.labels
    names = dataset.items["name"].to_numpy(dtype=str)
    images = dataset.images
    return pd.DataFrame(
        {
            "Image": [thumbnail(images[i]) for i in evaluation.indices[rows]],
            "True": [title(int(k)) for k in labels[rows]],
            "Predicted": [title(int(k)) for k in answers.labels[rows]],
            "Correct": answers.labels[rows] == labels[rows],
            "Probability": 100 * answers.probabilities[rows].max(1),
            "Votes": [_format_votes(evaluation, int(row)) for row in rows],
            "Disagreement": 100 * disagreement(answers.members[:, rows]),
            "Novelty": answers.novelty[rows],
            "Recognised": answers.recognised[rows],
            "Prediction set": [
                ", ".join(SHORT[k] for k in np.flatnonzero(answers.prediction_sets[row]))
                for row in rows
            ],
            "Name": names[evaluation.indices[rows]],
        }
    )


def draw_tiles(
    evaluation: Evaluation, dataset: Dataset, rows: np.ndarray, network: int = 0
) -> list[Picture]:
    """Tiles for a gallery; a tile's id is its row."""
    predictions, probabilities = select_predictions(evaluation, network)
    side = dataset.size[0]
    made = []
    images = read_images(dataset, evaluation.indices[rows], side) if len(rows) else []
    for row, image in zip(map(int, rows), images, strict=True):
        true, label = int(evaluation.labels[row]), int(predictions[row])
        p = percent(float(probabilities[row, label]), 0)
        words = f"{title(true)}, predicted {title(label).lower()} with {p}"
        caption = f"{SHORT[label]} {p}"
        note = f"true: {SHORT[true]}" if true != label else "correct"
        colour = CLASSES[label].colour
        made.append(Picture(row, image, words, caption=caption, note=note, colour=colour))
    return made


@st.dialog("Image", width="large")
def open_image(found: Evaluation, dataset: Dataset, name: str, row: int) -> None:
    """Show all that is known of one image.

    Args:
        name: the ensemble's in the workspace.
        row: of the evaluation.
    """
    ensemble = load_ensemble(name)
    index = int(found.indices[row])
    image = read_images(dataset, np.array([index]), ensemble.size)[0]
    # Maps are not kept with an evaluation: they are computed for this image.
    evidence = find_evidence(ensemble, image)
    called = str(dataset.items["name"].iloc[index])
    truth = int(found.labels[row])
    cell = cell_of(found.answers, row, called, image, evidence, truth)
    cell_card(cell, ensemble.description, "evaluated")
    if len(evidence.members) > 1:
        _show_members(cell, ensemble, evidence)
    show_similar_cells(image, ensemble, dataset, "evaluated_similar")


def _show_members(cell: Cell, ensemble: Ensemble, evidence: Evidence) -> None:
    st.markdown("**Evidence of each member for its own prediction**")
    photo = cv2.resize(cell.image, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)
    columns = st.columns(max(3, len(cell.members)))
    members = zip(ensemble.description.members, cell.members, evidence.members, strict=True)
    for column, (member, own, maps) in zip(columns, members, strict=False):
        vote = int(own.argmax())
        words = f"{member.name}: {title(vote).lower()} {percent(float(own[vote]))}"
        column.image(
            overlaid(photo, shown_evidence(maps, vote, SIDE), OPACITY),
            caption=words,
            width="stretch",
            alt=f"Evidence for {words} on image {cell.name}",
        )


def _title_of(choice: int | str) -> str:
    return "any class" if choice == ANY else title(int(choice))


def _class(choice: int | str) -> int | None:
    return None if choice == ANY else int(choice)


def read_clicked_cell(selection: dict) -> tuple[int, int] | None:
    """(true, predicted) of the marker chosen in the confusion matrix, or None."""
    points = selection.get("points") or []
    data = points[0].get("customdata") if points else None
    if not data:
        return None
    true, predicted = list(data.values())[:2] if isinstance(data, dict) else data[:2]
    return int(true), int(predicted)


def _on_click(key: str) -> None:
    cell = read_clicked_cell(st.session_state[key]["selection"])
    st.session_state["review_true"] = cell[0] if cell else ANY
    st.session_state["review_predicted"] = cell[1] if cell else ANY


def _on_select() -> None:
    # The figure would go on showing the cell that was clicked before: draw it anew.
    st.session_state["review_drawn"] = st.session_state.get("review_drawn", 0) + 1


@st.fragment
def show_confusion(found: Evaluation, dataset: Dataset, name: str) -> None:
    """Show the confusion matrix and, beside it, the images of the selected cell."""
    names = name_models(found)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        network = 0
        other = None
        if len(names) > 2:
            network = st.selectbox(
                "Model", range(len(names)), format_func=names.__getitem__, key="review_network"
            )
            others = [None, *(i for i in range(len(names)) if i != network)]
            other = st.selectbox(
                "Compare with",
                others,
                format_func=lambda i: "none" if i is None else names[i],
                key="review_other",
                help="Shows the difference of the two confusion matrices.",
            )
        shares = st.segmented_control(
            "Values",
            [COUNTS, NORMALISED],
            default=COUNTS,
            required=True,
            key="review_numbers",
            disabled=other is not None,
        )
    left, right = st.columns([11, 9], gap="medium")
    matrix = confusion_matrix(found.labels, select_predictions(found, network)[0])
    with left:
        key = f"confusion_{st.session_state.get('review_drawn', 0)}_{network}_{other}"
        if other is None:
            fig = figures.confusion(matrix, normalise=shares == NORMALISED)
        else:
            second = confusion_matrix(found.labels, select_predictions(found, other)[0])
            fig = figures.confusion_difference(matrix, second, (names[network], names[other]))
        st.plotly_chart(
            fig,
            key=key,
            on_select=partial(_on_click, key),
            selection_mode="points",
            config=figures.CONFIG,
            alt="Confusion matrix; the two lists beside it select a cell by keyboard",
        )
        if other is not None:
            st.caption(
                f"Violet favours {names[network]}, orange {names[other]}. On the diagonal more is "
                "better, elsewhere less."
            )
    with right:
        _show_cell_images(found, dataset, name, network, other)


def _show_cell_images(
    found: Evaluation, dataset: Dataset, name: str, network: int, other: int | None
) -> None:
    st.caption("Click a cell of the matrix, or select one here:")
    sides = st.columns(2)
    true = sides[0].selectbox(
        "True class", CHOICES, format_func=_title_of, key="review_true", on_change=_on_select
    )
    predicted = sides[1].selectbox(
        "Predicted class",
        CHOICES,
        format_func=_title_of,
        key="review_predicted",
        on_change=_on_select,
    )
    nothing = true == ANY and predicted == ANY
    wanted = _class(true), _class(predicted)
    only = "errors" if nothing else "all"
    rows = select_images(found, *wanted, only, network=network)
    what = "misclassified" if nothing else f"{_title_of(true)} → {_title_of(predicted)}"
    if other is not None:
        also = select_images(found, *wanted, only, network=other)
        rows = np.concatenate([np.setdiff1d(rows, also), np.setdiff1d(also, rows)])
        what += ", by only one of the two models"
    more = f", the first {SHOWN}" if len(rows) > SHOWN else ""
    count = "1 image" if len(rows) == 1 else f"{len(rows):,} images"
    st.markdown(f"**{count}**: {what}{more}")
    with st.container(height=430, border=False):
        shown = draw_tiles(found, dataset, rows[:SHOWN], network)
        key = f"review_{true}_{predicted}_{network}_{other}"
        clicked = gallery(shown, key, side=92)
    if clicked is not None:
        open_image(found, dataset, name, clicked)


def count_pair(found: Evaluation, pair: tuple[int, int]) -> pd.DataFrame:
    """How often each model confuses the two classes of a pair, both ways."""
    rows = []
    a, b = pair
    for place, network in enumerate(name_models(found)):
        predictions, _ = select_predictions(found, place)
        row: dict[str, str | int] = {"Model": network}
        for true, other in ((a, b), (b, a)):
            n = int((found.labels == true).sum())
            count = int((predictions[found.labels == true] == other).sum())
            way = f"{title(true)} → {title(other).lower()}"
            row[way] = f"{count:,} of {n:,}"
            row[f"95 % interval, {way}"] = interval(wilson(count, n)) if n else ""
        rows.append(row)
    return pd.DataFrame(rows)


@st.fragment
def show_class_pair(found: Evaluation, dataset: Dataset, name: str) -> None:
    """Show how often two classes are confused, both ways, and the images between them."""
    st.caption(
        "Immature granulocytes mature into neutrophils gradually; experts draw the line "
        "differently for band cells between them. Select any two classes to compare."
    )
    sides = st.columns(2)
    every = range(len(CLASSES))
    a = sides[0].selectbox("First class", every, PAIR[0], format_func=title, key="pair_a")
    b = sides[1].selectbox("Second class", every, PAIR[1], format_func=title, key="pair_b")
    if a == b:
        st.info("Select two different classes.", icon=":material/info:")
        return
    st.dataframe(
        count_pair(found, (a, b)),
        hide_index=True,
        alt=f"How often each model confuses {title(a).lower()} and {title(b).lower()}",
    )
    between = np.minimum(found.answers.probabilities[:, a], found.answers.probabilities[:, b])
    wrong = select_images(found, None, None, "errors", pair=(a, b))
    rest = select_images(found, None, None, pair=(a, b))
    rest = np.setdiff1d(rest, wrong)
    closest = rest[np.argsort(-between[rest], kind="stable")][: SHOWN // 2]
    clicked = None
    for rows, words, key in (
        (wrong[:SHOWN], f"Confused with each other ({len(wrong):,})", "pair_wrong"),
        (closest, "Correct, but closest to the boundary", "pair_close"),
    ):
        st.markdown(f"**{words}**")
        if len(rows):
            tile = gallery(draw_tiles(found, dataset, rows), f"{key}_{a}_{b}", side=104)
            clicked = tile if tile is not None else clicked
        else:
            st.caption("None.")
    if clicked is not None:
        open_image(found, dataset, name, clicked)


@st.cache_data(max_entries=12, show_spinner=False)
def _cached_rows(
    key: str, _found: Evaluation, _dataset: Dataset, _rows: np.ndarray
) -> pd.DataFrame:
    return list_image_rows(_found, _dataset, _rows)


@st.fragment
def show_images(found: Evaluation, dataset: Dataset, name: str, limit: float) -> None:
    """Show a table of the images, confident errors first; a row opens the image.

    Args:
        limit: the novelty above which an image is not recognised.
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
        true = st.selectbox("True class", CHOICES, format_func=_title_of, key="images_true")
        predicted = st.selectbox(
            "Predicted class", CHOICES, format_func=_title_of, key="images_predicted"
        )
        order = st.selectbox("Sort by", ORDERS, format_func=str.capitalize, key="images_order")
    rows = select_images(found, _class(true), _class(predicted), only, order=order)
    if not len(rows):
        st.info("No image matches.", icon=":material/info:")
        return
    part = rows[:MOST_ROWS]
    more = (
        f", the first {MOST_ROWS} shown (all are in the CSV under Export)"
        if len(rows) > MOST_ROWS
        else ""
    )
    st.markdown(f"**{len(rows):,}** of {len(found.labels):,} images{more}")
    answers = found.answers.probabilities.tobytes()
    labels = found.labels[part].tobytes()
    key = f"{dataset.path}_{hash(answers)}_{hash(part.tobytes())}_{hash(labels)}"
    event = st.dataframe(
        _cached_rows(key, found, dataset, part),
        hide_index=True,
        row_height=44,
        height=38 + 44 * min(len(part), 8),
        key=f"review_table_{only}_{true}_{predicted}_{order}",
        on_select="rerun",
        selection_mode=["single-row", "single-cell"],
        column_config={
            "Image": st.column_config.ImageColumn("", width=52),
            "True": st.column_config.TextColumn(width=140),
            "Predicted": st.column_config.TextColumn(width=140),
            "Correct": st.column_config.CheckboxColumn(width=70),
            "Probability": st.column_config.ProgressColumn(
                format="%.1f %%", min_value=0, max_value=100, width=110
            ),
            "Votes": st.column_config.TextColumn(
                width=190, help="Prediction of each member and its probability in percent."
            ),
            "Disagreement": st.column_config.NumberColumn(
                format="%.0f %%",
                width=100,
                help="Jensen-Shannon divergence of the members' probabilities: 0 = identical, "
                "100 = each is certain of a different class.",
            ),
            "Novelty": st.column_config.NumberColumn(
                format="%.2f", width=70, help=f"Not recognised above {limit:.2f}."
            ),
            "Recognised": st.column_config.CheckboxColumn(width=90),
            "Prediction set": st.column_config.TextColumn(
                width=130, help="Plausible classes, at the coverage of the ensemble."
            ),
        },
        alt="The evaluated images",
    )
    chosen = chosen_row(event["selection"], -1)
    # A table keeps its selection: without this a filter would open the image once more.
    last = st.session_state.get("review_opened")
    now = (only, true, predicted, order, chosen)
    st.session_state["review_opened"] = now
    if chosen >= 0 and now != last:
        open_image(found, dataset, name, int(part[chosen]))
    confidence = percent(float(found.answers.probabilities.max(1).mean()))
    st.caption(f"Select a row to open the image. Mean confidence over all images: {confidence}.")
