"""Dataset page, overview: how many images of each class, and what they look like."""

import numpy as np
import pandas as pd
import streamlit as st

from bloodcell.classes import CLASSES, LABELS, title
from bloodcell.data.store.dataset import PARTS, Dataset
from bloodcell.data.store.pixels import ClassPixels, class_pixels
from bloodcell.figures import CONFIG, class_counts
from bloodcell.figures.dataset import colour_ranges
from bloodcell.ui.common.dataset_index import DatasetIndex, class_table, identity
from bloodcell.ui.common.gallery import Picture, gallery
from bloodcell.ui.common.jobs import cached_job
from bloodcell.ui.dataset.image_view import picture_of, show_image
from bloodcell.ui.dataset.origins import show_origins

__all__ = ["pixel_table", "show_overview"]

BALANCED_RATIO = 1.5
SHOWN_PERCENTILES = (0.05, 0.5, 0.95)


def _samples(index: DatasetIndex, each: int, seed: int) -> list[int]:
    """`each` images of every class that is there, in the order of the classes."""
    rng = np.random.default_rng(seed)
    found: list[int] = []
    for c in LABELS:
        members = np.flatnonzero((index.labels == c.id) & index.kept)
        found += rng.choice(members, min(each, len(members)), replace=False).tolist()
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
    st.subheader("Class distribution", anchor=False)
    if (totals > 0).sum() > 1:
        _show_imbalance(totals)
    st.plotly_chart(
        class_counts(class_table(index)),
        config=CONFIG,
        key="class_counts",
        alt="Bars of the number of images of each class, divided into train, validation, test",
    )
    st.dataframe(
        _class_numbers(index),
        hide_index=True,
        key="class_numbers",
        column_config={
            "share": st.column_config.NumberColumn(format="%.1f %%"),
            "sample weight": st.column_config.NumberColumn(
                format="%.2f",
                help="n / (k · n of the class) in the training part. With these weights all "
                "classes count the same in the loss.",
            ),
        },
    )
    show_origins(dataset, index)
    st.subheader("Mean image and colours per class", anchor=False)
    found = cached_job(
        ("pixels", *identity(dataset)),
        "Reading all pixels",
        lambda progress: class_pixels(dataset, progress),
    )
    if found is not None:
        _show_pixels(found)


def _show_imbalance(totals: np.ndarray) -> None:
    largest = int(totals.argmax())
    smallest = int(np.where(totals > 0, totals, np.iinfo(np.int64).max).argmin())
    ratio = totals[largest] / totals[smallest]
    if ratio == 1:
        st.caption(f"Each class has {totals[largest]:,} images, so sample weights change nothing.")
        return
    text = (
        f"The largest class, {title(largest).lower()} ({totals[largest]:,}), has "
        f"{ratio:.1f} times the images of the smallest, {title(smallest).lower()} "
        f"({totals[smallest]:,}). "
    )
    if ratio > BALANCED_RATIO:
        text += (
            "Balanced sample weights, an option of every training, make all classes count the "
            "same. Accuracy favours the large classes, so look at macro recall too."
        )
    else:
        text += "The classes are about even, so sample weights change little."
    st.caption(text)


def _class_numbers(index: DatasetIndex) -> pd.DataFrame:
    totals = index.counts.sum(axis=1)
    return pd.DataFrame(
        {
            "class": [c.title for c in CLASSES],
            **{part: index.counts[:, p] for p, part in enumerate(PARTS)},
            "images": totals,
            "share": 100 * totals / max(totals.sum(), 1),
            "sample weight": index.weights,
            "excluded": [int((~index.kept & (index.labels == c.id)).sum()) for c in CLASSES],
        }
    )


def _show_pixels(found: ClassPixels) -> None:
    present = [c for c in CLASSES if found.n[c.id]]
    gallery(
        [
            Picture(
                id=c.id,
                image=found.mean_image(c.id),
                alt=f"Mean of {found.n[c.id]:,} images: {c.title}",
                caption=c.title,
                note=f"mean of {found.n[c.id]:,}",
                colour=c.colour,
            )
            for c in present
        ],
        key="mean_images",
        side=88,
        clickable=False,
    )
    st.caption(
        "If the corners of a mean image differ from the others, or if the colours of a class "
        "differ where there is no cell, that class was photographed differently. A network can "
        "learn that instead of the cells."
    )
    st.plotly_chart(
        colour_ranges(found.percentiles(SHOWN_PERCENTILES)),
        config=CONFIG,
        key="colour_ranges",
        alt="Median and middle 90 % of the red, green and blue values of each class",
    )
    with st.expander("Table"):
        st.dataframe(
            pixel_table(found),
            hide_index=True,
            key="pixel_numbers",
            column_config={
                column: st.column_config.NumberColumn(format="%.1f")
                for column in pixel_table(found).columns[2:]
            },
        )
        st.caption("Mean and standard deviation (sd) over all pixels of a class, from 0 to 255.")


def pixel_table(found: ClassPixels) -> pd.DataFrame:
    """A row a class: n, mean and standard deviation of red, green and blue."""
    mean, deviation = found.moments()
    table: dict[str, object] = {"class": [c.title for c in CLASSES], "images": found.n}
    for channel, name in enumerate(("red", "green", "blue")):
        table |= {name: mean[:, channel], f"{name} sd": deviation[:, channel]}
    return pd.DataFrame(table)
