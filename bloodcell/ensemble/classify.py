"""Files in, answers out: the same for the command line and the page."""

import io
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from bloodcell.classes import CLASS_NAMES
from bloodcell.data.decode import decode_image, fit
from bloodcell.ensemble.ensemble import BATCH, Answers, Ensemble
from bloodcell.errors import BloodCellError
from bloodcell.progress import Progress, silent

__all__ = ["Classified", "answers_csv", "answers_json", "classify"]


@dataclass(frozen=True)
class Classified:
    """The answers for some files.

    Attributes:
        files: the names as given, in order.
        errors: name → why it could not be read.
        images: uint8, n×S×S×3: what the ensemble was shown, of the readable files in order.
        answers: for those images.
    """

    files: list[str]
    errors: dict[int, str]
    images: np.ndarray
    answers: Answers

    def row_of(self, position: int) -> int | None:
        """The row in `images` and `answers` of the file at `position`; None if unreadable."""
        if position in self.errors:
            return None
        return position - sum(p < position for p in self.errors)


def classify(
    ensemble: Ensemble,
    files: list[tuple[str, bytes | BloodCellError]],
    *,
    tta: bool | None = None,
    progress: Progress = silent,
) -> Classified:
    """Decode, crop to the centre square, and answer; an unreadable file gets its sentence.

    Args:
        files: (name, content); in place of the content, why it could not be fetched.
        tta: average over flips and turns; None: as the ensemble was composed.
    """
    images, errors = [], {}
    for position, (name, content) in enumerate(files):
        try:
            if isinstance(content, BloodCellError):
                raise content
            images.append(fit(decode_image(content, name), ensemble.size))
        except BloodCellError as error:
            errors[position] = str(error)
        if position % BATCH == BATCH - 1 or position == len(files) - 1:
            progress(position + 1, len(files), "files read")
    shape = (0, ensemble.size, ensemble.size, 3)
    stacked = np.stack(images) if images else np.zeros(shape, np.uint8)
    answers = ensemble.predict(stacked, tta=tta, progress=progress)
    return Classified([name for name, _ in files], errors, stacked, answers)


def answers_json(found: Classified) -> list[dict[str, Any]]:
    """The rows of ``classify --json``."""
    rows: list[dict[str, Any]] = []
    a = found.answers
    for position, file in enumerate(found.files):
        i = found.row_of(position)
        if i is None:
            rows.append({"file": file, "error": found.errors[position]})
            continue
        label = int(a.labels[i])
        rows.append(
            {
                "file": file,
                "label": CLASS_NAMES[label],
                "probability": float(a.probabilities[i, label]),
                "probabilities": {
                    name: float(p) for name, p in zip(CLASS_NAMES, a.probabilities[i], strict=True)
                },
                "prediction_set": [CLASS_NAMES[k] for k in np.flatnonzero(a.prediction_sets[i])],
                "recognised": bool(a.recognised[i]),
                "novelty": float(a.novelty[i]),
            }
        )
    return rows


def answers_csv(found: Classified) -> str:
    """The same rows as CSV: one column a class, the prediction set joined by spaces."""
    rows = []
    for row in answers_json(found):
        flat = {k: v for k, v in row.items() if k not in ("probabilities", "prediction_set")}
        flat["prediction_set"] = " ".join(row.get("prediction_set", []))
        flat |= {f"p_{k}": v for k, v in row.get("probabilities", {}).items()}
        rows.append(flat)
    first = ["file", "label", "probability", "recognised", "novelty", "prediction_set"]
    columns = [*first, *(f"p_{c}" for c in CLASS_NAMES), "error"]
    buffer = io.StringIO()
    pd.DataFrame(rows, columns=columns).to_csv(buffer, index=False)
    return buffer.getvalue()
