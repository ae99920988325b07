"""What the active ensemble, or none, sees in the images of a dataset."""

import streamlit as st

from bloodcell.audit.features import image_statistics, model_features
from bloodcell.audit.layout import Layout, lay_out
from bloodcell.data.store.dataset import Dataset
from bloodcell.ensemble.ensemble import Ensemble
from bloodcell.progress import Progress
from bloodcell.ui.common.dataset_index import identity
from bloodcell.ui.common.jobs import cached_job
from bloodcell.ui.common.state import active_ensemble, load_ensemble

__all__ = ["FEATURES", "STATISTICS", "layout_of"]

FEATURES = "map_features"
STATISTICS = "image statistics"


def _work(dataset: Dataset, ensemble: Ensemble | None, progress: Progress) -> Layout:
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
    members = [] if ensemble is None else [m["file"] for m in ensemble.info["members"]]
    checksums = tuple(ensemble.info["files"][file] for file in members)
    return cached_job(
        ("layout", *identity(dataset)[:3], checksums),
        "Looking at all images",
        lambda progress: _work(dataset, ensemble, progress),
    )
