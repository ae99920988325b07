"""Divide a dataset into train, validation and test, with copies never on two sides.

A split is a pure function of the images (their pixel hashes), the curation and a seed. Within
each class the distinct images are ordered by a hash of (seed, pixel hash), so neither the order
of files in a folder nor the exclusion of an image elsewhere reshuffles the rest.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from bloodcell.classes import CLASS_NAMES, OTHER
from bloodcell.data.split_groups import (
    BY,
    assign_groups,
    group_keys,
    held_out,
    join_copies,
    split_notes,
)
from bloodcell.data.store.dataset import PARTS, Dataset
from bloodcell.errors import BadInput

__all__ = [
    "BY",
    "NO_FOLD",
    "SHARES",
    "Split",
    "SplitRule",
    "balanced_weights",
    "check_by",
    "check_fold",
    "check_shares",
    "make_split",
    "sample_weights",
    "split_parts",
]

SHARES: tuple[float, float, float] = (0.8, 0.1, 0.1)
NO_FOLD: tuple[int, int] = (0, 0)
MOST_FOLDS = 20
LEFT_OUT = -1
MOST_WEIGHT = 20.0


@dataclass(frozen=True)
class Split:
    """Which part each image belongs to.

    Attributes:
        parts: int8, N: 0 train, 1 validation, 2 test, -1 excluded by the curation.
        hashes: str, N: pixel hashes.
        seed: what it was drawn with.
        given: True if the source's own parts were kept.
        drawn: parts that the source lacks and that were drawn from its train part.
        other: bool, N: labelled as none of the eight; None if nothing is.
        groups: object, N: what is never in two parts beside copies; None if divided by image.
        notes: what keeping groups together cost, in sentences.
    """

    parts: np.ndarray
    hashes: np.ndarray
    seed: int
    given: bool
    drawn: tuple[str, ...] = ()
    other: np.ndarray | None = None
    groups: np.ndarray | None = None
    notes: tuple[str, ...] = ()

    def indices(self, part: str) -> np.ndarray:
        """int64, ascending: the cells of the eight classes in a part (one of PARTS, or "all").

        What is none of the eight is never trained or judged as a class, see :meth:`others`.
        """
        inside = self._inside(part)
        return np.flatnonzero(inside if self.other is None else inside & ~self.other)

    def others(self, part: str) -> np.ndarray:
        """int64, ascending: what a part holds that is none of the eight."""
        if self.other is None:
            return np.zeros(0, np.int64)
        return np.flatnonzero(self._inside(part) & self.other)

    def _inside(self, part: str) -> np.ndarray:
        if part == "all":
            return self.parts != LEFT_OUT
        return self.parts == PARTS.index(part)

    def shared_images(self) -> int:
        """Distinct images that lie in more than one part; 0 for a sound split."""
        return self._in_two_parts(self.hashes)

    def shared_groups(self) -> int:
        """Groups that lie in more than one part; 0 for a sound split, or one by image."""
        return 0 if self.groups is None else self._in_two_parts(self.groups)

    def _in_two_parts(self, names: np.ndarray) -> int:
        used = self.parts != LEFT_OUT
        group, unique = _groups(names[used])
        seen = np.zeros((len(unique), len(PARTS)), bool)
        seen[group, self.parts[used]] = True
        return int((seen.sum(axis=1) > 1).sum())


@dataclass(frozen=True)
class SplitRule:
    """How a dataset is divided.

    Attributes:
        seed: any whole number from 0. shares: of train, validation and test.
        fold: (k, n) of a cross-validation, or NO_FOLD.
        by: one of BY: what never lies in two parts.
        hold_out: a group that is the test part, such as ``laboratory=lmu``; "" for none. The
            shares of train and validation then divide the rest.
    """

    seed: int = 0
    shares: tuple[float, float, float] = SHARES
    fold: tuple[int, int] = NO_FOLD
    by: str = BY[0]
    hold_out: str = ""

    @classmethod
    def of(cls, trained: Any) -> "SplitRule":
        """The rule in ``trained_on`` of an ensemble's description."""
        return cls(
            trained.split_seed,
            trained.split_shares,
            trained.split_fold,
            trained.split_by,
            trained.split_hold_out,
        )

    def split(self, dataset: Dataset) -> Split:
        """Divide a dataset by this rule, see :func:`make_split`."""
        return make_split(dataset, self.seed, self.shares, self.fold, self.by, self.hold_out)

    def fitting(self, dataset: Dataset) -> "SplitRule":
        """The rule as far as the dataset knows the groups that it speaks of.

        A dataset that an ensemble was not trained on may name no patients, and lack the
        laboratory that was held out.
        """
        column, _, name = self.hold_out.partition("=")
        there = not self.hold_out or bool((dataset.origin(column) == name).any())
        by = self.by if self.by in (BY[0], *dataset.origins) else BY[0]
        return replace(self, by=by, hold_out=self.hold_out if there else "")


