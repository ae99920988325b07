"""The images of an evaluation one by one: which were chosen, as a table, as a gallery."""

import numpy as np
import pandas as pd

from bloodcell.classes import CLASS_NAMES, CLASSES, title
from bloodcell.data.pipeline import read_images
from bloodcell.data.store.dataset import Dataset
from bloodcell.evaluation.agreement import disagreement
from bloodcell.evaluation.evaluate import Evaluation
from bloodcell.figures import SHORT_TITLES
from bloodcell.ui.common.format import percent, thumbnail
from bloodcell.ui.common.gallery import Picture

__all__ = ["ONLY", "ORDERS", "answers_of", "chosen_images", "image_rows", "networks", "pictures"]

ONLY = ("all", "errors", "not recognised", "networks differ")
ORDERS = (
    "confident errors first",
    "least sure first",
    "most disagreement first",
    "strangest first",
)
SHORT = [SHORT_TITLES[name] for name in CLASS_NAMES]


def networks(evaluation: Evaluation) -> list[str]:
    """The ensemble's name, then its members'."""
    return [evaluation.ensemble, *(name for name, _ in evaluation.members)]


def answers_of(evaluation: Evaluation, network: int) -> tuple[np.ndarray, np.ndarray]:
    """Answers (int64, n) and probabilities (n×8) of a network: 0 the ensemble, 1 the first member.

    A member's probabilities are uncalibrated.
    """
    answers = evaluation.answers
    said = answers.members[network - 1] if network else answers.probabilities
    return said.argmax(1), said


def chosen_images(
    evaluation: Evaluation,
    true: int | None,
    predicted: int | None,
    only: str = "all",
    *,
    network: int = 0,
    pair: tuple[int, int] | None = None,
    order: str = ORDERS[0],
) -> np.ndarray:
    """Rows of an evaluation, filtered and in order.

    Args:
        true: the true class, or None for any.
        predicted: the class answered, or None for any.
        only: one of ONLY.
        network: whose answers count, see :func:`answers_of`.
        pair: two classes, for images that are one of them and were given one of them.
        order: one of ORDERS; "confident errors first": the least probable true class foremost.

    Returns:
        int64, rows of ``evaluation.indices``.
    """
    labels = evaluation.labels
    said, probabilities = answers_of(evaluation, network)
    wrong = said != labels
    keep = np.ones(len(labels), bool)
    if true is not None:
        keep &= labels == true
    if predicted is not None:
        keep &= said == predicted
    if pair is not None:
        keep &= np.isin(labels, pair) & np.isin(said, pair)
    votes = evaluation.answers.members.argmax(2)
    keep &= {
        "all": np.True_,
        "errors": wrong,
        "not recognised": ~evaluation.answers.recognised,
        "networks differ": (votes != votes[0]).any(0),
    }[only]
    of_truth = probabilities[np.arange(len(labels)), labels]
    keys = {
        ORDERS[0]: (of_truth, ~wrong),
        ORDERS[1]: (probabilities.max(1),),
        ORDERS[2]: (-disagreement(evaluation.answers.members),),
        ORDERS[3]: (-evaluation.answers.novelty,),
    }[order]
    rows = np.lexsort((evaluation.indices, *keys))
    return rows[keep[rows]]


def _votes(evaluation: Evaluation, row: int) -> str:
    of_members = evaluation.answers.members[:, row]
    return " · ".join(f"{SHORT[int(p.argmax())]} {100 * p.max():.0f}" for p in of_members)


def image_rows(evaluation: Evaluation, dataset: Dataset, rows: np.ndarray) -> pd.DataFrame:
    """The table that is shown: a line an image, with its picture; probabilities in percent."""
    answers, labels = evaluation.answers, evaluation.labels
    names = dataset.items["name"].to_numpy(dtype=str)
    images = dataset.images
    return pd.DataFrame(
        {
            "Picture": [thumbnail(images[i]) for i in evaluation.indices[rows]],
            "True": [title(int(k)) for k in labels[rows]],
            "Answer": [title(int(k)) for k in answers.labels[rows]],
            "Right": answers.labels[rows] == labels[rows],
            "Probability": 100 * answers.probabilities[rows].max(1),
            "Votes": [_votes(evaluation, int(row)) for row in rows],
            "Disagreement": 100 * disagreement(answers.members[:, rows]),
            "Novelty": answers.novelty[rows],
            "Recognised": answers.recognised[rows],
            "Could be": [
                ", ".join(SHORT[k] for k in np.flatnonzero(answers.prediction_sets[row]))
                for row in rows
            ],
            "Name": names[evaluation.indices[rows]],
        }
    )


def pictures(
    evaluation: Evaluation, dataset: Dataset, rows: np.ndarray, network: int = 0
) -> list[Picture]:
    """Tiles for a gallery; a tile's id is its row."""
    said, probabilities = answers_of(evaluation, network)
    side = dataset.size[0]
    made = []
    images = read_images(dataset, evaluation.indices[rows], side) if len(rows) else []
    for row, image in zip(map(int, rows), images, strict=True):
        true, label = int(evaluation.labels[row]), int(said[row])
        p = percent(float(probabilities[row, label]), 0)
        words = f"{title(true)}, answered {title(label).lower()} with {p}"
        caption = f"{SHORT[label]} {p}"
        note = f"true: {SHORT[true]}" if true != label else "right"
        colour = CLASSES[label].colour
        made.append(Picture(row, image, words, caption=caption, note=note, colour=colour))
    return made
