"""Judge an ensemble on a part of a dataset, counting nothing that it has seen."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from bloodcell.data.pipeline import read_images
from bloodcell.data.split import Split, SplitRule
from bloodcell.data.store.dataset import GROUPS, Dataset
from bloodcell.ensemble.description import Description
from bloodcell.ensemble.ensemble import Answers, Ensemble
from bloodcell.errors import BadInput
from bloodcell.evaluation.intervals import share_interval
from bloodcell.evaluation.metrics import Judgement, judge
from bloodcell.evaluation.origins import GroupScore, Others, clusters_of, group_scores, limits_text
from bloodcell.progress import Progress, silent

__all__ = [
    "EVALUATED",
    "Evaluation",
    "answer",
    "evaluate",
    "judged_images",
    "judged_others",
    "origin_of",
    "split_of",
]

EVALUATED = ("test", "validation", "train", "all")
# Images whose activation maps are held in memory at once.
CHUNK = 256


@dataclass(frozen=True)
class Evaluation:
    """An ensemble's answers on labelled images, and what they are worth.

    Attributes:
        ensemble, dataset, part: what was judged on what.
        indices: int64, n: images of the dataset.
        labels: int64, n: their classes.
        tta: whether each answer is an average over flips and turns; None: they are a cascade's.
        answers: the ensemble's answers, without activation maps, which can be had again for any
            image and would grow with their number.
        judgement: of the ensemble.
        members: (name, judgement) of each member alone, for those that looked at every image.
        set_aside: images of the part left out because a member saw them in training or validation.
        seen: judged images that a member saw (0 for the test part).
        origin: "laboratory", "patient" and "slide", where they are known, → object, n.
        clusters: what the intervals were drawn over: "patient", "slide", or None for images.
        codes: int64, n: the cluster of each image; None where each is its own.
        others: the answers on images of the part that are none of the eight.
        divided_by: what is in no two parts of the split: "image", "patient" and so on.
    """

    ensemble: str
    dataset: str
    part: str
    indices: np.ndarray
    labels: np.ndarray
    tta: bool | None
    answers: Answers
    judgement: Judgement
    members: list[tuple[str, Judgement]]
    set_aside: int
    seen: int
    origin: dict[str, np.ndarray] = field(default_factory=dict)
    clusters: str | None = None
    codes: np.ndarray | None = None
    others: Others | None = None
    divided_by: str = "image"

    def by(self, column: str) -> list[GroupScore]:
        """Each laboratory, patient or slide on its own, the worst first; nothing if unknown."""
        if column not in self.origin:
            return []
        codes = np.arange(len(self.labels)) if self.codes is None else self.codes
        names, answers = self.origin[column], self.answers
        return group_scores(names, self.labels, answers.labels, answers.recognised, codes)

    def limits(self) -> str:
        """What these figures cannot say, in a sentence."""
        return limits_text(self.origin, self.clusters, self.divided_by)

    def recognised_interval(self) -> tuple[float, float]:
        """95 %, of the share of images that is taken for one of the eight."""
        known = self.answers.recognised
        codes = np.arange(len(known)) if self.codes is None else self.codes
        return share_interval(known, codes)

    def to_json(self) -> dict[str, Any]:
        """The document of ``evaluate --json``."""
        known = int(self.answers.recognised.sum())
        found = self.judgement.to_json()
        found["intervals"]["recognised"] = list(self.recognised_interval())
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
            "laboratories": [score.to_json() for score in self.by("laboratory")],
            "other": None if self.others is None else self.others.to_json(),
            "clusters": self.clusters,
        }


def split_of(description: Description, dataset: Dataset) -> Split:
    """The split of a dataset by the rule that an ensemble was trained with.

    Args:
        description: the content of ``ensemble.json``.
    """
    return SplitRule.of(description.trained_on).fitting(dataset).split(dataset)


def divided_by(description: Description, dataset: Dataset) -> str:
    """What is in no two parts of that split: one of BY, or what was held out."""
    rule = SplitRule.of(description.trained_on).fitting(dataset)
    return rule.hold_out.partition("=")[0] or rule.by


def judged_images(ensemble: Ensemble, dataset: Dataset, part: str) -> tuple[np.ndarray, int, int]:
    """The images of a part that may be judged.

    For the test part, an image that any member saw in training or validation, whatever dataset
    it came from, is set aside; and if the split is by groups, all of the groups they belong to.

    Args:
        part: one of EVALUATED.

    Returns:
        Indices of the dataset; how many were set aside; how many of the indices were seen.

    Raises:
        BadInput: there is no such part, or no image of it is left.
    """
    if part not in EVALUATED:
        raise BadInput(f"There is no part {part!r}: expected one of {', '.join(EVALUATED)}.")
    split = split_of(ensemble.description, dataset)
    indices = split.indices(part)
    seen = _seen(ensemble, dataset, split)[indices]
    set_aside = 0
    if part == "test":
        set_aside = int(seen.sum())
        indices, seen = indices[~seen], seen[~seen]
    if not len(indices):
        raise BadInput(
            f"No image of the {part} part of {dataset.name} is left to judge ({set_aside} were "
            "seen in training): choose another part or another dataset."
        )
    return indices, set_aside, int(seen.sum())


def _seen(ensemble: Ensemble, dataset: Dataset, split: Split) -> np.ndarray:
    seen = np.isin(dataset.hashes, ensemble.seen())
    if split.groups is not None:
        # A cell of a patient whose other cells were seen tells nothing of new patients.
        seen = np.isin(split.groups, np.unique(split.groups[seen].astype(str)).astype(object))
    return seen


def judged_others(ensemble: Ensemble, dataset: Dataset, part: str) -> np.ndarray:
    """int64: the images of a part that are none of the eight, without those that were seen."""
    split = split_of(ensemble.description, dataset)
    indices = split.others(part)
    return indices[~_seen(ensemble, dataset, split)[indices]] if part == "test" else indices


def origin_of(dataset: Dataset, indices: np.ndarray) -> dict[str, np.ndarray]:
    """What is known of some images: "laboratory", "patient", "slide" → object, n."""
    return {c: dataset.origin(c)[indices] for c in GROUPS if c in dataset.origins}


def answer(
    ensemble: Ensemble,
    read: Callable[[np.ndarray], np.ndarray],
    indices: np.ndarray,
    tta: bool | None = None,
    progress: Progress = silent,
) -> Answers:
    """The ensemble's answers for many images, without activation maps.

    Of the members only those that looked at every image: a cascade asks the others of few.

    Args:
        read: images of some indices as uint8, n×S×S×3.
    """
    asked, parts = ensemble.description.asked(tta), []
    looked = np.array([m in asked for m in ensemble.description.members])
    for start in range(0, len(indices), CHUNK):

        def onward(done: int, total: int, what: str, before: int = start) -> None:
            progress(before + done, len(indices), what)

        some = ensemble.predict_from(read, indices[start : start + CHUNK], tta, onward)
        parts.append(replace(some, maps=[]))
    return Answers(
        probabilities=np.concatenate([p.probabilities for p in parts]),
        members=np.concatenate([p.members for p in parts], axis=1)[looked],
        prediction_sets=np.concatenate([p.prediction_sets for p in parts]),
        novelty=np.concatenate([p.novelty for p in parts]),
        recognised=np.concatenate([p.recognised for p in parts]),
        maps=[],
    )


def evaluate(
    ensemble: Ensemble,
    dataset: Dataset,
    part: str = "test",
    *,
    tta: bool | None = None,
    progress: Progress = silent,
) -> Evaluation:
    """Judge an ensemble on images of a part, see :func:`judged_images`.

    Args:
        part: "test", "validation", "train" or "all" of the split the ensemble was trained with.
        tta: all members, averaged over flips and turns or not; None: as the ensemble was composed,
            by its cascade if it has one.

    Raises:
        BadInput: no image of the part is left to judge.
    """
    indices, set_aside, seen = judged_images(ensemble, dataset, part)
    rest = judged_others(ensemble, dataset, part)
    everything = answer(
        ensemble,
        lambda i: read_images(dataset, i, ensemble.size),
        np.concatenate([indices, rest]),
        tta,
        progress,
    )
    description = ensemble.description
    answers = _rows(everything, slice(None, len(indices)))
    on_others = _rows(everything, slice(len(indices), None))
    labels = dataset.labels[indices]
    clusters, codes = clusters_of(dataset, indices)
    within = None if clusters is None else codes
    names = [m.name for m in description.asked(tta)]
    return Evaluation(
        ensemble.name,
        dataset.name,
        part,
        indices,
        labels,
        description.views(tta),
        answers,
        judge(labels, answers.probabilities, clusters=within),
        [
            (n, judge(labels, p, clusters=within))
            for n, p in zip(names, answers.members, strict=True)
        ],
        set_aside,
        seen,
        origin_of(dataset, indices),
        clusters,
        within,
        Others(rest, on_others.novelty, on_others.recognised, on_others.labels)
        if len(rest)
        else None,
        divided_by(ensemble.description, dataset),
    )


def _rows(answers: Answers, rows: slice) -> Answers:
    return Answers(
        probabilities=answers.probabilities[rows],
        members=answers.members[:, rows],
        prediction_sets=answers.prediction_sets[rows],
        novelty=answers.novelty[rows],
        recognised=answers.recognised[rows],
        maps=[],
    )
