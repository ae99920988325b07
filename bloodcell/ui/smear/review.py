"""Looking at cells one after another: on their photograph, or beside their like."""

from functools import partial

import streamlit as st

from bloodcell import figures
from bloodcell.classes import LABELS, OTHER_CLASS, label_id
from bloodcell.ensemble.ensemble import Ensemble
from bloodcell.smear.count import Cell, answered
from bloodcell.smear.find import Found
from bloodcell.smear.review import REMOVED, Place, Review, some, state_of
from bloodcell.ui.common.format import percent, plain
from bloodcell.ui.common.gallery import Picture, gallery
from bloodcell.ui.smear.session import Dropped, chosen_place, photograph

__all__ = ["show_gallery", "show_photograph"]

APART = {
    "cut": "Cut by the border",
    "doublet": "Several cells together",
    "repeated": "On an earlier photograph too",
    REMOVED: "Removed",
}
GREY = "#7d7d86"
CLICKED, FREE = "smear_clicked", "smear_free"
PAGE = 60


def _title(state: str) -> str:
    if state in APART:
        return APART[state]
    return "None of the eight" if state == OTHER_CLASS.name else LABELS[label_id(state)].title


def _colour(state: str) -> str:
    return GREY if state in APART else LABELS[label_id(state)].colour


def show_photograph(ensemble: Ensemble, dropped: Dropped, review: Review) -> None:
    """One photograph with its cells; the chosen cell beside it."""
    readable = [i for i, p in enumerate(review.smear.photographs) if p.error is None]
    if not readable:
        return
    names = {
        i: f"{review.smear.photographs[i].file} ({some(len(review.cells(i)), 'cell')})"
        for i in readable
    }
    place = chosen_place()
    if place is not None and "smear_photograph" not in st.session_state and place[0] in names:
        st.session_state["smear_photograph"] = place[0]
    position = st.selectbox(
        "Photograph", readable, format_func=lambda i: names[i], key="smear_photograph"
    )
    cells = review.cells(position)
    states = [state_of(review, (position, j), cell) for j, cell in enumerate(cells)]
    chosen = place[1] if place is not None and place[0] == position else None
    field, side = st.columns([3, 1])
    with field:
        event = st.plotly_chart(
            figures.smear_photograph(
                photograph(dropped, position),
                [cell.box for cell in cells],
                [_colour(s) for s in states],
                [f"{j + 1}: {_title(s)}" for j, s in enumerate(states)],
                chosen,
            ),
            key=f"smear_field_{dropped.digest}_{position}",
            config=figures.CONFIG,
            on_select="rerun",
            selection_mode="points",
            alt=f"Photograph {names[position]} with boxes around its cells.",
        )
    points = [list(map(float, p["customdata"])) for p in event.selection.points[:1]]
    # A chart keeps its selection: only a new one is a click.
    if points != st.session_state.get(CLICKED):
        st.session_state[CLICKED] = points
        st.session_state.pop(FREE, None)
        if points and points[0][0] >= 0:
            place = chosen_place((position, int(points[0][0])))
        elif points:
            st.session_state[FREE] = (position, points[0][1], points[0][2])
    free = st.session_state.get(FREE)
    with side:
        red_cell = review.smear.photographs[position].red_cell
        if free is not None and free[0] == position and red_cell is not None:
            st.markdown(f"No cell is marked at {free[1]:,.0f}, {free[2]:,.0f}.")
            st.button(
                "Add a cell here",
                icon=":material/add:",
                key="smear_add",
                on_click=partial(_add, ensemble, dropped, review, position, free[1:], red_cell),
            )
        elif not cells:
            st.info("No white cell and no platelet was found here.", icon=":material/search_off:")
        if cells:
            numbers = list(range(len(cells)))
            at = place[1] if place is not None and place[0] == position else 0
            picked = st.selectbox(
                "Cell",
                numbers,
                index=min(at, len(cells) - 1),
                format_func=lambda j: f"{j + 1}: {_title(states[j])}",
                key=f"smear_cell_{position}_{at}",
            )
            _show_cell(review, (position, picked), cells[picked], states[picked])


