"""Exact copies: an image's identity is the hash of its pixels, so one pass over the list of
images finds them all, whatever their names or labels.
"""

import numpy as np
import pandas as pd

from bloodcell.audit.finding import Finding
from bloodcell.classes import title
from bloodcell.data.store.dataset import Dataset

__all__ = ["MANY", "find_copies"]


# A picture that is there this often, and so much oftener than others of its label, is no cell
# that happened to be saved twice.
MANY = 10
OFTENER = 5


def _many(sizes: pd.Series, labels: pd.Series) -> pd.Series:
    """bool, by hash: repeated far more often than the other pictures of its label.

    A class that was made larger by copying all of its images is not meant.
    """
    usual = sizes.groupby(labels).transform(lambda s: s.quantile(0.95))
    return (sizes >= MANY) & (sizes >= OFTENER * usual)


def find_copies(dataset: Dataset) -> list[Finding]:
    """Find copies among the images that are not excluded, ordered by kind, group and index.

    Copies under one label are "exact_duplicate": the first is to be kept, the others excluded,
    unless the picture is there so often that it cannot be a cell. Copies under several labels
    are "conflicting_label": nobody can tell which label is right, so none is to be kept. An
    image that somebody decided to keep is no finding any more, and stands for the first.
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
    stays = np.isin(kept, dataset.curation.confirmed())
    by_hash = items.groupby("hash", sort=False)["label"].agg(["size", "first"])
    many = _many(by_hash["size"], by_hash["first"])
    copies = items[items.duplicated("hash", keep=False)]
    findings = []
    for group, (digest, rows) in enumerate(copies.groupby("hash", sort=False)):
        labels = sorted(set(rows["label"]))
        conflict = len(labels) > 1
        confirmed = stays[rows.index].any()
        why = f"the same pixels {len(rows):,} times"
        if conflict:
            why += f", as {', '.join(title(label).lower() for label in labels)}"
        elif many[digest]:
            why += ", far more often than any other picture of its label"
        for position, row in enumerate(rows.itertuples()):
            if stays[row.Index]:
                continue
            gone = conflict or position > 0 or many[digest] or confirmed
            findings.append(
                Finding(
                    "conflicting_label" if conflict else "exact_duplicate",
                    int(row.index),
                    row.name,
                    group,
                    1.0,
                    "exclude" if gone else "review",
                    why,
                )
            )
    return sorted(findings, key=lambda f: (f.kind != "exact_duplicate", f.group, f.index))
