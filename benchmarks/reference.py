"""What an ensemble is worth: at home, under stress, out of distribution, in another laboratory.

    python -m benchmarks.reference [ENSEMBLE] [--dataset NAME] [--home LABORATORY] [--other NAME]
        [--left-out ENSEMBLE ...] [--images N]

Prints tables in Markdown, for the ensemble and each member, every figure with its 95 %
interval and its number of images; the last has the goals and what is missing of each. Nothing is
counted that a member saw in training or validation. Where the dataset is of several laboratories,
each has its row, and the goals at home are those of the largest. What is no cell is made of unseen
cells and of a photograph that training never used.
"""

import argparse
import sys
import time

import numpy as np
import pandas as pd

from bloodcell.data.imaging.resize import resized
from bloodcell.data.pipeline import read_images
from bloodcell.data.store.dataset import Dataset, open_dataset
from bloodcell.data.synthetic.out_of_distribution import (
    OUT_OF_DISTRIBUTION,
    make_out_of_distribution,
    photograph,
)
from bloodcell.ensemble.ensemble import Ensemble, open_ensemble
from bloodcell.errors import BadInput, BloodCellError
from bloodcell.evaluation.corruptions import CORRUPTIONS
from bloodcell.evaluation.evaluate import Evaluation
from bloodcell.evaluation.intervals import Interval, wilson
from bloodcell.evaluation.metrics import judge
from bloodcell.evaluation.stored import evaluated
from bloodcell.evaluation.stress import Study, study
from bloodcell.workspace import Workspace, open_workspace

# Training makes its own with other seeds and of another photograph.
SEED, PHOTOGRAPH = 20_261, "flower"
BATCH = 100

# Per cent: what a reference ensemble should reach, of unseen cells where nothing else is said.
ACCURACY, STRESS, REFUSED, OTHER, MOST_ECE = 99.2, 94.0, 99.0, 90.0, 1.0
# Of wrong answers, those that are said to be unsure; of proper cells, those that are recognised;
# of real cells that are none of the eight, those that are refused.
UNSURE, RECOGNISED, NONE_REFUSED = 80.0, 95.0, 80.0
# Balanced accuracy in a laboratory left out of training: on average, and in the worst.
LEFT_OUT, WORST_LEFT_OUT = 90.0, 80.0
# Of the ensemble's own limit of novelty, for the curve.
LIMITS = (0.6, 0.8, 0.9, 1.0, 1.2, 1.5, 2.0)
# A probability below it is unsure.
SURE = 0.9
# Passes of the first network that an answer may cost.
PASSES = 1.5

Rows = list[list[str]]


def figure(value: float, interval: Interval) -> str:
    """A share and its interval in per cent."""
    return f"{100 * value:.2f} [{100 * interval[0]:.2f}, {100 * interval[1]:.2f}]"


def share(count: int, n: int) -> str:
    """A share of n with Wilson's interval in per cent."""
    return figure(count / n, wilson(count, n))


def table(title: str, head: list[str], rows: Rows) -> str:
    """A table in Markdown under its title."""
    lines = ["| " + " | ".join(row) + " |" for row in (head, ["---"] * len(head), *rows)]
    return "\n".join([f"### {title}", "", *lines, ""])


def accuracy_rows(found: Evaluation) -> Rows:
    """Network, n, accuracy, ECE; of the ensemble also the share recognised."""
    judged = [(found.ensemble, found.judgement), *found.members]
    known = int(found.answers.recognised.sum())
    return [
        [
            name,
            f"{j.n:,}",
            figure(j.accuracy, j.intervals["accuracy"]),
            figure(j.ece, j.intervals["ece"]),
            share(known, j.n) if place == 0 else "",
        ]
        for place, (name, j) in enumerate(judged)
    ]


