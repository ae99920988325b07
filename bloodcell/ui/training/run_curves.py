"""The curves of a run, its recalls, and which cells it takes for which after each epoch."""

from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from bloodcell.classes import CLASSES
from bloodcell.evaluation.intervals import wilson
from bloodcell.figures import (
    CONFIG,
    confusion,
    learning_curves,
    learning_rate_curve,
    metric_intervals,
    recall_by_epoch,
)

__all__ = ["largest_confusions", "recall_table", "show_confusions", "show_curves", "show_recalls"]

CURVES = (
    ("loss", ("loss", "val_loss"), "Loss"),
    ("accuracy", ("accuracy", "val_accuracy"), "Accuracy"),
    ("recall", ("macro_recall", "val_macro_recall"), "Macro recall"),
)
MOST_CONFUSIONS = 6


def show_curves(metrics: list[dict[str, Any]]) -> None:
    """Loss, accuracy, macro recall and learning rate over the epochs."""
    columns = [*st.columns(2), *st.columns(2)]
    for column, (key, names, words) in zip(columns, CURVES, strict=False):
        figure = learning_curves(metrics, names, title=words)
        for trace in figure.data:
            # The title says of what; the whole names would run into it on a narrow page.
            trace.name = trace.name.rsplit(", ", 1)[-1]
        with column:
            st.plotly_chart(
                figure,
                config=CONFIG,
                key=f"curve_{key}",
                alt=f"{words} over the epochs: {', '.join(names)}",
            )
    with columns[3]:
        st.plotly_chart(
            learning_rate_curve(metrics, title="Learning rate at the end of the epoch"),
            config=CONFIG,
            key="curve_rate",
            alt="Learning rate over the epochs, logarithmic",
        )
    st.caption(
        "Training is measured on augmented images while the network changes, validation on plain "
        "ones at the end of the epoch: so validation can be the better of the two."
    )


def recall_table(record: dict[str, Any]) -> pd.DataFrame:
    """Recall of each class in the validation part, with 95 % intervals (Wilson).

    Args:
        record: of one epoch, with ``val_confusion`` (rows true).

    Returns:
        Columns name, metric, value, low, high, n, as `figures.metric_intervals` takes them; a
        class without an image has no row.
    """
    matrix = np.array(record["val_confusion"])
    rows = []
    for c in CLASSES:
        right, n = int(matrix[c.id, c.id]), int(matrix[c.id].sum())
        if n:
            low, high = wilson(right, n)
            rows.append((c.title, "recall", right / n, low, high, n))
    return pd.DataFrame(rows, columns=["name", "metric", "value", "low", "high", "n"])


def show_recalls(metrics: list[dict[str, Any]]) -> None:
    """Recall class by class: over the epochs, and of the last one with its intervals."""
    last = metrics[-1]
    left, right = st.columns(2)
    with left:
        title = "Recall by class in validation, epoch by epoch"
        st.plotly_chart(
            recall_by_epoch(metrics, title=title),
            config=CONFIG,
            key="recall_curves",
            alt=f"{title}, over the epochs",
        )
    with right:
        title = f"The same with intervals, epoch {last['epoch']}"
        st.plotly_chart(
            metric_intervals(recall_table(last), title=title),
            config=CONFIG,
            key="recalls",
            alt=f"Recall by class in validation, epoch {last['epoch']}, with 95 % intervals",
        )
    st.caption(
        "Intervals: 95 % (Wilson), from the cells of each class in the validation part; hold the "
        "pointer over a dot for their number."
    )


def largest_confusions(
    record: dict[str, Any], before: dict[str, Any] | None = None, most: int = MOST_CONFUSIONS
) -> pd.DataFrame:
    """Which cells are most often taken for which in the validation part.

    Args:
        record: of an epoch, with ``val_confusion`` (rows true). before: of the epoch before it.
        most: rows at most.

    Returns:
        Columns true, taken for, n, of (cells of the true class), share (of them, 0 to 1) and
        before (n then; None without `before`); the largest n first.
    """
    matrix = np.array(record["val_confusion"])
    earlier = np.array(before["val_confusion"]) if before else None
    pairs = [(i, j) for i in range(len(matrix)) for j in range(len(matrix)) if i != j]
    pairs = sorted((p for p in pairs if matrix[p]), key=lambda p: -matrix[p])[:most]
    totals = matrix.sum(1)
    return pd.DataFrame(
        [
            {
                "true": CLASSES[i].title,
                "taken for": CLASSES[j].title,
                "n": int(matrix[i, j]),
                "of": int(totals[i]),
                "share": matrix[i, j] / totals[i],
                "before": None if earlier is None else int(earlier[i, j]),
            }
            for i, j in pairs
        ],
        columns=["true", "taken for", "n", "of", "share", "before"],
    )


def show_confusions(metrics: list[dict[str, Any]], run_id: str) -> None:
    """The confusion matrix of the validation part after an epoch, and its largest confusions."""
    epochs = [line["epoch"] for line in metrics]
    chosen = st.selectbox(
        "After epoch",
        [None, *epochs[::-1]],
        # The text of an option must not change with the epochs: it would be another option.
        format_func=lambda e: "the latest" if e is None else str(e),
        key=f"confusions_of_{run_id}",
        width=200,
    )
    place = len(metrics) - 1 if chosen is None else epochs.index(chosen)
    record = metrics[place]
    left, right = st.columns([3, 2])
    with left:
        figure = confusion(record["val_confusion"])
        figure.update_layout(clickmode="none")
        st.plotly_chart(
            figure,
            config=CONFIG,
            key="epoch_confusion",
            alt=f"Confusion matrix of the validation part after epoch {record['epoch']}",
        )
    with right:
        table = largest_confusions(record, metrics[place - 1] if place else None)
        wrong = int(np.array(record["val_confusion"]).sum() - np.trace(record["val_confusion"]))
        n = int(np.sum(record["val_confusion"]))
        st.markdown(
            f"**{wrong:,} of {n:,} cells are taken for another class after epoch "
            f"{record['epoch']}**"
        )
        if table.empty:
            st.caption("Not one error in the validation part after this epoch.")
            return
        for row in table.to_dict("records"):
            st.markdown(
                f"{row['true']} → {row['taken for']}: **{row['n']:,}** of {row['of']:,} "
                f"({row['share']:.1%}){_change(row)}"
            )
        st.caption("The largest first, with the change since the epoch before.")


def _change(row: dict[str, Any]) -> str:
    if row["before"] is None or row["before"] != row["before"]:
        return ""
    change = int(row["n"] - row["before"])
    if not change:
        return ", as before"
    colour = "orange" if change > 0 else "green"
    return f", :{colour}[{change:+d}]"
