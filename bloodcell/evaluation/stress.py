"""An ensemble under stress: eleven corruptions at five strengths, and the clean images.

Every finished pair of corruption and strength is kept at once in
``DATASET/evaluations/KEY.stress.json``: a study that is stopped or killed goes on where it was.
"""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from bloodcell.classes import CLASS_NAMES
from bloodcell.data.pipeline import read_images
from bloodcell.data.store.dataset import Dataset
from bloodcell.ensemble.description import Description
from bloodcell.ensemble.ensemble import Ensemble
from bloodcell.errors import BadInput
from bloodcell.evaluation.corruptions import CORRUPTIONS, STRENGTHS, corrupt
from bloodcell.evaluation.evaluate import answer, judged_images
from bloodcell.evaluation.intervals import Interval, wilson
from bloodcell.evaluation.stored import evaluation_key
from bloodcell.files import check_checksum, read_json, unless_read_only, with_checksum, write_json
from bloodcell.progress import Progress, silent

__all__ = ["CLEAN", "CONDITIONS", "Stressed", "Study", "load_study", "spread_over", "study"]

FORMAT = 1
CLEAN = "clean"
CONDITIONS: tuple[tuple[str, int], ...] = (
    (CLEAN, 0),
    *((name, strength) for name in CORRUPTIONS for strength in STRENGTHS),
)


@dataclass(frozen=True)
class Stressed:
    """What an ensemble made of n images under one condition.

    Attributes:
        corruption, strength: one of CONDITIONS.
        right: bool, (1+m)×n: whether the ensemble, and each member, answered right.
        recognised: images not called none of the eight.
    """

    corruption: str
    strength: int
    right: np.ndarray
    recognised: int


@dataclass(frozen=True)
class Study:
    """An ensemble under all conditions, or those that are done so far.

    Attributes:
        ensemble, dataset, part: what was stressed on what.
        networks: the ensemble's name, then the members'.
        labels: int64, n: the classes of the images.
        done: in the order of CONDITIONS.
    """

    ensemble: str
    dataset: str
    part: str
    networks: tuple[str, ...]
    labels: np.ndarray
    done: tuple[Stressed, ...]

    @property
    def complete(self) -> bool:
        return len(self.done) == len(CONDITIONS)

    @property
    def n(self) -> int:
        return len(self.labels)

    def table(self) -> pd.DataFrame:
        """``corruption``, ``strength``, ``network``, ``n``, ``accuracy``, ``low``, ``high``
        (95 %, Wilson), ``macro_recall``, ``recognised`` (share, of the ensemble)."""
        classes = np.unique(self.labels)
        rows = []
        for found in self.done:
            for name, right in zip(self.networks, found.right, strict=True):
                low, high = wilson(int(right.sum()), self.n)
                rows.append(
                    {
                        "corruption": found.corruption,
                        "strength": found.strength,
                        "network": name,
                        "n": self.n,
                        "accuracy": float(right.mean()),
                        "low": low,
                        "high": high,
                        "macro_recall": float(
                            np.mean([right[self.labels == c].mean() for c in classes])
                        ),
                        "recognised": found.recognised / self.n,
                    }
                )
        return pd.DataFrame(rows)

    def mean(self, network: int = 0) -> tuple[float, Interval]:
        """Accuracy averaged over the corruptions done, with a 95 % interval.

        The same images suffer every corruption, so that the images are what is counted:
        Wilson's interval at the effective sample size of their mean shares.

        Args:
            network: place in `networks`.

        Raises:
            BadInput: no corruption is done yet.
        """
        hurt = [found.right[network] for found in self.done if found.corruption != CLEAN]
        if not hurt:
            raise BadInput("No corruption is done yet: let the study run for a while.")
        shares = np.mean(hurt, axis=0)
        value = float(shares.mean())
        variance = float(shares.var(ddof=1)) / self.n if self.n > 1 else 0.0
        known = value * (1 - value) / variance if variance > 0 and 0 < value < 1 else self.n
        return value, wilson(value * known, known)

    def to_json(self) -> dict[str, Any]:
        """The document of ``stress --json``."""
        mean = {}
        for place, name in enumerate(self.networks):
            value, pair = self.mean(place)
            mean[name] = {"accuracy": value, "interval": list(pair)}
        return {
            "ensemble": self.ensemble,
            "dataset": self.dataset,
            "part": self.part,
            "n": self.n,
            "complete": self.complete,
            "mean": mean,
            "conditions": self.table().to_dict("records"),
        }


