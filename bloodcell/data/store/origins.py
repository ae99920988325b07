"""Which laboratory has which cells, and what a network could learn instead of the cells."""

import hashlib
from dataclasses import dataclass

import cv2
import numpy as np

from bloodcell.classes import LABELS, OTHER, title
from bloodcell.data.imaging.nucleus import find_stained
from bloodcell.data.store.dataset import Dataset
from bloodcell.progress import Progress, silent

__all__ = ["LaboratoryLook", "confounding", "laboratory_counts", "laboratory_looks"]

LOOKED_AT = 120
SHOWN = (0.05, 0.5, 0.95)
# A laboratory with this many times the share of a class is where the class comes from.
ALMOST_ALL = 0.95


@dataclass(frozen=True)
class LaboratoryLook:
    """What the photographs of one laboratory look like.

    Attributes:
        name: as in the dataset. n: images looked at.
        percentiles: float64, 3×3: of red, green, blue the 5th, 50th and 95th, 0 to 255.
        extent: median over the cells of the square root of the area of the stained part, as a
            share of the image's side; NaN where none is found.
    """

    name: str
    n: int
    percentiles: np.ndarray
    extent: float


def laboratory_counts(
    dataset: Dataset, labels: np.ndarray, kept: np.ndarray
) -> tuple[list[str], np.ndarray]:
    """Cells in use of each laboratory and label.

    Args:
        labels: int64, N, 0 to 7 or OTHER. kept: bool, N.

    Returns:
        Names, the largest laboratory first, "" for what is not known; int64, L×9, the last column
        for what is none of the eight. Both are empty where no laboratory is named.
    """
    if "laboratory" not in dataset.origins:
        return [], np.zeros((0, len(LABELS)), np.int64)
    place = dataset.origin("laboratory")[kept]
    names, code = np.unique(place.astype(str), return_inverse=True)
    counts = np.zeros((len(names), len(LABELS)), np.int64)
    # OTHER is -1, which is the last column.
    np.add.at(counts, (code, labels[kept]), 1)
    order = np.argsort(-counts.sum(axis=1), kind="stable")
    return [str(names[i]) for i in order], counts[order]


def confounding(names: list[str], counts: np.ndarray) -> list[str]:
    """What laboratory and class have to do with each other, in sentences.

    Args:
        names, counts: from :func:`laboratory_counts`.
    """
    if len(names) < 2:
        return []
    told = []
    totals = counts.sum(axis=0)
    only: dict[int, list[int]] = {}
    for k in range(len(LABELS) - 1):
        if totals[k] and counts[:, k].max() >= ALMOST_ALL * totals[k]:
            only.setdefault(int(counts[:, k].argmax()), []).append(k)
    for place, classes in only.items():
        there = _joined([title(k).lower() for k in classes])
        alone = all(counts[place, k] == totals[k] for k in classes)
        one = len(classes) == 1
        told.append(
            f"{there[:1].upper()}{there[1:]} {'comes' if one else 'come'} "
            f"{'' if alone else 'almost '}only from {names[place] or 'where it is not known'}: a "
            f"network may learn that laboratory instead of {'the cell' if one else 'these cells'}."
        )
    told += [
        f"{names[place]} has nothing but {title(int(counts[place].argmax()) % len(LABELS)).lower()}"
        ": its accuracy says nothing of other cells."
        for place in range(len(names))
        if (counts[place, :-1] > 0).sum() == 1 and not counts[place, OTHER]
    ]
    empty = int((counts[:, :-1][:, totals[:-1] > 0] == 0).sum())
    pairs = len(names) * int((totals[:-1] > 0).sum())
    if empty:
        told.append(
            f"{empty} of {pairs} pairs of laboratory and class have no cell. Stain transfer shows "
            "every class in every laboratory's stain; sample weights by laboratories even out the "
            "others."
        )
    return told


def _joined(words: list[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def laboratory_looks(dataset: Dataset, progress: Progress = silent) -> list[LaboratoryLook]:
    """Colours and scale of each named laboratory, from some of its cells.

    Raises:
        Stopped: by `progress`.
    """
    place, hashes = dataset.origin("laboratory"), dataset.hashes
    names = sorted(set(place[dataset.kept]) - {""})
    found = []
    for done, name in enumerate(names):
        progress(done, len(names), "laboratories")
        rows = np.flatnonzero((place == name) & dataset.kept)
        keys = [hashlib.blake2b(hashes[i].encode(), digest_size=8).digest() for i in rows]
        chosen = np.sort(rows[np.argsort(np.array(keys, "S8"), kind="stable")][:LOOKED_AT])
        images = np.ascontiguousarray(dataset.images[chosen])
        histograms = [
            cv2.calcHist([images.reshape(-1, 1, 3)], [c], None, [256], [0, 256]).ravel()
            for c in range(3)
        ]
        shares = np.cumsum(histograms, axis=1) / np.sum(histograms, axis=1, keepdims=True)
        percentiles = (shares[..., None] < np.array(SHOWN)).sum(axis=1).astype(float)
        stained = [s.extent for image in images if (s := find_stained(image)) is not None]
        side = min(images.shape[1:3])
        extent = float(np.median(stained)) / side if stained else float("nan")
        found.append(LaboratoryLook(name, len(chosen), percentiles, extent))
    progress(len(names), len(names), "laboratories")
    return found
