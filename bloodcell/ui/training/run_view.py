"""One run as it is now: its state, how far it is, its curves and its log."""

from typing import Any

import pandas as pd
import streamlit as st

from bloodcell.runs.run import Run
from bloodcell.training.config import TrainConfig
from bloodcell.ui.common.state import show_errors
from bloodcell.ui.training.run_curves import show_confusions, show_curves, show_recalls
from bloodcell.ui.training.run_progress import show_numbers, show_progress

__all__ = ["show_epochs", "show_now"]

LOG_LINES = 30


def _reason(config: TrainConfig, status: dict[str, Any], metrics: list[dict[str, Any]]) -> None:
    state, reason = status["state"], status.get("reason", "")
    if state in ("failed", "lost"):
        kept = (
            "What was learned up to the last epoch is kept: Resume goes on from there."
            if metrics
            else "No epoch was finished: Resume begins again."
        )
        st.error(f"{reason[:1].upper()}{reason[1:]}. {kept}", icon=":material/error:")
    elif state == "stopping":
        st.caption("It stops after the present batch, with its whole state saved.")
    elif state == "queued" and "launched" not in status:
        st.caption("It waits for a free place in the queue.")
    elif reason:
        where = ""
        if state == "stopped" and status.get("batches"):
            where = (
                f", in epoch {status['epoch']} of {config.epochs} at batch "
                f"{status['batch']:,} of {status['batches']:,}"
            )
        st.caption(f"{reason[0].upper()}{reason[1:]}{where}.")


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


def show_now(run: Run) -> None:
    """How far a run is and what it takes: what changes from second to second."""
    with show_errors():
        config, status, metrics = run.config(), run.status(), run.metrics()
        _reason(config, status, metrics)
        show_progress(config, status, metrics)
        show_numbers(run, config, status, metrics)


def show_epochs(run: Run) -> None:
    """Curves, recalls, confusions and the log: what changes with the epochs."""
    with show_errors():
        metrics = run.metrics()
        if metrics:
            show_curves(metrics)
            st.subheader("Class by class", anchor=False)
            show_recalls(metrics)
            st.subheader("Which cells are taken for which in validation", anchor=False)
            show_confusions(metrics, run.id)
        else:
            st.caption("The curves begin with the end of the first epoch.")
        _details(run, run.config(), run.status()["state"], metrics)
