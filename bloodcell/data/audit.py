"""What is wrong with a dataset: findings with kind, group, score and suggestion.

An image's identity is the hash of its pixels, so copies are found exactly, whatever their
names or labels, in one pass over ``items.csv``.
"""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd

from bloodcell.data.dataset import Dataset
from bloodcell.errors import BadInput

__all__ = ["KINDS", "Finding", "audit", "exclude_findings"]

KINDS = ("exact_duplicate", "conflicting_label", "near_duplicate", "outlier", "suspect_label")


@dataclass(frozen=True)
class Finding:
    """A doubt about one image.

    Attributes:
        kind: one of KINDS.
        index, name: of the image.
        group: number shared by the images that are copies of each other.
        score: 0 to 1, higher is more certain.
        suggested: "exclude" or "review".
    """

    kind: str
    index: int
    name: str
    group: int
    score: float
    suggested: str

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def audit(dataset: Dataset) -> list[Finding]:
    """Find copies among the images that are not excluded, ordered by group and index.

    Copies under one label are "exact_duplicate": the first is to be kept, the others excluded.
    Copies under several labels are "conflicting_label": nobody can tell which label is right,
    so none is to be kept.
    """
    kept = np.flatnonzero(dataset.kept)
    items = pd.DataFrame(
        {
            "index": kept,
            "hash": dataset.hashes[kept],
            "label": dataset.labels[kept],
            "name": dataset.items["name"].to_numpy()[kept],
        }
    )
    copies = items[items.duplicated("hash", keep=False)]
    findings = []
    for group, (_, rows) in enumerate(copies.groupby("hash", sort=False)):
        conflict = rows["label"].nunique() > 1
        for position, row in enumerate(rows.itertuples()):
            findings.append(
                Finding(
                    "conflicting_label" if conflict else "exact_duplicate",
                    int(row.index),
                    row.name,
                    group,
                    1.0,
                    "exclude" if conflict or position else "review",
                )
            )
    return findings


def exclude_findings(dataset: Dataset, kinds: Iterable[str]) -> dict[str, int]:
    """Exclude what an audit suggests to exclude; returns kind → images newly excluded.

    Raises:
        BadInput: unknown kind.
    """
    wanted = list(dict.fromkeys(kinds))
    for kind in wanted:
        if kind not in KINDS:
            raise BadInput(f"There is no finding {kind!r}: expected one of {', '.join(KINDS)}.")
    findings = [f for f in audit(dataset) if f.suggested == "exclude"]
    return {
        kind: dataset.curation.exclude((f.index for f in findings if f.kind == kind), kind)
        for kind in wanted
    }
