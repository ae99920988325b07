"""Judge an ensemble on a part of a dataset, counting nothing that it has seen."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from bloodcell.data.dataset import Dataset
from bloodcell.data.pipeline import read_images
from bloodcell.data.split import make_split
from bloodcell.ensemble.ensemble import Answers, Ensemble
from bloodcell.errors import BadInput
from bloodcell.evaluation.intervals import wilson
from bloodcell.evaluation.metrics import Judgement, judge
from bloodcell.progress import Progress, silent

__all__ = ["EVALUATED", "Evaluation", "evaluate"]

EVALUATED = ("test", "validation", "train", "all")


@dataclass(frozen=True)
class Evaluation:
    """An ensemble's answers on labelled images, and what they are worth.

    Attributes:
        ensemble, dataset, part: what was judged on what.
        indices: int64, n: images of the dataset.
        labels: int64, n: their classes.
        answers: the ensemble's answers.
        judgement: of the ensemble.
        members: (name, judgement) of each member alone.
        set_aside: images of the part left out because a member saw them in training or validation.
        seen: judged images that a member saw (0 for the test part).
    """

    ensemble: str
    dataset: str
    part: str
    indices: np.ndarray
    labels: np.ndarray
    answers: Answers
    judgement: Judgement
    members: list[tuple[str, Judgement]]
    set_aside: int
    seen: int

    def to_json(self) -> dict[str, Any]:
        """The document of ``evaluate --json``."""
        known = int(self.answers.recognised.sum())
        found = self.judgement.to_json()
        found["intervals"]["recognised"] = list(wilson(known, len(self.labels)))
        return {
            "ensemble": self.ensemble,
            "dataset": self.dataset,
            "part": self.part,
            **found,
            "members": [
                {
                    "name": name,
                    "accuracy": j.accuracy,
                    "interval": list(j.intervals["accuracy"]),
                }
                for name, j in self.members
            ],
            "recognised": known / len(self.labels),
            "set_aside": self.set_aside,
            "seen": self.seen,
        }


def evaluate(
    ensemble: Ensemble,
    dataset: Dataset,
    part: str = "test",
    *,
    tta: bool | None = None,
    progress: Progress = silent,
) -> Evaluation:
    """Judge an ensemble.

    The parts are those of the split the ensemble was trained with. For the test part, an image
    that any member saw in training or validation, whatever dataset it came from, is set aside.

    Args:
        part: "test", "validation", "train" or "all".
        tta: average over flips and turns; None: as the ensemble was composed.

    Raises:
        BadInput: no image of the part is left to judge.
    """
    if part not in EVALUATED:
        raise BadInput(f"There is no part {part!r}: expected one of {', '.join(EVALUATED)}.")
    trained = ensemble.info["trained_on"]
    split = make_split(dataset, trained["split_seed"], tuple(trained["split_shares"]))
    indices = split.indices(part)
    seen = np.isin(dataset.hashes[indices], ensemble.seen())
    set_aside = 0
    if part == "test":
        set_aside = int(seen.sum())
        indices, seen = indices[~seen], seen[~seen]
    if not len(indices):
        raise BadInput(
            f"No image of the {part} part of {dataset.name} is left to judge ({set_aside} were "
            "seen in training): choose another part or another dataset."
        )
    answers = ensemble.predict_from(
        lambda i: read_images(dataset, i, ensemble.size), indices, tta, progress
    )
    labels = dataset.labels[indices]
    names = [m["name"] for m in ensemble.info["members"]]
    return Evaluation(
        ensemble.name,
        dataset.name,
        part,
        indices,
        labels,
        answers,
        judge(labels, answers.probabilities),
        [(n, judge(labels, p)) for n, p in zip(names, answers.members, strict=True)],
        set_aside,
        int(seen.sum()),
    )
