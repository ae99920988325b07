"""Metrics of an evaluation: of the ensemble, per class, and of each member."""

import pandas as pd
import streamlit as st

from bloodcell import figures
from bloodcell.classes import class_id, title
from bloodcell.ensemble.description import Description
from bloodcell.evaluation.curves import precision_recall_curves, roc_curves
from bloodcell.evaluation.evaluate import Evaluation
from bloodcell.evaluation.origins import worst_words
from bloodcell.evaluation.tables import METRIC_NAMES, member_table, pair_table
from bloodcell.ui.common.format import interval, percent, plain
from bloodcell.ui.evaluation.images import name_models, select_predictions

__all__ = ["show_all_metrics", "show_classes", "show_headline", "show_members"]

# Two beside each other on a phone.
TILE_PX = 168
INTERVALS = "Below each number is its 95 % interval."
# The published result of BloodCellCNN's ensemble of three.
FORERUNNER = {
    "Model": "BloodCellCNN (published)",
    "Accuracy": "97.74\N{NO-BREAK SPACE}%",
    "95 % interval": "not given",
    "Precision": "97.97\N{NO-BREAK SPACE}%",
    "Recall": "97.74\N{NO-BREAK SPACE}%",
    "n": None,
}


def show_headline(found: Evaluation) -> None:
    """Show the main metrics with their 95 % intervals, and their limits."""
    j = found.judgement
    n = len(found.labels)
    known = int(found.answers.recognised.sum())
    numbers = [
        ("Accuracy", j.accuracy, j.intervals["accuracy"], "Share of images classified correctly."),
        (
            "Precision",
            j.macro_precision,
            j.intervals["macro_precision"],
            "Share of the images predicted as a class that belong to it; mean over the classes "
            "that are present.",
        ),
        (
            "Recall",
            j.macro_recall,
            j.intervals["macro_recall"],
            "Share of the images of a class that are found; mean over the classes that are "
            "present. This is the balanced accuracy.",
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
            "Expected calibration error (ECE), 15 bins: difference between predicted probability "
            "and observed accuracy.",
        ),
        (
            "Recognised",
            known / n,
            found.recognised_interval(),
            "Share of these cells whose novelty is below the threshold. The others are flagged as "
            "none of the eight classes.",
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
        aside = f"{found.set_aside:,} excluded" if found.set_aside else "none excluded"
        st.metric(
            "Images",
            f"{n:,}",
            aside,
            delta_color="off",
            delta_arrow="off",
            help="Test images that a member saw in training or validation are excluded, because "
            "they would inflate the metrics.",
            border=True,
            width=TILE_PX,
        )
    if found.seen:
        st.warning(
            f"{found.seen:,} of these {n:,} images were used in training or validation: this is "
            "not a result on unseen cells.",
            icon=":material/warning:",
        )
    scores = found.by("laboratory")
    if len(scores) > 1:
        st.markdown(plain(worst_words(scores, "laboratory")))
    st.caption(f"{INTERVALS} {found.limits()}")


def show_all_metrics(found: Evaluation) -> None:
    """Show every metric of the ensemble, macro and weighted, with its interval and n."""
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
        "Checked on 1,000 simulated test sets of a calibrated classifier: these intervals "
        "contained the true value in 93 to 97 % of them."
    )


@st.fragment
def show_classes(found: Evaluation) -> None:
    """Show every class with its intervals, and ROC and precision-recall curves."""
    names = name_models(found)
    network = 0
    if len(names) > 2:
        network = st.selectbox(
            "Model",
            range(len(names)),
            format_func=names.__getitem__,
            key="classes_network",
            width=320,
        )
    metrics = found.members[network - 1][1] if network else found.judgement
    rows = []
    for c in metrics.per_class:
        row = {"Class": title(class_id(c["name"]) or 0), "n": c["n"]}
        for key, words in (("recall", "Recall"), ("precision", "Precision"), ("f1", "F1")):
            row[words] = 100 * c[key]
            row[f"{words}, 95 % interval"] = interval(c[f"{key}_interval"])
        row["AUC"] = None if c["auc"] is None else percent(c["auc"], 2)
        row["AUC, 95 % interval"] = None if c["auc"] is None else interval(c["auc_interval"], 2)
        rows.append(row)
    bar = {"format": "%.1f %%", "min_value": 0, "max_value": 100, "width": 110}
    st.dataframe(
        pd.DataFrame(rows),
        hide_index=True,
        column_config={
            "Recall": st.column_config.ProgressColumn(
                **bar, help="Share of the cells of this class that are found."
            ),
            "Precision": st.column_config.ProgressColumn(
                **bar, help="Share of the cells predicted as this class that belong to it."
            ),
            "F1": st.column_config.NumberColumn(format="%.1f %%"),
        },
        alt="Recall, precision, F1 and AUC per class with 95 % intervals",
    )
    _, probabilities = select_predictions(found, network)
    aucs = {c["name"]: percent(c["auc"], 2) for c in metrics.per_class if c["auc"] is not None}
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
        "Each class is listed with its AUC. The axes are zoomed in; double-click a figure to see "
        "all of it."
    )


