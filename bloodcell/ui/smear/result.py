"""The differential on the page, and what can be taken along."""

import json

import pandas as pd
import streamlit as st

from bloodcell.agreement.counts import counts_csv
from bloodcell.csv_files import frame_csv
from bloodcell.smear.differential import Differential, cells_to_tell, rumke_table
from bloodcell.smear.report import differential_rows, smear_html
from bloodcell.smear.review import (
    About,
    Review,
    apart_text,
    cells_csv,
    changes_text,
    class_counts,
    some,
)

__all__ = ["ask_about", "show_differential", "show_rumke"]


def ask_about() -> About:
    """Name, patient, laboratory, stain and reviewer, free to fill in."""
    with st.expander("About this smear", icon=":material/edit_note:"):
        columns = st.columns(5)
        fields = ("name", "patient", "laboratory", "stain", "reviewer")
        return About(
            **{
                name: column.text_input(
                    name.capitalize(), key=f"smear_about_{name}", persist_state="session"
                ).strip()
                for name, column in zip(fields, columns, strict=True)
            }
        )


def _beside(told: Differential) -> str:
    def one(name: str, n: int) -> str:
        return f"{n:,} {name}" + (f" ({told.per_100(n):.1f} per 100)" if told.n else "")

    return (
        f"Beside them: {one('platelets', told.platelets)}, "
        f"{one('erythroblasts', told.erythroblasts)}. {apart_text(told)}"
    )


def show_differential(review: Review, about: About, ensemble: str) -> None:
    """Machine's and reviewer's counts with exact limits; the report."""
    merged = st.toggle(
        "Immature granulocytes count as neutrophils", key="smear_merged", persist_state="session"
    )
    machine, reviewed = review.machine(merged), review.reviewed(merged)
    st.markdown(
        f"**{some(reviewed.n, 'white cell')}** after review, {machine.n:,} by the ensemble alone. "
        f"Review: {changes_text(review)}."
    )
    rows = pd.DataFrame(differential_rows(machine, reviewed))
    st.dataframe(rows, hide_index=True, width="stretch", key="smear_differential")
    st.markdown(_beside(reviewed))
    with st.container(horizontal=True):
        st.download_button(
            "Report (HTML)", lambda: smear_html(review, about, ensemble, merged),
            "differential.html", "text/html", icon=":material/description:", on_click="ignore",
            key="smear_html", help="One file that opens anywhere and prints to PDF.",
        )  # fmt: skip
        st.download_button(
            "Differential (CSV)", lambda: frame_csv(rows), "differential.csv", "text/csv",
            icon=":material/download:", on_click="ignore", key="smear_csv",
        )  # fmt: skip
        st.download_button(
            "Cells (CSV)", lambda: cells_csv(review), "cells.csv", "text/csv",
            icon=":material/download:", on_click="ignore", key="smear_cells",
        )  # fmt: skip
        st.download_button(
            "Count (JSON)", lambda: json.dumps(review.smear.to_json(), ensure_ascii=False),
            "count.json", "application/json", icon=":material/download:", on_click="ignore",
            key="smear_json", help="What the ensemble counted, before the review.",
        )  # fmt: skip
        if machine.n:
            st.download_button(
                "Counts (CSV)", lambda: _counts(review, about, ensemble), "counts.csv", "text/csv",
                icon=":material/download:", on_click="ignore", key="smear_counts",
                help="The ensemble's and the reviewer's, as the Verification page reads them.",
            )  # fmt: skip
    show_rumke()


def _counts(review: Review, about: About, ensemble: str) -> str:
    smear, reviewer = about.name or "smear", about.reviewer or "reviewer"
    machine = class_counts(Review(review.smear))
    return counts_csv([(smear, ensemble, machine), (smear, reviewer, class_counts(review))])


def show_rumke() -> None:
    """How sure a count of 100, 200 or 400 cells is."""
    with st.expander("How sure is a count?", icon=":material/straighten:"):
        st.markdown(
            "What a share that was found, in %, may truly be (exact binomial limits, 95 %), by the "
            f"number of cells counted. It takes {cells_to_tell(0.05, 0.10):,} cells to tell 5 % "
            "from 10 %."
        )
        st.dataframe(pd.DataFrame(rumke_table()), hide_index=True, key="smear_rumke")
