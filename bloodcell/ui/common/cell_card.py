"""The card of one cell: the photograph, the answer, and how much it can be relied on."""

import zlib
from dataclasses import dataclass

import cv2
import numpy as np
import streamlit as st

from bloodcell import figures
from bloodcell.classes import CLASS_NAMES, CLASSES, title
from bloodcell.ensemble.description import Description
from bloodcell.ensemble.ensemble import Answers
from bloodcell.ensemble.stained import reason
from bloodcell.explain import Evidence
from bloodcell.ui.common.format import percent, plain, swatch
from bloodcell.ui.common.overlay import overlaid, shown_evidence

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
        maps: float, S×S×8: ``whole`` of :class:`bloodcell.explain.Evidence`.
        alone: whether one member answered for all, as it was sure (a cascade); what the others say
            was then computed for the card.
        truth: the class it is known to be, or None.
        view: which part of the photograph it is, in words.
    """

    name: str
    image: np.ndarray
    probabilities: np.ndarray
    members: np.ndarray
    prediction_set: np.ndarray
    novelty: float
    recognised: bool
    maps: np.ndarray
    truth: int | None = None
    view: str = ""
    alone: bool = False

    @property
    def label(self) -> int:
        """The likeliest class."""
        return int(self.probabilities.argmax())

    @property
    def digest(self) -> str:
        """Changes with the image: a widget's choice for one cell is not that for the next."""
        return f"{zlib.crc32(self.image.tobytes()):08x}"


def cell_of(
    answers: Answers,
    row: int,
    name: str,
    image: np.ndarray,
    evidence: Evidence,
    truth: int | None = None,
    view: str = "",
) -> Cell:
    """The cell in row `row` of an ensemble's answers; see :class:`Cell`."""
    said = answers.members[:, row]
    unasked = np.isnan(said).any()
    return Cell(
        name,
        image,
        answers.probabilities[row],
        evidence.votes if unasked or len(said) < len(evidence.votes) else said,
        answers.prediction_sets[row],
        float(answers.novelty[row]),
        bool(answers.recognised[row]),
        evidence.whole,
        truth,
        view,
        bool(unasked),
    )


def could_be(probabilities: np.ndarray, prediction_set: np.ndarray) -> list[int]:
    """The other classes of a prediction set, likeliest first."""
    order = np.argsort(-probabilities, kind="stable")
    return [int(k) for k in order[1:] if prediction_set[k]]


@st.fragment
def cell_card(cell: Cell, description: Description, key: str) -> None:
    """Draw the card.

    Args:
        cell: what to show.
        description: the ensemble's ``ensemble.json``.
        key: unique on the page.
    """
    photo = cv2.resize(cell.image, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)
    with st.container(border=True, key=f"{key}_card"):
        # Two rows, so that on a phone the answer follows the photograph.
        left, right = st.columns([4, 6], gap="medium")
        with left:
            side = cell.image.shape[0]
            st.image(
                photo,
                caption=f"Model input: {cell.view or f'{side}×{side} pixels'}",
                width="stretch",
                alt=f"Photograph {cell.name}",
            )
        with right:
            _verdict(cell, description)
        left, right = st.columns([4, 6], gap="medium")
        with left:
            _map(cell, photo, key)
        with right:
            _bars(cell, key)
            _votes(cell, description)


