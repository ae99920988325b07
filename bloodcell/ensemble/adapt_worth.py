"""What adapting is worth, on cells that the head was not fitted on; and which labels look wrong.

Everything that is chosen is chosen again without the cells that are judged.
"""

from typing import Any

import numpy as np

from bloodcell.classes import CLASS_NAMES
from bloodcell.ensemble.adapted_head import laboratory_novelty, reach_of
from bloodcell.ensemble.ensemble import Ensemble
from bloodcell.ensemble.fit_head import (
    Problem,
    balance,
    balanced_accuracy,
    draw,
    folds_of,
    probabilities_of,
)
from bloodcell.ensemble.laboratory_cells import Cells, usual
from bloodcell.evaluation.calibration import apply_temperature, fit_temperature
from bloodcell.evaluation.intervals import paired_difference, wilson
from bloodcell.evaluation.metrics import judge

__all__ = [
    "FEW",
    "FOLDS",
    "REPEATS",
    "at_home",
    "curve_of",
    "doubtful_labels",
    "judged",
    "mean_of",
    "refused_shares",
    "repeated_folds",
]

FOLDS = 5
REPEATS = 4
CURVE = (1, 3, 5, 10, 20, 50)
DRAWS = 20
# Fewer cells of a class say too little of it to be reported as a figure of that class.
FEW = 5
# A label is doubted if the other cells say so this clearly.
DOUBT, SURE = 0.1, 0.7


def judged(
    problem: Problem,
    parent: Ensemble,
    cells: Cells,
    others: Cells,
    plain: Cells | None,
    artefacts: Cells,
    folds: list[tuple[np.ndarray, np.ndarray]],
    resamples: int = 200,
) -> dict[str, Any]:
    """What parent and head say of cells that the head was not fitted on; nothing if none can be."""
    if not folds:
        return {}
    threshold = parent.description.novelty.threshold
    every = np.concatenate([to for _, to in folds])
    after, recognised = [], []
    refused: dict[str, list[np.ndarray]] = {"other": [], "synthetic": []}
    for rows, to in folds:
        choice = problem.choose(rows)
        p = probabilities_of(problem.predict(choice, rows, to))
        after.append(apply_temperature(p, _temperature(problem, choice, rows)))
        near = cells.features[rows]
        if plain is not None:
            near = np.concatenate([near, usual(plain.features)])
        reach = reach_of(near)
        # Of what is none of the eight, each half is judged without itself.
        for key, strange in (("other", others), ("synthetic", artefacts)):
            gone = np.zeros(len(strange), bool)
            for k in (0, 1):
                half = strange.features[1 - k :: 2]
                known = (half, artefacts.features) if key == "other" else (others.features, half)
                own, said = strange.features[k::2], strange.novelty[k::2] / threshold
                gone[k::2] = laboratory_novelty(said, own, near, *known, reach) > 1
            refused[key].append(gone)
        said, own = cells.novelty[to] / threshold, cells.features[to]
        now = laboratory_novelty(said, own, near, others.features, artefacts.features, reach)
        recognised.append(now <= 1)
    p_after, p_before = np.concatenate(after), cells.before[every]
    labels = cells.labels[every]
    pair = paired_difference(labels, p_after.argmax(1), p_before.argmax(1))
    found = {
        "before": _scores(labels, p_before, cells.novelty[every] <= threshold, resamples),
        "after": _scores(labels, p_after, np.concatenate(recognised), resamples),
        "paired": {
            "difference": pair.difference,
            "interval": [pair.low, pair.high],
            "p": pair.p_value,
            "verdict": pair.verdict.replace("the first", "the adapted one").replace(
                "the second", "the parent"
            ),
        },
    }
    for key, strange in (("other", others), ("synthetic", artefacts)):
        if len(strange):
            found[key] = refused_shares(strange, threshold, np.concatenate(refused[key]))
    return found


def refused_shares(strange: Cells, threshold: float, after: np.ndarray) -> dict[str, Any] | None:
    """Shares of what is none of the eight that are refused; None if there is nothing of it."""
    if not len(strange):
        return None
    return {
        "n": len(strange),
        "refused_before": float((strange.novelty > threshold).mean()),
        "refused_after": float(after.mean()),
    }


