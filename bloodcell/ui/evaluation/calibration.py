"""Whether a probability can be taken at its word, and how much a person has to look at."""

from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from bloodcell import figures
from bloodcell.classes import title
from bloodcell.evaluation.calibration import prediction_sets
from bloodcell.evaluation.evaluate import Evaluation
from bloodcell.evaluation.intervals import wilson
from bloodcell.evaluation.metrics import reliability
from bloodcell.evaluation.review import coverage, refer, review_curve
from bloodcell.evaluation.tables import set_thresholds
from bloodcell.ui.common.format import interval, percent

__all__ = ["calibration", "review", "sets"]

TILE_PX = 210


def calibration(found: Evaluation) -> None:
    """The reliability diagram with the calibration error."""
    j = found.judgement
    table = reliability(found.labels, found.answers.probabilities)
    st.plotly_chart(
        figures.reliability_diagram(table, j.ece, j.intervals["ece"], j.n),
        key="reliability",
        config=figures.CONFIG,
        alt="Reliability diagram: share of right answers against the claimed probability",
    )
    low, high = j.intervals["ece"]
    st.caption(
        f"On the dashed line a claimed probability is the share that is right. Expected "
        f"calibration error {percent(j.ece, 2)} (95 %: {interval((low, high), 2)}, n = {j.n:,}). "
        "Calibration does not carry over to another laboratory."
    )


@st.fragment
def review(found: Evaluation) -> None:
    """Which share of cells goes to a person at a threshold, and which errors that catches."""
    answers = found.answers
    threshold = st.slider(
        "The ensemble answers alone from this probability on",
        50.0,
        99.9,
        90.0,
        0.1,
        format="%.1f %%",
        key="review_threshold",
        help="Below it, and where a cell is not recognised, a person looks.",
    )
    found_at = refer(found.labels, answers.probabilities, threshold / 100, answers.recognised)
    r = found_at
    tiles = [
        (
            "Goes to a person",
            percent(r.referred / r.n),
            r.referred_interval,
            f"{r.referred:,} of {r.n:,} cells",
        ),
        (
            "Errors caught",
            percent(r.caught / r.errors) if r.errors else "no errors",
            r.caught_interval,
            f"{r.caught:,} of {r.errors:,} wrong answers are among them",
        ),
        (
            "Right among the rest",
            "none left" if r.kept_accuracy is None else percent(r.kept_accuracy, 2),
            r.kept_interval,
            f"of the {r.n - r.referred:,} cells that the ensemble answers alone",
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
        alt="Share of errors caught against the share of cells that a person looks at",
    )


@st.fragment
def sets(found: Evaluation, info: dict[str, Any]) -> None:
    """Prediction sets with a chosen coverage, measured on these images."""
    thresholds = set_thresholds(info)
    aimed = (
        st.select_slider(
            "Coverage aimed at",
            list(thresholds),
            value=min(thresholds, key=lambda c: abs(c - info["conformal"]["coverage"])),
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
            "Sets that hold the truth",
            percent(c.share, 2),
            interval(c.interval, 2),
            delta_color="off",
            delta_arrow="off",
            help=f"{c.held:,} of {c.n:,}; aimed at {100 * aimed:g} %",
            border=True,
            width=TILE_PX,
        )
        st.metric(
            "Classes in a set",
            f"{c.mean_size:.2f}",
            f"{percent(c.single)} have one",
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
                    "Sets that hold it": percent(held / n),
                    "95 % interval": interval(wilson(held, n)),
                    "Classes in a set": float(np.mean(chosen[found.labels == k].sum(1))),
                }
                for k, n, held in worst
            ]
        ),
        hide_index=True,
        column_config={"Classes in a set": st.column_config.NumberColumn(format="%.2f")},
        alt="Coverage of the prediction sets in each class, the lowest first",
    )
    st.caption(
        "Split conformal prediction: the threshold comes from validation images. The coverage "
        "holds on average over all classes, and only for data like those: not for another "
        "laboratory, stain or camera."
    )
