"""The known cells most like an image, where the dataset that they lie in is at hand."""

import numpy as np
import streamlit as st

from bloodcell.classes import CLASSES
from bloodcell.data.store.dataset import Dataset, open_dataset
from bloodcell.ensemble.ensemble import Ensemble
from bloodcell.errors import BloodCellError
from bloodcell.evaluation.similar import similar_cells
from bloodcell.ui.common.format import plain
from bloodcell.ui.common.gallery import Picture, gallery
from bloodcell.ui.common.state import workspace

__all__ = ["show_similar_cells"]


def show_similar_cells(
    image: np.ndarray, ensemble: Ensemble, dataset: Dataset | None, key: str
) -> None:
    """Tiles of the most similar training cells; one line where they cannot be shown.

    Args:
        image: uint8, S×S×3, of the ensemble's size.
        dataset: one that is open already; if it is not the one that the ensemble was trained on,
            that is looked for by its name.
        key: of the gallery.
    """
    known = _trained_on(ensemble, dataset)
    if known is None:
        st.caption(
            f"Import the dataset {plain(ensemble.description.trained_on.dataset)} to see the most "
            "similar training cells here."
        )
        return
    tiles = _similar_pictures(image, known, ensemble)
    if not tiles:
        st.caption("This ensemble does not name its training cells: combine its runs again.")
        return
    st.markdown("**The most similar training cells**")
    gallery(tiles, key, side=92, clickable=False)


def _trained_on(ensemble: Ensemble, dataset: Dataset | None) -> Dataset | None:
    """The dataset that an ensemble was trained on: `dataset`, or that of its name, or None."""
    trained = ensemble.description.trained_on
    if dataset is not None and dataset.fingerprint == trained.fingerprint:
        return dataset
    # A name and no path: an ensemble may come from anywhere.
    if trained.dataset not in workspace().names("datasets"):
        return None
    try:
        found = open_dataset(workspace(), trained.dataset)
    except BloodCellError:
        return None
    return found if found.fingerprint == trained.fingerprint else None


def _similar_pictures(image: np.ndarray, known: Dataset, ensemble: Ensemble) -> list[Picture]:
    """Tiles of the most similar training cells.

    Args:
        image: uint8, S×S×3, of the ensemble's size.
        known: the dataset that the ensemble was trained on.
    """
    nearest = similar_cells(ensemble, image)
    place = {h: i for i, h in enumerate(known.hashes)}
    labels, made = known.labels, []
    for found in nearest:
        index = place.get(found.identity)
        if index is None:
            continue
        cell = CLASSES[int(labels[index])]
        made.append(
            Picture(
                index,
                np.asarray(known.images[index]),
                f"Training cell, {cell.title.lower()}, similarity {found.similarity:.2f}",
                caption=cell.title,
                note=f"similarity {found.similarity:.2f}",
                colour=cell.colour,
            )
        )
    return made
