"""The card of one cell: the photograph, the answer, and how much it can be relied on."""

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import streamlit as st

from bloodcell import figures
from bloodcell.classes import CLASS_NAMES, CLASSES, title
from bloodcell.ensemble.ensemble import Answers
from bloodcell.ui.overlay import evidence, overlaid
from bloodcell.ui.words import percent, swatch

__all__ = ["Cell", "cell_card", "cell_of", "could_be"]

SIDE = 320


@dataclass(frozen=True)
class Cell:
    """One image and all that an ensemble says of it.

    Attributes:
        name: the file, or the name in its dataset.
        image: uint8, S×S×3, RGB, as the ensemble was shown it.
        probabilities: float, 8, calibrated.
        members: float, m×8, of each member, uncalibrated.
        prediction_set: bool, 8.
        novelty: above the ensemble's threshold it is none of the eight.
        recognised: whether it is one of the eight.
        maps: float, h×w×8, one for each member.
        truth: the class it is known to be, or None.
    """

    name: str
    image: np.ndarray
    probabilities: np.ndarray
    members: np.ndarray
    prediction_set: np.ndarray
    novelty: float
    recognised: bool
    maps: list[np.ndarray]
    truth: int | None = None

    @property
    def label(self) -> int:
        """The likeliest class."""
        return int(self.probabilities.argmax())


def cell_of(
    answers: Answers, row: int, name: str, image: np.ndarray, truth: int | None = None
) -> Cell:
    """The cell in row `row` of an ensemble's answers."""
    return Cell(
        name,
        image,
        answers.probabilities[row],
        answers.members[:, row],
        answers.prediction_sets[row],
        float(answers.novelty[row]),
        bool(answers.recognised[row]),
        [of_member[row] for of_member in answers.maps],
        truth,
    )


def could_be(probabilities: np.ndarray, prediction_set: np.ndarray) -> list[int]:
    """The other classes of a prediction set, likeliest first."""
    order = np.argsort(-probabilities, kind="stable")
    return [int(k) for k in order[1:] if prediction_set[k]]


@st.fragment
def cell_card(cell: Cell, info: dict[str, Any], key: str) -> None:
    """Draw the card.

    Args:
        cell: what to show.
        info: the ensemble's ``ensemble.json``.
        key: unique on the page.
    """
    with st.container(border=True, key=f"{key}_card"):
        pictures, answer = st.columns([5, 6], gap="medium")
        with answer:
            _verdict(cell, info)
            _bars(cell, key)
        with pictures:
            _pictures(cell, info, key)
            _votes(cell, info)


def _verdict(cell: Cell, info: dict[str, Any]) -> None:
    label, limit = cell.label, info["novelty"]["threshold"]
    p = percent(cell.probabilities[label])
    st.caption(cell.name)
    against = f"novelty {cell.novelty:.2f}, limit {limit:.2f}"
    if cell.recognised:
        number = f'<span style="white-space:nowrap">{p}</span>'
        st.markdown(f"### {swatch(label)} · {number}", unsafe_allow_html=True)
        st.markdown(CLASSES[label].cytology)
    else:
        st.markdown("### None of the eight")
        st.warning(
            f"Not recognised: this image is stranger than 99 % of known cells ({against}). The "
            f"nearest class would be {title(label).lower()} at {p}; do not rely on it.",
            icon=":material/help:",
        )
    if cell.truth is not None:
        agrees = "as answered" if cell.truth == label else f"answered: {title(label).lower()}"
        st.markdown(
            f"Labelled {swatch(cell.truth)} ({agrees})",
            unsafe_allow_html=True,
        )
    others = could_be(cell.probabilities, cell.prediction_set)
    coverage = f"{100 * info['conformal']['coverage']:.0f} %"
    if others:
        also = ", ".join(swatch(k) for k in others)
        st.markdown(f"**Could also be:** {also}", unsafe_allow_html=True)
    elif cell.prediction_set.any():
        st.markdown(f"**Could also be:** nothing else, at {coverage} coverage")
    else:
        st.markdown(f"**Could also be:** open; no class is likely enough at {coverage} coverage")
    if cell.recognised:
        st.caption(f"Recognised as one of the eight: {against}.")


def _bars(cell: Cell, key: str) -> None:
    named = dict(zip(CLASS_NAMES, map(float, cell.probabilities), strict=True))
    within = [CLASS_NAMES[k] for k in np.flatnonzero(cell.prediction_set)]
    st.plotly_chart(
        figures.probabilities_bar(named, set=within),
        key=f"{key}_bars",
        config=figures.CONFIG,
        alt=f"Bar chart of the eight probabilities; the highest is {title(cell.label)}.",
    )


def _pictures(cell: Cell, info: dict[str, Any], key: str) -> None:
    photo = cv2.resize(cell.image, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)
    plain, marked = st.columns(2, gap="small", wrap=False)
    side = cell.image.shape[0]
    plain.image(
        photo,
        caption=f"Centre square, {side}×{side} pixels: what the ensemble sees",
        width="stretch",
        alt=f"Photograph {cell.name}",
    )
    with st.popover("Map", icon=":material/layers:", key=f"{key}_map"):
        order = [int(k) for k in np.argsort(-cell.probabilities)]
        chosen = st.selectbox("Evidence for", order, format_func=title, key=f"{key}_for")
        opacity = st.slider("Opacity", 0, 100, 60, 5, format="%d %%", key=f"{key}_opacity")
        st.caption(
            "Class activation map: the places that speak for a class against the others. Coarse; "
            "it shows where the ensemble looks, not whether it is right."
        )
    weights = np.array([m["weight"] for m in info["members"]])
    found = evidence(cell.maps, weights, chosen, SIDE)
    none = "" if found.any() else ": none"
    marked.image(
        overlaid(photo, found, opacity / 100),
        caption=f"Evidence for {title(chosen).lower()}{none}",
        width="stretch",
        alt=f"The same photograph with the places that speak for {title(chosen)} marked",
    )


def _votes(cell: Cell, info: dict[str, Any]) -> None:
    lines = ["| Network | Vote | | Weight |", "|---|---|--:|--:|"]
    for member, p in zip(info["members"], cell.members, strict=True):
        vote = int(p.argmax())
        lines.append(
            f"| {member['name']} | {swatch(vote)} | {percent(float(p[vote]))} "
            f"| {member['weight']:.2f} |"
        )
    st.markdown("\n".join(lines), unsafe_allow_html=True)
    st.caption("Each network alone, before calibration.")
