"""Dataset page, map: alike images close together; a selection on it shows its images."""

from typing import Any

import numpy as np
import streamlit as st

from bloodcell.audit.layout import Layout
from bloodcell.classes import CLASSES
from bloodcell.data.store.dataset import Dataset
from bloodcell.figures.dataset import MAP_CONFIG, image_map
from bloodcell.ui.common.dataset_index import DatasetIndex
from bloodcell.ui.common.state import active_ensemble
from bloodcell.ui.dataset.features import FEATURES, STATISTICS, layout_of
from bloodcell.ui.dataset.images import paged_gallery

__all__ = ["inside", "show_map", "shown_on_map"]

MOST_DOTS = 4000
PER_PAGE = 24
SELECTION = "image_map"


def shown_on_map(layout: Layout, kept: np.ndarray, most: int = MOST_DOTS) -> np.ndarray:
    """int, ascending: the images to draw as dots, those first that t-SNE itself placed.

    Args:
        kept: bool, N: the others are not drawn.
    """
    first = layout.sample[kept[layout.sample]]
    rest = np.setdiff1d(np.flatnonzero(kept), first, assume_unique=True)
    rest = np.random.default_rng(0).permutation(rest)[: max(0, most - len(first))]
    return np.sort(np.concatenate([first[:most], rest]))


def inside(selection: dict[str, Any], points: np.ndarray) -> np.ndarray:
    """Which points lie in the boxes and lassos of a selection on the map.

    Args:
        selection: as Streamlit gives it: ``box`` and ``lasso``, each a list of x and y.
        points: float, N×2.

    Returns:
        bool, N.
    """
    x, y = points.T
    found = np.zeros(len(points), bool)
    for box in selection.get("box") or ():
        (x0, x1), (y0, y1) = sorted(box["x"]), sorted(box["y"])
        found |= (x0 <= x) & (x <= x1) & (y0 <= y) & (y <= y1)
    for lasso in selection.get("lasso") or ():
        # A point is inside if a ray from it crosses the outline an odd number of times.
        odd = np.zeros(len(points), bool)
        corners = list(zip(lasso["x"], lasso["y"], strict=True))
        for (xa, ya), (xb, yb) in zip(corners, corners[1:] + corners[:1], strict=True):
            if ya != yb:
                odd ^= ((ya > y) != (yb > y)) & (x < (xb - xa) * (y - ya) / (yb - ya) + xa)
        found |= odd
    return found


def _selected(layout: Layout, index: DatasetIndex) -> np.ndarray:
    """The images in use that the visitor selected, drawn or not, the rarest label first."""
    selection = (st.session_state.get(SELECTION) or {}).get("selection") or {}
    dots = [p["customdata"] for p in selection.get("points") or () if "customdata" in p]
    dots = [int(np.ravel(d)[0]) for d in dots]
    if not dots:
        return np.zeros(0, np.int64)
    if not selection.get("box") and not selection.get("lasso"):
        return np.array(dots)
    # Classes that the legend hides are not meant, though the outline goes around them.
    meant = np.isin(index.labels, np.unique(index.labels[dots]))
    found = np.flatnonzero(inside(selection, layout.points) & index.kept & meant)
    frequency = np.bincount(index.labels[found], minlength=len(CLASSES))
    return found[np.argsort(frequency[index.labels[found]], kind="stable")]


def show_map(dataset: Dataset, index: DatasetIndex) -> None:
    """The map with the images selected on it; an image that is opened is ringed on the map."""
    name = active_ensemble()
    options = ([f"ensemble {name}"] if name else []) + [STATISTICS]
    st.segmented_control(
        "Alike by the features of",
        options,
        default=options[0],
        required=True,
        key=FEATURES,
        help="Image statistics are colours, rings and textures: they need no trained model and "
        "tell cells apart far less well.",
    )
    if not name:
        st.caption(
            "There is no ensemble yet: images are compared by simple colours and textures only. "
            "With a trained one the map shows what a network sees."
        )
    layout = layout_of(dataset)
    if layout is None:
        return
    drawn = shown_on_map(layout, index.kept)
    if not len(drawn):
        st.info("All images are excluded: there is nothing to draw.")
        return
    above, below = st.columns([3, 2])
    selected = _selected(layout, index)
    with below:
        _show_selected(dataset, index, selected)
    with above:
        # Drawn last, so that it rings the image that was opened just now.
        looked_at = st.session_state.get("looked_at")
        marked = looked_at if looked_at is not None and looked_at < len(dataset) else None
        st.plotly_chart(
            image_map(
                layout.points,
                index.labels,
                drawn,
                marked,
                # The browser remembers what is selected until another figure comes.
                selected if marked is not None and len(selected) else None,
            ),
            config=MAP_CONFIG,
            key=SELECTION,
            on_select="rerun",
            selection_mode=("points", "box", "lasso"),
            alt="Images as dots coloured by label, alike ones close together",
        )
        n = int(index.kept.sum())
        drawn_text = f"{len(drawn):,} of {n:,} images drawn" if len(drawn) < n else f"{n:,} images"
        st.caption(
            f"{drawn_text}, by {layout.source}; t-SNE of {len(layout.sample):,} distinct ones, the "
            "others placed among them. Only nearness means something: neither the axes nor the "
            "distance between groups do."
            + (f" The ring is image {marked:,}, opened last." if marked is not None else "")
        )


def _show_selected(dataset: Dataset, index: DatasetIndex, found: np.ndarray) -> None:
    if not len(found):
        st.markdown("**Draw around dots** with the mouse to see their images here.")
        st.caption(
            "A dot among dots of another colour is worth a look: a doubtful label or a cell "
            "between two kinds. A click in the legend hides a class, a double click shows it "
            "alone; a double click on the map ends a selection."
        )
        return
    st.caption("The rarest label among them first.")
    paged_gallery(dataset, index, found, PER_PAGE, key="map", question=found.tobytes())
