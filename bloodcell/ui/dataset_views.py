"""The views of the Dataset page: overview, images, split, and where the images are from."""

import io
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from bloodcell.classes import CLASSES, title
from bloodcell.data.dataset import PARTS, Dataset
from bloodcell.figures import CONFIG, class_counts
from bloodcell.ui.dataset_index import SPLIT_SEED, DatasetIndex, class_table
from bloodcell.ui.gallery import gallery
from bloodcell.ui.image_view import picture_of, show_image

__all__ = ["arrange", "show_about", "show_images", "show_overview", "show_split"]

BALANCED_RATIO = 1.5


def _samples(index: DatasetIndex, each: int, seed: int) -> list[int]:
    """`each` images of every class that is there, in the order of the classes."""
    rng = np.random.default_rng(seed)
    found: list[int] = []
    for c in CLASSES:
        members = np.flatnonzero((index.labels == c.id) & index.kept)
        found += rng.permutation(members)[:each].tolist()
    return found


def show_overview(dataset: Dataset, index: DatasetIndex) -> None:
    """Counts of each class and part, the imbalance and what balances it, and a look at each."""
    totals = index.counts.sum(axis=1)
    chosen = _samples(index, 1, 0)
    clicked = gallery(
        [picture_of(dataset, index, i, note="") for i in chosen], key="one_of_each", side=88
    )
    if clicked is not None:
        show_image(dataset, chosen, clicked)
    st.subheader("Images of each class", anchor=False)
    if (totals > 0).sum() > 1:
        _say_imbalance(totals)
    st.plotly_chart(
        class_counts(class_table(index)),
        config=CONFIG,
        key="class_counts",
        alt="Bars of the number of images of each class, divided into train, validation, test",
    )
    st.dataframe(
        _numbers(index),
        hide_index=True,
        key="class_numbers",
        column_config={
            "share": st.column_config.NumberColumn(format="%.1f %%"),
            "sample weight": st.column_config.NumberColumn(
                format="%.2f",
                help="n / (k · n of the class), from the training part: with these weights all "
                "classes count the same in the loss.",
            ),
        },
    )


def _say_imbalance(totals: np.ndarray) -> None:
    largest = int(totals.argmax())
    smallest = int(np.where(totals > 0, totals, np.iinfo(np.int64).max).argmin())
    ratio = totals[largest] / totals[smallest]
    if ratio == 1:
        st.caption(f"Each class has {totals[largest]:,} images: sample weights change nothing.")
        return
    text = (
        f"The largest class, {title(largest).lower()} ({totals[largest]:,}), has "
        f"{ratio:.1f} times the images of the smallest, {title(smallest).lower()} "
        f"({totals[smallest]:,}). "
    )
    if ratio > BALANCED_RATIO:
        text += (
            "Balanced sample weights, an option of every training, make all classes count the "
            "same. Accuracy alone favours the large classes: look at the macro recall too."
        )
    else:
        text += "The classes are about even: sample weights change little."
    st.caption(text)


def _numbers(index: DatasetIndex) -> pd.DataFrame:
    totals = index.counts.sum(axis=1)
    return pd.DataFrame(
        {
            "class": [c.title for c in CLASSES],
            **{part: index.counts[:, p] for p, part in enumerate(PARTS)},
            "images": totals,
            "share": 100 * totals / max(totals.sum(), 1),
            "sample weight": index.weights,
            "excluded": np.bincount(index.labels[~index.kept], minlength=len(CLASSES)),
        }
    )


