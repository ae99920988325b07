"""An evaluation by where the cells come from, and what it refuses of none of the eight."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from bloodcell.classes import CLASS_NAMES
from bloodcell.data.split_groups import group_keys
from bloodcell.data.store.dataset import Dataset
from bloodcell.evaluation.confusion_scores import confusion_scores
from bloodcell.evaluation.intervals import (
    Interval,
    cluster_intervals,
    confusion_intervals,
    share_interval,
    wilson,
)

__all__ = [
    "GroupScore",
    "Others",
    "clusters_of",
    "group_scores",
    "limits_text",
    "refusal_curve",
    "worst_words",
]

POINTS = 300


@dataclass(frozen=True)
class Others:
    """The answers on what is labelled as none of the eight.

    Attributes:
        indices: int64, m: images of the dataset.
        novelty: float, m.
        recognised: bool, m: taken for one of the eight, wrongly.
        predicted: int64, m: the class that it would then be.
    """

    indices: np.ndarray
    novelty: np.ndarray
    recognised: np.ndarray
    predicted: np.ndarray

    def to_json(self) -> dict[str, Any] | None:
        """``n``, ``refused`` (share) and its ``interval``; None where there is no such image."""
        n = len(self.indices)
        if not n:
            return None
        refused = int((~self.recognised).sum())
        return {"n": n, "refused": refused / n, "interval": list(wilson(refused, n))}


@dataclass(frozen=True)
class GroupScore:
    """How the cells of one laboratory, patient or slide are answered.

    Attributes:
        name: "" where it is not known.
        n: cells of the eight classes. classes: of them, how many classes are present.
        accuracy: share of right answers.
        balanced_accuracy: mean over the classes present of the share of each that is found.
        recognised: share that is taken for one of the eight.
        intervals: of these three, 95 %.
    """

    name: str
    n: int
    classes: int
    accuracy: float
    balanced_accuracy: float
    recognised: float
    intervals: dict[str, Interval]

    def to_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "n": self.n,
            "classes": self.classes,
            "accuracy": self.accuracy,
            "balanced_accuracy": self.balanced_accuracy,
            "recognised": self.recognised,
            "intervals": {name: list(pair) for name, pair in self.intervals.items()},
        }


def clusters_of(dataset: Dataset, indices: np.ndarray) -> tuple[str | None, np.ndarray]:
    """What the judged cells have in common: patients where they are known, else slides.

    Args:
        indices: int64, n: of the judged cells.

    Returns:
        "patient", "slide" or None; int64, n: the cluster of each cell, of which a cell of nobody
        known is one of its own. None also where all cells are of one cluster.
    """
    for level in ("patient", "slide"):
        if level in dataset.origins and (dataset.origin(level)[indices] != "").any():
            codes, names = pd.factorize(group_keys(dataset, level)[0][indices])
            if len(names) > 1:
                return level, codes
    return None, np.arange(len(indices))


def group_scores(
    names: np.ndarray,
    labels: np.ndarray,
    predicted: np.ndarray,
    recognised: np.ndarray,
    codes: np.ndarray,
) -> list[GroupScore]:
    """Each group on its own, the worst first by balanced accuracy.

    Args:
        names: object, n: of the group of each cell; "" where it is not known.
        labels, predicted: int64, n, 0 to 7. recognised: bool, n.
        codes: int64, n: the cluster of each cell, for the intervals.

    Returns:
        Nothing where no group has a name.
    """
    k = len(CLASS_NAMES)
    group, there = pd.factorize(names, sort=True)
    found = []
    for g, name in enumerate(there if any(there) else ()):
        rows = np.flatnonzero(group == g)
        own, said = labels[rows], predicted[rows]
        matrix = np.bincount(own * k + said, minlength=k * k).reshape(k, k)
        intervals = confusion_intervals(matrix)
        parts = len(np.unique(codes[rows]))
        balanced = intervals["macro_recall"]
        if 1 < parts < len(rows):
            _, within = np.unique(codes[rows], return_inverse=True)
            balanced = cluster_intervals(own, said, np.zeros(len(rows)), within)["macro_recall"]
        found.append(
            GroupScore(
                str(name),
                len(rows),
                len(np.unique(own)),
                float((own == said).mean()),
                confusion_scores(matrix)["macro_recall"][0],
                float(recognised[rows].mean()),
                {
                    "accuracy": share_interval(own == said, codes[rows]),
                    "balanced_accuracy": balanced,
                    "recognised": share_interval(recognised[rows], codes[rows]),
                },
            )
        )
    return sorted(found, key=lambda s: (s.balanced_accuracy, s.accuracy, s.name))


def worst_words(scores: list[GroupScore], column: str) -> str:
    """The worst group in a sentence, "" where there is none."""
    if not scores:
        return ""
    worst = scores[0]
    low, high = worst.intervals["balanced_accuracy"]
    name = worst.name or "not known"
    text = (
        f"Worst {column}: {name}, balanced accuracy {100 * worst.balanced_accuracy:.1f} % "
        f"({100 * low:.1f} to {100 * high:.1f} %) on {worst.n:,} cells of {worst.classes} "
        f"class{'es' if worst.classes > 1 else ''}"
    )
    return f"{text}, of {len(scores):,} in all." if len(scores) > 1 else f"{text}, the only one."


def limits_text(
    origin: dict[str, np.ndarray], clusters: str | None, divided_by: str = "image"
) -> str:
    """What a score cannot say, by what is known of where the cells come from."""
    laboratories = len(set(origin.get("laboratory", np.zeros(0))) - {""})
    where = f"{laboratories} laboratories" if laboratories > 1 else "one laboratory"
    text = f"The images come from {where}"
    if clusters:
        text += f"; the intervals are over {clusters}s, not images"
    else:
        text += " and have no patient ids"
    if divided_by == "image":
        return (
            f"{text}. They were split by image, so cells of one patient may be in both training "
            "and test: these results are optimistic."
        )
    return f"{text}. No {divided_by} is in both training and test."


def refusal_curve(cells: np.ndarray, others: np.ndarray) -> pd.DataFrame:
    """What a threshold on novelty refuses, of proper cells and of none of the eight.

    Args:
        cells, others: float, n and m: the novelty of each; m at least 1.

    Returns:
        ``threshold`` (refused is what reaches it, falling), ``cells_refused`` and
        ``others_refused`` (shares, rising from 0 to 1); at most some 300 rows.
    """
    every = np.unique(np.concatenate([cells, others]))[::-1]
    if len(every) > POINTS:
        every = every[np.unique(np.linspace(0, len(every) - 1, POINTS).astype(int))]
    levels = np.concatenate([[np.inf], every])

    def share(values: np.ndarray) -> np.ndarray:
        ordered = np.sort(values)
        return 1 - np.searchsorted(ordered, levels, side="left") / max(len(ordered), 1)

    return pd.DataFrame(
        {"threshold": levels, "cells_refused": share(cells), "others_refused": share(others)}
    )
