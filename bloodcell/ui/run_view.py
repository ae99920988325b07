"""One run as it is now: its state, how far it is, its curves, and the buttons that steer it."""

import time
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from bloodcell.classes import CLASSES
from bloodcell.evaluation.intervals import wilson
from bloodcell.figures import CONFIG, learning_curves, learning_rate_curve, metric_intervals
from bloodcell.models.classifier import BACKBONES
from bloodcell.runs.launch import ask_to_stop, start
from bloodcell.runs.run import ACTIVE, Run
from bloodcell.training.config import TrainConfig
from bloodcell.ui.state import sentences

__all__ = ["STATE_LOOK", "duration", "is_live", "recall_table", "remaining_seconds", "show_run"]

STATE_LOOK: dict[str, tuple[str, str]] = {
    "queued": ("gray", "schedule"),
    "running": ("violet", "play_circle"),
    "stopping": ("orange", "hourglass_top"),
    "stopped": ("gray", "stop_circle"),
    "finished": ("green", "check_circle"),
    "failed": ("red", "error"),
    "lost": ("red", "heart_broken"),
}
RESUMABLE = ("queued", "stopped", "failed", "lost")
# From the click to the first word of the new process, which has TensorFlow to load.
STARTING_S = 60.0
LOG_LINES = 30


