"""Calibration, review by a person below a confidence threshold, and prediction sets."""

import numpy as np
import pandas as pd
import streamlit as st

from bloodcell import figures
from bloodcell.classes import title
from bloodcell.ensemble.description import Description
from bloodcell.evaluation.calibration import prediction_sets
from bloodcell.evaluation.evaluate import Evaluation
from bloodcell.evaluation.intervals import wilson
from bloodcell.evaluation.metrics import reliability
from bloodcell.evaluation.review import coverage, refer, review_curve
from bloodcell.ui.common.format import interval, percent

__all__ = ["show_calibration", "show_prediction_sets", "show_review"]

TILE_PX = 210


def show_calibration(found: Evaluation) -> None:
    """The reliability diagram with the calibration error."""
    j = found.judgement
    table = reliability(found.labels, found.answers.probabilities)
    st.plotly_chart(
        figures.reliability_diagram(table, j.ece, j.intervals["ece"], j.n),
        key="reliability",
        config=figures.CONFIG,
        alt="Reliability diagram: observed accuracy against predicted probability",
    )
    low, high = j.intervals["ece"]
    st.caption(
        f"On the dashed line the predicted probability equals the observed accuracy. Expected "
        f"calibration error {percent(j.ece, 2)} (95 % interval {interval((low, high), 2)}, "
        f"n\N{NO-BREAK SPACE}=\N{NO-BREAK SPACE}{j.n:,}). Calibration does not transfer to another "
        "laboratory."
    )


@st.fragment
def show_review(found: Evaluation) -> None:
    """The share of cells a person reviews at a threshold, and the share of errors that catches."""
    answers = found.answers
    threshold = st.slider(
        "Confidence threshold",
        50.0,
        99.9,
        90.0,
        0.1,
        format="%.1f %%",
        key="review_threshold",
        help="Cells with a lower probability, or not recognised, are reviewed by a person.",
    )
    r = refer(found.labels, answers.probabilities, threshold / 100, answers.recognised)
    tiles = [
        (
            "Reviewed",
            percent(r.referred / r.n),
            r.referred_interval,
            f"{r.referred:,} of {r.n:,} cells are below the threshold or not recognised",
        ),
        (
            "Errors caught",
            percent(r.caught / r.errors) if r.errors else "no errors",
            r.caught_interval,
            f"{r.caught:,} of {r.errors:,} errors are among the reviewed cells",
        ),
        (
            "Accuracy of the rest",
            "none left" if r.kept_accuracy is None else percent(r.kept_accuracy, 2),
            r.kept_interval,
            f"of the {r.n - r.referred:,} cells that are not reviewed",
        ),
    ]
    with st.container(horizontal=True, gap="small"):
        for name, value, pair, words in tiles:
            st.metric(
                name,
                value,
                interval(pair),
                delta_color="off",
                delta_arrow="off",
                help=words,
                border=True,
                width=TILE_PX,
            )
    curve = review_curve(found.labels, answers.probabilities, answers.recognised)
    caught = r.caught / r.errors if r.errors else 1.0
    st.plotly_chart(
        figures.review_figure(curve, r.referred / r.n, caught, r.errors),
        key="review_figure",
        config=figures.CONFIG,
        alt="Share of errors caught against share of cells reviewed",
    )


@st.fragment
def show_prediction_sets(found: Evaluation, description: Description) -> None:
    """Prediction sets with a chosen coverage, measured on these images."""
    thresholds = description.conformal.by_coverage()
    aimed = (
        st.select_slider(
            "Target coverage",
            list(thresholds),
            value=min(thresholds, key=lambda c: abs(c - description.conformal.coverage)),
            format_func=lambda c: f"{100 * c:g} %",
            key="review_coverage",
        )
        if len(thresholds) > 1
        else next(iter(thresholds))
    )
    chosen = prediction_sets(found.answers.probabilities, thresholds[aimed])
    c = coverage(found.labels, chosen)
    with st.container(horizontal=True, gap="small"):
        st.metric(
            "Coverage",
            percent(c.share, 2),
            interval(c.interval, 2),
            delta_color="off",
            delta_arrow="off",
            help=f"Share of sets that contain the true class: {c.held:,} of {c.n:,}. "
            f"Target: {100 * aimed:g} %.",
            border=True,
            width=TILE_PX,
        )
        st.metric(
            "Mean set size",
            f"{c.mean_size:.2f}",
            f"{percent(c.single)} have one class",
            delta_color="off",
            delta_arrow="off",
            border=True,
            width=TILE_PX,
        )
    worst = sorted(c.per_class, key=lambda row: row[2] / row[1])
    st.dataframe(
        pd.DataFrame(
            [
                {
                    "Class": title(k),
                    "n": n,
                    "Coverage": percent(held / n),
                    "95 % interval": interval(wilson(held, n)),
                    "Mean set size": float(np.mean(chosen[found.labels == k].sum(1))),
                }
                for k, n, held in worst
            ]
        ),
        hide_index=True,
        column_config={"Mean set size": st.column_config.NumberColumn(format="%.2f")},
        alt="Coverage of the prediction sets per class, lowest first",
    )
    st.caption(
        "A prediction set holds every class that is plausible for a cell (split conformal "
        "prediction, fitted on validation images). The coverage holds on average over all classes, "
        "and only for similar data: not for another laboratory, stain or camera."
    )