def arrange(
    index: DatasetIndex,
    classes: list[int],
    part: str,
    text: str = "",
    seed: int | None = None,
) -> np.ndarray:
    """The images that are asked for, in the order in which they are shown.

    Args:
        classes: ids of classes; empty for all.
        part: "all" (of the kept), "train", "validation", "test" or "excluded".
        text: part of the original name, in any case, or the beginning of a hash; "" for all.
        seed: of a random order; None keeps the order of the dataset.

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
    return found if seed is None else np.random.default_rng(seed).permutation(found)


def _another_seed() -> None:
    st.session_state["images_seed"] = int(st.session_state["images_seed"]) + 1


def _filters() -> tuple[dict[str, Any], int]:
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
        order = st.segmented_control(
            "Order",
            ["random", "by index"],
            default="random",
            required=True,
            key="images_order",
            persist_state="session",
        )
        seed = st.number_input(
            "Seed of the order",
            0,
            2**31 - 1,
            key="images_seed",
            width=150,
            disabled=order != "random",
            persist_state="session",
        )
        st.button(
            "Shuffle",
            icon=":material/casino:",
            disabled=order != "random",
            on_click=_another_seed,
        )
        text = st.text_input(
            "Name contains, or hash begins with",
            key="images_text",
            width=260,
            persist_state="session",
        )
        per_page = st.selectbox(
            "On a page", [24, 48, 96], index=1, key="images_per_page", width=110
        )
    asked = {
        "classes": list(classes or []),
        "part": part,
        "text": text,
        "seed": int(seed) if order == "random" else None,
    }
    return asked, int(per_page)


def show_images(dataset: Dataset, index: DatasetIndex) -> None:
    """All images by class and part, a page at a time; a click opens one in large."""
    asked, per_page = _filters()
    found = arrange(index, **asked)
    if not len(found):
        st.info("No image is like this: choose other classes or another part, or clear the text.")
        return
    pages = (len(found) + per_page - 1) // per_page
    page = 1
    with st.container(horizontal=True, vertical_alignment="center"):
        if pages > 1:
            # Another question begins at its first page.
            page = st.pagination(pages, key=f"images_page_{hash(str(asked))}_{per_page}")
        first = (page - 1) * per_page
        shown = found[first : first + per_page]
        st.caption(f"{first + 1:,} to {first + len(shown):,} of {len(found):,} images")
    clicked = gallery([picture_of(dataset, index, int(i)) for i in shown], key="images_grid")
    if clicked is not None:
        show_image(dataset, shown.tolist(), clicked)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        number = st.number_input(
            "Open image number", 0, len(dataset) - 1, value=None, key="images_open", width=190
        )
        if st.button("Open", disabled=number is None) and number is not None:
            show_image(dataset, shown.tolist(), int(number))


def show_split(dataset: Dataset, index: DatasetIndex) -> None:
    """How the images are divided, and the proof that no image is on two sides."""
    used = int(index.kept.sum())
    text = (
        f"**{index.shared} images shared between parts.** All {used:,} images in use were "
        "compared by the hash of their pixels across train, validation and test."
    )
    if index.shared:
        st.error(text, icon=":material/error:")
    else:
        st.success(text, icon=":material/verified:")
    if index.split.given:
        st.markdown(
            "The parts are those that the source gives, so the seed changes nothing. A copy of a "
            "training image that lay in another part was moved to train."
        )
    else:
        st.markdown(
            "80 % train, 10 % validation, 10 % test within each class; copies of one image stay "
            "together. The same images, decisions and seed always give the same parts, "
            "whatever the order of the files."
        )
    st.session_state.setdefault(SPLIT_SEED, 0)
    st.number_input(
        "Seed of the split",
        0,
        2**31 - 1,
        key=SPLIT_SEED,
        width=190,
        disabled=index.split.given,
        persist_state="session",
        help="The Training page offers the same seed. Compare runs only within one seed.",
    )
    totals = index.counts.sum(axis=0)
    present = index.counts[index.counts.sum(axis=1) > 0]
    parts = pd.DataFrame(
        {
            "part": PARTS,
            "images": totals,
            "share": 100 * totals / max(used, 1),
            "fewest of a class": present.min(axis=0) if len(present) else totals,
            "most of a class": present.max(axis=0) if len(present) else totals,
        }
    )
    st.dataframe(
        parts,
        hide_index=True,
        key="split_numbers",
        column_config={"share": st.column_config.NumberColumn(format="%.1f %%")},
    )
    st.download_button(
        "The split as CSV",
        lambda: _split_csv(index),
        file_name=f"{dataset.name}_split_{index.split.seed}.csv",
        mime="text/csv",
        icon=":material/download:",
        on_click="ignore",
    )
    st.caption(
        "What no split can rule out: cells of one patient on two sides. The images carry no "
        "patient numbers."
    )


def _split_csv(index: DatasetIndex) -> bytes:
    parts = np.array([*PARTS, "excluded"])[index.split.parts]
    names = np.array([c.name for c in CLASSES])
    table = pd.DataFrame(
        {
            "index": np.arange(len(parts)),
            "name": index.names,
            "hash": index.hashes,
            "class": names[index.labels],
            "part": parts,
        }
    )
    buffer = io.StringIO()
    table.to_csv(buffer, index=False)
    return buffer.getvalue().encode()


def show_about(dataset: Dataset) -> None:
    """Where the images are from, and what identifies this dataset."""
    info = dataset.info
    height, width = dataset.size
    shown = {
        "Source": str(info.get("source", "")),
        "Brought in": str(info.get("created", ""))[:16].replace("T", " "),
        "Images": f"{len(dataset):,} of {width}×{height} pixels, RGB, 8 bits a channel",
        "Cropped": str(info.get("crop", "")),
        "Folder": str(dataset.path),
        "On disk": f"{(dataset.path / 'images.npy').stat().st_size / 2**20:,.0f} MiB, "
        "read piece by piece",
    }
    sizes = info.get("source_sizes") or {}
    if sizes:
        shown["Sizes in the source"] = ", ".join(
            f"{size.replace('x', '×')}: {n:,}" for size, n in list(sizes.items())[:6]
        )
    skipped = info.get("skipped") or []
    if skipped:
        shown["Left out"] = f"{len(skipped):,} files that could not be decoded"
    st.table(
        pd.DataFrame({"": shown.values()}, index=list(shown)), border="horizontal", hide_header=True
    )
    st.markdown(
        "**Fingerprint of the images and labels**, the same wherever this dataset is brought in"
    )
    st.code(dataset.fingerprint, language=None, wrap_lines=True)
    st.markdown("**Fingerprint of the decisions**")
    st.code(dataset.curation.fingerprint, language=None, wrap_lines=True)
    with st.expander("All of dataset.json"):
        st.json(info, expanded=1)
