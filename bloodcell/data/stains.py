"""The stains of a dataset's laboratories, measured for a policy."""

import hashlib
from dataclasses import replace

import numpy as np

from bloodcell.augment.policy import Policy, step
from bloodcell.augment.stain_transfer import Stains, measure_stain
from bloodcell.data.store.dataset import Dataset
from bloodcell.progress import Progress, silent

__all__ = ["TRANSFER", "measure_stains", "with_stains", "with_transfer"]

TRANSFER = "stain_transfer"
# Enough for a mean and a covariance, few enough for seconds.
CELLS_PER_CLASS = 40


def measure_stains(
    dataset: Dataset, indices: np.ndarray | None = None, progress: Progress = silent
) -> Stains:
    """The statistics of each laboratory that is named, from some cells of each of its classes.

    Args:
        indices: of the images to look at; None: all that are not excluded.

    Returns:
        By name; a laboratory in whose cells no nucleus can be told is left out.
    """
    rows = np.flatnonzero(dataset.kept) if indices is None else indices
    place, labels, hashes = dataset.origin("laboratory")[rows], dataset.labels[rows], dataset.hashes
    found = []
    names = sorted(set(place) - {""})
    for done, name in enumerate(names):
        progress(done, len(names), "laboratories")
        chosen: list[int] = []
        for label in np.unique(labels[place == name]):
            own = rows[(place == name) & (labels == label)]
            # By a hash, so that the order of the files does not matter.
            keys = [hashlib.blake2b(hashes[i].encode(), digest_size=8).digest() for i in own]
            chosen += own[np.argsort(np.array(keys, "S8"), kind="stable")][
                :CELLS_PER_CLASS
            ].tolist()
        measured = measure_stain((np.asarray(dataset.images[i]) for i in sorted(chosen)), name)
        if measured is not None:
            found.append(measured)
    progress(len(names), len(names), "laboratories")
    return Stains(found)


def with_stains(policy: Policy, dataset: Dataset, indices: np.ndarray) -> Policy:
    """The policy with the stains of what is trained on, if it transfers stains and has none.

    Those of a laboratory that is held out are not among them. A dataset of fewer than two
    laboratories leaves the policy to those built in.
    """
    if policy.stains or all(s.key != TRANSFER for s in policy.steps):
        return policy
    stains = measure_stains(dataset, indices)
    return replace(policy, stains=stains) if len(stains) > 1 else policy


def with_transfer(policy: Policy, stains: Stains, name: str) -> Policy:
    """The policy under another name with these stains, and a step that transfers them."""
    steps = policy.steps
    if all(s.key != TRANSFER for s in steps):
        steps = (step(TRANSFER, 0.5), *steps)
    return Policy(name, steps, stains)
