"""Compare runs: what differs in their configs, how good each is, and whether that is chance."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bloodcell.classes import CLASS_NAMES
from bloodcell.errors import BadInput
from bloodcell.evaluation.intervals import PairedDifference, paired_difference, wilson
from bloodcell.runs.labels import read_labels
from bloodcell.runs.run import Run

__all__ = ["RunScore", "Score", "Shared", "compare_runs", "config_differences", "paired_test"]

PARTS = ("validation", "test")


@dataclass(frozen=True)
class Score:
    """How many images of a part a run gets right.

    Attributes:
        correct, n: images.
        accuracy: correct / n. low, high: its 95 % interval (Wilson).
        macro_recall: mean recall of the classes that are there.
    """

    correct: int
    n: int
    accuracy: float
    low: float
    high: float
    macro_recall: float


@dataclass(frozen=True)
class RunScore:
    """One run among others.

    Attributes:
        id, name, tags, state: of the run.
        values: the values of its config in which the runs compared differ.
        scores: "validation", "test" → Score; nothing until it is finished.
    """

    id: str
    name: str
    tags: tuple[str, ...]
    state: str
    values: dict[str, Any]
    scores: dict[str, Score]


@dataclass(frozen=True)
class Shared:
    """Two runs on the images that are in the test part of both.

    Attributes:
        difference: see :class:`bloodcell.evaluation.intervals.PairedDifference`.
        left_out: images that are in the test part of one only, or are labelled differently.
    """

    difference: PairedDifference
    left_out: int


def compare_runs(runs: Sequence[Run]) -> list[RunScore]:
    """One row a run, with what differs in the configs and how good it is.

    Accuracies of different test parts stand side by side here; whether a difference is real
    tells :func:`paired_test`.
    """
    differing = config_differences(runs)
    rows = []
    for i, run in enumerate(runs):
        labels = read_labels(run)
        rows.append(
            RunScore(
                id=run.id,
                name=labels.name,
                tags=labels.tags,
                state=run.status()["state"],
                values={key: values[i] for key, values in differing.items()},
                scores=_scores(run),
            )
        )
    return rows


def config_differences(runs: Sequence[Run]) -> dict[str, list[Any]]:
    """Key of the config → its value in each run, for the keys in which they differ.

    A policy counts by what it does and not only by its name.
    """
    configs = [run.config().to_json() for run in runs]
    policies = [run.record()["policy"] for run in runs]
    found = {}
    for key in configs[0] if configs else ():
        values = [config[key] for config in configs]
        same = all(value == values[0] for value in values)
        if key == "policy" and same and any(p != policies[0] for p in policies):
            first = [policies.index(p) for p in policies]
            values = [f"{v} ({i + 1})" for v, i in zip(values, first, strict=True)]
            same = False
        if not same:
            found[key] = values
    return found


def _predictions(run: Run) -> dict[str, np.ndarray] | None:
    """The answers of a finished run; None while there are none."""
    if run.status()["state"] != "finished" or not run.predictions_path.exists():
        return None
    found = run.predictions()
    # Its initial weights may come from where these images were not unseen.
    unseen = ~np.isin(found["test_ids"].astype("S32"), run.seen())
    return found | {key: found[key][unseen] for key in found if key.startswith("test_")}


def _scores(run: Run) -> dict[str, Score]:
    answers = _predictions(run)
    if answers is None:
        return {}
    return {p: _score(answers[f"{p}_labels"], answers[f"{p}_probabilities"]) for p in PARTS}


def _score(labels: np.ndarray, probabilities: np.ndarray) -> Score:
    right = probabilities.argmax(1) == labels
    correct, n = int(right.sum()), len(labels)
    low, high = wilson(correct, n)
    recalls = [right[labels == k].mean() for k in range(len(CLASS_NAMES)) if (labels == k).any()]
    macro = float(np.mean(recalls)) if recalls else 0.0
    return Score(correct, n, correct / n if n else 0.0, low, high, macro)


def paired_test(a: Run, b: Run) -> Shared:
    """Whether two finished runs differ on the test images that both have (McNemar, exact).

    Images are matched by the hash of their pixels, each counted once; so the test part of each
    run was unseen by that run, and an image on which they were given different labels is left
    out.

    Raises:
        BadInput: one is not finished, or they have no test image in common.
    """
    answers = []
    for run in (a, b):
        found = _predictions(run)
        if found is None:
            raise BadInput(
                f"Run {run.id} is {run.status()['state']}: only finished runs have answers on "
                "the test part to compare."
            )
        ids, first = np.unique(found["test_ids"], return_index=True)
        labels = found["test_labels"][first]
        answers.append((ids, labels, found["test_probabilities"][first].argmax(1)))
    (ids_a, labels_a, pred_a), (ids_b, labels_b, pred_b) = answers
    _, at_a, at_b = np.intersect1d(ids_a, ids_b, assume_unique=True, return_indices=True)
    same = labels_a[at_a] == labels_b[at_b]
    at_a, at_b = at_a[same], at_b[same]
    if not len(at_a):
        raise BadInput(
            f"Runs {a.id} and {b.id} have no test image in common: compare runs on one dataset "
            "with one split."
        )
    difference = paired_difference(labels_a[at_a], pred_a[at_a], pred_b[at_b])
    return Shared(difference, len(ids_a) + len(ids_b) - 2 * len(at_a))
