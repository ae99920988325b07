"""Divide by what cells have in common: a patient, slide or laboratory is never in two parts.

Every group is placed once, by all of its images as they were imported: so neither the order of
the files nor an exclusion moves a group. Large groups are placed first, each where it brings the
shares of all classes nearest to what was asked for (as scikit-learn's StratifiedGroupKFold, with
shares instead of folds and improved afterwards). Groups that share a copy of an image are joined.
"""

import hashlib

import numpy as np
import pandas as pd

from bloodcell.classes import CLASS_NAMES, OTHER, title
from bloodcell.data.store.dataset import PARTS, Dataset
from bloodcell.errors import BadInput

__all__ = ["BY", "assign_groups", "group_keys", "held_out", "join_copies", "split_notes"]

# What a dataset can be divided by, from the weakest promise to the strongest.
BY: tuple[str, ...] = ("image", "slide", "patient", "laboratory")
# The columns that name a group: the slide 1 of one patient is not that of another.
_NAMED_BY = {
    "laboratory": ("laboratory",),
    "patient": ("laboratory", "patient"),
    "slide": ("laboratory", "patient", "slide"),
}
# Where the own level is not known, the next one that is keeps what may belong together together.
_INSTEAD = {"laboratory": (), "patient": ("slide",), "slide": ("patient",)}
PASSES = 3
NOTICED = 0.02


def group_keys(dataset: Dataset, by: str) -> tuple[np.ndarray, np.ndarray]:
    """The group of each image.

    Args:
        by: one of BY but "image".

    Returns:
        object, N: the group's name, which is the image's own hash where nothing is known of it;
        bool, N: where that is so. Cells of no known laboratory are one group.

    Raises:
        BadInput: no image has a known group of this level.
    """
    if by not in dataset.origins:
        known = ", ".join(dataset.origins) or "nothing"
        raise BadInput(
            f"{dataset.name} names no {by} of its cells (known: {known}), so it cannot be divided "
            f"by {by}: import it with a manifest.csv or --level {by}, or divide it by image."
        )
    keys = dataset.hashes.astype(object)
    alone = np.ones(len(dataset), bool)
    for level in (by, *_INSTEAD[by]):
        rows = alone & (dataset.origin(level) != "") if level != "laboratory" else alone.copy()
        columns = [dataset.origin(c)[rows] for c in _NAMED_BY[level]]
        names = columns[0]
        for column in columns[1:]:
            names = names + "\x1f" + column
        keys[rows] = level + "\x1f" + names
        alone &= ~rows
    return keys, alone


def held_out(dataset: Dataset, choice: str) -> np.ndarray:
    """bool, N: the images of a group that is held out whole, such as ``laboratory=lmu``.

    Raises:
        BadInput: the choice cannot be read, or nothing is of that group.
    """
    column, sign, name = choice.partition("=")
    if not sign or column not in BY[1:] or not name:
        raise BadInput(
            f"{choice!r} names nothing to hold out: expected laboratory=NAME, patient=NAME or "
            "slide=NAME."
        )
    found = dataset.origin(column) == name
    if not found.any():
        there = sorted(set(dataset.origin(column)) - {""})
        known = ", ".join(there[:8]) + (" …" if len(there) > 8 else "") or "none"
        raise BadInput(
            f"{dataset.name} has no cell of the {column} {name!r} (there: {known}): name one of "
            "these to hold out."
        )
    return found


