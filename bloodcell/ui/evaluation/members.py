"""The ensemble beside its members and the forerunner: who is better, and do they err together?"""

from typing import Any

import pandas as pd
import streamlit as st

from bloodcell import figures
from bloodcell.evaluation.evaluate import Evaluation
from bloodcell.evaluation.tables import member_table, pair_table
from bloodcell.ui.common.format import interval, percent

__all__ = ["side_by_side"]

# The published result of BloodCellCNN's ensemble of three.
FORERUNNER = {
    "Network": "BloodCellCNN, as published",
    "Accuracy": "97.74\N{NO-BREAK SPACE}%",
    "95 % interval": "not given",
    "Precision": "97.97\N{NO-BREAK SPACE}%",
    "Recall": "97.74\N{NO-BREAK SPACE}%",
    "n": None,
}


def side_by_side(found: Evaluation, info: dict[str, Any]) -> None:
    """The ensemble beside its members and the forerunner."""
    rows = [(f"{found.ensemble} (ensemble)", found.judgement), *found.members]
    n = len(found.labels)
    table = [
        {
            "Network": name,
            "Accuracy": percent(j.accuracy, 2),
            "95 % interval": interval(j.intervals["accuracy"], 2),
            "Precision": percent(j.weighted_precision, 2),
            "Recall": percent(j.weighted_recall, 2),
            "n": n,
        }
        for name, j in rows
    ]
    st.dataframe(
        pd.DataFrame([*table, FORERUNNER]),
        hide_index=True,
        placeholder="",
        alt="Accuracy, precision and recall of the ensemble, its networks and the forerunner",
    )
    st.plotly_chart(
        figures.members_figure(found),
        key="members_figure",
        config=figures.CONFIG,
        alt="Accuracy of the ensemble and of each network with 95 % intervals",
    )
    st.caption(
        "Precision and recall here are weighted by the images of a class, as the forerunner's "
        "seem to be (its recall equals its accuracy). Its figures (dotted: the ensemble, and its "
        "networks alone) come from other images: they are a landmark, not a contest."
    )
    if len(found.members) > 1:
        _paired(found, info)
        _together(found)


def _paired(found: Evaluation, info: dict[str, Any]) -> None:
    st.subheader("What each network adds", anchor=False)
    rows = [
        {
            "Network": m.member,
            "Weight": m.weight,
            "Paired test": m.verdict,
            "Ensemble better by": f"{100 * m.difference:+.2f} points",
            "95 % interval": f"{100 * m.difference_low:+.2f} to {100 * m.difference_high:+.2f}",
            "McNemar p": f"{m.p_value:.2g}",
            "Ensemble without it": percent(m.without, 2),
            "Right only with it": m.gained,
            "Right only without it": m.lost,
        }
        for m in member_table(found, info).itertuples()
    ]
    st.dataframe(
        pd.DataFrame(rows),
        hide_index=True,
        column_config={"Weight": st.column_config.NumberColumn(format="%.3f")},
        alt="The ensemble against each network, and without it",
    )
    st.caption(
        f"Paired tests on the same {len(found.labels):,} images (McNemar). Without it: the other "
        "networks keep their proportions."
    )


def _together(found: Evaluation) -> None:
    st.subheader("Do they err together?", anchor=False)
    rows = [
        {
            "Networks": f"{p.a} and {p.b}",
            "Differ on": percent(p.differ, 2),
            "95 % interval": interval((p.low, p.high), 2),
            "Both wrong": p.both_wrong,
            "Kappa": p.kappa,
            "Q": p.q,
        }
        for p in pair_table(found).itertuples()
    ]
    st.dataframe(
        pd.DataFrame(rows),
        hide_index=True,
        column_config={
            "Kappa": st.column_config.NumberColumn(
                format="%.3f", help="Cohen's kappa of their answers: 1 the same, 0 as by chance."
            ),
            "Q": st.column_config.NumberColumn(
                format="%.3f",
                help="Yule's Q of right and wrong: 1 they err on the same images, 0 independently.",
            ),
        },
        alt="Agreement of every two networks",
    )
