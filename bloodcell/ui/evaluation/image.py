"""One image of an evaluation: its card, each network's evidence, the most similar known cells."""

import cv2
import numpy as np
import streamlit as st

from bloodcell.classes import title
from bloodcell.data.pipeline import read_images
from bloodcell.data.store.dataset import Dataset
from bloodcell.ensemble.ensemble import Ensemble
from bloodcell.evaluation.evaluate import Evaluation
from bloodcell.explain import Evidence, find_evidence
from bloodcell.ui.common.cell_card import Cell, cell_card, cell_of
from bloodcell.ui.common.format import percent
from bloodcell.ui.common.overlay import overlaid, shown_evidence
from bloodcell.ui.common.similar import show_similar_cells
from bloodcell.ui.common.state import load_ensemble

__all__ = ["image_dialog"]

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
    show_similar_cells(image, ensemble, dataset, "judged_similar")


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
