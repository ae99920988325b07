"""What the members of an ensemble see of a laboratory's cells, and of artefacts made of them."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from bloodcell.classes import CLASS_NAMES, OTHER
from bloodcell.data.imaging.colour_constancy import background
from bloodcell.data.pipeline import read_images
from bloodcell.data.store.dataset import Dataset
from bloodcell.data.synthetic.out_of_distribution import (
    HARD,
    OUT_OF_DISTRIBUTION,
    make_out_of_distribution,
)
from bloodcell.ensemble.adapted_head import joined
from bloodcell.ensemble.ensemble import BATCH, Ensemble
from bloodcell.progress import Progress, silent

__all__ = ["Cells", "artefacts_of", "look_at", "of_dataset", "usual"]

# Pictures of each kind that are made of the laboratory's cells; of the kinds hardest to tell.
PER_KIND, PER_HARD_KIND = 6, 16


@dataclass(frozen=True)
class Cells:
    """What the members of an ensemble see and say of n cells.

    Attributes:
        seen: float32, n×D: features and textures of all members. features: float32, n×F.
        said: float64, n×8: their mean. before: float64, n×8: the ensemble's answer.
        novelty: float64, n. labels: int64, n, 0 to 7 or OTHER. ids, names: str, n.
        backgrounds: float, n×3: the empty field.
    """

    seen: np.ndarray
    features: np.ndarray
    said: np.ndarray
    before: np.ndarray
    novelty: np.ndarray
    labels: np.ndarray
    ids: np.ndarray
    names: np.ndarray
    backgrounds: np.ndarray

    def __len__(self) -> int:
        return len(self.labels)

    def rows(self, rows: np.ndarray) -> "Cells":
        return Cells(*(getattr(self, k)[rows] for k in self.__dataclass_fields__))

    def and_also(self, more: "Cells") -> "Cells":
        both = ((getattr(self, k), getattr(more, k)) for k in self.__dataclass_fields__)
        return Cells(*map(np.concatenate, both))


def look_at(
    ensemble: Ensemble,
    read: Callable[[np.ndarray], np.ndarray],
    indices: np.ndarray,
    labels: np.ndarray,
    ids: np.ndarray,
    names: np.ndarray,
    progress: Progress = silent,
    tta: bool | None = None,
) -> Cells:
    """Run the members on some images once; `labels`, `ids` and `names` are those of `indices`.

    Args:
        tta: average `said` and `before` over flips and turns; None: as the ensemble does.
    """
    turned = ensemble.description.tta if tta is None else tta
    seen, features, said, before, novelty, backgrounds = [], [], [], [], [], []
    for start in range(0, len(indices), BATCH):
        images = read(indices[start : start + BATCH])
        raw = ensemble.run(images, turned)
        answers = ensemble.calibrate(raw)
        seen.append(np.concatenate(raw.novelty_features, axis=1))
        features.append(joined(raw.features).astype(np.float32))
        said.append(ensemble.said(raw))
        before.append(answers.probabilities)
        novelty.append(answers.novelty)
        backgrounds.append([background(np.ascontiguousarray(image)) for image in images])
        progress(min(start + BATCH, len(indices)), len(indices), "cells")
    if not len(indices):
        return _nobody(ensemble)
    found = [np.concatenate(part) for part in (seen, features, said, before, novelty)]
    return Cells(*found, labels, ids, names, np.concatenate(backgrounds))


def _nobody(ensemble: Ensemble) -> Cells:
    channels = sum(m.channels for m in ensemble.models)
    wide = channels + sum(m.textures for m in ensemble.models)
    shapes = ((0, wide), (0, channels), (0, len(CLASS_NAMES)), (0, len(CLASS_NAMES)), (0,))
    text = np.zeros(0, str)
    return Cells(*map(np.zeros, shapes), np.zeros(0, int), text, text, np.zeros((0, 3)))


def of_dataset(
    ensemble: Ensemble,
    dataset: Dataset,
    indices: np.ndarray,
    progress: Progress,
    tta: bool | None = None,
) -> Cells:
    names = dataset.items["name"].to_numpy(dtype=object).astype(str)
    return look_at(
        ensemble,
        lambda i: read_images(dataset, i, ensemble.size),
        indices,
        dataset.labels[indices],
        dataset.hashes[indices].astype(str),
        names[indices],
        progress,
        tta,
    )


def artefacts_of(parent: Ensemble, images: np.ndarray, progress: Progress) -> Cells:
    """Synthetic pictures of none of the eight, made of cells of the laboratory."""
    kinds = OUT_OF_DISTRIBUTION if len(images) > 1 else ()
    shape = (0, parent.size, parent.size, 3)
    made = np.concatenate(
        [
            np.zeros(shape, np.uint8),
            *(
                make_out_of_distribution(kind, images, PER_HARD_KIND if kind in HARD else PER_KIND)
                for kind in kinds
            ),
        ]
    )
    n = len(made)
    nameless = np.full(n, "")
    nothing = np.full(n, OTHER)
    return look_at(
        parent, lambda i: made[i], np.arange(n), nothing, nameless, nameless, progress, tta=False
    )


def usual(features: np.ndarray) -> np.ndarray:
    """The cells but for the strangest twentieth, which may be debris or no cell at all."""
    if len(features) < 20:
        return features
    away = 1 - np.partition(features @ features.T, -4, axis=1)[:, -4]
    return features[away <= np.quantile(away, 0.95)]
