"""Dataset page, embeddings: alike images close together; a selection shows its images."""

from typing import Any

import numpy as np
import streamlit as st

from bloodcell.audit.features import image_statistics, model_features
from bloodcell.audit.layout import Layout, lay_out
from bloodcell.classes import LABELS
from bloodcell.data.store.dataset import Dataset
from bloodcell.ensemble.ensemble import Ensemble
from bloodcell.figures.dataset import MAP_CONFIG, image_map
from bloodcell.progress import Progress
from bloodcell.ui.common.dataset_index import DatasetIndex, identity
from bloodcell.ui.common.jobs import cached_job
from bloodcell.ui.common.state import active_ensemble, load_ensemble
from bloodcell.ui.dataset.image_view import paged_gallery

__all__ = ["inside", "layout_of", "show_embeddings", "shown_on_map"]

MOST_DOTS = 4000
PER_PAGE = 24
SELECTION = "image_map"
FEATURES = "map_features"
STATISTICS = "image statistics"


def _lay_out(dataset: Dataset, ensemble: Ensemble | None, progress: Progress) -> Layout:
    if ensemble is None:
        features, _ = image_statistics(dataset, progress)
    else:
        features = model_features(dataset, ensemble, progress)
    return lay_out(dataset, features, progress)


def layout_of(dataset: Dataset) -> Layout | None:
    """Where the images lie by the features that this visitor chose; None while it is worked out.

    Raises:
        BloodCellError: the active ensemble is damaged.
    """
    name = active_ensemble()
    if st.session_state.get(FEATURES) == STATISTICS:
        name = None
    ensemble = load_ensemble(name) if name else None
    members = [] if ensemble is None else [m.file for m in ensemble.description.members]
    checksums = tuple(ensemble.description.files[file] for file in members)
    return cached_job(
        ("layout", *identity(dataset)[:3], checksums),
        "Looking at all images",
        lambda progress: _lay_out(dataset, ensemble, progress),
    )


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
    frequency = np.bincount(index.labels[found] + 1, minlength=len(LABELS))
    return found[np.argsort(frequency[index.labels[found] + 1], kind="stable")]


def show_embeddings(dataset: Dataset, index: DatasetIndex) -> None:
    """The t-SNE map with the images selected on it; an image that is opened is ringed."""
    name = active_ensemble()
    options = ([f"ensemble {name}"] if name else []) + [STATISTICS]
    st.segmented_control(
        "Features",
        options,
        default=options[0],
        required=True,
        key=FEATURES,
        help="Image statistics are colours, rings and textures. They need no trained network and "
        "separate the classes far less well.",
    )
    if not name:
        st.caption(
            "There is no ensemble yet, so images are compared by colours and textures only. "
            "With an ensemble the map shows the embeddings of a network."
        )
    layout = layout_of(dataset)
    if layout is None:
        return
    drawn = shown_on_map(layout, index.kept)
    if not len(drawn):
        st.info("All images are excluded, so there is nothing to draw.")
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
            alt="Images as dots coloured by label, similar ones close together",
        )
        n = int(index.kept.sum())
        drawn_text = f"{len(drawn):,} of {n:,} images drawn" if len(drawn) < n else f"{n:,} images"
        st.caption(
            f"{drawn_text}, by {layout.source}; t-SNE of {len(layout.sample):,} distinct ones, the "
            "others placed among them. Near dots are alike; the axes and the distances between "
            "groups have no meaning."
            + (f" The ring is image {marked:,}, opened last." if marked is not None else "")
        )


def _show_selected(dataset: Dataset, index: DatasetIndex, found: np.ndarray) -> None:
    if not len(found):
        st.markdown("**Select dots** with the mouse to see their images here.")
        st.caption(
            "A dot among dots of another colour is worth a look: a wrong label, or a cell between "
            "two classes. Click in the legend to hide a class, double-click to show it alone; "
            "double-click on the map to end a selection."
        )
        return
    st.caption("Sorted by label, the rarest first.")
    paged_gallery(dataset, index, found, PER_PAGE, key="map", question=found.tobytes())
