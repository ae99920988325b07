"""Which runs can be combined, and which images they have in common."""

import numpy as np

from bloodcell.classes import OTHER
from bloodcell.data.split import Split
from bloodcell.data.store.dataset import Dataset
from bloodcell.errors import BadInput
from bloodcell.runs.run import Run

__all__ = ["check_runs", "common_images"]

MIN_VALIDATION = 16


def check_runs(runs: list[Run], weights: list[float] | None) -> None:
    """Refuse runs that are not finished or were trained on different images, and odd weights.

    Raises:
        BadInput: says which.
    """
    if not runs:
        raise BadInput("No run was given: name at least one finished run.")
    if len({r.id for r in runs}) < len(runs):
        raise BadInput(f"A run is named twice in {', '.join(r.id for r in runs)}: name each once.")
    if weights is not None and (
        len(weights) != len(runs) or min(weights) < 0 or not 0 < sum(weights) < float("inf")
    ):
        raise BadInput(
            f"The weights {weights} do not fit {len(runs)} runs: expected one number from 0 up "
            "for each, not all 0."
        )
    for run in runs:
        state = run.status()["state"]
        if state != "finished" or not run.litert_path.is_file():
            raise BadInput(
                f"Run {run.id} is {state}, expected finished: "
                f"continue it with `python -m bloodcell resume {run.id}`."
            )
    prints = {(r.record()["dataset_fingerprint"], r.record()["curation_fingerprint"]) for r in runs}
    if len(prints) > 1:
        raise BadInput(
            f"The runs {', '.join(r.id for r in runs)} were trained on different images: "
            "choose runs of one dataset with the same exclusions."
        )


def common_images(
    dataset: Dataset, runs: list[Run]
) -> tuple[np.ndarray, np.ndarray, list[str], np.ndarray]:
    """Indices common to all runs' validation, indices all trained on, identities any saw, and
    indices of what is none of the eight and lay in the train part of all.

    Raises:
        BadInput: the dataset was changed since, or the runs have too little validation in common.
    """
    record = runs[0].record()
    now = dataset.fingerprint, dataset.curation.fingerprint
    if now != (record["dataset_fingerprint"], record["curation_fingerprint"]):
        raise BadInput(
            f"Dataset {dataset.name} was changed since run {runs[0].id}: "
            "undo the change, or train new runs on it."
        )
    configs = [r.config() for r in runs]
    parts = [c.split_rule.split(dataset) for c in configs]
    for run, split in zip(runs, parts, strict=True):
        _check_split(run, split)
    stacked = np.stack([s.parts for s in parts])
    eight = dataset.labels != OTHER
    validation = np.flatnonzero((stacked == 1).all(0) & eight)
    train = np.flatnonzero((stacked == 0).all(0) & eight)
    others = np.flatnonzero((stacked == 0).all(0) & ~eight)
    seen = set(dataset.hashes[((stacked == 0) | (stacked == 1)).any(0)])
    for run in runs:
        seen |= set(run.seen().astype(str))
    if len(validation) < MIN_VALIDATION:
        raise BadInput(
            f"The runs {', '.join(r.id for r in runs)} have {len(validation)} validation images "
            f"in common, expected at least {MIN_VALIDATION}: choose runs with one split seed."
        )
    return validation, train, sorted(seen), others


def _check_split(run: Run, split: Split) -> None:
    """Refuse a run that another version of the split divided: its test images were others."""
    if not run.predictions_path.is_file():
        return
    found = run.predictions()
    same = all(
        np.array_equal(found.get(f"{part}_ids"), split.hashes[split.indices(part)])
        for part in ("validation", "test")
    )
    if not same:
        raise BadInput(
            f"Run {run.id} was trained on another division of its dataset than this version of "
            "BloodCell Lab makes: train it again, or use the version it was trained with."
        )