def _add(
    ensemble: Ensemble,
    dropped: Dropped,
    review: Review,
    position: int,
    middle: tuple[float, float],
    red_cell: float,
) -> None:
    """A callback: a cell where the visitor clicked, answered by the ensemble."""
    image = photograph(dropped, position)
    height, width = image.shape[:2]
    x, y = middle
    box = (
        max(0, round(x - red_cell)), max(0, round(y - red_cell)),
        min(width, round(x + red_cell)), min(height, round(y + red_cell)),
    )  # fmt: skip
    (cell,) = answered(ensemble, image, [Found(box, "white", False, 1.0)], red_cell)
    place = review.add(position, cell)
    review.decide(place, cell.label)
    st.session_state.pop(FREE, None)
    chosen_place(place)


def _decide(review: Review, place: Place, label: str | None, follow: bool = True) -> None:
    """A callback: decide, and go on to the next cell, of the next photograph after the last."""
    review.decide(place, label)
    chosen_place(place)
    after = [p for p, _ in review.places() if p > place]
    if follow and after:
        chosen_place(after[0])
        st.session_state["smear_photograph"] = after[0][0]


def _show_cell(review: Review, place: Place, cell: Cell, state: str) -> None:
    st.image(cell.image, width="stretch", caption=f"Now: {_title(state)}")
    said = f"{LABELS[label_id(cell.label)].title}, {percent(cell.probability)}"
    small = cell.kind == "platelet" and cell.label != "platelet"
    doubt = " It is too small for that." if small else " It resembles none of the eight."
    doubt = "" if cell.recognised else doubt
    st.caption(f"The ensemble says {said}.{doubt}")
    with st.container(horizontal=True, gap="small"):
        st.button(
            "Accept", icon=":material/check:", key="smear_accept", shortcut="Enter",
            on_click=partial(_decide, review, place, cell.label),
        )  # fmt: skip
        st.button(
            "Remove", icon=":material/delete:", key="smear_remove", shortcut="0",
            on_click=partial(_decide, review, place, REMOVED),
        )  # fmt: skip
        st.button(
            "Undo", icon=":material/undo:", key="smear_undo",
            disabled=place not in review.decisions,
            on_click=partial(_decide, review, place, None, False),
        )  # fmt: skip
    with st.container(horizontal=True, gap="small"):
        for number, one in enumerate(LABELS, 1):
            st.button(
                one.title, key=f"smear_as_{one.name}", shortcut=str(number),
                type="primary" if one.name == state else "secondary",
                on_click=partial(_decide, review, place, one.name),
            )  # fmt: skip


def show_gallery(review: Review) -> None:
    """All cells of one class beside each other: a wrong one is seen at a glance."""
    by_state: dict[str, list[tuple[Place, Cell]]] = {}
    for place, cell in review.places():
        by_state.setdefault(state_of(review, place, cell), []).append((place, cell))
    if not by_state:
        st.info("No cell was found.", icon=":material/search_off:")
        return
    # The rare ones are worth the first look.
    states = sorted(by_state, key=lambda s: (len(by_state[s]), s))
    state = st.selectbox(
        "Class", states, format_func=lambda s: f"{_title(s)} ({len(by_state[s]):,})",
        key="smear_class",
    )  # fmt: skip
    every = sorted(by_state[state], key=lambda pair: pair[1].probability)
    pages = -(-len(every) // PAGE)
    page = st.number_input("Page", 1, pages, key=f"smear_page_{state}") if pages > 1 else 1
    shown = every[(page - 1) * PAGE : page * PAGE]
    st.caption("The least certain first. Choose a cell to see it and to correct it.")
    clicked = gallery(
        [
            Picture(
                i,
                cell.image,
                f"{review.smear.photographs[place[0]].file}, cell {place[1] + 1}",
                caption=LABELS[label_id(cell.label)].title,
                note=percent(cell.probability),
                colour=LABELS[label_id(cell.label)].colour,
                marked=place == chosen_place(),
            )
            for i, (place, cell) in enumerate(shown)
        ],
        key="smear_gallery",
    )
    if clicked is not None and clicked < len(shown):
        chosen_place(shown[clicked][0])
    place = chosen_place()
    if place is not None and place in [p for p, _ in every]:
        cell = dict(every)[place]
        with st.container(border=True):
            st.markdown(plain(f"{review.smear.photographs[place[0]].file}, cell {place[1] + 1}"))
            _show_cell(review, place, cell, state)
