"""How far a run is, and what it costs the machine."""

from typing import Any

import numpy as np
import psutil
import streamlit as st

from bloodcell.evaluation.intervals import wilson
from bloodcell.runs.run import ACTIVE, Run
from bloodcell.training.config import TrainConfig
from bloodcell.training.schedule import selection_loss
from bloodcell.ui.common.format import PERCENT, duration, interval, percent
from bloodcell.ui.training.launch_checks import readable_bytes
from bloodcell.ui.training.run_state import graphics, is_starting, load_of, remaining_seconds

__all__ = ["show_numbers", "show_progress"]


def show_progress(
    config: TrainConfig, status: dict[str, Any], metrics: list[dict[str, Any]]
) -> None:
    """Bars of the run and of the epoch while it is going on."""
    if is_starting(status):
        st.progress(0.0, text="Its process is loading TensorFlow, which takes ten seconds or so")
        return
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
        bounded = config.early_stopping or config.time_budget
        text += f", {'at most' if bounded else 'about'} {duration(left)} of training left"
    if config.time_budget:
        used = sum(m["seconds"] for m in metrics)
        text += f" ({duration(used)} of the budget of {config.time_budget:g} min used)"
    st.progress(done, text=text)
    if batch >= batches:
        text = (
            "Judging the epoch on the validation part"
            if len(metrics) < epoch
            else "Writing down what was learned"
        )
    else:
        text = f"Batch {batch:,} of {batches:,}"
    st.progress(min(batch / batches, 1.0), text=text)


def _tile(name: str, value: str, below: str, words: str = "") -> None:
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
    """The figures that matter, each with its interval or what it is of."""
    with st.container(horizontal=True, key="run_numbers"):
        if metrics:
            best = min(metrics, key=selection_loss)
            matrix = np.array(best["val_confusion"])
            right, n = int(np.trace(matrix)), int(matrix.sum())
            _tile(
                f"Validation accuracy, epoch {best['epoch']}",
                percent(best["val_accuracy"], 2),
                f"{interval(wilson(right, n))}, n = {n:,}",
                "With its 95 % interval (Wilson). Of the epoch with the lowest validation loss, "
                "which is the one that is kept. Chosen on this part, it is a little too good: "
                "the test part tells.",
            )
            _tile(
                "Macro recall of that epoch",
                percent(best["val_macro_recall"], 2),
                "mean over the classes",
            )
            last = metrics[-1]
            _tile(
                "Epochs done",
                f"{len(metrics)} of {config.epochs}",
                f"{duration(last['seconds'])} each, {last['images_per_second']:,.0f} images/s",
            )
        load = load_of(run)
        if load is not None:
            speed = status.get("images_per_second", 0)
            if speed:
                _tile("Images a second", f"{speed:,.0f}", "in this epoch")
            _tile(
                "Processor",
                f"{load.cpu:.1f} of {load.cores} cores",
                f"the machine {psutil.cpu_percent(None):.0f}{PERCENT} busy",
                "Of this run's process since the last look.",
            )
            _tile("Memory", readable_bytes(load.memory), f"of {readable_bytes(load.memory_total)}")
            for gpu in graphics():
                busy = "" if gpu.share is None else f"{gpu.share:.0%} busy, "
                memory = f"{readable_bytes(gpu.memory)} of {readable_bytes(gpu.memory_total)}"
                _tile(gpu.name, f"{busy}{memory}", "with all that runs on it")
