"""One image of an evaluation: its card, each network's evidence, the most similar known cells."""

import cv2
import numpy as np
import streamlit as st

from bloodcell.classes import CLASSES, title
from bloodcell.data.pipeline import read_images
from bloodcell.data.store.dataset import Dataset, open_dataset
from bloodcell.ensemble.ensemble import Ensemble
from bloodcell.errors import BloodCellError
from bloodcell.evaluation.evaluate import Evaluation
from bloodcell.evaluation.similar import similar_cells
from bloodcell.explain import Evidence, find_evidence
from bloodcell.ui.common.cell_card import Cell, cell_card, cell_of
from bloodcell.ui.common.format import percent
from bloodcell.ui.common.gallery import Picture, gallery
from bloodcell.ui.common.overlay import overlaid, shown_evidence
from bloodcell.ui.common.state import load_ensemble, workspace

__all__ = ["image_dialog", "known_pictures", "trained_on"]

SIDE = 192
OPACITY = 0.6


@st.dialog("One image", width="large")
def image_dialog(found: Evaluation, dataset: Dataset, name: str, row: int) -> None:
    """All that is known of one image.

    Args:
        name: the ensemble's in the workspace.
        row: of the evaluation.
    """
    ensemble = load_ensemble(name)
    index = int(found.indices[row])
    image = read_images(dataset, np.array([index]), ensemble.size)[0]
    # Maps are not kept with an evaluation: they are worked out for this image.
    evidence = find_evidence(ensemble, image)
    called = str(dataset.items["name"].iloc[index])
    truth = int(found.labels[row])
    cell = cell_of(found.answers, row, called, image, evidence.whole, truth)
    cell_card(cell, ensemble.info, "judged")
    if len(evidence.members) > 1:
        _each_network(cell, ensemble, evidence)
    _similar(image, dataset, ensemble)


def _each_network(cell: Cell, ensemble: Ensemble, evidence: Evidence) -> None:
    st.markdown("**What each network looks at for its own answer**")
    photo = cv2.resize(cell.image, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)
    columns = st.columns(max(3, len(cell.members)))
    members = zip(ensemble.info["members"], cell.members, evidence.members, strict=True)
    for column, (member, said, maps) in zip(columns, members, strict=False):
        vote = int(said.argmax())
        words = f"{member['name']}: {title(vote).lower()} {percent(float(said[vote]))}"
        column.image(
            overlaid(photo, shown_evidence(maps, vote, SIDE), OPACITY),
            caption=words,
            width="stretch",
            alt=f"Where {words} is seen on photograph {cell.name}",
        )


def trained_on(ensemble: Ensemble, dataset: Dataset | None) -> Dataset | None:
    """The dataset that an ensemble was trained on: `dataset`, or that of its name, or None."""
    trained = ensemble.info["trained_on"]
    if dataset is not None and dataset.fingerprint == trained.get("fingerprint"):
        return dataset
    try:
        found = open_dataset(workspace(), trained["dataset"])
    except BloodCellError:
        return None
    return found if found.fingerprint == trained.get("fingerprint") else None


def known_pictures(image: np.ndarray, known: Dataset, ensemble: Ensemble) -> list[Picture]:
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


def _similar(image: np.ndarray, dataset: Dataset, ensemble: Ensemble) -> None:
    known = trained_on(ensemble, dataset)
    if known is None:
        trained = ensemble.info["trained_on"]["dataset"]
        st.caption(
            f"The most similar training cells need the dataset {trained}, "
            "which is not in this workspace."
        )
        return
    tiles = known_pictures(image, known, ensemble)
    if not tiles:
        st.caption("This ensemble does not name its known cells: combine its runs again.")
        return
    st.markdown("**The most similar training cells**")
    gallery(tiles, "judged_similar", side=92, clickable=False)