def show_members(found: Evaluation, description: Description) -> None:
    """Compare the ensemble with its members and with the published result."""
    rows = [(f"{found.ensemble} (ensemble)", found.judgement), *found.members]
    n = len(found.labels)
    if found.tta is None:
        st.info(
            f"Only {found.members[0][0]} looked at every image, as the ensemble answers by a "
            "cascade: switch on All networks to compare the members.",
            icon=":material/info:",
        )
    table = [
        {
            "Model": name,
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
        alt="Accuracy, precision and recall of the ensemble, its members and BloodCellCNN",
    )
    st.plotly_chart(
        figures.members_figure(found),
        key="members_figure",
        config=figures.CONFIG,
        alt="Accuracy of the ensemble and of each member with 95 % intervals",
    )
    st.caption(
        "Precision and recall are weighted by class frequency, as the published ones seem to be "
        "(recall equals accuracy). The published results were measured on other images, so they "
        "are a reference point and not a direct comparison."
    )
    if len(found.members) > 1:
        _show_contributions(found, description)
        _show_agreement(found)


def _show_contributions(found: Evaluation, description: Description) -> None:
    st.subheader("Contribution of each member", anchor=False)
    rows = [
        {
            "Member": m.member,
            "Weight": m.weight,
            "Paired test": m.verdict,
            "Ensemble better by": f"{100 * m.difference:+.2f}",
            "95 % interval": f"{100 * m.difference_low:+.2f} to {100 * m.difference_high:+.2f}",
            "p": f"{m.p_value:.2g}",
            "Without it": percent(m.without, 2),
            "Gained": m.gained,
            "Lost": m.lost,
        }
        for m in member_table(found, description).itertuples()
    ]
    st.dataframe(
        pd.DataFrame(rows),
        hide_index=True,
        column_config={
            "Weight": st.column_config.NumberColumn(format="%.3f"),
            "Ensemble better by": st.column_config.TextColumn(
                help="Accuracy of the ensemble minus that of the member, in points."
            ),
            "p": st.column_config.TextColumn(help="McNemar's exact test."),
            "Without it": st.column_config.TextColumn(
                help="Accuracy of the ensemble without this member."
            ),
            "Gained": st.column_config.NumberColumn(help="Images correct only with this member."),
            "Lost": st.column_config.NumberColumn(help="Images correct only without this member."),
        },
        alt="The ensemble compared with each member, and without it",
    )
    st.caption(
        f"Paired tests (McNemar) on the same {len(found.labels):,} images. Without a member, the "
        "others keep their relative weights."
    )


def _show_agreement(found: Evaluation) -> None:
    st.subheader("Agreement between members", anchor=False)
    rows = [
        {
            "Members": f"{p.a} and {p.b}",
            "Disagree on": percent(p.differ, 2),
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
                format="%.3f",
                help="Cohen's kappa: 1 = identical predictions, 0 = agreement by chance.",
            ),
            "Q": st.column_config.NumberColumn(
                format="%.3f",
                help="Yule's Q: 1 = errors on the same images, 0 = independent errors.",
            ),
        },
        alt="Agreement of every two members",
    )
