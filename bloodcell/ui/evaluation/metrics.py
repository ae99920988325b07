"""What an evaluation found: the headline, and every figure."""

import pandas as pd
import streamlit as st

from bloodcell.evaluation.evaluate import Evaluation
from bloodcell.evaluation.intervals import wilson
from bloodcell.evaluation.tables import METRIC_NAMES
from bloodcell.ui.common.format import interval, percent

__all__ = ["all_figures", "headline"]

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