def stress_rows(found: Study) -> Rows:
    """Corruption, then the accuracy of each network over the five strengths."""
    frame = found.table()
    means = frame.groupby(["corruption", "network"])["accuracy"].mean()
    rows = [
        [name, *(f"{100 * means[name, network]:.1f}" for network in found.networks)]
        for name in CORRUPTIONS
    ]
    whole = [figure(*found.mean(place)) for place in range(len(found.networks))]
    return [*rows, ["mean", *whole]]


def novelty_of_kinds(ensemble: Ensemble, cells: np.ndarray, count: int) -> dict[str, np.ndarray]:
    """Kind → novelty of so many synthetic images of it.

    Args:
        cells: uint8, n×S×S×3: unseen.
    """
    photo, found = photograph(PHOTOGRAPH), {}
    for kind in OUT_OF_DISTRIBUTION:
        made = make_out_of_distribution(kind, cells, count, SEED, photo)
        parts = [ensemble.predict(made[i : i + BATCH]).novelty for i in range(0, count, BATCH)]
        found[kind.replace("_", " ")] = np.concatenate(parts)
    return found


def out_of_distribution_rows(kinds: dict[str, np.ndarray], threshold: float) -> Rows:
    """Kind, n, share refused, median novelty of its threshold."""
    return [
        [
            kind,
            f"{len(novelty):,}",
            share(int((novelty > threshold).sum()), len(novelty)),
            f"{float(np.median(novelty)) / threshold:.1f}",
        ]
        for kind, novelty in kinds.items()
    ]


def refusal_rows(
    cells: dict[str, np.ndarray], none: dict[str, np.ndarray], threshold: float
) -> Rows:
    """Limit, then the share recognised of each group of cells, refused of what is none, per cent.

    Args:
        cells, none: name → novelty.
        threshold: the ensemble's own; its row is marked.
    """
    rows = []
    for part in LIMITS:
        limit = part * threshold
        known = [f"{100 * (novelty <= limit).mean():.1f}" for novelty in cells.values()]
        refused = [f"{100 * (novelty > limit).mean():.1f}" for novelty in none.values()]
        rows.append([f"{limit:.2f}{' (its own)' if part == 1 else ''}", *known, *refused])
    return rows


def goal_row(what: str, found: float, wanted: float, most: bool = False) -> list[str]:
    """What, goal, measured, and what is missing in points; all in per cent.

    Args:
        most: the goal is an upper bound.
    """
    missing = found - wanted if most else wanted - found
    sign = "≤" if most else "≥"
    said = "reached" if missing <= 0 else f"{missing:.2f} missing"
    return [what, f"{sign} {wanted:g}", f"{found:.2f}", said]


def unsure_of(found: Evaluation, rows: np.ndarray) -> tuple[int, int]:
    """Wrong answers among some rows, and those of them that say that they are unsure."""
    answers = found.answers
    wrong = rows & (answers.labels != found.labels)
    unsure = (answers.prediction_sets.sum(1) > 1) | (answers.probabilities.max(1) < SURE)
    return int(wrong.sum()), int((wrong & (unsure | ~answers.recognised)).sum())


def laboratory_rows(found: Evaluation, names: np.ndarray) -> Rows:
    """Laboratory, n, accuracy, balanced accuracy, ECE, recognised."""
    rows = []
    for name in np.unique(names):
        own = names == name
        labels, answers = found.labels[own], found.answers
        j = judge(labels, answers.probabilities[own])
        rows.append(
            [
                str(name),
                f"{j.n:,}",
                figure(j.accuracy, j.intervals["accuracy"]),
                figure(j.macro_recall, j.intervals["balanced_accuracy"]),
                figure(j.ece, j.intervals["ece"]),
                share(int(answers.recognised[own].sum()), j.n),
            ]
        )
    return rows


def home_goals(found: Evaluation, rows: np.ndarray) -> Rows:
    """The goals of an evaluation on unseen cells of home."""
    j = judge(found.labels[rows], found.answers.probabilities[rows])
    wrong, unsure = unsure_of(found, rows)
    return [
        goal_row("home: accuracy", 100 * j.accuracy, ACCURACY),
        goal_row("home: ECE", 100 * j.ece, MOST_ECE, most=True),
        goal_row(
            f"home: of {wrong} errors said to be unsure", 100 * unsure / max(wrong, 1), UNSURE
        ),
    ]


