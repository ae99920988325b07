"""Dataset page, images: all of them by class, part and order, a page at a time."""

from dataclasses import dataclass

import numpy as np
import streamlit as st

from bloodcell.audit.features import image_statistics
from bloodcell.audit.statistics import QUALITIES
from bloodcell.classes import LABELS, OTHER, title
from bloodcell.data.store.dataset import PARTS, Dataset
from bloodcell.ui.common.dataset_index import DatasetIndex, identity
from bloodcell.ui.common.jobs import cached_job
from bloodcell.ui.dataset.embeddings import layout_of
from bloodcell.ui.dataset.image_view import paged_gallery, show_image

__all__ = ["arrange", "show_images"]

RANDOM, BY_INDEX, UNUSUAL = "random", "index", "most unusual"
# Words → (one of QUALITIES, whether its highest values come first).
BY_QUALITY = {
    "darkest": ("brightness", False),
    "brightest": ("brightness", True),
    "most blurred": ("sharpness", False),
    "sharpest": ("sharpness", True),
    "lowest contrast": ("contrast", False),
}
ORDERS = (RANDOM, BY_INDEX, *BY_QUALITY, UNUSUAL)


@dataclass(frozen=True)
class _Query:
    """What a visitor wants to see."""

    classes: tuple[int, ...]
    part: str
    text: str
    order: str
    seed: int
    laboratories: tuple[str, ...] = ()


def arrange(
    index: DatasetIndex,
    classes: list[int] | tuple[int, ...],
    part: str,
    text: str = "",
    *,
    seed: int | None = None,
    values: np.ndarray | None = None,
    among: np.ndarray | None = None,
) -> np.ndarray:
    """The images that are asked for, in the order in which they are shown.

    Args:
        classes: ids of classes; empty for all.
        part: "all" (of the kept), "train", "validation", "test" or "excluded".
        text: part of the original name, in any case, or the beginning of a hash; "" for all.
        seed: of a random order; None keeps the order of the dataset.
        values: float, N: show the lowest first.
        among: bool, N: only these, such as those of a laboratory.

    Returns:
        int64 indices.
    """
    if part == "excluded":
        wanted = ~index.kept
    elif part == "all":
        wanted = index.kept.copy()
    else:
        wanted = index.split.parts == PARTS.index(part)
    if classes:
        wanted &= np.isin(index.labels, classes)
    if text:
        key = text.strip().lower()
        wanted &= np.fromiter(
            (key in str(n).lower() for n in index.names), bool, len(index.names)
        ) | np.char.startswith(index.hashes, key)
    if among is not None:
        wanted &= among
    found = np.flatnonzero(wanted)
    if values is not None:
        return found[np.argsort(values[found], kind="stable")]
    return found if seed is None else np.random.default_rng(seed).permutation(found)


def _shuffle() -> None:
    st.session_state["images_seed"] = int(st.session_state["images_seed"]) + 1


def _ask_query(index: DatasetIndex, laboratories: list[str]) -> tuple[_Query, int]:
    st.session_state.setdefault("images_seed", 0)
    classes = st.pills(
        "Classes",
        [c.id for c in LABELS if (index.labels == c.id).any() or c.id != OTHER],
        selection_mode="multi",
        format_func=title,
        key="images_classes",
        persist_state="session",
        help="All classes if none is chosen.",
    )
    places: list[str] = []
    if len(laboratories) > 1:
        places = st.pills(
            "Laboratories",
            laboratories,
            selection_mode="multi",
            format_func=lambda name: name or "not known",
            key="images_laboratories",
            help="All laboratories if none is chosen.",
        )
    with st.container(horizontal=True, vertical_alignment="bottom"):
        part = st.segmented_control(
            "Part",
            ["all", *PARTS, "excluded"],
            default="all",
            required=True,
            key="images_part",
            persist_state="session",
        )
        order = st.selectbox(
            "Sort by", ORDERS, key="images_order", width=160, persist_state="session"
        )
        if order == RANDOM:
            st.button("Shuffle", icon=":material/casino:", on_click=_shuffle)
        text = st.text_input(
            "Search name or hash",
            key="images_text",
            width=260,
            persist_state="session",
        )
        per_page = st.selectbox("Per page", [24, 48, 96], index=1, key="images_per_page", width=110)
    seed = int(st.session_state["images_seed"])
    return _Query(tuple(classes or ()), part, text, order, seed, tuple(places or ())), int(per_page)


def _sort_values(dataset: Dataset, order: str) -> np.ndarray | None:
    """float, N: what the order goes by, the first shown lowest; None while it is worked out."""
    if order == UNUSUAL:
        layout = layout_of(dataset)
        return None if layout is None else -layout.novelty
    quality, highest = BY_QUALITY[order]
    found = cached_job(
        ("qualities", *identity(dataset)[:3]),
        "Measuring brightness, contrast and sharpness",
        lambda progress: np.asarray(image_statistics(dataset, progress)[1]),
    )
    if found is None:
        return None
    column = found[:, QUALITIES.index(quality)].astype(np.float32)
    return -column if highest else column


def show_images(dataset: Dataset, index: DatasetIndex) -> None:
    """All images by class and part, a page at a time; a click opens one in large."""
    place = dataset.origin("laboratory")
    named = "laboratory" in dataset.origins
    asked, per_page = _ask_query(index, sorted(set(place)) if named else [])
    values = None
    if asked.order not in (RANDOM, BY_INDEX):
        values = _sort_values(dataset, asked.order)
        if values is None:
            return
        if asked.order == UNUSUAL:
            st.caption(
                f"Largest distance to the 10th nearest image, by {layout_of(dataset).source}."
            )
    seed = asked.seed if asked.order == RANDOM else None
    among = np.isin(place, asked.laboratories) if asked.laboratories else None
    found = arrange(
        index, asked.classes, asked.part, asked.text, seed=seed, values=values, among=among
    )
    if not len(found):
        st.info("No image matches: choose other classes or another part, or clear the search.")
        return
    paged_gallery(dataset, index, found, per_page, key="images", question=asked)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        number = st.number_input(
            "Image number", 0, len(dataset) - 1, value=None, key="images_open", width=190
        )
        if st.button("Open", disabled=number is None) and number is not None:
            show_image(dataset, [int(number)], int(number))