def _scores(
    labels: np.ndarray, probabilities: np.ndarray, recognised: np.ndarray, resamples: int
) -> dict[str, Any]:
    j = judge(labels, probabilities, resamples=resamples).to_json()
    known = int(recognised.sum())
    keys = ("accuracy", "balanced_accuracy", "ece")
    return {
        "n": len(labels),
        **{k: j[k] for k in keys},
        "recognised": known / len(labels),
        "intervals": {
            **{k: j["intervals"][k] for k in keys},
            "recognised": list(wilson(known, len(labels))),
        },
        "recall": {row["name"]: row["recall"] for row in j["per_class"] if row["n"]},
    }


def mean_of(found: list[Any]) -> Any:
    """The mean of equally made documents, number by number."""
    if not found:
        return None
    first = found[0]
    if isinstance(first, dict):
        return {k: mean_of([f[k] for f in found if k in f]) for k in first}
    if isinstance(first, list):
        return [mean_of(list(v)) for v in zip(*found, strict=True)]
    return type(first)(np.mean(found))


def repeated_folds(
    labels: np.ndarray, rng: np.random.Generator
) -> list[list[tuple[np.ndarray, np.ndarray]]]:
    every = np.arange(len(labels))
    return [
        [(np.setdiff1d(every, fold), fold) for fold in folds_of(labels, FOLDS, rng)]
        for _ in range(REPEATS)
    ]


def curve_of(problem: Problem, rng: np.random.Generator) -> tuple[list[dict[str, Any]], str | None]:
    """Balanced accuracy on the rest after 1, 3, 5, ... cells a class; the class to label next."""
    labels, found = problem.labels, []
    counts = np.bincount(labels, minlength=len(CLASS_NAMES))
    recalls: list[np.ndarray] = []
    for per_class in CURVE:
        # On the rest there must be something to judge of at least half of the classes.
        if (counts > per_class).sum() * 2 < (counts > 0).sum():
            break
        values, each = [], []
        for _ in range(DRAWS):
            rows = draw(labels, per_class, rng)
            rest = np.setdiff1d(np.arange(len(labels)), rows)
            said = problem.predict(problem.choose(rows), rows, rest).argmax(1)
            values.append(balanced_accuracy(labels[rest], said))
            right, all_ = (
                np.bincount(labels[rest], w, len(CLASS_NAMES)) for w in (said == labels[rest], None)
            )
            each.append(np.divide(right, all_, out=np.full(len(right), np.nan), where=all_ > 0))
        # A class of which no cell was left has no recall.
        recalls.append(np.ma.masked_invalid(each).mean(0).filled(np.nan))
        found.append(
            {
                "per_class": per_class,
                "balanced_accuracy": float(np.mean(values)),
                "interval": [float(q) for q in np.quantile(values, (0.025, 0.975))],
            }
        )
    return found, _label_next(recalls)


def _label_next(recalls: list[np.ndarray]) -> str | None:
    """The class that gained most by the last step of the curve, of those that have most to gain."""
    if not recalls:
        return None
    last = recalls[-1]
    gain = np.minimum(1 - last, last - recalls[-2] if len(recalls) > 1 else 1 - last)
    return CLASS_NAMES[int(np.nanargmax(gain))] if np.isfinite(gain).any() else None


def doubtful_labels(cells: Cells, left: np.ndarray) -> list[dict[str, Any]]:
    """Cells whose label the other cells speak against, the clearest first."""
    if len(cells) < 2 * FEW:
        return []
    p = probabilities_of(left)
    given = p[np.arange(len(cells)), cells.labels]
    rows = np.flatnonzero((given < DOUBT) & (p.max(1) > SURE))
    return [
        {
            "name": str(cells.names[i]),
            "id": str(cells.ids[i]),
            "label": CLASS_NAMES[cells.labels[i]],
            "rather": CLASS_NAMES[int(p[i].argmax())],
            "probability": float(p[i].max()),
        }
        for i in rows[np.argsort(given[rows])]
    ]


def at_home(labels: np.ndarray, said: np.ndarray, scores: np.ndarray) -> dict[str, Any]:
    labels = labels.astype(np.int64)
    weights = balance(labels)
    values = {}
    for key, found in (("before", said), ("after", scores)):
        right = found.argmax(1) == labels
        share = float((weights * right).mean())
        values[key] = share
        values[f"{key}_interval"] = list(wilson(min(share, 1.0) * len(labels), len(labels)))
    return {**values, "n": len(labels), "measure": "balanced_accuracy"}


def _temperature(problem: Problem, choice: Any, rows: np.ndarray) -> float:
    left = probabilities_of(problem.left_out(choice, rows))
    return fit_temperature(problem.labels[rows], left)