def spread_over(labels: np.ndarray, count: int) -> np.ndarray:
    """`count` positions spread evenly over the classes and over each class; ascending.

    Args:
        labels: int64, N.
        count: 0 or N and more: all.
    """
    if not 0 < count < len(labels):
        return np.arange(len(labels))
    order = np.argsort(labels, kind="stable")
    return np.sort(order[np.linspace(0, len(labels) - 1, count).round().astype(int)])


def _path(
    description: Description, dataset: Dataset, part: str, images: int, tta: bool | None
) -> Path:
    text = json.dumps([FORMAT, evaluation_key(description, dataset, part, tta), images])
    key = hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
    return dataset.path / "evaluations" / f"{key}.stress.json"


def _packed(right: np.ndarray) -> list[str]:
    return [np.packbits(row).tobytes().hex() for row in right]


def _unpacked(rows: list[str], n: int) -> np.ndarray:
    packed = np.array([np.frombuffer(bytes.fromhex(row), np.uint8) for row in rows])
    return np.unpackbits(packed, axis=1, count=n).astype(bool)


def load_study(
    description: Description,
    dataset: Dataset,
    part: str = "test",
    *,
    images: int = 0,
    tta: bool | None = None,
) -> Study | None:
    """What is done so far of a study, or None if nothing is.

    Args:
        description: the content of ``ensemble.json``.
    """
    networks = (description.name, *(m.name for m in description.asked(tta)))
    try:
        path = _path(description, dataset, part, images, tta)
        held = read_json(path)
        check_checksum(held, str(path))
        labels = np.array([CLASS_NAMES.index(name) for name in held["labels"]], np.int64)
        done = tuple(
            Stressed(name, strength, _unpacked(found["right"], len(labels)), found["recognised"])
            for (name, strength), found in zip(CONDITIONS, held["done"], strict=False)
        )
        shape = (len(networks), len(labels))
        if not done or any(d.right.shape != shape for d in done):
            return None
        if not all(type(d.recognised) is int and 0 <= d.recognised <= len(labels) for d in done):
            return None
    except (OSError, BadInput, KeyError, TypeError, ValueError, AttributeError):
        # It can be made again: a damaged one is as good as none.
        return None
    return Study(description.name, dataset.name, part, networks, labels, done)


def _save(path: Path, dataset: Dataset, found: Study) -> None:
    done = [{"right": _packed(d.right), "recognised": d.recognised} for d in found.done]
    content = {"labels": [CLASS_NAMES[k] for k in found.labels], "done": done}
    with unless_read_only():
        write_json(path, with_checksum(content), dataset.path)


def study(
    ensemble: Ensemble,
    dataset: Dataset,
    part: str = "test",
    *,
    images: int = 0,
    tta: bool | None = None,
    progress: Progress = silent,
) -> Study:
    """Put an ensemble and its members under all conditions, or go on where that was stopped.

    Images are corrupted at the ensemble's input size. The test part is guarded as in
    :func:`bloodcell.evaluation.evaluate`.

    Args:
        images: how many, spread evenly over the classes; 0: all.
        tta: average over flips and turns; None: as the ensemble was composed.
        progress: called after every batch; may raise Stopped, which loses one condition at most.

    Raises:
        BadInput: no image of the part is left, or `images` is below 0.
    """
    if images < 0:
        raise BadInput(f"The number of images is {images}: expected 0 for all, or more.")
    indices, _, _ = judged_images(ensemble, dataset, part)
    labels = dataset.labels[indices]
    positions = spread_over(labels, images)
    indices, labels = indices[positions], labels[positions]
    path = _path(ensemble.description, dataset, part, images, tta)
    names = (ensemble.name, *(m.name for m in ensemble.description.asked(tta)))
    before = load_study(ensemble.description, dataset, part, images=images, tta=tta)
    done = list(before.done) if before is not None and before.n == len(labels) else []
    total = len(CONDITIONS) * len(indices)
    found = Study(ensemble.name, dataset.name, part, names, labels, tuple(done))
    for name, strength in CONDITIONS[len(done) :]:

        def read(some: np.ndarray, name: str = name, strength: int = strength) -> np.ndarray:
            clean = read_images(dataset, some, ensemble.size)
            return clean if name == CLEAN else corrupt(clean, name, strength)

        def onward(count: int, _: int, what: str) -> None:
            progress(len(done) * len(indices) + count, total, what)

        answered = answer(ensemble, read, indices, tta, onward)
        predicted = np.concatenate([answered.labels[None], answered.members.argmax(2)])
        done.append(Stressed(name, strength, predicted == labels, int(answered.recognised.sum())))
        found = Study(ensemble.name, dataset.name, part, names, labels, tuple(done))
        _save(path, dataset, found)
    return found
