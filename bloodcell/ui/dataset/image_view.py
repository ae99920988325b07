"""Images of a dataset: as tiles, a page of them, one in large with what is decided about it."""

from collections.abc import Callable, Sequence

import numpy as np
import streamlit as st
from PIL import Image

from bloodcell.audit.finding import KIND_TITLES
from bloodcell.classes import LABELS, title
from bloodcell.data.store.dataset import Dataset
from bloodcell.ui.common.dataset_index import DatasetIndex, dataset_index, find_faults
from bloodcell.ui.common.errors import attempt, show_problem
from bloodcell.ui.common.gallery import Picture, gallery, png_bytes

__all__ = ["paged_gallery", "picture_of", "show_image"]

LARGE_SIDE = 384
BY_HAND = "by hand"


def picture_of(dataset: Dataset, index: DatasetIndex, i: int, note: str | None = None) -> Picture:
    """The tile of image `i`.

    Args:
        note: the second line; None gives the part.
    """
    label = int(index.labels[i])
    name = str(index.names[i])
    return Picture(
        id=i,
        image=dataset.images[i],
        alt=f"{title(label)}, image {i}, {name}, {index.part(i)}",
        caption=title(label),
        note=f"{i} · {index.part(i)}" if note is None else note,
        colour=LABELS[label].colour,
        faded=not index.kept[i],
    )


def paged_gallery(
    dataset: Dataset,
    index: DatasetIndex,
    found: np.ndarray,
    per_page: int,
    *,
    key: str,
    question: object,
) -> None:
    """Show images, a page at a time; a click opens one in large.

    Args:
        found: int: the images, in order; at least one.
        key: begins the keys of its elements.
        question: what was asked for; another one begins at the first page.
    """
    pages = (len(found) + per_page - 1) // per_page
    page = 1
    with st.container(horizontal=True, vertical_alignment="center"):
        if pages > 1:
            page = st.pagination(pages, key=f"{key}_page_{hash((question, per_page))}")
        first = (page - 1) * per_page
        shown = found[first : first + per_page]
        images = "1 image" if len(found) == 1 else f"{len(found):,} images"
        st.caption(f"{first + 1:,} to {first + len(shown):,} of {images}")
    clicked = gallery([picture_of(dataset, index, int(i)) for i in shown], key=f"{key}_grid")
    if clicked is not None:
        show_image(dataset, shown.tolist(), clicked)


def _enlarged(image: np.ndarray, exact: bool) -> np.ndarray:
    picture = Image.fromarray(np.ascontiguousarray(image))
    how = Image.Resampling.NEAREST if exact else Image.Resampling.BICUBIC
    height = round(LARGE_SIDE * image.shape[0] / image.shape[1])
    return np.asarray(picture.resize((LARGE_SIDE, height), how))


def show_image(dataset: Dataset, order: Sequence[int], i: int) -> None:
    """Open image `i` in large.

    Args:
        order: the images among which "previous" and "next" move.
    """
    st.session_state["looked_at"] = int(i)
    _dialog(dataset, [int(k) for k in order])


@st.dialog("Image", width="medium")
def _dialog(dataset: Dataset, order: list[int]) -> None:
    index = dataset_index(dataset)
    i = st.session_state["looked_at"]
    left, right = st.columns([1, 1])
    label = int(index.labels[i])
    with left:
        exact = st.session_state.get("exact_pixels", False)
        st.image(
            _enlarged(dataset.images[i], exact),
            width="stretch",
            alt=f"{title(label)}, image {i} of {dataset.name}, enlarged",
        )
        st.toggle("Show exact pixels", key="exact_pixels")
    with right:
        _show_facts(dataset, index, i)
    _show_steps(order, i)
    _ask_decision(dataset, index, i)


