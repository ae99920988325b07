"""Metrics by where the cells come from, and what is refused of none of the eight."""

import pandas as pd
import streamlit as st

from bloodcell.evaluation.evaluate import Evaluation
from bloodcell.evaluation.origins import refusal_curve, worst_words
from bloodcell.figures import CONFIG
from bloodcell.figures.origins import refusal_figure
from bloodcell.ui.common.format import interval, percent, plain

__all__ = ["has_origins", "show_origins"]

# A table of every patient is long enough with these; all are in the CSV.
MOST_ROWS = 500


def has_origins(found: Evaluation) -> bool:
    """Whether there is anything to say by origin."""
    return bool(found.origin) or found.others is not None


@st.fragment
def show_origins(found: Evaluation) -> None:
    """Show each laboratory, patient or slide, the worst first, and the refusal of others."""
    known = [c for c in found.origin if (found.origin[c] != "").any()]
    if known:
        column = known[0]
        if len(known) > 1:
            column = st.segmented_control(
                "By", known, default=known[0], required=True, key="origin_column"
            )
        scores = found.by(column)
        st.markdown(plain(worst_words(scores, column)))
        rows = [
            {
                column.capitalize(): s.name or "not known",
                "n": s.n,
                "Classes": s.classes,
                "Balanced accuracy": percent(s.balanced_accuracy),
                "95 % interval": interval(s.intervals["balanced_accuracy"]),
                "Accuracy": percent(s.accuracy),
                "95 % interval ": interval(s.intervals["accuracy"]),
                "Recognised": percent(s.recognised),
                "95 % interval  ": interval(s.intervals["recognised"]),
            }
            for s in scores[:MOST_ROWS]
        ]
        st.dataframe(
            pd.DataFrame(rows),
            hide_index=True,
            key=f"origin_scores_{column}",
            alt=f"Balanced accuracy, accuracy and share recognised of each {column}",
        )
        st.caption(
            "Balanced accuracy is the mean over the classes that are present there."
            + (f" Intervals are over {found.clusters}s." if found.clusters else "")
        )
    if found.others is not None:
        other = found.others.to_json() or {}
        st.markdown(
            f"Of **{other['n']:,}** cells labelled as none of the eight, "
            f"**{percent(other['refused'])}** ({interval(other['interval'])}) are refused; of the "
            f"proper cells {percent(1 - float(found.answers.recognised.mean()))}."
        )
        st.plotly_chart(
            refusal_figure(
                refusal_curve(found.answers.novelty, found.others.novelty),
                1 - float(found.answers.recognised.mean()),
                other["refused"],
            ),
            key="refusal",
            config=CONFIG,
            alt="Share of others refused against share of proper cells refused",
        )
