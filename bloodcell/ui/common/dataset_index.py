"""What the pages ask of a dataset at every click, worked out once for each curation of it."""

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import streamlit as st

from bloodcell.audit.finding import Finding
from bloodcell.audit.stored import audit_path, known_findings
from bloodcell.classes import CLASS_NAMES, OTHER
from bloodcell.data.split import Split, SplitRule, balanced_weights
from bloodcell.data.split_choice import chosen_rule
from bloodcell.data.store.dataset import PARTS, Dataset

__all__ = ["DatasetIndex", "class_table", "dataset_index", "find_faults", "identity"]


@dataclass(frozen=True)
class DatasetIndex:
    """Everything about the images of a dataset but their pixels.

    Attributes:
        labels: int64, N: after the curation.
        kept: bool, N: False where excluded.
        hashes: str, N. names: object, N.
        split: into parts, with its seed.
        shared: distinct images that lie in more than one part.
        counts: int64, 8×3: kept images of each class in train, validation, test.
        others: int64, 3: kept images of none of the eight in these.
        weights: float32, 8: balanced weight of a training sample of each class.
    """

    labels: np.ndarray
    kept: np.ndarray
    hashes: np.ndarray
    names: np.ndarray
    split: Split
    shared: int
    counts: np.ndarray
    others: np.ndarray
    weights: np.ndarray

    def part(self, index: int) -> str:
        """ "train", "validation", "test" or "excluded"."""
        place = int(self.split.parts[index])
        return PARTS[place] if place >= 0 else "excluded"


def identity(dataset: Dataset) -> tuple[str, ...]:
    """What a cache needs to know of a dataset as it is curated now."""
    # The fingerprint does not know the order of the images; the date of the import does.
    info = dataset.info
    return (
        str(dataset.path),
        dataset.fingerprint,
        str(info.get("created", "")),
        dataset.curation.fingerprint,
    )


@st.cache_resource(max_entries=6, show_spinner="Reading the list of images")
def _index(identity: tuple[str, ...], rule: SplitRule, _dataset: Dataset) -> DatasetIndex:
    split = rule.split(_dataset)
    labels = _dataset.labels
    counts = np.zeros((len(CLASS_NAMES), len(PARTS)), np.int64)
    used = (split.parts >= 0) & (labels != OTHER)
    np.add.at(counts, (labels[used], split.parts[used]), 1)
    return DatasetIndex(
        labels,
        _dataset.kept,
        split.hashes,
        _dataset.items["name"].to_numpy(),
        split,
        split.shared_images(),
        counts,
        np.array([len(split.others(part)) for part in PARTS]),
        balanced_weights(labels[split.indices("train")]),
    )


def dataset_index(
    dataset: Dataset,
    seed: int | None = None,
    shares: tuple[float, float, float] | None = None,
    rule: SplitRule | None = None,
) -> DatasetIndex:
    """The index of a dataset as it is curated now.

    Args:
        seed, shares: of the split; None takes what was chosen for this dataset.
        rule: all of it, instead.

    Raises:
        BadInput: the dataset cannot be split in this way.
    """
    if rule is None:
        rule = chosen_rule(dataset)
        own_seed = rule.seed if seed is None else seed
        rule = replace(rule, seed=own_seed, shares=shares or rule.shares)
    return _index(identity(dataset), rule, dataset)


@st.cache_resource(max_entries=6, show_spinner="Looking for copies")
def _faults(identity: tuple[str, ...], files: tuple[int, ...], _dataset: Dataset) -> list[Finding]:
    return known_findings(_dataset)


def find_faults(dataset: Dataset) -> list[Finding]:
    """The exact copies in a dataset as it is curated now, and what its last audit found."""
    # To keep an image settles a finding and leaves the curation's fingerprint as it is.
    paths = (audit_path(dataset), dataset.curation.path)
    files = tuple(path.stat().st_mtime_ns if path.exists() else 0 for path in paths)
    return _faults(identity(dataset), files, dataset)


def class_table(index: DatasetIndex) -> pd.DataFrame:
    """A row for each class and part: class, part, n, as `figures.class_counts` takes it."""
    return pd.DataFrame(
        [
            {"class": name, "part": part, "n": int(index.counts[k, p])}
            for k, name in enumerate(CLASS_NAMES)
            for p, part in enumerate(PARTS)
        ]
    )
