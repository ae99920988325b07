"""What an evaluation found, from the headline down to the classes."""

import pandas as pd
import streamlit as st

from bloodcell import figures
from bloodcell.classes import class_id, title
from bloodcell.evaluation.evaluate import Evaluation
from bloodcell.evaluation.intervals import paired_difference, wilson
from bloodcell.evaluation.metrics import reliability
from bloodcell.ui.words import interval, percent

__all__ = ["by_class", "calibration", "headline", "side_by_side"]

# The published result of BloodCellCNN's ensemble of three.
FORERUNNER = {
    "Network": "BloodCellCNN, as published",
    "Accuracy": "97.74\N{NO-BREAK SPACE}%",
    "95 % interval": "not given",
    "Precision": "97.97\N{NO-BREAK SPACE}%",
    "Recall": "97.74\N{NO-BREAK SPACE}%",
    "n": None,
}
# Two beside each other on a phone.
TILE_PX = 168
OPTIMISM = (
    "Below each number is its 95 % interval. The images come from one laboratory and carry no "
    "patient ids: parts were divided by image, so cells of one patient may lie on both sides. "
    "Read these figures as optimistic."
)


def headline(found: Evaluation) -> None:
    """The metrics with their 95 % intervals, and what they are not."""
    j = found.judgement
    n = len(found.labels)
    known = int(found.answers.recognised.sum())
    numbers = [
        ("Accuracy", j.accuracy, j.intervals["accuracy"], "Share of images answered right."),
        (
            "Precision",
            j.macro_precision,
            j.intervals["macro_precision"],
            "Of the images given a class, the share that is of it; mean over the classes.",
        ),
        (
            "Recall",
            j.macro_recall,
            j.intervals["macro_recall"],
            "Of the images of a class, the share that is found; mean over the classes.",
        ),
        (
            "F1",
            j.macro_f1,
            j.intervals["macro_f1"],
            "Harmonic mean of precision and recall; mean over the classes.",
        ),
        (
            "AUC",
            j.auc,
            j.intervals.get("auc"),
            "Area under the ROC curve, one class against the rest; mean over the classes.",
        ),
        (
            "Calibration error",
            j.ece,
            j.intervals["ece"],
            "Expected calibration error in 15 bins: how far a claimed probability is from the "
            "share that is right.",
        ),
        (
            "Recognised",
            known / n,
            wilson(known, n),
            "Share of these cells that is not called none of the eight.",
        ),
    ]
    with st.container(horizontal=True, gap="small", key="headline"):
        for name, value, pair, words in numbers:
            if value is None or pair is None:
                continue
            digits = 2 if name in ("AUC", "Calibration error") else 1
            st.metric(
                name,
                percent(value, digits),
                interval(pair, digits),
                delta_color="off",
                delta_arrow="off",
                help=words,
                border=True,
                width=TILE_PX,
            )
        aside = f"{found.set_aside:,} set aside" if found.set_aside else "none set aside"
        st.metric(
            "Images",
            f"{n:,}",
            aside,
            delta_color="off",
            delta_arrow="off",
            help="Images of the part that a network saw in training or validation are set aside "
            "from the test part: they would flatter the score.",
            border=True,
            width=TILE_PX,
        )
    if found.seen:
        st.warning(
            f"{found.seen:,} of these {n:,} images were seen in training or validation: these "
            "figures are not of unseen cells.",
            icon=":material/warning:",
        )
    st.caption(OPTIMISM)


def side_by_side(found: Evaluation) -> None:
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
    st.caption(
        "Precision and recall here are weighted by the images of a class, as the forerunner's "
        "seem to be (its recall equals its accuracy). Its figures come from other images: they "
        "are a landmark, not a contest."
    )
    if not found.members[1:]:
        return
    st.plotly_chart(
        figures.metric_intervals(
            pd.DataFrame(
                [
                    {
                        "name": name,
                        "metric": "accuracy",
                        "value": j.accuracy,
                        "low": j.intervals["accuracy"][0],
                        "high": j.intervals["accuracy"][1],
                        "n": n,
                    }
                    for name, j in rows
                ]
            )
        ),
        key="members_figure",
        config=figures.CONFIG,
        alt="Accuracy of the ensemble and of each network with 95 % intervals",
    )
    st.markdown(_best_member(found))


def _best_member(found: Evaluation) -> str:
    best = max(range(len(found.members)), key=lambda i: found.members[i][1].accuracy)
    name = found.members[best][0]
    answers = found.answers
    d = paired_difference(found.labels, answers.labels, answers.members[best].argmax(1))
    said = {
        "no measurable difference": "no measurable difference",
        "the first is measurably better": "the ensemble is measurably better",
        "the second is measurably better": f"{name} is measurably better",
    }[d.verdict]
    return (
        f"Ensemble against its best network, {name}: **{said}** ({100 * d.difference:+.2f} "
        f"points, 95 %: {100 * d.low:+.2f} to {100 * d.high:+.2f}; {d.only_a:,} images only the "
        f"ensemble gets right, {d.only_b:,} only {name}; McNemar p = {d.p_value:.2g}, "
        f"n = {d.n:,})."
    )


def by_class(found: Evaluation) -> None:
    """Precision, recall and F1 of each class."""
    rows = [
        {
            "Class": title(class_id(c["name"]) or 0),
            "n": c["n"],
            "Recall": 100 * c["recall"],
            "Recall, 95 %": interval(c["recall_interval"]),
            "Precision": 100 * c["precision"],
            "Precision, 95 %": interval(c["precision_interval"]),
            "F1": 100 * c["f1"],
        }
        for c in found.judgement.per_class
    ]
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
        alt="Recall, precision and F1 of each class with 95 % intervals",
    )


def calibration(found: Evaluation) -> None:
    """Whether a probability can be taken at its word."""
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
        f"calibration error {percent(j.ece, 2)} (95 %: {interval((low, high), 2)}, n = {j.n:,})."
    )
