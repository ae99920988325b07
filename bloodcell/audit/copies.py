"""Exact copies: an image's identity is the hash of its pixels, so one pass over the list of
images finds them all, whatever their names or labels.
"""

import numpy as np
import pandas as pd

from bloodcell.audit.finding import Finding
from bloodcell.classes import title
from bloodcell.data.dataset import Dataset

__all__ = ["find_copies"]


def find_copies(dataset: Dataset) -> list[Finding]:
    """Find copies among the images that are not excluded, ordered by kind, group and index.

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
        labels = sorted(set(rows["label"]))
        conflict = len(labels) > 1
        why = f"the same pixels {len(rows)} times"
        if conflict:
            why += f", as {', '.join(title(label).lower() for label in labels)}"
        for position, row in enumerate(rows.itertuples()):
            findings.append(
                Finding(
                    "conflicting_label" if conflict else "exact_duplicate",
                    int(row.index),
                    row.name,
                    group,
                    1.0,
                    "exclude" if conflict or position else "review",
                    why,
                )
            )
    return sorted(findings, key=lambda f: (f.kind != "exact_duplicate", f.group, f.index))
