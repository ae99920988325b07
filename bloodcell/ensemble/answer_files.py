"""Answers to take along: JSON and CSV, the same rows for the command line and the page."""

from typing import Any

import numpy as np
import pandas as pd

from bloodcell.classes import CLASS_NAMES
from bloodcell.csv_files import frame_csv
from bloodcell.ensemble.classify import Classified
from bloodcell.ensemble.ensemble import DECIMALS

__all__ = ["answers_csv", "answers_json"]


def answers_json(found: Classified) -> list[dict[str, Any]]:
    """The rows of ``classify --json``.

    ``crop`` is there where not the whole photograph was shown: [x, y, side] in its pixels.
    """
    rows: list[dict[str, Any]] = []
    a = found.answers
    for position, file in enumerate(found.files):
        i = found.row_of(position)
        if i is None:
            rows.append({"file": file, "error": found.errors[position]})
            continue
        label, crop = int(a.labels[i]), found.crops[i]
        rows.append(
            {
                "file": file,
                "label": CLASS_NAMES[label],
                "probability": round(float(a.probabilities[i, label]), DECIMALS),
                "probabilities": {
                    name: round(float(p), DECIMALS)
                    for name, p in zip(CLASS_NAMES, a.probabilities[i], strict=True)
                },
                "prediction_set": [CLASS_NAMES[k] for k in np.flatnonzero(a.prediction_sets[i])],
                "recognised": bool(a.recognised[i]),
                "novelty": float(a.novelty[i]),
            }
        )
        if found.sizes[i] != (crop.side, crop.side):
            rows[-1]["crop"] = [crop.x, crop.y, crop.side]
    return rows


def answers_csv(found: Classified) -> str:
    """The same rows as CSV: one column a class, the prediction set and crop joined by spaces."""
    rows = []
    for row in answers_json(found):
        lists = ("prediction_set", "crop")
        flat = {k: v for k, v in row.items() if k not in ("probabilities", *lists)}
        flat |= {k: " ".join(map(str, row.get(k, []))) for k in lists}
        flat |= {f"p_{k}": v for k, v in row.get("probabilities", {}).items()}
        rows.append(flat)
    first = ["file", "label", "probability", "recognised", "novelty", "prediction_set", "crop"]
    columns = [*first, *(f"p_{c}" for c in CLASS_NAMES), "error"]
    return frame_csv(pd.DataFrame(rows, columns=columns))
