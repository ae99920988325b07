"""What is said of dropped photographs as a whole: shift, class counts, files to take along."""

import json

import pandas as pd
import streamlit as st

from bloodcell import figures
from bloodcell.classes import CLASSES
from bloodcell.ensemble.answer_files import answers_csv, answers_json
from bloodcell.ensemble.classify import Classified
from bloodcell.ensemble.ensemble import Ensemble
from bloodcell.ensemble.shift import Shift, find_shift, wanted_background
from bloodcell.evaluation.intervals import wilson
from bloodcell.ui.classify.html_report import answers_html, counts_of

__all__ = ["class_counts_of_batch", "counts_table", "downloads", "shift_said"]


def shift_said(ensemble: Ensemble, found: Classified, balanced: bool) -> Shift | None:
    """Warn where the batch is unlike the training photographs."""
    shift = find_shift(ensemble, found.backgrounds, found.answers.novelty)
    alone = len(found.images) == 1 and not found.answers.recognised[0]
    # A lone photograph of something else has been refused already.
    if shift is not None and shift.found and not alone:
        advice = ""
        if shift.other_light and not balanced and wanted_background(ensemble) is not None:
            advice = " Balancing the light, above, may help; it does not make them trustworthy."
        st.warning(f"{shift.sentence(balanced)}{advice}", icon=":material/warning:")
    return shift


def downloads(ensemble: Ensemble, found: Classified, notes: list[str]) -> None:
    """The answers as CSV, JSON and HTML: all with the rows of ``classify --json``."""
    text = json.dumps(answers_json(found), ensure_ascii=False, allow_nan=False) + "\n"
    for label, data, mime in (
        ("CSV", lambda: answers_csv(found), "text/csv"),
        ("JSON", text, "application/json"),
        ("HTML", lambda: answers_html(found, ensemble.info, notes), "text/html"),
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


def class_counts_of_batch(found: Classified) -> None:
    """How many of each class, with intervals; only recognised cells count."""
    counts = counts_of(found)
    if not sum(counts):
        st.caption("None of them was recognised, so there are no class counts.")
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
            "Counted as answered, with 95 % Wilson intervals: they allow for chance in which "
            "cells were photographed, not for wrong answers. All eight classes are in the sum."
        )
