"""One run: its progress, resources, learning curves, confusion matrix and log."""

from typing import Any

import numpy as np
import pandas as pd
import psutil
import streamlit as st

from bloodcell.classes import CLASSES
from bloodcell.csv_files import frame_csv
from bloodcell.evaluation.intervals import wilson
from bloodcell.figures import (
    CONFIG,
    confusion,
    learning_curves,
    learning_rate_curve,
    metric_intervals,
    recall_by_epoch,
)
from bloodcell.files import format_bytes
from bloodcell.runs.engines import describe_job
from bloodcell.runs.run import ACTIVE, Run
from bloodcell.training.config import TrainConfig
from bloodcell.training.schedule import selection_loss
from bloodcell.ui.common.errors import show_errors
from bloodcell.ui.common.format import PERCENT, duration, interval, no_pictures, percent
from bloodcell.ui.training.run_list import estimate_remaining, is_starting, list_gpus, measure_load

__all__ = [
    "largest_confusions",
    "recall_table",
    "show_confusions",
    "show_curves",
    "show_epochs",
    "show_live",
    "show_numbers",
    "show_progress",
    "show_recalls",
]

CURVES = (
    ("loss", ("loss", "val_loss"), "Loss"),
    ("accuracy", ("accuracy", "val_accuracy"), "Accuracy"),
    ("recall", ("macro_recall", "val_macro_recall"), "Macro recall"),
)
MOST_CONFUSIONS = 6
LOG_LINES = 30


def show_progress(
    config: TrainConfig, status: dict[str, Any], metrics: list[dict[str, Any]]
) -> None:
    """Progress bars of the run and of the epoch while it is running."""
    if is_starting(status) and status.get("engine", "local") != "local":
        # It may take days; what it waits for is said above.
        return
    if is_starting(status):
        st.progress(0.0, text="Loading TensorFlow, which takes about ten seconds")
        return
    if status["state"] not in ACTIVE:
        return
    epoch, batch, batches = (status.get(k, 0) for k in ("epoch", "batch", "batches"))
    if not batches:
        st.progress(0.0, text="Reading the dataset and building the network")
        return
    done = min(((epoch - 1) * batches + batch) / (config.epochs * batches), 1.0)
    left = estimate_remaining(config, status)
    text = f"Epoch {epoch} of {config.epochs}"
    if left:
        bounded = config.early_stopping or config.time_budget
        text += f", {'at most' if bounded else 'about'} {duration(left)} left"
    if config.time_budget:
        used = sum(m["seconds"] for m in metrics)
        text += f" ({duration(used)} of the time budget of {config.time_budget:g} min used)"
    st.progress(done, text=text)
    if batch >= batches:
        text = (
            "Evaluating on the validation part" if len(metrics) < epoch else "Saving the checkpoint"
        )
    else:
        text = f"Batch {batch:,} of {batches:,}"
    st.progress(min(batch / batches, 1.0), text=text)


def _show_metric(name: str, value: str, below: str, words: str = "") -> None:
    st.metric(
        name,
        value,
        delta=below,
        delta_color="off",
        delta_arrow="off",
        border=True,
        height="stretch",
        help=words or None,
    )


