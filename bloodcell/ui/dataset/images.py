"""Dataset page, images: all of them by class, part and order, a page at a time."""

from dataclasses import dataclass

import numpy as np
import streamlit as st

from bloodcell.audit.features import image_statistics
from bloodcell.audit.statistics import QUALITIES
from bloodcell.classes import CLASSES, title
from bloodcell.data.store.dataset import PARTS, Dataset
from bloodcell.ui.common.dataset_index import DatasetIndex, identity
from bloodcell.ui.common.gallery import gallery
from bloodcell.ui.common.jobs import cached_job
from bloodcell.ui.dataset.features import layout_of
from bloodcell.ui.dataset.image_view import picture_of, show_image

__all__ = ["arrange", "paged_gallery", "show_images"]

RANDOM, BY_INDEX, UNUSUAL = "random", "by index", "unusual first"
# Words → (one of QUALITIES, whether its highest values come first).
BY_QUALITY = {
    "dark first": ("brightness", False),
    "bright first": ("brightness", True),
    "blurred first": ("sharpness", False),
    "sharp first": ("sharpness", True),
    "flat first": ("contrast", False),
}
ORDERS = (RANDOM, BY_INDEX, *BY_QUALITY, UNUSUAL)


@dataclass(frozen=True)
class _Asked:
    """What a visitor wants to see."""

    classes: tuple[int, ...]
    part: str
    text: str
    order: str
    seed: int


def arrange(
    index: DatasetIndex,
    classes: list[int] | tuple[int, ...],
    part: str,
    text: str = "",
    *,
    seed: int | None = None,
    values: np.ndarray | None = None,
) -> np.ndarray:
    """The images that are asked for, in the order in which they are shown.

    Args:
        classes: ids of classes; empty for all.
        part: "all" (of the kept), "train", "validation", "test" or "excluded".
        text: part of the original name, in any case, or the beginning of a hash; "" for all.
        seed: of a random order; None keeps the order of the dataset.
        values: float, N: show the lowest first.

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
    found = np.flatnonzero(wanted)
    if values is not None:
        return found[np.argsort(values[found], kind="stable")]
    return found if seed is None else np.random.default_rng(seed).permutation(found)


def _another_seed() -> None:
    st.session_state["images_seed"] = int(st.session_state["images_seed"]) + 1


def _filters() -> tuple[_Asked, int]:
    st.session_state.setdefault("images_seed", 0)
    classes = st.pills(
        "Classes",
        [c.id for c in CLASSES],
        selection_mode="multi",
        format_func=title,
        key="images_classes",
        persist_state="session",
        help="None chosen shows all.",
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
            "Order", ORDERS, key="images_order", width=160, persist_state="session"
        )
        if order == RANDOM:
            st.button("Shuffle", icon=":material/casino:", on_click=_another_seed)
        text = st.text_input(
            "Name contains, or hash begins with",
            key="images_text",
            width=260,
            persist_state="session",
        )
        per_page = st.selectbox(
            "On a page", [24, 48, 96], index=1, key="images_per_page", width=110
        )
    seed = int(st.session_state["images_seed"])
    return _Asked(tuple(classes or ()), part, text, order, seed), int(per_page)


def _values(dataset: Dataset, order: str) -> np.ndarray | None:
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
    asked, per_page = _filters()
    values = None
    if asked.order not in (RANDOM, BY_INDEX):
        values = _values(dataset, asked.order)
        if values is None:
            return
        if asked.order == UNUSUAL:
            st.caption(f"Farthest from their 10th nearest image, by {layout_of(dataset).source}.")
    seed = asked.seed if asked.order == RANDOM else None
    found = arrange(index, asked.classes, asked.part, asked.text, seed=seed, values=values)
    if not len(found):
        st.info("No image is like this: choose other classes or another part, or clear the text.")
        return
    paged_gallery(dataset, index, found, per_page, key="images", question=asked)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        number = st.number_input(
            "Open image number", 0, len(dataset) - 1, value=None, key="images_open", width=190
        )
        if st.button("Open", disabled=number is None) and number is not None:
            show_image(dataset, [int(number)], int(number))


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