def duration(seconds: float) -> str:
    """ "45 s", "12 min", "3 h 05 min"."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60:02d} min"


def remaining_seconds(config: TrainConfig, status: dict[str, Any]) -> float | None:
    """Seconds of training left if all epochs are run, or None while nobody can tell.

    Validation is not counted, and early stopping may end it before.
    """
    rate, batches = status.get("images_per_second"), status.get("batches")
    if not rate or not batches:
        return None
    left = (config.epochs - status["epoch"]) * batches + batches - status["batch"]
    return left * config.batch_size / rate


def _starting(run: Run, state: str) -> bool:
    begun = st.session_state.get("started_runs", {}).get(run.id)
    if begun is None:
        return False
    if state in ACTIVE or time.time() - begun > STARTING_S:
        del st.session_state["started_runs"][run.id]
        return False
    return state in RESUMABLE


def is_live(run: Run) -> bool:
    """Whether the run may change without a click."""
    state = run.status()["state"]
    return state in ACTIVE or _starting(run, state)


def mark_started(run_id: str) -> None:
    """Remember that this visitor started a run: its process takes a while to say so itself."""
    st.session_state.setdefault("started_runs", {})[run_id] = time.time()


def _resume(run: Run) -> None:
    from bloodcell.ui.state import workspace

    try:
        start(workspace(), run)
        mark_started(run.id)
    except Exception as error:
        st.session_state["run_problem"] = str(error)


def _head(run: Run, config: TrainConfig, status: dict[str, Any], starting: bool) -> None:
    state = status["state"]
    colour, icon = STATE_LOOK[state]
    with st.container(horizontal=True, vertical_alignment="center"):
        st.badge("starting" if starting else state, color=colour, icon=f":material/{icon}:")
        st.markdown(f"**{BACKBONES[config.backbone]}** on **{config.dataset}**, `{run.id}`")
        if starting:
            st.caption("The process is loading TensorFlow, which takes about ten seconds.")
        if state == "running" and st.button("Stop", icon=":material/stop_circle:", key="stop_run"):
            ask_to_stop(run)
            st.rerun()
        if state in RESUMABLE and not starting:
            st.button(
                "Start" if state == "queued" else "Resume",
                type="primary",
                icon=":material/play_arrow:",
                key="resume_run",
                on_click=_resume,
                args=(run,),
            )
    if problem := st.session_state.pop("run_problem", None):
        st.error(problem, icon=":material/error:")
    reason = status.get("reason", "")
    if state in ("failed", "lost"):
        st.error(
            f"{reason}. What was learned up to the last epoch is kept: Resume goes on from there.",
            icon=":material/error:",
        )
    elif state == "stopping":
        st.caption("It stops after the present batch, with its whole state saved.")
    elif reason:
        where = ""
        if state == "stopped" and status.get("batches"):
            where = (
                f", in epoch {status['epoch']} of {config.epochs} at batch "
                f"{status['batch']:,} of {status['batches']:,}"
            )
        st.caption(f"{reason[0].upper()}{reason[1:]}{where}.")


def _progress(config: TrainConfig, status: dict[str, Any], metrics: list[dict[str, Any]]) -> None:
    if status["state"] not in ACTIVE:
        return
    epoch, batch, batches = (status.get(k, 0) for k in ("epoch", "batch", "batches"))
    if not batches:
        st.progress(0.0, text="Reading the dataset and building the network")
        return
    done = min(((epoch - 1) * batches + batch) / (config.epochs * batches), 1.0)
    left = remaining_seconds(config, status)
    text = f"Epoch {epoch} of {config.epochs}"
    if left:
        atmost = "at most " if config.early_stopping else "about "
        text += f", {atmost}{duration(left)} of training left"
    st.progress(done, text=text)
    if batch >= batches:
        text = (
            "Judging the epoch on the validation part"
            if len(metrics) < epoch
            else "Writing down what was learned"
        )
    else:
        text = f"Batch {batch:,} of {batches:,}, {status['images_per_second']:,.0f} images a second"
    st.progress(min(batch / batches, 1.0), text=text)


def _interval(successes: int, n: int) -> str:
    low, high = wilson(successes, n)
    return f"95 % interval {low:.1%} to {high:.1%}, n = {n:,}"


def _numbers(config: TrainConfig, metrics: list[dict[str, Any]]) -> None:
    if not metrics:
        return
    best = min(metrics, key=lambda m: m["val_loss"])
    matrix = np.array(best["val_confusion"])
    right, n = int(np.trace(matrix)), int(matrix.sum())
    last = metrics[-1]
    with st.container(horizontal=True):
        st.metric(
            f"Validation accuracy, epoch {best['epoch']}",
            f"{best['val_accuracy']:.2%}",
            delta=_interval(right, n),
            delta_color="off",
            delta_arrow="off",
            border=True,
            height="stretch",
            help="Of the epoch with the lowest validation loss, which is the one that is kept. "
            "Chosen on this part, it is a little too good: the test part tells.",
        )
        st.metric(
            "Macro recall of that epoch",
            f"{best['val_macro_recall']:.2%}",
            delta="mean over the classes",
            delta_color="off",
            delta_arrow="off",
            border=True,
            height="stretch",
        )
        st.metric(
            "Epochs done",
            f"{len(metrics)} of {config.epochs}",
            delta=f"{duration(last['seconds'])} each, {last['images_per_second']:,.0f} images/s",
            delta_color="off",
            delta_arrow="off",
            border=True,
            height="stretch",
        )


def _curves(metrics: list[dict[str, Any]]) -> None:
    if not metrics:
        st.caption("The curves begin with the end of the first epoch.")
        return
    drawn = (
        ("loss", ("loss", "val_loss"), "Loss"),
        ("accuracy", ("accuracy", "val_accuracy"), "Accuracy"),
        ("recall", ("val_macro_recall",), "Macro recall"),
    )
    columns = [*st.columns(2), *st.columns(2)]
    for column, (key, names, words) in zip(columns, drawn, strict=False):
        with column:
            st.plotly_chart(
                learning_curves(metrics, names, title=words),
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


def _recalls(metrics: list[dict[str, Any]]) -> None:
    if not metrics:
        return
    last = metrics[-1]
    title = f"Recall by class in validation, epoch {last['epoch']}"
    st.plotly_chart(
        metric_intervals(recall_table(last), title=title),
        config=CONFIG,
        key="recalls",
        alt=f"{title}, with 95 % intervals",
    )
    st.caption(
        "With 95 % intervals (Wilson) from the cells of each class in the validation part; hold "
        "the pointer over a dot for their number."
    )


def _details(run: Run, config: TrainConfig, state: str, metrics: list[dict[str, Any]]) -> None:
    with st.expander("Log", expanded=state in ("failed", "lost"), key=f"log_{run.id}"):
        st.code(run.log_tail(LOG_LINES) or "Nothing yet.", language=None, wrap_lines=True)
    record = run.record()
    with st.expander("Configuration", key=f"config_{run.id}"):
        st.json(config.to_json(), expanded=1)
        st.caption("Policy, versions and fingerprints")
        st.json({k: v for k, v in record.items() if k != "config"}, expanded=False)
    if metrics:
        plain = pd.DataFrame(metrics).drop(columns=["val_recall", "val_confusion"])
        st.download_button(
            "Metrics as CSV",
            plain.to_csv(index=False),
            file_name=f"{run.id}_metrics.csv",
            mime="text/csv",
            icon=":material/download:",
            on_click="ignore",
        )


def show_run(run: Run) -> None:
    """Everything about one run; called again every two seconds while it is live."""
    with sentences():
        config, status, metrics = run.config(), run.status(), run.metrics()
        starting = _starting(run, status["state"])
        _head(run, config, status, starting)
        _progress(config, status, metrics)
        if status["state"] == "finished":
            st.page_link(
                "pages/evaluation.py",
                label="Judge and combine it: Evaluation",
                icon=":material/fact_check:",
            )
        _numbers(config, metrics)
        _curves(metrics)
        _recalls(metrics)
        _details(run, config, status["state"], metrics)
