"""Every table of an evaluation, for CSV files and the report: plain names, shares from 0 to 1."""

from typing import Any

import numpy as np
import pandas as pd

from bloodcell.classes import CLASS_NAMES
from bloodcell.data.store.dataset import Dataset
from bloodcell.ensemble.description import Description
from bloodcell.ensemble.weights import contributions
from bloodcell.evaluation.agreement import disagreement, pairs
from bloodcell.evaluation.calibration import prediction_sets
from bloodcell.evaluation.curves import precision_recall_curves, roc_curves
from bloodcell.evaluation.evaluate import Evaluation
from bloodcell.evaluation.intervals import paired_difference
from bloodcell.evaluation.metrics import Judgement, confusion_matrix, reliability
from bloodcell.evaluation.origins import refusal_curve
from bloodcell.evaluation.review import coverage, review_curve

__all__ = [
    "METRIC_NAMES",
    "all_tables",
    "class_table",
    "confusion_table",
    "group_table",
    "image_table",
    "member_table",
    "metric_table",
    "pair_table",
    "set_table",
]

# What a reader calls each metric of a judgement, in the order of a report.
METRIC_NAMES = {
    "accuracy": "Accuracy",
    "balanced_accuracy": "Balanced accuracy, mean over the classes present",
    "macro_precision": "Precision, mean over the classes present",
    "macro_recall": "Recall, mean over the classes present",
    "macro_f1": "F1, mean over the classes present",
    "weighted_precision": "Precision, weighted by images",
    "weighted_recall": "Recall, weighted by images",
    "weighted_f1": "F1, weighted by images",
    "auc": "AUC, one against the rest",
    "log_loss": "Log loss, nats",
    "ece": "Calibration error (ECE, 15 bins)",
}


def metric_table(found: Evaluation) -> pd.DataFrame:
    """``network``, ``metric``, ``value``, ``low``, ``high`` (95 %), ``n``; the ensemble first."""
    document, n = found.to_json(), len(found.labels)
    rows = [
        {"network": found.ensemble, "metric": key, "value": document[key], "low": low, "high": high}
        for key, (low, high) in document["intervals"].items()
    ]
    for name, judged in found.members:
        rows += [
            {
                "network": name,
                "metric": key,
                "value": getattr(judged, key),
                "low": low,
                "high": high,
            }
            for key, (low, high) in judged.intervals.items()
        ]
    return pd.DataFrame(rows).assign(n=n)


def class_table(judged: Judgement) -> pd.DataFrame:
    """A line a class: ``class``, ``n``, ``predicted``, and recall, precision, F1, AUC with ends."""
    rows = []
    for found in judged.per_class:
        row: dict[str, Any] = {k: found[k] for k in ("n", "predicted")}
        for key in ("recall", "precision", "f1", "auc"):
            low, high = found[f"{key}_interval"] or (None, None)
            row |= {key: found[key], f"{key}_low": low, f"{key}_high": high}
        rows.append({"class": found["name"], **row})
    return pd.DataFrame(rows)


def group_table(found: Evaluation, column: str) -> pd.DataFrame:
    """A line a laboratory, patient or slide, the worst first: its name, ``n``, ``classes``, and
    accuracy, balanced accuracy and share recognised with ends."""
    rows = []
    for score in found.by(column):
        row: dict[str, Any] = {column: score.name, "n": score.n, "classes": score.classes}
        for key in ("accuracy", "balanced_accuracy", "recognised"):
            low, high = score.intervals[key]
            row |= {key: getattr(score, key), f"{key}_low": low, f"{key}_high": high}
        rows.append(row)
    return pd.DataFrame(rows)


def confusion_table(matrix: list[list[int]] | np.ndarray) -> pd.DataFrame:
    """Counts, a row for each true class, a column for each predicted one."""
    table = pd.DataFrame(np.asarray(matrix), columns=list(CLASS_NAMES))
    table.insert(0, "true", list(CLASS_NAMES))
    return table


def member_table(found: Evaluation, description: Description) -> pd.DataFrame:
    """Each member beside the ensemble on the same images.

    ``member``, ``weight``, ``accuracy``, ``low``, ``high``, ``difference`` (ensemble minus
    member) with ``difference_low``, ``difference_high``, ``only_ensemble``, ``only_member``
    (images only one of them gets right), ``p_value`` (McNemar), ``verdict``; and, of the
    ensemble without it (None for a single member), ``without`` (accuracy), ``gained`` and
    ``lost`` (images only right with it, only right without it).
    """
    answers = found.answers
    # A cascade asks not all of them of every image.
    by_name = {m.name: m.weight for m in description.members}
    weights = np.array([by_name[name] for name, _ in found.members])
    without: list[Any] = [None] * len(weights)
    if len(weights) > 1:
        _, _, without = contributions(
            found.labels, answers.members, weights, description.temperature
        )
    rows = []
    for i, (name, judged) in enumerate(found.members):
        d = paired_difference(found.labels, answers.labels, answers.members[i].argmax(1))
        called = {"the first": found.ensemble, "the second": name}
        verdict = d.verdict
        for words, network in called.items():
            verdict = verdict.replace(words, network)
        rows.append(
            {
                "member": name,
                "weight": weights[i],
                "accuracy": judged.accuracy,
                "low": judged.intervals["accuracy"][0],
                "high": judged.intervals["accuracy"][1],
                "difference": d.difference,
                "difference_low": d.low,
                "difference_high": d.high,
                "only_ensemble": d.only_a,
                "only_member": d.only_b,
                "p_value": d.p_value,
                "verdict": verdict,
                "without": None if without[i] is None else without[i].accuracy,
                "gained": None if without[i] is None else without[i].gained,
                "lost": None if without[i] is None else without[i].lost,
                "n": d.n,
            }
        )
    return pd.DataFrame(rows)


