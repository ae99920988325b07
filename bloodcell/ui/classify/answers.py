"""All answers for a drop: warning, table, class counts, files to download."""

import json

import pandas as pd
import streamlit as st

from bloodcell import figures
from bloodcell.classes import CLASSES, title
from bloodcell.ensemble.answer_files import answers_csv, answers_json
from bloodcell.ensemble.classify import Classified
from bloodcell.ensemble.ensemble import Ensemble
from bloodcell.ensemble.shift import Shift, find_shift, wanted_background
from bloodcell.evaluation.intervals import wilson
from bloodcell.ui.classify.html_report import answers_html, counts_of
from bloodcell.ui.common.cell_card import could_be
from bloodcell.ui.common.format import thumbnail
from bloodcell.ui.common.table import chosen_row

__all__ = [
    "UNREADABLE",
    "answer_rows",
    "counts_table",
    "filter_answers",
    "show_answers_table",
    "show_class_counts",
    "show_downloads",
    "summary",
    "warn_of_shift",
]

ROW_PX = 48
MOST_ROWS = 8
UNREADABLE = "Unreadable"


def answer_rows(found: Classified) -> pd.DataFrame:
    """One row a file: picture, file, prediction, confidence in percent, what else it could be.

    An unreadable file has no more than a name.
    """
    rows = []
    a = found.answers
    for position, file in enumerate(found.files):
        i = found.row_of(position)
        if i is None:
            rows.append({"File": file, "Prediction": UNREADABLE})
            continue
        label = int(a.labels[i])
        known = bool(a.recognised[i])
        rows.append(
            {
                "Picture": thumbnail(found.images[i]),
                "File": file,
                "Prediction": title(label) if known else "None of the eight",
                "Confidence": 100 * float(a.probabilities[i, label]),
                "Could also be": [
                    title(k) for k in could_be(a.probabilities[i], a.prediction_sets[i])
                ],
                "Novelty": float(a.novelty[i]),
            }
        )
    columns = ["Picture", "File", "Prediction", "Confidence", "Could also be", "Novelty"]
    return pd.DataFrame(rows, columns=columns)


def summary(found: Classified) -> str:
    """How many files were recognised, were none of the eight, could not be read."""
    n, unreadable = len(found.files), len(found.errors)
    known = int(found.answers.recognised.sum())
    parts = [
        (known, "recognised"),
        (n - unreadable - known, "none of the eight"),
        (unreadable, "unreadable"),
    ]
    files = "1 file" if n == 1 else f"{n:,} files"
    return f"{files}: " + ", ".join(f"**{k:,}** {what}" for k, what in parts if k) + "."


def filter_answers(table: pd.DataFrame, answers: list[str], text: str) -> pd.DataFrame:
    """The rows with one of these predictions (all if none is given) and `text` in the file name."""
    kept = table["File"].str.contains(text, case=False, regex=False)
    if answers:
        kept &= table["Prediction"].isin(answers)
    return table[kept]


def _ask_filters(table: pd.DataFrame, key: str) -> pd.DataFrame:
    counts = table["Prediction"].value_counts()
    if len(counts) < 2:
        return table
    left, right = st.columns([3, 1])
    with left:
        answers = st.pills(
            "Filter by prediction",
            list(counts.index),
            selection_mode="multi",
            format_func=lambda answer: f"{answer} {counts[answer]:,}",
            key=f"{key}_answers",
        )
    text = right.text_input("Filter by file name", key=f"{key}_text")
    return filter_answers(table, answers, text)


def show_answers_table(found: Classified, threshold: float, key: str) -> int:
    """Draw the table; returns the position of the chosen file, at first the first readable one."""
    table = _ask_filters(answer_rows(found), key)
    if not len(table):
        st.caption("No file matches these filters.")
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
            "Prediction": st.column_config.TextColumn(width=150),
            "Confidence": st.column_config.ProgressColumn(
                format="%.1f %%",
                min_value=0,
                max_value=100,
                width=120,
                help="Calibrated probability of the predicted class.",
            ),
            "Could also be": st.column_config.ListColumn(
                width=180, help="The other classes of the conformal prediction set."
            ),
            "Novelty": st.column_config.NumberColumn(
                format="%.2f",
                width=70,
                help=f"Out of distribution (none of the eight) above {threshold:.2f}.",
            ),
        },
        placeholder="",
        alt="The prediction for each file",
    )
    readable = [int(p) for p in table.index if p not in found.errors]
    if not readable:
        readable = [p for p in range(len(found.files)) if p not in found.errors] or [0]
    chosen = chosen_row(event["selection"], -1)
    return int(table.index[chosen]) if 0 <= chosen < len(table) else readable[0]


def warn_of_shift(ensemble: Ensemble, found: Classified, balanced: bool) -> Shift | None:
    """Warn where the batch is unlike the training images (domain shift)."""
    shift = find_shift(ensemble, found.backgrounds, found.answers.novelty)
    alone = len(found.images) == 1 and not found.answers.recognised[0]
    # A lone photograph of something else has been refused already.
    if shift is not None and shift.found and not alone:
        advice = ""
        if shift.other_light and not balanced and wanted_background(ensemble) is not None:
            advice = " White balance, above, may help; it does not make them reliable."
        st.warning(f"{shift.sentence(balanced)}{advice}", icon=":material/warning:")
    return shift


def show_downloads(ensemble: Ensemble, found: Classified, notes: list[str]) -> None:
    """The answers as CSV, JSON and HTML: all with the rows of ``classify --json``."""
    text = json.dumps(answers_json(found), ensure_ascii=False, allow_nan=False) + "\n"
    for label, data, mime in (
        ("CSV", lambda: answers_csv(found), "text/csv"),
        ("JSON", text, "application/json"),
        ("HTML", lambda: answers_html(found, ensemble.description, notes), "text/html"),
    ):
        st.download_button(
            label,
            data,
            f"answers.{label.lower()}",
            mime,
            icon=":material/download:",
            on_click="ignore",
            key=f"answers_{label}",
        )


def counts_table(counts: list[int]) -> pd.DataFrame:
    """Class, cells, share and its interval in per cent, of at least one cell in all."""
    n = sum(counts)
    limits = [wilson(count, n) for count in counts]
    return pd.DataFrame(
        [
            {
                "class": c.title,
                "cells": count,
                "share": 100 * count / n,
                "from": 100 * low,
                "to": 100 * high,
            }
            for c, count, (low, high) in zip(CLASSES, counts, limits, strict=True)
        ]
    )


def show_class_counts(found: Classified) -> None:
    """How many of each class, with intervals; only recognised cells count."""
    counts = counts_of(found)
    if not sum(counts):
        st.caption("None was recognised, so there are no class counts.")
        return
    with st.expander(f"Class counts of {sum(counts):,} recognised cells", expanded=True):
        st.plotly_chart(
            figures.differential(counts),
            key="differential",
            config=figures.CONFIG,
            alt="Bar chart of the share of each class among the recognised cells",
        )
        st.dataframe(
            counts_table(counts),
            hide_index=True,
            key="differential_numbers",
            column_config={
                name: st.column_config.NumberColumn(format="%.1f %%")
                for name in ("share", "from", "to")
            },
        )
        st.caption(
            "Counts of predictions with 95 % Wilson intervals. The intervals cover which cells "
            "happened to be photographed, not wrong predictions. All eight classes add up to 100 %."
        )
