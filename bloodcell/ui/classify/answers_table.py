"""Many answers at a glance: a table to sort, and the row that was chosen in it."""

import pandas as pd
import streamlit as st

from bloodcell.classes import title
from bloodcell.ensemble.classify import Classified
from bloodcell.ui.common.cell_card import could_be
from bloodcell.ui.common.format import thumbnail
from bloodcell.ui.common.table import chosen_row

__all__ = ["answer_rows", "answers_table", "narrowed", "summary"]

ROW_PX = 48
MOST_ROWS = 8


def answer_rows(found: Classified) -> pd.DataFrame:
    """One row a file: picture, file, answer, probability in percent, what else it could be.

    An unreadable file has no more than a name.
    """
    rows = []
    a = found.answers
    for position, file in enumerate(found.files):
        i = found.row_of(position)
        if i is None:
            rows.append({"File": file, "Answer": "Not readable"})
            continue
        label = int(a.labels[i])
        known = bool(a.recognised[i])
        rows.append(
            {
                "Picture": thumbnail(found.images[i]),
                "File": file,
                "Answer": title(label) if known else "None of the eight",
                "Probability": 100 * float(a.probabilities[i, label]),
                "Could be": [title(k) for k in could_be(a.probabilities[i], a.prediction_sets[i])],
                "Novelty": float(a.novelty[i]),
            }
        )
    columns = ["Picture", "File", "Answer", "Probability", "Could be", "Novelty"]
    return pd.DataFrame(rows, columns=columns)


def summary(found: Classified) -> str:
    """How many files were recognised, were none of the eight, could not be read."""
    n, unreadable = len(found.files), len(found.errors)
    known = int(found.answers.recognised.sum())
    parts = [
        (known, "recognised"),
        (n - unreadable - known, "none of the eight"),
        (unreadable, "not readable"),
    ]
    files = "1 file" if n == 1 else f"{n:,} files"
    return f"{files}: " + ", ".join(f"**{k:,}** {what}" for k, what in parts if k) + "."


def narrowed(table: pd.DataFrame, answers: list[str], text: str) -> pd.DataFrame:
    """The rows with one of these answers (all if there are none) and `text` in the file name."""
    kept = table["File"].str.contains(text, case=False, regex=False)
    if answers:
        kept &= table["Answer"].isin(answers)
    return table[kept]


def _filters(table: pd.DataFrame, key: str) -> pd.DataFrame:
    counts = table["Answer"].value_counts()
    if len(counts) < 2:
        return table
    left, right = st.columns([3, 1])
    with left:
        answers = st.pills(
            "Only these answers",
            list(counts.index),
            selection_mode="multi",
            format_func=lambda answer: f"{answer} {counts[answer]:,}",
            key=f"{key}_answers",
        )
    text = right.text_input("In the file name", key=f"{key}_text")
    return narrowed(table, answers, text)


def answers_table(found: Classified, threshold: float, key: str) -> int:
    """Draw the table; returns the position of the chosen file, at first the first readable one."""
    table = _filters(answer_rows(found), key)
    if not len(table):
        st.caption("No file is like that.")
    event = st.dataframe(
        table,
        hide_index=True,
        row_height=ROW_PX,
        height=38 + ROW_PX * min(max(len(table), 1), MOST_ROWS),
        # Another table behind the same key would keep a selection that points elsewhere.
        key=f"{key}_{len(table)}_{hash(tuple(table.index))}",
        on_select="rerun",
        selection_mode=["single-row", "single-cell"],
        column_config={
            "Picture": st.column_config.ImageColumn("", width=56),
            "File": st.column_config.TextColumn(width=140),
            "Answer": st.column_config.TextColumn(width=150),
            "Probability": st.column_config.ProgressColumn(
                format="%.1f %%", min_value=0, max_value=100, width=120
            ),
            "Could be": st.column_config.ListColumn(width=180),
            "Novelty": st.column_config.NumberColumn(
                format="%.2f", width=70, help=f"Not recognised above {threshold:.2f}."
            ),
        },
        placeholder="",
        alt="The answer for each file",
    )
    readable = [int(p) for p in table.index if p not in found.errors]
    if not readable:
        readable = [p for p in range(len(found.files)) if p not in found.errors] or [0]
    chosen = chosen_row(event["selection"], -1)
    return int(table.index[chosen]) if 0 <= chosen < len(table) else readable[0]