def _show_facts(dataset: Dataset, index: DatasetIndex, i: int) -> None:
    label, given = int(index.labels[i]), int(dataset.given_labels[i])
    st.subheader(title(label), anchor=False)
    st.caption(LABELS[label].cytology)
    if label != given:
        st.markdown(f"Imported as **{title(given)}**, relabelled here.")
    copies = int((index.hashes == index.hashes[i]).sum()) - 1
    height, width = dataset.size
    st.markdown(
        f"Image **{i:,}** of {len(dataset):,}, {width}×{height} pixels  \n"
        f"Part: **{index.part(i)}**  \n"
        f"Exact duplicates: **{copies}**"
    )
    for finding in (f for f in find_faults(dataset) if f.index == i):
        st.markdown(
            f":material/flag: **{KIND_TITLES[finding.kind]}** ({finding.score:.2f}): "
            f"{finding.why or 'see Findings'}"
        )
    st.caption("Original name and pixel hash")
    st.code(f"{index.names[i]}\n{index.hashes[i]}", language=None, wrap_lines=True)
    st.download_button(
        "Download PNG",
        lambda: png_bytes(dataset.images[i]),
        file_name=f"{dataset.name}_{i}.png",
        mime="image/png",
        icon=":material/download:",
        on_click="ignore",
    )


def _move(i: int) -> None:
    st.session_state["looked_at"] = i


def _show_steps(order: list[int], i: int) -> None:
    if i not in order or len(order) < 2:
        return
    place = order.index(i)
    with st.container(horizontal=True, vertical_alignment="center"):
        st.button(
            "Previous",
            icon=":material/chevron_left:",
            disabled=place == 0,
            on_click=_move,
            args=(order[max(place - 1, 0)],),
            shortcut="Left",
        )
        st.button(
            "Next",
            icon=":material/chevron_right:",
            disabled=place == len(order) - 1,
            on_click=_move,
            args=(order[min(place + 1, len(order) - 1)],),
            shortcut="Right",
        )
        st.caption(f"{place + 1} of {len(order)}")


def _exclude(dataset: Dataset, i: int) -> None:
    dataset.curation.exclude([i], st.session_state["decision_reason"].strip() or BY_HAND)


def _relabel(dataset: Dataset, i: int) -> None:
    reason = st.session_state["decision_reason"].strip() or BY_HAND
    dataset.curation.relabel([i], st.session_state["decision_label"], reason)


def _undo(dataset: Dataset, i: int) -> None:
    dataset.curation.undo([i])


def _run_decision(decision: Callable[[Dataset, int], None], dataset: Dataset, i: int) -> None:
    """A callback: what went wrong is shown by the run that follows."""
    if attempt("decision_problem", decision, dataset, i):
        st.session_state["decided"] = True


def _ask_decision(dataset: Dataset, index: DatasetIndex, i: int) -> None:
    show_problem("decision_problem")
    if st.session_state.pop("decided", False):
        # Counts, split and findings of the page behind are those of the new state.
        st.rerun()
    decision = dataset.curation.decisions.get(i)
    st.divider()
    if decision is not None:
        words = {"exclude": "Excluded", "relabel": "Relabelled", "keep": "Kept"}
        st.markdown(
            f"{words[decision['decision']]} on {decision['time'][:10]}, reason: "
            f"{decision['reason']}."
        )
        st.button(
            "Undo this decision",
            icon=":material/undo:",
            on_click=_run_decision,
            args=(_undo, dataset, i),
        )
        return
    others = [c.id for c in LABELS if c.id != int(index.labels[i])]
    st.text_input("Reason", BY_HAND, max_chars=200, key="decision_reason")
    left, right = st.columns(2, vertical_alignment="bottom")
    with left:
        st.button(
            "Exclude",
            icon=":material/block:",
            width="stretch",
            help="From training and evaluation. Nothing is deleted, and you can undo it.",
            on_click=_run_decision,
            args=(_exclude, dataset, i),
        )
    with right:
        st.selectbox("New label", others, format_func=title, key="decision_label")
        st.button(
            "Relabel",
            icon=":material/label:",
            width="stretch",
            on_click=_run_decision,
            args=(_relabel, dataset, i),
        )
