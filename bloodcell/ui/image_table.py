"""The images of an evaluation one by one: which were chosen, as a table, as a gallery, as CSV."""

import numpy as np
import pandas as pd

from bloodcell.classes import CLASS_NAMES, CLASSES, title
from bloodcell.data.dataset import Dataset
from bloodcell.data.pipeline import read_images
from bloodcell.evaluation.evaluate import Evaluation
from bloodcell.figures import SHORT_TITLES
from bloodcell.ui.gallery import Picture
from bloodcell.ui.words import percent, thumbnail

__all__ = ["ONLY", "chosen_images", "image_rows", "metrics_csv", "pictures", "predictions_csv"]

ONLY = ("all", "errors", "not recognised")


def chosen_images(
    evaluation: Evaluation, true: int | None, predicted: int | None, only: str = "all"
) -> np.ndarray:
    """Rows of an evaluation, errors first, the least probable true class first among them.

    Args:
        true: the true class, or None for any.
        predicted: the class answered, or None for any.
        only: one of ONLY.

    Returns:
        int64, rows of ``evaluation.indices``.
    """
    answers, labels = evaluation.answers, evaluation.labels
    wrong = answers.labels != labels
    keep = np.ones(len(labels), bool)
    if true is not None:
        keep &= labels == true
    if predicted is not None:
        keep &= answers.labels == predicted
    if only == "errors":
        keep &= wrong
    elif only == "not recognised":
        keep &= ~answers.recognised
    of_truth = answers.probabilities[np.arange(len(labels)), labels]
    order = np.lexsort((evaluation.indices, of_truth, ~wrong))
    return order[keep[order]]


def _votes(evaluation: Evaluation, row: int) -> str:
    of_members = evaluation.answers.members[:, row]
    short = [SHORT_TITLES[name] for name in CLASS_NAMES]
    return " · ".join(f"{short[int(p.argmax())]} {100 * p.max():.0f}" for p in of_members)


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
            "Novelty": answers.novelty[rows],
            "Recognised": answers.recognised[rows],
            "Name": names[evaluation.indices[rows]],
        }
    )


def predictions_csv(evaluation: Evaluation, dataset: Dataset) -> str:
    """Every judged image as CSV, errors first: index, name, true, predicted, what each said."""
    rows = chosen_images(evaluation, None, None)
    answers = evaluation.answers
    names = dataset.items["name"].to_numpy(dtype=str)
    classes = np.array(CLASS_NAMES)
    sets = answers.prediction_sets[rows]
    table = pd.DataFrame(
        {
            "index": evaluation.indices[rows],
            "name": names[evaluation.indices[rows]],
            "true": classes[evaluation.labels[rows]],
            "predicted": classes[answers.labels[rows]],
            "probability": answers.probabilities[rows].max(1),
            "recognised": answers.recognised[rows],
            "novelty": answers.novelty[rows],
            "prediction_set": [" ".join(classes[s]) for s in sets],
        }
    )
    for k, name in enumerate(CLASS_NAMES):
        table[f"p_{name}"] = answers.probabilities[rows, k]
    for (member, _), said in zip(evaluation.members, answers.members, strict=True):
        table[f"vote_{member}"] = classes[said[rows].argmax(1)]
    return table.to_csv(index=False)


def metrics_csv(evaluation: Evaluation) -> str:
    """The numbers of ``evaluate --json`` as CSV: metric, value, low, high."""
    found = evaluation.to_json()
    lines = [
        {"metric": key, "value": found[key], "low": pair[0], "high": pair[1], "n": found["n"]}
        for key, pair in found["intervals"].items()
    ]
    lines += [
        {
            "metric": f"accuracy of {m['name']}",
            "value": m["accuracy"],
            "low": m["interval"][0],
            "high": m["interval"][1],
            "n": found["n"],
        }
        for m in found["members"]
    ]
    return pd.DataFrame(lines).to_csv(index=False)


def pictures(evaluation: Evaluation, dataset: Dataset, rows: np.ndarray) -> list[Picture]:
    """Tiles for a gallery; a tile's id is its row."""
    answers = evaluation.answers
    side = dataset.size[0]
    made = []
    images = read_images(dataset, evaluation.indices[rows], side) if len(rows) else []
    for row, image in zip(map(int, rows), images, strict=True):
        true, label = int(evaluation.labels[row]), int(answers.labels[row])
        p = percent(answers.probabilities[row, label], 0)
        words = f"{title(true)}, answered {title(label).lower()} with {p}"
        caption = f"{SHORT_TITLES[CLASS_NAMES[label]]} {p}"
        note = f"true: {SHORT_TITLES[CLASS_NAMES[true]]}" if true != label else "right"
        colour = CLASSES[label].colour
        made.append(Picture(row, image, words, caption=caption, note=note, colour=colour))
    return made
