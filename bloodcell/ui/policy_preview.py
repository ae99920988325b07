"""What a policy does to cells, and how fast: originals beside augmented ones."""

import time
from dataclasses import dataclass

import numpy as np
import streamlit as st

from bloodcell.augment import CATALOGUE, Policy, apply
from bloodcell.classes import CLASS_NAMES, CLASSES
from bloodcell.data.dataset import Dataset
from bloodcell.data.demo import draw_cell
from bloodcell.figures import SHORT_TITLES
from bloodcell.ui.dataset_index import DatasetIndex
from bloodcell.ui.gallery import Picture

__all__ = [
    "Cells",
    "cells_of",
    "drawn_cells",
    "label_words",
    "measure",
    "mixes",
    "preview",
    "tiles",
]

DRAWN_SIDE = 96
MEASURED_BATCH = 32


@dataclass(frozen=True)
class Cells:
    """Originals for a preview: images uint8, B×H×W×3, labels int64, B, and names, B."""

    images: np.ndarray
    labels: np.ndarray
    names: tuple[str, ...]


def cells_of(dataset: Dataset, index: DatasetIndex, indices: list[int]) -> Cells:
    """The images `indices` of a dataset."""
    return Cells(
        np.ascontiguousarray(dataset.images[indices]),
        index.labels[indices],
        tuple(f"image {i}" for i in indices),
    )


@st.cache_data(max_entries=32, show_spinner=False)
def drawn_cells(labels: tuple[int, ...], seed: int) -> Cells:
    """Cells drawn by the program, one for each label."""
    images = [
        draw_cell(k, np.random.default_rng([seed, i]), DRAWN_SIDE) for i, k in enumerate(labels)
    ]
    return Cells(np.stack(images), np.array(labels, np.int64), ("drawn",) * len(labels))


def mixes(policy: Policy) -> bool:
    """Whether any step makes one image out of two."""
    return any(CATALOGUE[s.key].mixes_labels and s.probability > 0 for s in policy.steps)


def preview(
    policy: Policy, cells: Cells, copies: int, seed: int, partners: Cells | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Augment every cell `copies` times.

    Args:
        partners: further cells to be mixed with; they are not among the results.

    Returns:
        Images, uint8, B×copies×H×W×3, and labels, float32, B×copies×8.
    """
    images = np.repeat(cells.images, copies, axis=0)
    labels = np.repeat(cells.labels, copies)
    n = len(images)
    if partners is not None and mixes(policy):
        images = np.concatenate([images, partners.images])
        labels = np.concatenate([labels, partners.labels])
    one_hot = np.eye(len(CLASS_NAMES), dtype=np.float32)[labels]
    made, mixed = apply(policy, images, one_hot, np.random.default_rng(seed))
    shape = (len(cells.images), copies)
    return made[:n].reshape(*shape, *made.shape[1:]), mixed[:n].reshape(*shape, -1)


def _mixture(label: np.ndarray) -> list[int]:
    """The classes of a mixed label, the largest first; none if it is pure."""
    parts = [int(k) for k in np.argsort(-label) if label[k] >= 0.005]
    return parts if len(parts) > 1 else []


def label_words(label: np.ndarray) -> str:
    """ "62 % Eosino, 38 % Lympho" for a mixed label, "" for a pure one (float32, 8)."""
    return ", ".join(f"{label[k]:.0%} {SHORT_TITLES[CLASS_NAMES[k]]}" for k in _mixture(label))


def tiles(
    cells: Cells, made: np.ndarray, labels: np.ndarray, *, small: bool = False
) -> list[Picture]:
    """For each cell the original, then what became of it; a mixed label as a bar and in words.

    Args:
        made, labels: from `preview`.
        small: whether tiles are too small for words below them.
    """
    found: list[Picture] = []
    for row, (image, label, name) in enumerate(
        zip(cells.images, cells.labels, cells.names, strict=True)
    ):
        cell = CLASSES[int(label)]
        badge = SHORT_TITLES[cell.name] if small else "original"
        words = f"Original: {cell.title}, {name}"
        found.append(Picture(len(found), image, words, badge=badge, marked=True))
        for picture, mixed in zip(made[row], labels[row], strict=True):
            words = label_words(mixed)
            found.append(
                Picture(
                    len(found),
                    picture,
                    f"Augmented: {words or cell.title}",
                    caption="" if small else words,
                    bar=tuple((mixed[k], CLASSES[k].colour) for k in _mixture(mixed)),
                )
            )
    return found


def measure(policy: Policy, cells: Cells, seconds: float = 1.0) -> tuple[float, int]:
    """Images a second that one thread augments, and over how many images it was measured.

    Args:
        cells: repeated to batches of 32.
        seconds: how long to measure.
    """
    chosen = np.resize(np.arange(len(cells.images)), MEASURED_BATCH)
    images = cells.images[chosen]
    one_hot = np.eye(len(CLASS_NAMES), dtype=np.float32)[cells.labels[chosen]]
    rng = np.random.default_rng(0)
    apply(policy, images, one_hot, rng)  # tables that are made once are not counted
    began, n = time.perf_counter(), 0
    while (passed := time.perf_counter() - began) < seconds:
        apply(policy, images, one_hot, rng)
        n += len(images)
    return n / passed, n
