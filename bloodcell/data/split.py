"""Divide a dataset into train, validation and test, with copies never on two sides.

A split is a pure function of the images (their pixel hashes), the curation and a seed. Within
each class the distinct images are ordered by a hash of (seed, pixel hash), so neither the order
of files in a folder nor the exclusion of an image elsewhere reshuffles the rest.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bloodcell.classes import CLASS_NAMES
from bloodcell.data.dataset import PARTS, Dataset
from bloodcell.errors import BadInput

__all__ = ["SHARES", "Split", "balanced_weights", "check_shares", "make_split", "split_parts"]

SHARES: tuple[float, float, float] = (0.8, 0.1, 0.1)
LEFT_OUT = -1


@dataclass(frozen=True)
class Split:
    """Which part each image belongs to.

    Attributes:
        parts: int8, N: 0 train, 1 validation, 2 test, -1 excluded by the curation.
        hashes: str, N: pixel hashes.
        seed: what it was drawn with.
        given: True if the source's own parts were kept.
    """

    parts: np.ndarray
    hashes: np.ndarray
    seed: int
    given: bool

    def indices(self, part: str) -> np.ndarray:
        """int64, ascending indices of a part (one of PARTS, or "all")."""
        if part == "all":
            return np.flatnonzero(self.parts != LEFT_OUT)
        return np.flatnonzero(self.parts == PARTS.index(part))

    def shared_images(self) -> int:
        """Distinct images that lie in more than one part; 0 for a sound split."""
        used = self.parts != LEFT_OUT
        _, group = np.unique(self.hashes[used], return_inverse=True)
        pairs = np.unique(np.stack([group, self.parts[used]]), axis=1)
        return int((np.bincount(pairs[0]) > 1).sum()) if pairs.size else 0


def check_shares(shares: Sequence[float]) -> None:
    """Raise BadInput unless `shares` divides a dataset into train, validation and test."""
    sound = isinstance(shares, list | tuple) and len(shares) == 3
    sound = sound and all(isinstance(s, int | float) and 0 <= s <= 1 for s in shares)
    if not sound or shares[0] <= 0 or abs(sum(shares) - 1) > 1e-6:
        raise BadInput(
            f"The shares {shares} cannot divide a dataset: expected three numbers for train, "
            "validation and test that sum to 1, with train above 0."
        )


def _order(hashes: np.ndarray, seed: int) -> np.ndarray:
    keys = [hashlib.blake2b(f"{seed}:{h}".encode(), digest_size=8).digest() for h in hashes]
    return np.argsort(np.frombuffer(b"".join(keys), dtype=">u8"), kind="stable")


def split_parts(
    hashes: np.ndarray,
    labels: np.ndarray,
    kept: np.ndarray,
    given: np.ndarray | None,
    seed: int,
    shares: tuple[float, float, float] = SHARES,
) -> np.ndarray:
    """The part of each image.

    Args:
        hashes: str, N. labels: int, N, 0 to 7. kept: bool, N.
        given: str, N: parts from the source, or None. A copy of a training image that the
            source put into another part is moved to train, so that the test part stays unseen.
        seed: any integer.
        shares: of train, validation and test; they sum to 1.

    Returns:
        int8, N: 0 train, 1 validation, 2 test, -1 where not kept.
    """
    check_shares(shares)
    parts = np.full(len(hashes), LEFT_OUT, np.int8)
    rows = np.flatnonzero(kept)
    if not len(rows):
        return parts
    unique, group, size = np.unique(hashes[rows], return_inverse=True, return_counts=True)
    if given is not None:
        part_ids = np.array([PARTS.index(p) for p in given[rows]], np.int8)
        of_group = np.full(len(unique), len(PARTS), np.int8)
        np.minimum.at(of_group, group, part_ids)
    else:
        # Copies under several labels are stratified by the smallest of them: any rule will do,
        # but it must not depend on the order of the rows.
        group_label = np.full(len(unique), len(CLASS_NAMES))
        np.minimum.at(group_label, group, labels[rows])
        of_group = np.zeros(len(unique), np.int8)
        for label in np.unique(group_label):
            members = np.flatnonzero(group_label == label)
            members = members[_order(unique[members], seed)]
            of_group[members] = _cut(size[members], shares)
    parts[rows] = of_group[group]
    return parts


def _cut(sizes: np.ndarray, shares: tuple[float, float, float]) -> np.ndarray:
    """Parts of groups in their drawn order: first test, then validation, the rest train."""
    cut = np.zeros(len(sizes), np.int8)
    total, start = int(sizes.sum()), 0
    for part, share in ((2, shares[2]), (1, shares[1])):
        if share == 0 or len(sizes) - start < 2:
            continue
        target = max(1, round(total * share))
        reached = np.cumsum(sizes[start:])
        # The nearest cut to the target, at least one group, and one group left for train.
        take = int(np.argmin(np.abs(reached - target))) + 1
        take = min(take, len(sizes) - start - 1)
        cut[start : start + take] = part
        start += take
    return cut


def make_split(
    dataset: Dataset, seed: int = 0, shares: tuple[float, float, float] = SHARES
) -> Split:
    """Split a dataset after its curation; parts given by the source are kept."""
    hashes = dataset.hashes
    given = dataset.items["part"].to_numpy(dtype=str)
    has_parts = bool(len(given)) and bool((given != "").all())
    parts = split_parts(
        hashes, dataset.labels, dataset.kept, given if has_parts else None, seed, shares
    )
    return Split(parts, hashes, seed, has_parts)


def balanced_weights(labels: np.ndarray) -> np.ndarray:
    """Weight of each class so that all classes present count the same: n / (k · n_class).

    Args:
        labels: int, N, 0 to 7.

    Returns:
        float32, 8; 0 for a class with no image.
    """
    counts = np.bincount(labels, minlength=len(CLASS_NAMES))
    present = counts > 0
    weights = np.zeros(len(CLASS_NAMES), np.float32)
    weights[present] = len(labels) / (present.sum() * counts[present])
    return weights
