"""What a reviewer asks of an imaging study, answered as far as the files know.

The topics follow CLAIM (Mongan, Moy & Kahn, "Checklist for Artificial Intelligence in Medical
Imaging", Radiology: Artificial Intelligence 2, 2020; update 2024), in our own words. What no
file can know is left open, and says so.
"""

from dataclasses import dataclass

from bloodcell.classes import CLASSES
from bloodcell.data.store.dataset import Dataset
from bloodcell.ensemble.description import Description
from bloodcell.evaluation.evaluate import Evaluation, split_of

__all__ = ["Item", "checklist", "checklist_markdown", "measured_card"]

OPEN = "To be filled in by the authors."


@dataclass(frozen=True)
class Item:
    """One line of the checklist.

    Attributes:
        section: "Purpose", "Data", "Ground truth", "Model", "Training", "Evaluation" or "Limits".
        topic: what is asked.
        answer: what the files know, or OPEN with what is missing.
        known: whether the files answer it.
    """

    section: str
    topic: str
    answer: str
    known: bool


def _percent(value: float, pair: tuple[float, float]) -> str:
    return f"{100 * value:.2f} % (95 %: {100 * pair[0]:.2f} to {100 * pair[1]:.2f})"


def _cells_from(found: Evaluation) -> str:
    """What is known of the groups that the judged cells belong to."""
    told = [
        f"{len(set(names) - {''}):,} {column} name{'s' if len(set(names) - {''}) > 1 else ''}"
        for column, names in found.origin.items()
        if set(names) - {""}
    ]
    if not told:
        return (
            "The images carry no patient ids, no ages, no diagnoses: nothing can be said of "
            "subgroups."
        )
    return f"The judged images carry {', '.join(told)}; no ages, no diagnoses."


def _level(found: Evaluation) -> str:
    if found.divided_by != "image":
        return f"No {found.divided_by} is in two parts."
    return "Divided by image: cells of one patient may lie in several parts."