def left_out_rows(workspace: Workspace, dataset: Dataset, names: list[str]) -> tuple[Rows, Rows]:
    """Each laboratory that an ensemble did not learn from: a row of figures, and goals."""
    rows, scores, goals = [], [], []
    for name in names:
        found = evaluated(open_ensemble(workspace, name), dataset)
        (score,) = found.by("laboratory")
        known = figure(score.recognised, score.intervals["recognised"])
        balanced = figure(score.balanced_accuracy, score.intervals["balanced_accuracy"])
        accuracy = figure(score.accuracy, score.intervals["accuracy"])
        none = found.others
        refused = share(int((~none.recognised).sum()), len(none.indices)) if none else ""
        rows.append([score.name, f"{score.n:,}", accuracy, balanced, known, refused])
        scores.append(100 * score.balanced_accuracy)
        goals.append(
            goal_row(f"{score.name} left out: recognised", 100 * score.recognised, RECOGNISED)
        )
    goals = [
        goal_row("laboratories left out: balanced accuracy, mean", np.mean(scores), LEFT_OUT),
        goal_row("laboratories left out: the worst", min(scores), WORST_LEFT_OUT),
        *goals,
    ]
    return rows, goals


def cost(ensemble: Ensemble, images: np.ndarray) -> tuple[float, float]:
    """Seconds an image of an answer, and of one pass of the smallest network; side by side."""
    model = min(ensemble.models, key=lambda m: m.bytes)
    own = resized(images, model.size)
    answers, passes = [], []
    for _ in range(3):
        start = time.perf_counter()
        ensemble.predict(images)
        middle = time.perf_counter()
        for i in range(0, len(own), BATCH):
            model(own[i : i + BATCH])
        answers.append(middle - start)
        passes.append(time.perf_counter() - middle)
    return min(answers) / len(images), min(passes) / len(images)


def at_home(found: Evaluation, places: np.ndarray, largest: str) -> Rows:
    """Print the dataset's unseen cells, by network and laboratory; returns the goals."""
    head = ["network", "n", "accuracy %", "ECE %", "recognised %"]
    say(table(f"Unseen cells of {found.dataset}", head, accuracy_rows(found)))
    rows = laboratory_rows(found, places)
    names = ["laboratory", "n", "accuracy %", "balanced accuracy %", "ECE %", "recognised %"]
    say(table("By laboratory", names, rows))
    goals = home_goals(found, places == largest)
    for row in rows:
        goals.append(goal_row(f"{row[0]}: recognised", float(row[-1].split()[0]), RECOGNISED))
    if found.others is not None:
        n, refused = len(found.others.indices), int((~found.others.recognised).sum())
        say(f"Cells labelled other: {share(refused, n)} % of {n:,} are refused.\n")
        goals.append(goal_row("cells labelled other refused", 100 * refused / n, NONE_REFUSED))
    return goals


def none_of_the_eight(kinds: dict[str, np.ndarray], threshold: float) -> Rows:
    """Print what is refused of synthetic images; returns the goals."""
    rows = out_of_distribution_rows(kinds, threshold)
    head = ["made of unseen cells", "n", "refused %", "median novelty / threshold"]
    say(table("None of the eight", head, rows))
    return [goal_row(f"{row[0]} refused", float(row[2].split()[0]), REFUSED) for row in rows]


