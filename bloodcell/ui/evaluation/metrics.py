"""What an evaluation measured: of the ensemble, of each class, of each member."""

from typing import Any

import pandas as pd
import streamlit as st

from bloodcell import figures
from bloodcell.classes import class_id, title
from bloodcell.evaluation.curves import precision_recall_curves, roc_curves
from bloodcell.evaluation.evaluate import Evaluation
from bloodcell.evaluation.intervals import wilson
from bloodcell.evaluation.tables import METRIC_NAMES, member_table, pair_table
from bloodcell.ui.common.format import interval, percent
from bloodcell.ui.evaluation.images import answers_of, networks

__all__ = ["all_figures", "by_class", "headline", "side_by_side"]

# Two beside each other on a phone.
TILE_PX = 168
OPTIMISM = (
    "Below each number is its 95 % interval. The images come from one laboratory and carry no "
    "patient ids: parts were divided by image, so cells of one patient may lie on both sides. "
    "Read these figures as optimistic."
)
# The published result of BloodCellCNN's ensemble of three.
FORERUNNER = {
    "Network": "BloodCellCNN, as published",
    "Accuracy": "97.74\N{NO-BREAK SPACE}%",
    "95 % interval": "not given",
    "Precision": "97.97\N{NO-BREAK SPACE}%",
    "Recall": "97.74\N{NO-BREAK SPACE}%",
    "n": None,
}


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


def all_figures(found: Evaluation) -> None:
    """Every metric of the ensemble, macro and weighted, with its interval and n."""
    j = found.judgement
    rows = []
    for key, words in METRIC_NAMES.items():
        if key not in j.intervals:
            continue
        value, (low, high) = getattr(j, key), j.intervals[key]
        if key == "log_loss":
            texts = f"{value:.4f}", f"{low:.4f} to {high:.4f}"
        else:
            texts = percent(value, 2), interval((low, high), 2)
        rows.append({"Metric": words, "Value": texts[0], "95 % interval": texts[1], "n": j.n})
    st.dataframe(pd.DataFrame(rows), hide_index=True, alt="Every metric with its 95 % interval")
    st.caption(
        "Of 1,000 simulated test sets of a calibrated classifier each of these intervals held the "
        "truth in 93 to 97 %."
    )


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