def pair_table(found: Evaluation) -> pd.DataFrame:
    """Every two members: ``a``, ``b``, ``differ`` (share), ``low``, ``high``, ``both_wrong``,
    ``kappa``, ``q``, ``n``."""
    names = [name for name, _ in found.members]
    rows = [
        {
            "a": names[p.a],
            "b": names[p.b],
            "differ": p.differ,
            "low": p.differ_interval[0],
            "high": p.differ_interval[1],
            "both_wrong": p.both_wrong,
            "kappa": p.kappa,
            "q": p.q,
            "n": p.n,
        }
        for p in pairs(found.labels, found.answers.members.argmax(2))
    ]
    columns = ["a", "b", "differ", "low", "high", "both_wrong", "kappa", "q", "n"]
    return pd.DataFrame(rows, columns=columns)


def set_table(found: Evaluation, description: Description) -> pd.DataFrame:
    """Prediction sets at every coverage: ``aimed``, ``covered`` with ``low``, ``high`` (95 %,
    Wilson), ``mean_size``, ``single`` (share of sets with one class), ``n``."""
    rows = []
    for aimed, threshold in description.conformal.by_coverage().items():
        c = coverage(found.labels, prediction_sets(found.answers.probabilities, threshold))
        rows.append(
            {
                "aimed": aimed,
                "covered": c.share,
                "low": c.interval[0],
                "high": c.interval[1],
                "mean_size": c.mean_size,
                "single": c.single,
                "n": c.n,
            }
        )
    return pd.DataFrame(rows)


def image_table(found: Evaluation, dataset: Dataset, rows: np.ndarray | None = None):
    """A line an image: index, name, true, predicted, probability, recognised, novelty,
    disagreement of the members (0 to 1), prediction set, ``p_CLASS``, ``vote_MEMBER``.

    Args:
        rows: of the evaluation, in this order; None: all.
    """
    rows = np.arange(len(found.labels)) if rows is None else rows
    answers = found.answers
    names = dataset.items["name"].to_numpy(dtype=str)
    classes = np.array(CLASS_NAMES)
    columns: dict[str, Any] = {
        "index": found.indices[rows],
        "name": names[found.indices[rows]],
        "true": classes[found.labels[rows]],
        "predicted": classes[answers.labels[rows]],
        "probability": answers.probabilities[rows].max(1),
        "recognised": answers.recognised[rows],
        "novelty": answers.novelty[rows],
        "disagreement": disagreement(answers.members[:, rows]),
        "prediction_set": [" ".join(classes[s]) for s in answers.prediction_sets[rows]],
    }
    for k, name in enumerate(CLASS_NAMES):
        columns[f"p_{name}"] = answers.probabilities[rows, k]
    for (member, _), votes in zip(found.members, answers.members, strict=True):
        columns[f"vote_{member}"] = classes[votes[rows].argmax(1)]
    return pd.DataFrame(columns)


def all_tables(
    found: Evaluation, dataset: Dataset, description: Description
) -> dict[str, pd.DataFrame]:
    """Every table of an evaluation by its file's name."""
    answers = found.answers
    named = {
        "metrics": metric_table(found),
        "classes": class_table(found.judgement),
        "confusion": confusion_table(found.judgement.confusion_matrix),
        "members": member_table(found, description),
        "agreement": pair_table(found),
        "reliability": reliability(found.labels, answers.probabilities),
        "review": review_curve(found.labels, answers.probabilities, answers.recognised),
        "prediction_sets": set_table(found, description),
        "roc": roc_curves(found.labels, answers.probabilities),
        "precision_recall": precision_recall_curves(found.labels, answers.probabilities),
        "images": image_table(found, dataset),
    }
    named |= {
        f"by_{column}": group_table(found, column) for column in found.origin if found.by(column)
    }
    if found.others is not None:
        named["refusal"] = refusal_curve(answers.novelty, found.others.novelty)
    for (name, _), votes in zip(found.members, answers.members, strict=True):
        named[f"confusion-{name}"] = confusion_table(
            confusion_matrix(found.labels, votes.argmax(1))
        )
    return named
