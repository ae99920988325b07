"""The known cells most like a photograph, where their dataset is at hand."""

import numpy as np
import streamlit as st

from bloodcell.ensemble.ensemble import Ensemble
from bloodcell.ui.common.gallery import gallery
from bloodcell.ui.common.state import active_dataset
from bloodcell.ui.evaluation.image import known_pictures, trained_on

__all__ = ["similar_cells_of"]


def similar_cells_of(image: np.ndarray, ensemble: Ensemble) -> None:
    """Tiles of the most similar training cells; one line where they cannot be shown.

    Args:
        image: uint8, S×S×3, of the ensemble's size.
    """
    known = trained_on(ensemble, active_dataset())
    if known is None:
        st.caption(
            f"With the dataset {ensemble.info['trained_on']['dataset']} in this workspace, the "
            "known cells most like this one are shown here."
        )
        return
    tiles = known_pictures(image, known, ensemble)
    if tiles:
        st.markdown("**The most similar known cells**")
        gallery(tiles, "classify_similar", side=92, clickable=False)