def _verdict(cell: Cell, description: Description) -> None:
    label, limit = cell.label, description.novelty.threshold
    p = percent(cell.probabilities[label])
    st.caption(plain(cell.name))
    against = f"novelty {cell.novelty:.2f}, limit {limit:.2f}"
    if cell.recognised:
        number = f'<span style="white-space:nowrap">{p}</span>'
        st.markdown(f"### {swatch(label)} · {number}", unsafe_allow_html=True)
        st.markdown(CLASSES[label].cytology)
    else:
        st.markdown("### None of the eight")
        why = reason(cell.image, description.novelty.stained)
        why = why or "it is less like the training images than 99 % of known cells are"
        st.warning(
            f"Not recognised (out of distribution): {why} ({against}). The nearest class is "
            f"{title(label).lower()} at {p}: do not rely on it.",
            icon=":material/help:",
        )
    if cell.truth is not None:
        agrees = "as predicted" if cell.truth == label else f"predicted: {title(label).lower()}"
        st.markdown(
            f"Labelled {swatch(cell.truth)} ({agrees})",
            unsafe_allow_html=True,
        )
    if not cell.recognised:
        return
    if description.conformal.threshold == 0:
        n = f" on {description.conformal.n:,} cells" if description.conformal.n else ""
        st.markdown(
            f"**Could also be:** any class, as a prediction set that keeps its promise needs 19 "
            f"cells or more and this one rests{n or ' on fewer'}."
        )
        st.markdown(f"**Recognised** as one of the eight: {against}")
        return
    others = could_be(cell.probabilities, cell.prediction_set)
    coverage = f"{100 * description.conformal.coverage:g} %"
    if others:
        text = ", ".join(swatch(k) for k in others)
    elif cell.prediction_set.any():
        text = f"no other class (prediction set at {coverage} coverage)"
    else:
        text = f"open (no class is likely enough for a prediction set at {coverage} coverage)"
    st.markdown(f"**Could also be:** {text}", unsafe_allow_html=True)
    st.markdown(f"**Recognised** as one of the eight: {against}")


def _bars(cell: Cell, key: str) -> None:
    named = dict(zip(CLASS_NAMES, map(float, cell.probabilities), strict=True))
    within = [CLASS_NAMES[k] for k in np.flatnonzero(cell.prediction_set)]
    st.caption("Calibrated probabilities" if cell.recognised else "If it were one of the eight")
    st.plotly_chart(
        figures.probabilities_bar(named, set=within),
        key=f"{key}_bars",
        config=figures.CONFIG,
        alt=f"Bar chart of the eight probabilities; the highest is {title(cell.label)}.",
    )


def _map(cell: Cell, photo: np.ndarray, key: str) -> None:
    place = st.empty()
    order = [int(k) for k in np.argsort(-cell.probabilities)]
    chosen = st.selectbox("Evidence for", order, format_func=title, key=f"{key}_for_{cell.digest}")
    opacity = st.slider(
        "Opacity",
        0,
        100,
        60,
        5,
        format="%d %%",
        key=f"{key}_opacity",
        help="Occlusion map: parts of the photograph are hidden one after another, and those whose "
        "loss lowers the odds of the class are marked. It shows what the ensemble relies on, not "
        "whether it is right.",
    )
    found = shown_evidence(cell.maps, chosen, SIDE)
    if found.any():
        words = f"Evidence for {title(chosen).lower()}"
    else:
        words = f"No region supports {title(chosen).lower()}"
    place.image(
        overlaid(photo, found, opacity / 100),
        caption=words,
        width="stretch",
        alt=f"{words}, marked on photograph {cell.name}",
    )


def _votes(cell: Cell, description: Description) -> None:
    lines = ["| Network | Prediction | Weight |", "|---|---|--:|"]
    for member, p in zip(description.members, cell.members, strict=True):
        vote = int(p.argmax())
        lines.append(
            f"| {member.name} | {swatch(vote)} {percent(float(p[vote]))} | {member.weight:.2f} |"
        )
    st.markdown("\n".join(lines), unsafe_allow_html=True)
    votes = {int(p.argmax()) for p in cell.members}
    agree = ""
    adapted = description.adapted
    if adapted is not None and adapted.used:
        agree = f"The answer is that of a head fitted to {plain(adapted.laboratory)}. "
    elif len(cell.members) > 1:
        agree = "All networks agree. " if len(votes) == 1 else "The networks **disagree**. "
    if cell.alone and description.cascade is not None:
        agree += f"{description.cascade.first} was sure and answered alone. "
    st.caption(f"{agree}Each network alone, before calibration.")
