"""Evaluations of ensembles, worked out once for all visitors of the server."""

from collections import OrderedDict
from typing import Any

import streamlit as st

from bloodcell.data.dataset import Dataset
from bloodcell.data.split import make_split
from bloodcell.ensemble.ensemble import VIEWS, Ensemble
from bloodcell.evaluation.evaluate import evaluate
from bloodcell.ui.jobs import Job

__all__ = ["AT_ONCE", "effort", "judging"]

# Network runs that are worth no question: some ten seconds on two cores.
AT_ONCE = 6000
KEPT = 8


@st.cache_resource
def _jobs() -> OrderedDict[Any, Job]:
    return OrderedDict()


def effort(ensemble: Ensemble, dataset: Dataset, part: str, tta: bool) -> tuple[int, int, int]:
    """Images of the part, networks, and views of each image: their product is the work."""
    trained = ensemble.info["trained_on"]
    split = make_split(dataset, trained["split_seed"], tuple(trained["split_shares"]))
    return len(split.indices(part)), len(ensemble.models), len(VIEWS) if tta else 1


def judging(
    ensemble: Ensemble, dataset: Dataset, part: str, tta: bool, *, start: bool
) -> Job | None:
    """The job, running or done, that judges an ensemble; its result is an Evaluation.

    It is the same job for the same ensemble, images, exclusions, part and `tta`.

    Args:
        start: whether to begin if there is none, or it was stopped or failed.
    """
    jobs = _jobs()
    key = (
        str(ensemble.bundle.path),
        ensemble.info["created"],
        str(dataset.path),
        dataset.fingerprint,
        dataset.curation.fingerprint,
        part,
        tta,
    )
    job = jobs.get(key)
    if start and (job is None or job.state in ("stopped", "failed")):
        job = jobs[key] = Job(
            f"Judging {ensemble.name} on {dataset.name}",
            lambda progress: evaluate(ensemble, dataset, part, tta=tta, progress=progress),
        )
        while len(jobs) > KEPT:
            jobs.popitem(last=False)[1].stop()
    return job