def check_by(by: object, hold_out: object) -> None:
    """Raise BadInput unless `by` is one of BY and `hold_out` names a group or is empty."""
    if by not in BY:
        raise BadInput(f"split_by is {by!r:.80}: expected one of {', '.join(BY)}.")
    column, sign, name = hold_out.partition("=") if isinstance(hold_out, str) else ("?", "", "")
    if hold_out != "" and not (sign and name and column in BY[1:]):
        raise BadInput(
            f"split_hold_out is {hold_out!r:.80}: expected laboratory=NAME, patient=NAME or "
            "slide=NAME."
        )


def check_shares(shares: Sequence[float]) -> None:
    """Raise BadInput unless `shares` divides a dataset into train, validation and test."""
    sound = isinstance(shares, list | tuple) and len(shares) == 3
    sound = sound and all(isinstance(s, int | float) and 0 <= s <= 1 for s in shares)
    if not sound or shares[0] <= 0 or abs(sum(shares) - 1) > 1e-6:
        raise BadInput(
            f"The shares {shares!s:.80} cannot divide a dataset: expected three numbers for train, "
            "validation and test that sum to 1, with train above 0."
        )


def check_fold(fold: Sequence[int]) -> None:
    """Raise BadInput unless `fold` is (0, 0) or (k, n) with k from 1 to n and n from 2 to 20."""
    sound = isinstance(fold, list | tuple) and len(fold) == 2
    sound = sound and all(isinstance(f, int) and not isinstance(f, bool) for f in fold)
    if not sound or (
        tuple(fold) != NO_FOLD and not (1 <= fold[0] <= fold[1] and 2 <= fold[1] <= MOST_FOLDS)
    ):
        raise BadInput(
            f"The fold {fold!s:.80} is none of a cross-validation: expected two whole numbers such "
            f"as 2, 5 for the second of five folds, at most {MOST_FOLDS} of them, or 0, 0 for none."
        )


