"""Dataset page, overview: which laboratory has which cells, and how they look there."""

import numpy as np
import pandas as pd
import streamlit as st

from bloodcell.classes import LABELS
from bloodcell.data.store.dataset import ORIGINS, Dataset
from bloodcell.data.store.origins import (
    LaboratoryLook,
    confounding,
    laboratory_counts,
    laboratory_looks,
)
from bloodcell.figures import CONFIG
from bloodcell.figures.origins import laboratory_colours, laboratory_map
from bloodcell.ui.common.dataset_index import DatasetIndex, identity
from bloodcell.ui.common.format import plain
from bloodcell.ui.common.gallery import gallery
from bloodcell.ui.common.jobs import cached_job
from bloodcell.ui.dataset.image_view import picture_of, show_image

__all__ = ["show_origins"]

UNKNOWN = "not known"
SAMPLES = 8
# More rows are no picture any more.
MOST_SHOWN = 24


def show_origins(dataset: Dataset, index: DatasetIndex) -> None:
    """Counts by laboratory and class, what they mislead to, samples, colour and scale."""
    if not dataset.origins:
        return
    st.subheader("Where the cells come from", anchor=False)
    known = [c for c in ORIGINS[:4] if c in dataset.origins]
    numbers = [
        f"**{len(set(dataset.origin(c)[index.kept]) - {''}):,}** "
        f"{c if c != 'laboratory' else 'laboratories'}{'s' if c != 'laboratory' else ''}"
        for c in known
    ]
    if numbers:
        st.markdown(", ".join(numbers).replace("**1** laboratories", "**1** laboratory"))
    names, counts = laboratory_counts(dataset, index.labels, index.kept)
    if not names:
        return
    shown = [name or UNKNOWN for name in names[:MOST_SHOWN]]
    st.plotly_chart(
        laboratory_map(counts[:MOST_SHOWN], shown),
        config=CONFIG,
        key="laboratory_map",
        alt="Number of cells of each class in each laboratory; a cross where there is none",
    )
    for sentence in confounding(names, counts):
        st.markdown(f":material/warning: {plain(sentence)}")
    with st.expander("Table"):
        table = pd.DataFrame(counts, columns=[c.title for c in LABELS])
        table.insert(0, "laboratory", [name or UNKNOWN for name in names])
        st.dataframe(table, hide_index=True, key="laboratory_counts")
    if len(names) > 1:
        _show_samples(dataset, index, names[:MOST_SHOWN])
        looks = cached_job(
            ("laboratory looks", *identity(dataset)),
            "Measuring colour and scale of each laboratory",
            lambda progress: laboratory_looks(dataset, progress),
        )
        if looks:
            _show_looks(looks)


def _show_samples(dataset: Dataset, index: DatasetIndex, names: list[str]) -> None:
    place = dataset.origin("laboratory")
    rng = np.random.default_rng(0)
    for k, name in enumerate(names):
        members = np.flatnonzero((place == name) & index.kept)
        chosen = np.sort(rng.choice(members, min(SAMPLES, len(members)), replace=False)).tolist()
        st.caption(f"{plain(name or UNKNOWN)}, {len(members):,} images")
        clicked = gallery(
            [picture_of(dataset, index, i, note="") for i in chosen],
            key=f"laboratory_{k}",
            side=72,
        )
        if clicked is not None:
            show_image(dataset, chosen, clicked)


def _show_looks(looks: list[LaboratoryLook]) -> None:
    names = [look.name for look in looks]
    st.plotly_chart(
        laboratory_colours(np.stack([look.percentiles for look in looks]), names),
        config=CONFIG,
        key="laboratory_colours",
        alt="Median and middle 90 % of red, green and blue in each laboratory",
    )
    sizes = ", ".join(
        f"{plain(look.name)} {100 * look.extent:.0f} %"
        for look in looks
        if np.isfinite(look.extent)
    )
    st.caption(
        f"Side of the stained part of a cell, as a share of the image: {sizes}. Where this differs "
        "for the same class, the laboratories show cells at another scale."
    )
