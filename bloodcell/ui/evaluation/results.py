"""Evaluations and robustness studies: in memory, on disk, or being computed for all visitors."""

import threading
from collections import OrderedDict
from pathlib import Path

import streamlit as st

from bloodcell.data.store.dataset import Dataset
from bloodcell.ensemble.bundle import Bundle
from bloodcell.ensemble.description import Description
from bloodcell.ensemble.ensemble import VIEWS
from bloodcell.errors import Stopped
from bloodcell.evaluation.evaluate import Evaluation, split_of
from bloodcell.evaluation.stored import evaluated, evaluation_key, load_evaluation
from bloodcell.evaluation.stress import Study, load_study, study
from bloodcell.progress import Progress
from bloodcell.ui.common.jobs import Job, shared_job
from bloodcell.ui.common.state import changed_at, load_ensemble, workspace

__all__ = [
    "AT_ONCE",
    "count_predictions",
    "describe_work",
    "ensemble_description",
    "find_evaluation",
    "find_evaluation_job",
    "find_robustness_job",
]

# Predictions that are made without being asked for: some ten seconds on two cores.
AT_ONCE = 6000
KEPT = 8
_LOCK = threading.Lock()


@st.cache_resource
def _memory() -> OrderedDict[tuple[str, ...], Evaluation]:
    return OrderedDict()


@st.cache_resource(max_entries=8, show_spinner=False)
def _description(path: str, stamp: int) -> Description:
    return Bundle(Path(path)).description


def ensemble_description(name: str) -> Description:
    """The content of an ensemble's ``ensemble.json``, without loading its networks.

    Raises:
        BloodCellError: it is missing or damaged.
    """
    path = workspace().find("ensembles", name)
    return _description(str(path), changed_at(path))


def count_predictions(
    description: Description, dataset: Dataset, part: str, tta: bool | None
) -> tuple[int, int, int]:
    """Images of the part, networks, and views of each image: their product is the work."""
    images = len(split_of(description, dataset).indices(part))
    return images, len(description.asked(tta)), len(VIEWS) if tta else 1


def describe_work(images: int, networks: int, views: int) -> str:
    """ "480 images × 3 members × 8 views", for the label of a button."""
    members = f" × {networks} members" if networks > 1 else ""
    return f"{images:,} images{members}{f' × {views} views' if views > 1 else ''}"


def _key(
    description: Description, dataset: Dataset, part: str, tta: bool | None
) -> tuple[str, ...]:
    """What an evaluation depends on, and the dataset: two may hold the same images."""
    made = str(dataset.info.get("created", ""))
    return str(dataset.path), made, evaluation_key(description, dataset, part, tta)


def find_evaluation(
    description: Description, dataset: Dataset, part: str, tta: bool | None
) -> Evaluation | None:
    """The evaluation if it is in memory or on disk."""
    key, kept = _key(description, dataset, part, tta), _memory()
    found = kept.get(key) or load_evaluation(description, dataset, part, tta)
    if found is not None:
        with _LOCK:
            kept[key] = found
            kept.move_to_end(key)
            while len(kept) > KEPT:
                kept.popitem(last=False)
    return found


def find_evaluation_job(
    name: str,
    description: Description,
    dataset: Dataset,
    part: str,
    tta: bool | None,
    *,
    start: bool,
) -> Job | None:
    """The job that evaluates an ensemble; its result is an Evaluation, which is also kept.

    Args:
        name: the ensemble's in the workspace.
        start: whether to start it unless it is running.
    """
    ensemble = load_ensemble(name) if start else None
    return shared_job(
        (_key(description, dataset, part, tta), "evaluate"),
        f"Evaluating {description.name} on {dataset.name}",
        (lambda progress: evaluated(ensemble, dataset, part, tta=tta, progress=progress))
        if start
        else None,
        anew=start,
    )


def find_robustness_job(
    name: str,
    description: Description,
    dataset: Dataset,
    part: str,
    tta: bool | None,
    images: int,
    *,
    start: bool,
) -> Job | None:
    """The job of a robustness study; its result is the Study, complete or as far as it came.

    Args:
        images: how many; 0: all.
        start: whether to start or resume it unless it is running.
    """
    ensemble = load_ensemble(name) if start else None

    def work(progress: Progress) -> Study | None:
        try:
            return study(ensemble, dataset, part, images=images, tta=tta, progress=progress)
        except Stopped:
            # What is done is kept: a stop here is no loss.
            return load_study(description, dataset, part, images=images, tta=tta)

    return shared_job(
        (_key(description, dataset, part, tta), "robustness", images),
        f"Robustness of {description.name} on {dataset.name}",
        work if start else None,
        anew=start,
    )