def assign_groups(
    keys: np.ndarray, labels: np.ndarray, seed: int, shares: tuple[float, ...]
) -> np.ndarray:
    """The part of each image, whole groups at a time.

    Args:
        keys: object, N: names of groups. labels: int, N, 0 to 7 or OTHER.
        seed: of the order among groups of like size.
        shares: of P parts, sum 1; those of 0 get nothing.

    Returns:
        int8, N: 0 to P-1. A part with a share is empty only if there are fewer groups than parts.
    """
    if not len(keys):
        return np.zeros(0, np.int8)
    code, names = pd.factorize(keys)
    counts = np.zeros((len(names), len(CLASS_NAMES) + 1))
    np.add.at(counts, (code, np.asarray(labels) + 1), 1)
    counts = np.column_stack([counts, counts.sum(1)])
    counts = counts[:, counts.any(axis=0)] / counts.sum(axis=0)[counts.any(axis=0)]
    wanted = np.array([p for p, share in enumerate(shares) if share > 0])
    share = np.array(shares)[wanted][:, None]
    # In steps of two in size, so that the seed decides among groups that are about alike.
    size = np.round(np.log2(counts.max(axis=1)))
    digests = [hashlib.blake2b(f"{seed}:{n}".encode(), digest_size=8).digest() for n in names]
    order = np.lexsort((np.frombuffer(b"".join(digests), dtype=">u8"), -size))
    place = np.zeros(len(names), np.int64)
    filled = np.zeros((len(wanted), counts.shape[1])) - share
    for g in order:
        change = ((filled + counts[g]) ** 2 - filled**2).sum(axis=1)
        place[g] = int(change.argmin())
        filled[place[g]] += counts[g]
    for _ in range(PASSES):
        moved = False
        for g in order:
            filled[place[g]] -= counts[g]
            change = ((filled + counts[g]) ** 2 - filled**2).sum(axis=1)
            best = int(change.argmin())
            if change[best] < change[place[g]] - 1e-12:
                place[g], moved = best, True
            filled[place[g]] += counts[g]
        if not moved:
            break
    _fill_empty(place, order, counts, filled)
    return wanted[place][code].astype(np.int8)


def _fill_empty(
    place: np.ndarray, order: np.ndarray, counts: np.ndarray, filled: np.ndarray
) -> None:
    """Give each empty part the group that fits it best, of the parts that have more than one."""
    for part in range(len(filled)):
        if (place == part).any():
            continue
        have = np.bincount(place, minlength=len(filled))
        free = [g for g in order if have[place[g]] > 1]
        if not free:
            return
        costs = [
            ((filled[part] + counts[g]) ** 2).sum() + ((filled[place[g]] - counts[g]) ** 2).sum()
            - (filled[place[g]] ** 2).sum()
            for g in free
        ]  # fmt: skip
        g = free[int(np.argmin(costs))]
        filled[place[g]] -= counts[g]
        filled[part] += counts[g]
        place[g] = part


def join_copies(parts: np.ndarray, keys: np.ndarray, hashes: np.ndarray) -> int:
    """Bring groups that share a copy of an image into one part, the first of theirs; in place.

    Args:
        parts: int8, N: of the images that are used, all at least 0.

    Returns:
        How many groups changed their part.
    """
    code, names = pd.factorize(keys)
    image, distinct = pd.factorize(hashes.astype(object))
    if not len(code):
        return 0
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    edges = coo_array((np.ones(len(code), np.int8), (code, len(names) + image)))
    edges.resize((len(names) + len(distinct),) * 2)
    joined = connected_components(edges, directed=False)[1][code]
    first = np.full(joined.max() + 1, len(PARTS), np.int8)
    np.minimum.at(first, joined, parts)
    moved = len(set(code[first[joined] != parts].tolist()))
    parts[:] = first[joined]
    return moved


def split_notes(
    parts: np.ndarray, labels: np.ndarray, shares: tuple[float, float, float], by: str
) -> tuple[str, ...]:
    """What it cost to keep groups whole: shares that were missed, classes that a part lacks.

    Args:
        parts: int8, N: -1 where left out. labels: int, N.
    """
    used = parts >= 0
    notes = []
    n = max(int(used.sum()), 1)
    sizes = [int((parts == p).sum()) for p in range(len(PARTS))]
    missed = [
        f"{PARTS[p]} {100 * sizes[p] / n:.1f} % instead of {100 * shares[p]:g} %"
        for p in range(len(PARTS))
        if abs(sizes[p] / n - shares[p]) > NOTICED
    ]
    if missed:
        notes.append(f"Keeping each {by} whole makes {', '.join(missed)} of the images.")
    present = np.setdiff1d(labels[used], OTHER)
    for p, part in enumerate(PARTS):
        lacks = np.setdiff1d(present, labels[parts == p])
        if len(lacks) and sizes[p]:
            names = ", ".join(title(int(c)).lower() for c in lacks)
            what = "cannot be learned" if p == 0 else "cannot be judged there"
            notes.append(f"The {part} part has no {names}, which {what}.")
    return tuple(notes)
