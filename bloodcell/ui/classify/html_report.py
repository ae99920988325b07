"""The answers as one HTML file: opens anywhere, needs nothing else."""

import html
import json
from typing import Any

from bloodcell.classes import CLASSES, class_id, title
from bloodcell.ensemble.answer_files import answers_json
from bloodcell.ensemble.classify import Classified
from bloodcell.ensemble.description import Description
from bloodcell.evaluation.intervals import wilson
from bloodcell.ui.common.format import interval, percent, thumbnail

__all__ = ["answers_html", "counts_of"]

STYLE = """
:root { color-scheme: light dark; }
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 70rem; padding: 0 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.1rem; margin-top: 2rem; }
.wide { overflow-x: auto; } table { border-collapse: collapse; }
td, th { padding: .3rem .8rem .3rem 0; text-align: left; border-bottom: 1px solid #8884; }
td.n { text-align: right; font-variant-numeric: tabular-nums; }
img { display: block; width: 48px; height: 48px; border-radius: 4px; }
.dot { display: inline-block; width: .7em; height: .7em; border-radius: 50%; margin-right: .4em; }
.note { opacity: .75; }
"""


def counts_of(found: Classified) -> list[int]:
    """Recognised cells of each class, in the order of the class ids."""
    labels = found.answers.labels[found.answers.recognised]
    return [int((labels == c.id).sum()) for c in CLASSES]


def answers_html(found: Classified, description: Description, notes: list[str]) -> str:
    """A page with the table of answers and the class counts.

    The rows of ``classify --json`` are in it too, in a script element that runs nothing.

    Args:
        found: the answers.
        description: the ensemble's ``ensemble.json``.
        notes: sentences to stand at the top.
    """
    rows = answers_json(found)
    data = json.dumps(rows, ensure_ascii=False, allow_nan=False).replace("<", "\\u003c")
    stated = "".join(f"<p>{html.escape(note)}</p>" for note in notes)
    body = "".join(_row(found, position, row) for position, row in enumerate(rows))
    return f"""<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Blood cells: predictions</title>
<meta name="viewport" content="width=device-width"><style>{STYLE}</style>
<h1>Blood cells: {len(rows):,} predictions</h1>
<p class="note">By the ensemble {html.escape(description.name)} of BloodCell Lab, made on
{html.escape(description.created[:10])}. For research use only. Not a medical device.</p>
{stated}
<h2>Recognised cells</h2>{_counts(found)}
<h2>Files</h2>
<div class="wide"><table><tr><th></th><th>File</th><th>Prediction</th><th>Confidence</th>
<th>Could also be</th><th>Novelty</th></tr>{body}</table></div>
<script type="application/json" id="answers">{data}</script>
</html>
"""


def _dot(label: int) -> str:
    return f'<span class="dot" style="background:{CLASSES[label].colour}"></span>'


def _counts(found: Classified) -> str:
    counts = counts_of(found)
    n = sum(counts)
    lines = "".join(
        f'<tr><td>{_dot(c.id)}{c.title}</td><td class="n">{k:,}</td>'
        f'<td class="n">{percent(k / n) if n else ""}</td><td>{interval(wilson(k, n))}</td></tr>'
        for c, k in zip(CLASSES, counts, strict=True)
    )
    head = "<tr><th>Class</th><th>Cells</th><th>Share</th><th>95 % interval</th></tr>"
    return f'<div class="wide"><table>{head}{lines}</table></div>'


def _row(found: Classified, position: int, row: dict[str, Any]) -> str:
    name = html.escape(row["file"])
    if "error" in row:
        return f'<tr><td></td><td>{name}</td><td colspan="4">{html.escape(row["error"])}</td></tr>'
    label = class_id(row["label"])
    answer = f"{_dot(label)}{title(label)}" if row["recognised"] else "None of the eight"
    others = [title(class_id(c)) for c in row["prediction_set"] if c != row["label"]]
    image = thumbnail(found.images[found.row_of(position)], 96)
    return (
        f'<tr><td><img src="{image}" alt=""></td><td>{name}</td><td>{answer}</td>'
        f'<td class="n">{percent(row["probability"])}</td>'
        f'<td>{", ".join(others)}</td><td class="n">{row["novelty"]:.2f}</td></tr>'
    )