def checklist(description: Description, dataset: Dataset, found: Evaluation) -> list[Item]:
    """The checklist of one evaluation.

    Args:
        description: the content of ``ensemble.json``.
        dataset: the one that was judged on.
        found: the evaluation.
    """
    j, trained = found.judgement, description.trained_on
    same = dataset.fingerprint == trained.fingerprint
    own = same or found.seen > 0 or found.set_aside > 0
    # Images are recognised by their pixels: at another size the same photographs are not.
    kin = not own and dataset.info["source"] == trained.source
    shares = " / ".join(f"{100 * s:.0f}" for s in trained.split_shares)
    partition = f"Train / validation / test {shares} %, by {found.divided_by} and class, seed "
    partition += f"{trained.split_seed}"
    split = split_of(description, dataset) if own else None
    if split is not None and split.given:
        drawn = f"; {' and '.join(split.drawn)} drawn from train" if split.drawn else ""
        partition = f"The parts that the source gives{drawn}"
    networks = ", ".join(f"{m.name} ({m.weight:.2f})" for m in description.members)
    counts = ", ".join(f"{c['name']} {c['n']:,}" for c in j.per_class)
    excluded = int((~dataset.kept).sum())
    accuracy = _percent(j.accuracy, j.intervals["accuracy"])
    averaged = "averaged over the eight flips and turns" if found.tta else "one view of each image"
    if found.tta is None and description.cascade is not None:
        averaged = f"by a cascade that begins with {description.cascade.first}"
    weighting, size = description.weighting, description.input_size
    answers: list[tuple[str, str, str, bool]] = [
        (
            "Purpose",
            "Intended use and users",
            "Research on telling eight kinds of blood cell apart in photographs of single cells. "
            "Not a medical device; not for diagnosis.",
            True,
        ),
        ("Purpose", "Clinical question, study design, hypothesis", OPEN, False),
        ("Purpose", "Approval, consent, de-identification", OPEN, False),
        (
            "Data",
            "Source",
            f"Trained on {trained.dataset} ({trained.source}); judged on {dataset.name} "
            f"({dataset.info['source']}).",
            True,
        ),
        (
            "Data",
            "Who the cells come from",
            f"{_cells_from(found)} {OPEN}",
            False,
        ),
        ("Data", "Stain, microscope, camera, dates", OPEN, False),
        (
            "Data",
            "Inclusion and exclusion",
            f"{len(dataset):,} images, {excluded:,} of them excluded; the decisions and their "
            "reasons lie in the dataset's curation.json.",
            True,
        ),
        (
            "Data",
            "Preprocessing",
            f"{dataset.info['crop']}; {size}×{size} pixels, RGB.",
            True,
        ),
        (
            "Data",
            "Partitions and their level",
            f"{partition}; copies of an image never in two parts. {_level(found)}",
            True,
        ),
        (
            "Data",
            "Nothing of the test part was seen before",
            f"Identity by pixel hash: {found.set_aside:,} images were set aside because a member "
            f"saw them; {found.seen:,} of the {j.n:,} judged images were seen.",
            True,
        ),
        ("Data", "Sample size and how it was chosen", f"n = {j.n:,}: {counts}. {OPEN}", False),
        ("Ground truth", "Who labelled, how, and how far they agree", OPEN, False),
        (
            "Model",
            "Architecture and output",
            f"Average of {len(description.members)} networks: {networks}; temperature "
            f"{description.temperature:.3f}; probabilities of {len(CLASSES)} classes, prediction "
            "sets, and none of the eight by novelty.",
            True,
        ),
        (
            "Training",
            "Procedure, augmentation, initial weights, seeds",
            "In config.json of each run: " + ", ".join(m.run for m in description.members) + ".",
            True,
        ),
        (
            "Training",
            "How the final model was chosen",
            f"Weights {weighting}; weights, temperature and thresholds used validation images "
            "alone.",
            True,
        ),
        (
            "Evaluation",
            "Figures with their uncertainty",
            f"{found.part} part of {dataset.name}, {averaged}: accuracy {accuracy}, macro F1 "
            f"{_percent(j.macro_f1, j.intervals['macro_f1'])}, calibration error "
            f"{_percent(j.ece, j.intervals['ece'])}, n = {j.n:,}.",
            True,
        ),
        (
            "Evaluation",
            "Cells from another laboratory",
            "This evaluation is on the dataset the members were trained on: home, not away."
            if own
            else f"{dataset.name} is from {trained.source} like the training images, though "
            "with other pixels: whether it shows other cells cannot be told."
            if kin
            else f"This evaluation is on {dataset.name}: no member saw an image with the same "
            "pixels, which tells nothing of the same photographs at another size.",
            not own and not kin,
        ),
        (
            "Evaluation",
            "Robustness, failures, explanation",
            "Corruption study, every error with its image, activation maps and similar training "
            "cells: on the Evaluation page.",
            True,
        ),
        (
            "Limits",
            "What limits it",
            f"{found.limits()} Eight classes only. Conformal coverage and calibration hold for "
            "data like the"
            "validation images and not elsewhere.",
            True,
        ),
        ("Limits", "Registration, protocol, funding, availability", OPEN, False),
    ]
    return [Item(*answer) for answer in answers]


def checklist_markdown(items: list[Item]) -> str:
    """The checklist as a Markdown table; open lines are marked."""
    lines = ["| section | topic | answer | |", "|---|---|---|---|"]
    lines += [
        f"| {i.section} | {i.topic} | {i.answer} | {'stated' if i.known else '**open**'} |"
        for i in items
    ]
    return "\n".join(lines) + "\n"


def measured_card(card: str, description: Description, dataset: Dataset, found: Evaluation) -> str:
    """The ensemble's model card with this evaluation and the checklist behind it.

    Args:
        card: the content of ``card.md``.
        description: the content of ``ensemble.json``.
    """
    j = found.judgement
    names = {
        "accuracy": "accuracy",
        "macro_precision": "precision, mean over classes",
        "macro_recall": "recall, mean over classes",
        "macro_f1": "F1, mean over classes",
        "auc": "AUC",
        "log_loss": "log loss (nats)",
        "ece": "calibration error (ECE)",
    }
    rows = [
        f"| {words} | {getattr(j, key):.4f} | {j.intervals[key][0]:.4f} to "
        f"{j.intervals[key][1]:.4f} |"
        for key, words in names.items()
        if key in j.intervals
    ]
    seen = f", {found.seen:,} of them seen in training" if found.seen else ""
    return "\n".join(
        [
            card.rstrip(),
            "",
            f"## Measured on {dataset.name}",
            "",
            f"The {found.part} part, n = {j.n:,}{seen}; {found.set_aside:,} images set aside "
            "because a member saw them.",
            "",
            "| | value | 95 % interval |",
            "|---|---|---|",
            *rows,
            "",
            "## Checklist, after CLAIM",
            "",
            checklist_markdown(checklist(description, dataset, found)),
        ]
    )
