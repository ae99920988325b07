"""What an ensemble of some runs would be on validation images, from what the runs kept."""

from dataclasses import dataclass

import numpy as np

from bloodcell.errors import BadInput
from bloodcell.runs.run import Run

__all__ = ["Preview", "preview"]


@dataclass(frozen=True)
class Preview:
    """Answers of several runs on the validation images that all of them have.

    Attributes:
        labels: int64, N.
        members: float32, m×N×8, in the order of the runs, each image as it is.
    """

    labels: np.ndarray
    members: np.ndarray


def preview(runs: list[Run]) -> Preview | None:
    """Read the predictions that finished runs kept; None if they have no images in common.

    Args:
        runs: at least one.
    """
    ids, labels, probabilities = [], [], []
    for run in runs:
        try:
            held = run.predictions()
            ids.append(held["validation_ids"])
            labels.append(held["validation_labels"])
            probabilities.append(held["validation_probabilities"])
        except (OSError, BadInput, KeyError):
            return None
    common = ids[0]
    for other in ids[1:]:
        common = np.intersect1d(common, other)
    # Copies of an image share an identity: each counts once here.
    common = np.unique(common)
    if not len(common):
        return None
    rows_of = [np.unique(i, return_index=True) for i in ids]
    rows = [first[np.searchsorted(unique, common)] for unique, first in rows_of]
    return Preview(
        labels[0][rows[0]].astype(np.int64),
        np.stack([p[r] for p, r in zip(probabilities, rows, strict=True)]),
    )
