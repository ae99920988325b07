"""What an ensemble is worth: at home, under stress, out of distribution, in another laboratory.

    python -m benchmarks.reference [ENSEMBLE] [--dataset NAME] [--other NAME] [--images N]

Prints tables in Markdown, for the ensemble and each member, every figure with its 95 %
interval and its number of images; the last has the goals and what is missing of each. Nothing is
counted that a member saw in training or validation; what is no cell is made of unseen cells and of
a photograph that training never used.
"""

import argparse
import sys

import numpy as np

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
from bloodcell.evaluation.evaluate import Evaluation, judged_images
from bloodcell.evaluation.intervals import Interval, wilson
from bloodcell.evaluation.stored import evaluated
from bloodcell.evaluation.stress import Study, study
from bloodcell.workspace import open_workspace

# Training makes its own with other seeds and of another photograph.
SEED, PHOTOGRAPH = 20_261, "flower"
BATCH = 100

# Per cent: what a reference ensemble should reach, of unseen cells where nothing else is said.
ACCURACY, STRESS, REFUSED, OTHER, MOST_ECE = 99.5, 93.0, 99.0, 90.0, 1.0
MEMBER_ACCURACY = {"mobilenetv2": 99.0, "efficientnetb3": 98.5, "resnet50": 98.5}

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


def out_of_distribution_rows(ensemble: Ensemble, cells: np.ndarray, count: int) -> Rows:
    """Kind, n, share refused, median novelty of its threshold.

    Args:
        cells: uint8, n×S×S×3: unseen.
    """
    photo, threshold = photograph(PHOTOGRAPH), ensemble.description.novelty.threshold
    rows = []
    for kind in OUT_OF_DISTRIBUTION:
        made = make_out_of_distribution(kind, cells, count, SEED, photo)
        novelty = np.concatenate(
            [
                ensemble.predict(made[i : i + BATCH], tta=False).novelty
                for i in range(0, count, BATCH)
            ]
        )
        refused = int((novelty > threshold).sum())
        middle = float(np.median(novelty)) / threshold
        rows.append([kind.replace("_", " "), f"{count:,}", share(refused, count), f"{middle:.1f}"])
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


def accuracy_goals(ensemble: Ensemble, found: Evaluation) -> Rows:
    """The goals of an evaluation on unseen cells, of the ensemble and of each member."""
    rows = [
        goal_row("accuracy", 100 * found.judgement.accuracy, ACCURACY),
        goal_row("ECE", 100 * found.judgement.ece, MOST_ECE, most=True),
    ]
    for member, (name, judged) in zip(ensemble.description.members, found.members, strict=True):
        wanted = MEMBER_ACCURACY.get(member.backbone)
        if wanted is not None:
            rows.append(goal_row(f"accuracy of {name}", 100 * judged.accuracy, wanted))
    return rows


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("ensemble", nargs="?", default="reference")
    parser.add_argument(
        "--dataset", help="it has unseen cells in its test part; default: that of the training"
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

    def say(text: str) -> None:
        print(text, flush=True)

    head = ["network", "n", "accuracy %", "ECE %", "recognised %"]
    home = evaluated(ensemble, dataset)
    say(table(f"Unseen cells of {dataset.name}", head, accuracy_rows(home)))
    goals = accuracy_goals(ensemble, home)
    if given.other:
        other = open_dataset(workspace, given.other)
        right = 100 * _away(ensemble, other, head, say)
        goals.append(goal_row(f"another laboratory: {other.name}", right, OTHER))
    indices, _, _ = judged_images(ensemble, dataset, "test")
    cells = np.ascontiguousarray(read_images(dataset, indices, ensemble.size))
    rows = out_of_distribution_rows(ensemble, cells, given.out_of_distribution)
    head = ["made of unseen cells", "n", "refused %", "median novelty / threshold"]
    say(table("None of the eight", head, rows))
    for kind, _, refused, _ in rows:
        goals.append(goal_row(f"{kind} refused", float(refused.split()[0]), REFUSED))
    found = study(ensemble, dataset, images=given.images)
    title = f"Eleven corruptions at five strengths, {found.n:,} unseen cells, accuracy %"
    say(table(title, ["corruption", *found.networks], stress_rows(found)))
    goals.append(goal_row("mean over the corruptions", 100 * found.mean(0)[0], STRESS))
    say(table("Goals, per cent", ["of unseen cells", "goal", "measured", "so"], goals))


def _away(ensemble: Ensemble, other: Dataset, head: list[str], say) -> float:
    found = evaluated(ensemble, other, "all")
    if found.seen:
        raise BadInput(
            f"{found.seen:,} images of {other.name} were seen in training: give another."
        )
    say(table(f"Another laboratory: {other.name}", head, accuracy_rows(found)))
    rows = [
        [c["name"], f"{c['n']:,}", figure(c["recall"], c["recall_interval"])]
        for c in found.judgement.per_class
        if c["n"]
    ]
    say(table(f"{other.name}, class by class", ["class", "n", "recall %"], rows))
    return found.judgement.accuracy


if __name__ == "__main__":
    try:
        main()
    except BloodCellError as error:
        sys.exit(f"error: {error}")
