"""The images of an evaluation: from the confusion matrix or a table of them to one image."""

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
    "answers_of",
    "chosen_images",
    "clicked_cell",
    "confusion_and_images",
    "hard_pair",
    "image_by_image",
    "image_dialog",
    "image_rows",
    "networks",
    "pair_rows",
    "pictures",
]

ONLY = ("all", "errors", "not recognised", "networks differ")
ORDERS = (
    "confident errors first",
    "least sure first",
    "most disagreement first",
    "strangest first",
)
SHORT = [SHORT_TITLES[name] for name in CLASS_NAMES]
SIDE = 192
OPACITY = 0.6
ANY = "any"
CHOICES = [ANY, *range(len(CLASSES))]
SHOWN = 24
MOST_ROWS = 300
PAIR = (class_id("immature_granulocyte") or 0, class_id("neutrophil") or 0)


def networks(evaluation: Evaluation) -> list[str]:
    """The ensemble's name, then its members'."""
    return [evaluation.ensemble, *(name for name, _ in evaluation.members)]


def answers_of(evaluation: Evaluation, network: int) -> tuple[np.ndarray, np.ndarray]:
    """Answers (int64, n) and probabilities (n×8) of a network: 0 the ensemble, 1 the first member.

    A member's probabilities are uncalibrated.
    """
    answers = evaluation.answers
    said = answers.members[network - 1] if network else answers.probabilities
    return said.argmax(1), said


def chosen_images(
    evaluation: Evaluation,
    true: int | None,
    predicted: int | None,
    only: str = "all",
    *,
    network: int = 0,
    pair: tuple[int, int] | None = None,
    order: str = ORDERS[0],
) -> np.ndarray:
    """Rows of an evaluation, filtered and in order.

    Args:
        true: the true class, or None for any.
        predicted: the class answered, or None for any.
        only: one of ONLY.
        network: whose answers count, see :func:`answers_of`.
        pair: two classes, for images that are one of them and were given one of them.
        order: one of ORDERS; "confident errors first": the least probable true class foremost.

    Returns:
        int64, rows of ``evaluation.indices``.
    """
    labels = evaluation.labels
    said, probabilities = answers_of(evaluation, network)
    wrong = said != labels
    keep = np.ones(len(labels), bool)
    if true is not None:
        keep &= labels == true
    if predicted is not None:
        keep &= said == predicted
    if pair is not None:
        keep &= np.isin(labels, pair) & np.isin(said, pair)
    votes = evaluation.answers.members.argmax(2)
    keep &= {
        "all": np.True_,
        "errors": wrong,
        "not recognised": ~evaluation.answers.recognised,
        "networks differ": (votes != votes[0]).any(0),
    }[only]
    of_truth = probabilities[np.arange(len(labels)), labels]
    keys = {
        ORDERS[0]: (of_truth, ~wrong),
        ORDERS[1]: (probabilities.max(1),),
        ORDERS[2]: (-disagreement(evaluation.answers.members),),
        ORDERS[3]: (-evaluation.answers.novelty,),
    }[order]
    rows = np.lexsort((evaluation.indices, *keys))
    return rows[keep[rows]]


def _votes(evaluation: Evaluation, row: int) -> str:
    of_members = evaluation.answers.members[:, row]
    return " · ".join(f"{SHORT[int(p.argmax())]} {100 * p.max():.0f}" for p in of_members)


def image_rows(evaluation: Evaluation, dataset: Dataset, rows: np.ndarray) -> pd.DataFrame:
    """The table that is shown: a line an image, with its picture; probabilities in percent."""
    answers, labels = evaluation.answers, evaluation.labels
    names = dataset.items["name"].to_numpy(dtype=str)
    images = dataset.images
    return pd.DataFrame(
        {
            "Picture": [thumbnail(images[i]) for i in evaluation.indices[rows]],
            "True": [title(int(k)) for k in labels[rows]],
            "Answer": [title(int(k)) for k in answers.labels[rows]],
            "Right": answers.labels[rows] == labels[rows],
            "Probability": 100 * answers.probabilities[rows].max(1),
            "Votes": [_votes(evaluation, int(row)) for row in rows],
            "Disagreement": 100 * disagreement(answers.members[:, rows]),
            "Novelty": answers.novelty[rows],
            "Recognised": answers.recognised[rows],
            "Could be": [
                ", ".join(SHORT[k] for k in np.flatnonzero(answers.prediction_sets[row]))
                for row in rows
            ],
            "Name": names[evaluation.indices[rows]],
        }
    )


def pictures(
    evaluation: Evaluation, dataset: Dataset, rows: np.ndarray, network: int = 0
) -> list[Picture]:
    """Tiles for a gallery; a tile's id is its row."""
    said, probabilities = answers_of(evaluation, network)
    side = dataset.size[0]
    made = []
    images = read_images(dataset, evaluation.indices[rows], side) if len(rows) else []
    for row, image in zip(map(int, rows), images, strict=True):
        true, label = int(evaluation.labels[row]), int(said[row])
        p = percent(float(probabilities[row, label]), 0)
        words = f"{title(true)}, answered {title(label).lower()} with {p}"
        caption = f"{SHORT[label]} {p}"
        note = f"true: {SHORT[true]}" if true != label else "right"
        colour = CLASSES[label].colour
        made.append(Picture(row, image, words, caption=caption, note=note, colour=colour))
    return made


@st.dialog("One image", width="large")
def image_dialog(found: Evaluation, dataset: Dataset, name: str, row: int) -> None:
    """All that is known of one image.

    Args:
        name: the ensemble's in the workspace.
        row: of the evaluation.
    """
    ensemble = load_ensemble(name)
    index = int(found.indices[row])
    image = read_images(dataset, np.array([index]), ensemble.size)[0]
    # Maps are not kept with an evaluation: they are worked out for this image.
    evidence = find_evidence(ensemble, image)
    called = str(dataset.items["name"].iloc[index])
    truth = int(found.labels[row])
    cell = cell_of(found.answers, row, called, image, evidence.whole, truth)
    cell_card(cell, ensemble.info, "judged")
    if len(evidence.members) > 1:
        _each_network(cell, ensemble, evidence)
    show_similar_cells(image, ensemble, dataset, "judged_similar")


def _each_network(cell: Cell, ensemble: Ensemble, evidence: Evidence) -> None:
    st.markdown("**What each network looks at for its own answer**")
    photo = cv2.resize(cell.image, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)
    columns = st.columns(max(3, len(cell.members)))
    members = zip(ensemble.info["members"], cell.members, evidence.members, strict=True)
    for column, (member, said, maps) in zip(columns, members, strict=False):
        vote = int(said.argmax())
        words = f"{member['name']}: {title(vote).lower()} {percent(float(said[vote]))}"
        column.image(
            overlaid(photo, shown_evidence(maps, vote, SIDE), OPACITY),
            caption=words,
            width="stretch",
            alt=f"Where {words} is seen on photograph {cell.name}",
        )


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