def show_numbers(
    run: Run, config: TrainConfig, status: dict[str, Any], metrics: list[dict[str, Any]]
) -> None:
    """The main numbers of a run, each with its interval or what it refers to."""
    with st.container(horizontal=True, key="run_numbers"):
        if metrics:
            best = min(metrics, key=selection_loss)
            matrix = np.array(best["val_confusion"])
            right, n = int(np.trace(matrix)), int(matrix.sum())
            _show_metric(
                f"Validation accuracy, epoch {best['epoch']}",
                percent(best["val_accuracy"], 2),
                f"{interval(wilson(right, n))}, n = {n:,}",
                "With its 95 % interval (Wilson), at the epoch with the lowest validation loss, "
                "whose weights are kept. It is slightly optimistic, because this part chose the "
                "epoch: use the test part for a final result.",
            )
            _show_metric(
                f"Macro recall, epoch {best['epoch']}",
                percent(best["val_macro_recall"], 2),
                "validation, mean over the classes",
            )
            last = metrics[-1]
            _show_metric(
                "Epochs",
                f"{len(metrics)} of {config.epochs}",
                f"{duration(last['seconds'])} each, {last['images_per_second']:,.0f} images/s",
            )
        load = measure_load(run)
        if load is not None:
            speed = status.get("images_per_second", 0)
            if speed:
                _show_metric("Images/s", f"{speed:,.0f}", "in this epoch")
            _show_metric(
                "CPU",
                f"{load.cpu:.1f} of {load.cores} cores",
                f"machine {psutil.cpu_percent(None):.0f}{PERCENT} busy",
                "Used by the process of this run.",
            )
            _show_metric(
                "Memory", format_bytes(load.memory), f"of {format_bytes(load.memory_total)}"
            )
            for gpu in list_gpus():
                busy = "" if gpu.share is None else f"{gpu.share:.0%} busy, "
                memory = f"{format_bytes(gpu.memory)} of {format_bytes(gpu.memory_total)}"
                _show_metric(gpu.name, f"{busy}{memory}", "used by all processes")


