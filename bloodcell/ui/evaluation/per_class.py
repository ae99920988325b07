"""Class by class: recall, precision, F1, AUC, and the curves behind them."""

import pandas as pd
import streamlit as st

from bloodcell import figures
from bloodcell.classes import class_id, title
from bloodcell.evaluation.curves import precision_recall_curves, roc_curves
from bloodcell.evaluation.evaluate import Evaluation
from bloodcell.ui.common.format import interval, percent
from bloodcell.ui.evaluation.image_table import answers_of, networks

__all__ = ["by_class"]


@st.fragment
def by_class(found: Evaluation) -> None:
    """Every class with its intervals; ROC and precision-recall curves."""
    names = networks(found)
    network = 0
    if len(names) > 2:
        network = st.selectbox(
            "Answers of", range(len(names)), format_func=names.__getitem__, key="classes_network"
        )
    judged = found.members[network - 1][1] if network else found.judgement
    rows = []
    for c in judged.per_class:
        row = {"Class": title(class_id(c["name"]) or 0), "n": c["n"]}
        for key, words in (("recall", "Recall"), ("precision", "Precision"), ("f1", "F1")):
            row[words] = 100 * c[key]
            row[f"{words}, 95 %"] = interval(c[f"{key}_interval"])
        row["AUC"] = None if c["auc"] is None else percent(c["auc"], 2)
        row["AUC, 95 %"] = None if c["auc"] is None else interval(c["auc_interval"], 2)
        rows.append(row)
    bar = {"format": "%.1f %%", "min_value": 0, "max_value": 100, "width": 110}
    st.dataframe(
        pd.DataFrame(rows),
        hide_index=True,
        column_config={
            "Recall": st.column_config.ProgressColumn(
                **bar, help="Of the cells of this class, the share that is found."
            ),
            "Precision": st.column_config.ProgressColumn(
                **bar, help="Of the cells given this class, the share that is of it."
            ),
            "F1": st.column_config.NumberColumn(format="%.1f %%"),
        },
        alt="Recall, precision, F1 and AUC of each class with 95 % intervals",
    )
    _, probabilities = answers_of(found, network)
    aucs = {c["name"]: percent(c["auc"], 2) for c in judged.per_class if c["auc"] is not None}
    left, right = st.columns(2)
    left.plotly_chart(
        figures.roc_figure(roc_curves(found.labels, probabilities), aucs),
        key="roc",
        config=figures.CONFIG,
        alt="ROC curve of each class against the rest",
    )
    right.plotly_chart(
        figures.precision_recall_figure(precision_recall_curves(found.labels, probabilities)),
        key="precision_recall",
        config=figures.CONFIG,
        alt="Precision-recall curve of each class",
    )
    st.caption(
        "Behind each class: its AUC. The figures show the corner that matters; a double "
        "click shows all of it."
    )