def cost_goal(ensemble: Ensemble, cells: np.ndarray) -> list[str]:
    """Print what an answer costs; returns the goal."""
    answer, once = cost(ensemble, cells)
    passes = answer / once
    say(f"An answer costs {passes:.2f} passes of the smallest network ({len(cells):,} cells).\n")
    so = "reached" if passes <= PASSES else f"{passes - PASSES:.2f} over"
    return ["cost of an answer, passes", f"≤ {PASSES:g}", f"{passes:.2f}", so]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("ensemble", nargs="?", default="reference")
    parser.add_argument(
        "--dataset", help="it has unseen cells in its test part; default: that of the training"
    )
    parser.add_argument("--home", help="the laboratory of the goals at home; default: the largest")
    parser.add_argument(
        "--left-out", nargs="*", help="ensembles that were made without one laboratory each"
    )
    parser.add_argument("--other", help="a dataset of another laboratory, judged whole")
    parser.add_argument("--images", type=int, default=0, help="under stress; 0: the test part")
    parser.add_argument(
        "--out-of-distribution", "--strangers", type=int, default=400, help="of each kind"
    )
    given = parser.parse_args()
    workspace = open_workspace()
    ensemble = open_ensemble(workspace, given.ensemble)
    dataset = open_dataset(workspace, given.dataset or ensemble.description.trained_on.dataset)
    home = evaluated(ensemble, dataset)
    places = home.origin.get("laboratory", np.full(len(home.labels), "")).astype(str)
    largest = given.home or str(pd.Series(places).mode()[0])
    goals = at_home(home, places, largest)
    if given.left_out:
        rows, more = left_out_rows(workspace, dataset, given.left_out)
        names = ["left out", "n", "accuracy %", "balanced %", "recognised %", "other refused %"]
        say(table("Laboratories that neither networks nor limits have seen", names, rows))
        goals += more
    if given.other:
        found = away(ensemble, open_dataset(workspace, given.other))
        name, share_known = found.dataset, 100 * float(found.answers.recognised.mean())
        goals.append(goal_row(f"{name}: accuracy", 100 * found.judgement.accuracy, OTHER))
        goals.append(goal_row(f"{name}: recognised", share_known, RECOGNISED))
    own = home.indices[places == largest]
    cells = np.ascontiguousarray(read_images(dataset, own, ensemble.size))
    threshold = ensemble.description.novelty.threshold
    kinds = novelty_of_kinds(ensemble, cells, given.out_of_distribution)
    goals += none_of_the_eight(kinds, threshold)
    known = {str(p): home.answers.novelty[places == p] for p in np.unique(places)}
    if given.other:
        known[found.dataset] = found.answers.novelty
    none = {"synthetic": np.concatenate(list(kinds.values()))}
    if home.others is not None:
        none = {"other": home.others.novelty, **none}
    head = [
        "limit",
        *(f"{n or 'cells'} recognised" for n in known),
        *(f"{n} refused" for n in none),
    ]
    say(
        table(
            "Recognised and refused by the limit of novelty, %",
            head,
            refusal_rows(known, none, threshold),
        )
    )
    under = study(ensemble, dataset, images=given.images)
    title = f"Eleven corruptions at five strengths, {under.n:,} unseen cells, accuracy %"
    say(table(title, ["corruption", *under.networks], stress_rows(under)))
    goals.append(goal_row("mean over the corruptions", 100 * under.mean(0)[0], STRESS))
    goals.append(cost_goal(ensemble, cells))
    say(table("Goals, per cent", ["of unseen cells", "goal", "measured", "so"], goals))


def away(ensemble: Ensemble, other: Dataset) -> Evaluation:
    """Print another laboratory, judged whole."""
    found = evaluated(ensemble, other, "all")
    if found.seen:
        raise BadInput(
            f"{found.seen:,} images of {other.name} were seen in training: give another."
        )
    head = ["network", "n", "accuracy %", "ECE %", "recognised %"]
    say(table(f"Another laboratory: {other.name}", head, accuracy_rows(found)))
    rows = [
        [c["name"], f"{c['n']:,}", figure(c["recall"], c["recall_interval"])]
        for c in found.judgement.per_class
        if c["n"]
    ]
    say(table(f"{other.name}, class by class", ["class", "n", "recall %"], rows))
    return found


def say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    try:
        main()
    except BloodCellError as error:
        sys.exit(f"error: {error}")