def _groups(hashes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Number of the distinct image that each is, and the hashes of these."""
    return pd.factorize(hashes.astype(object))


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
    fold: tuple[int, int] = NO_FOLD,
) -> np.ndarray:
    """The part of each image.

    Args:
        hashes: str, N. labels: int, N, 0 to 7 or OTHER. kept: bool, N.
        given: str, N: parts from the source, or None. A copy of a training image that the
            source put into another part is moved to train, so that the test part stays unseen.
            A part that the source lacks is drawn from its train part.
        seed: any integer.
        shares: of train, validation and test; they sum to 1.
        fold: (k, n): what is not test is cut into n folds, and the k-th is validation; the share
            of validation then counts for nothing. (0, 0) = no cross-validation.

    Returns:
        int8, N: 0 train, 1 validation, 2 test, -1 where not kept.
    """
    check_shares(shares)
    check_fold(fold)
    parts = np.full(len(hashes), LEFT_OUT, np.int8)
    rows = np.flatnonzero(kept)
    if not len(rows):
        return parts
    group, unique = _groups(hashes[rows])
    size = np.bincount(group)
    of_group = np.zeros(len(unique), np.int8)
    if given is not None:
        of_group[:] = len(PARTS)
        for part, name in enumerate(PARTS):
            np.minimum.at(of_group, group[given[rows] == name], np.int8(part))
        shares = _shares_of_train(_missing(given), shares)
    # Copies under several labels are stratified by the smallest of them: any rule will do,
    # but it must not depend on the order of the rows.
    group_label = np.full(len(unique), len(CLASS_NAMES))
    np.minimum.at(group_label, group, labels[rows])
    for label in np.unique(group_label):
        members = np.flatnonzero((group_label == label) & (of_group == 0))
        members = members[_order(unique[members], seed)]
        of_group[members] = _cut(size[members], shares)
    if fold[1]:
        _cross_validate(of_group, labels[rows], unique, group, size, seed, fold)
    parts[rows] = of_group[group]
    return parts


def _missing(given: np.ndarray) -> tuple[str, ...]:
    """The parts to draw from train because the source does not give them."""
    return tuple(p for p in PARTS if p not in given) if PARTS[0] in given else ()


def _shares_of_train(
    missing: tuple[str, ...], shares: tuple[float, float, float]
) -> tuple[float, float, float]:
    """Shares that cut the missing parts out of a given train part, in proportion to it."""
    cut = [share if part in missing else 0.0 for part, share in zip(PARTS, shares, strict=True)]
    whole = shares[0] + sum(cut)
    return shares[0] / whole, cut[1] / whole, cut[2] / whole


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


def _cross_validate(
    of_group: np.ndarray,
    labels: np.ndarray,
    unique: np.ndarray,
    group: np.ndarray,
    size: np.ndarray,
    seed: int,
    fold: tuple[int, int],
) -> None:
    """Divide what is not test into train and the k-th fold, class by class, in place."""
    k, n = fold
    group_label = np.full(len(unique), len(CLASS_NAMES))
    np.minimum.at(group_label, group, labels)
    for label in np.unique(group_label):
        members = np.flatnonzero((group_label == label) & (of_group != 2))
        members = members[_order(unique[members], seed)]
        # Groups of copies stay whole, so that the folds are cut where images before them end.
        before = np.cumsum(size[members]) - size[members]
        place = before * n // max(int(size[members].sum()), 1)
        of_group[members] = np.where(place == k - 1, 1, 0)


def make_split(
    dataset: Dataset,
    seed: int = 0,
    shares: tuple[float, float, float] = SHARES,
    fold: tuple[int, int] = NO_FOLD,
    by: str = BY[0],
    hold_out: str = "",
) -> Split:
    """Split a dataset after its curation; parts given by the source are kept.

    In cross-validation (`fold`, see :func:`split_parts`) only the given test part is kept; of a
    split by groups or with a group held out, none is.

    Args:
        by, hold_out: see :class:`SplitRule`.

    Raises:
        BadInput: a value that cannot be used, or groups that the dataset does not name.
    """
    check_by(by, hold_out)
    hashes, labels = dataset.hashes, dataset.labels
    if by != BY[0] or hold_out:
        return _split_by_groups(dataset, seed, shares, fold, by, hold_out)
    given = dataset.items["part"].to_numpy(dtype=str)
    has_parts = bool(len(given)) and bool((given != "").all())
    parts = split_parts(
        hashes, labels, dataset.kept, given if has_parts else None, seed, shares, fold
    )
    other = labels == OTHER
    drawn = _missing(given) if has_parts else ()
    return Split(parts, hashes, seed, has_parts, drawn, other if other.any() else None)


def _split_by_groups(
    dataset: Dataset,
    seed: int,
    shares: tuple[float, float, float],
    fold: tuple[int, int],
    by: str,
    hold_out: str,
) -> Split:
    check_shares(shares)
    check_fold(fold)
    hashes, labels, kept = dataset.hashes, dataset.labels, dataset.kept
    given = dataset.given_labels
    keys, alone = (None, np.ones(len(hashes), bool))
    if by != BY[0]:
        keys, alone = group_keys(dataset, by)
    held = held_out(dataset, hold_out) if hold_out else np.zeros(len(hashes), bool)
    if keys is not None and hold_out:
        # Whoever is in the held-out group stays there with all that is theirs.
        held |= np.isin(keys, np.unique(keys[held].astype(str)).astype(object))
    notes = []
    within = shares
    if hold_out:
        train = shares[0] + (0 if shares[1] else shares[2])
        within = (train / (train + shares[1]), shares[1] / (train + shares[1]), 0.0)
    parts = np.full(len(hashes), LEFT_OUT, np.int8)
    single = np.flatnonzero(alone & ~held)
    if keys is None:
        parts[single] = split_parts(
            hashes[single], labels[single], kept[single], None, seed, within, fold
        )
    else:
        # By all images as they were imported: so no exclusion moves a group, and only a copy
        # that joins two can, by leaving.
        everything = np.ones(len(single), bool)
        parts[single] = split_parts(
            hashes[single], given[single], everything, None, seed, within, fold
        )
        grouped = np.flatnonzero(~alone & ~held)
        parts[grouped] = _parts_of_groups(keys[grouped], given[grouped], seed, within, fold)
        parts[~kept] = LEFT_OUT
        used = np.flatnonzero(kept & ~held)
        placed = parts[used]
        if moved := join_copies(placed, keys[used], hashes[used]):
            notes.append(
                f"{moved:,} groups share a copy of an image with another one and went with it."
            )
        parts[used] = placed
        if unknown := int((alone & kept).sum()):
            notes.append(f"The {by} of {unknown:,} images is not known: they are divided by image.")
    if hold_out:
        parts[held & kept] = PARTS.index("test")
        copies = kept & ~held & np.isin(hashes, hashes[held & kept])
        parts[copies] = LEFT_OUT
        if copies.any():
            notes.append(f"Copies of what is held out are left out: {int(copies.sum()):,}.")
    unit = by if not hold_out else hold_out.partition("=")[0]
    asked = shares if not hold_out else _with_held(within, float(held[kept].mean()))
    notes += split_notes(parts, labels, asked, unit)
    other = labels == OTHER
    groups = keys if keys is not None else np.where(held, hold_out, hashes.astype(object))
    return Split(
        parts, hashes, seed, False, (), other if other.any() else None, groups, tuple(notes)
    )


def _with_held(within: tuple[float, ...], held: float) -> tuple[float, float, float]:
    return within[0] * (1 - held), within[1] * (1 - held), held


def _parts_of_groups(
    keys: np.ndarray,
    labels: np.ndarray,
    seed: int,
    shares: tuple[float, float, float],
    fold: tuple[int, int],
) -> np.ndarray:
    """int8, N: the part of each image of a known group."""
    if not fold[1]:
        return assign_groups(keys, labels, seed, shares)
    k, n = fold
    parts = np.zeros(len(keys), np.int8)
    if shares[2]:
        parts = assign_groups(keys, labels, seed, (1 - shares[2], shares[2])) * np.int8(2)
    rest = np.flatnonzero(parts == 0)
    place = assign_groups(keys[rest], labels[rest], seed, (1 / n,) * n)
    parts[rest] = place == k - 1
    return parts


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


def sample_weights(
    dataset: Dataset, labels: np.ndarray, train: np.ndarray, kind: str
) -> np.ndarray:
    """The weight of each sample in the loss.

    Args:
        labels: int64, N. train: int64: the images that are learned from.
        kind: "none" (1 each), "balanced" (all classes count the same), or "laboratories" (all
            pairs of class and laboratory that there are count the same: n / (k · n of the pair),
            at most MOST_WEIGHT, so that a handful of cells does not rule the rest).

    Returns:
        float32, N; 0 for what is not in `train`, 1 on average over it but for MOST_WEIGHT.
    """
    weights = np.zeros(len(labels), np.float32)
    if kind == "none":
        weights[train] = 1
    elif kind == "balanced":
        weights[train] = balanced_weights(labels[train])[labels[train]]
    else:
        place = pd.factorize(dataset.origin("laboratory")[train])[0]
        pair, there = pd.factorize(place * len(CLASS_NAMES) + labels[train])
        counts = np.bincount(pair)
        each = np.minimum(len(train) / (len(there) * counts), MOST_WEIGHT)
        weights[train] = each[pair]
    return weights