def show_curves(metrics: list[dict[str, Any]]) -> None:
    """Loss, accuracy, macro recall and learning rate over the epochs."""
    columns = [*st.columns(2), *st.columns(2)]
    for column, (key, names, words) in zip(columns, CURVES, strict=False):
        figure = learning_curves(metrics, names, title=words)
        for trace in figure.data:
            # The title says of what; the whole names would run into it on a narrow page.
            trace.name = trace.name.split(" ", 1)[0]
        with column:
            st.plotly_chart(
                figure,
                config=CONFIG,
                key=f"curve_{key}",
                alt=f"{words} over the epochs: {', '.join(names)}",
            )
    with columns[3]:
        st.plotly_chart(
            learning_rate_curve(metrics, title="Learning rate"),
            config=CONFIG,
            key="curve_rate",
            alt="Learning rate over the epochs, logarithmic",
        )
    st.caption(
        "Training metrics are averaged over the epoch on augmented images. Validation uses "
        "original images at the end of the epoch, so it can be better than training."
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
    """Recall per class: over the epochs, and at the last one with its intervals."""
    last = metrics[-1]
    left, right = st.columns(2)
    with left:
        title = "Validation recall per class"
        st.plotly_chart(
            recall_by_epoch(metrics, title=title),
            config=CONFIG,
            key="recall_curves",
            alt=f"{title}, over the epochs",
        )
    with right:
        title = f"Epoch {last['epoch']}, with 95 % intervals"
        st.plotly_chart(
            metric_intervals(recall_table(last), title=title),
            config=CONFIG,
            key="recalls",
            alt=f"Validation recall per class, epoch {last['epoch']}, with 95 % intervals",
        )
    st.caption(
        "95 % intervals (Wilson) from the validation images of each class. Hover over a dot for "
        "their number."
    )


def largest_confusions(
    record: dict[str, Any], before: dict[str, Any] | None = None, most: int = MOST_CONFUSIONS
) -> pd.DataFrame:
    """The most frequent confusions in the validation part.

    Args:
        record: of an epoch, with ``val_confusion`` (rows true). before: of the epoch before it.
        most: rows at most.

    Returns:
        Columns true, predicted, n, of (cells of the true class), share (of them, 0 to 1) and
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
                "predicted": CLASSES[j].title,
                "n": int(matrix[i, j]),
                "of": int(totals[i]),
                "share": matrix[i, j] / totals[i],
                "before": None if earlier is None else int(earlier[i, j]),
            }
            for i, j in pairs
        ],
        columns=["true", "predicted", "n", "of", "share", "before"],
    )


def show_confusions(metrics: list[dict[str, Any]], run_id: str) -> None:
    """The confusion matrix of the validation part after an epoch, and its largest confusions."""
    epochs = [line["epoch"] for line in metrics]
    chosen = st.selectbox(
        "Epoch",
        [None, *epochs[::-1]],
        # The text of an option must not change with the epochs: it would be another option.
        format_func=lambda e: "latest" if e is None else str(e),
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
        st.markdown(f"**{wrong:,} of {n:,} cells misclassified at epoch {record['epoch']}**")
        if table.empty:
            st.caption("No error in the validation part at this epoch.")
            return
        for row in table.to_dict("records"):
            st.markdown(
                f"{row['true']} → {row['predicted']}: **{row['n']:,}** of {row['of']:,} "
                f"({row['share']:.1%}){_format_change(row)}"
            )
        st.caption("Most frequent first, with the change since the previous epoch.")


def _format_change(row: dict[str, Any]) -> str:
    if row["before"] is None or row["before"] != row["before"]:
        return ""
    change = int(row["n"] - row["before"])
    if not change:
        return ", unchanged"
    colour = "orange" if change > 0 else "green"
    return f", :{colour}[{change:+d}]"


def _show_reason(
    config: TrainConfig, status: dict[str, Any], metrics: list[dict[str, Any]]
) -> None:
    state, reason = status["state"], status.get("reason", "")
    if state in ("failed", "lost"):
        kept = (
            "Resume continues from the last checkpoint."
            if metrics
            else "No epoch was finished, so Resume starts over."
        )
        st.error(no_pictures(f"{reason[:1].upper()}{reason[1:]}. {kept}"), icon=":material/error:")
    elif state == "stopping":
        st.caption("It stops after the current batch and saves a checkpoint.")
    elif state == "queued" and "launched" not in status:
        st.caption("It waits for a free slot in the queue.")
    elif reason:
        where = ""
        if state == "stopped" and status.get("batches"):
            where = (
                f", in epoch {status['epoch']} of {config.epochs} at batch "
                f"{status['batch']:,} of {status['batches']:,}"
            )
        st.caption(f"{reason[0].upper()}{reason[1:]}{where}.")


def _show_details(run: Run, config: TrainConfig, state: str, metrics: list[dict[str, Any]]) -> None:
    with st.expander("Log", expanded=state in ("failed", "lost"), key=f"log_{run.id}"):
        st.code(run.log_tail(LOG_LINES) or "No log yet.", language=None, wrap_lines=True)
    record = run.record()
    with st.expander("Configuration", key=f"config_{run.id}"):
        st.json(config.to_json(), expanded=1)
        st.caption("Policy, library versions and fingerprints")
        st.json({k: v for k, v in record.items() if k != "config"}, expanded=False)
    if metrics:
        plain = pd.DataFrame(metrics).drop(columns=["val_recall", "val_confusion"])
        st.download_button(
            "Download metrics (CSV)",
            frame_csv(plain),
            file_name=f"{run.id}_metrics.csv",
            mime="text/csv",
            icon=":material/download:",
            on_click="ignore",
        )


def show_live(run: Run) -> None:
    """Show progress and resources, which change from second to second."""
    with show_errors():
        config, status, metrics = run.config(), run.status(), run.metrics()
        _show_reason(config, status, metrics)
        if job := describe_job(run):
            st.caption(f":material/dns: {no_pictures(job)}")
        show_progress(config, status, metrics)
        show_numbers(run, config, status, metrics)


def show_epochs(run: Run) -> None:
    """Show curves, recalls, confusions and the log, which change with the epochs."""
    with show_errors():
        metrics = run.metrics()
        if metrics:
            show_curves(metrics)
            st.subheader("Recall per class", anchor=False)
            show_recalls(metrics)
            st.subheader("Confusion matrix of the validation part", anchor=False)
            show_confusions(metrics, run.id)
        else:
            st.caption("Learning curves appear after the first epoch.")
        _show_details(run, run.config(), run.status()["state"], metrics)
