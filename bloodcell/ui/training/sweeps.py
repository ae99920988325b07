"""Sweeps: how their trials came out, which settings mattered, and the best of them."""

import pandas as pd
import streamlit as st

from bloodcell.errors import BloodCellError
from bloodcell.figures import (
    CONFIG,
    parallel_coordinates,
    sweep_history,
    sweep_importance,
)
from bloodcell.runs.supervisor import is_supervised, wake
from bloodcell.runs.trials import (
    Sweep,
    Trial,
    importances,
    list_sweeps,
    resume_sweep,
    stop_sweep,
    trials_of,
)
from bloodcell.ui.common.errors import attempt, show_errors, show_problem
from bloodcell.ui.common.format import no_pictures
from bloodcell.ui.common.state import workspace
from bloodcell.ui.training.run_list import name_run, table_height

__all__ = ["show_sweeps", "trial_table"]

PROBLEM = "sweep_problem"
LIVE_S = 5.0
WORDS = {
    "active": "green[:material/play_circle:]",
    "done": "green[:material/check_circle:]",
    "stopped": "orange[:material/stop_circle:]",
}


def trial_table(sweep: Sweep, trials: list[Trial]) -> pd.DataFrame:
    """A row a trial, the best complete one first; what has no loss yet last.

    Returns:
        Columns number, run, state, epochs, val_loss, val accuracy (percent), one for each axis, and
        label.
    """
    keys = [axis.key for axis in sweep.axes]
    rows = [
        {
            "number": trial.number,
            "run": name_run(trial.run),
            "state": trial.state,
            "epochs": len(trial.losses),
            "val_loss": trial.value,
            "val accuracy": trial.accuracy and 100 * trial.accuracy,
            **{key: trial.values.get(key) for key in keys},
            "label": "<br>".join(f"{k.replace('_', ' ')} {trial.values.get(k)}" for k in keys),
        }
        for trial in trials
    ]
    columns = ["number", "run", "state", "epochs", "val_loss", "val accuracy", *keys, "label"]
    table = pd.DataFrame(rows, columns=columns)
    table["val_loss"] = table["val_loss"].astype(float)
    table["incomplete"] = table["state"] != "complete"
    return table.sort_values(["incomplete", "val_loss", "number"]).drop(columns="incomplete")


def _resume(sweep: Sweep) -> None:
    resume_sweep(workspace(), sweep)
    wake(workspace())


def _show_head(sweep: Sweep, trials: list[Trial]) -> None:
    ended = sum(trial.state in ("complete", "pruned") for trial in trials)
    words = f":{WORDS[sweep.state]} {ended} of {sweep.trials} trials ended"
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(f"{words}, {'grid' if sweep.grid else 'Optuna (TPE)'}.")
        if sweep.state == "active":
            st.button(
                "Stop the sweep",
                icon=":material/stop_circle:",
                key="stop_sweep",
                help="Makes no more trials, and stops those that run with a checkpoint.",
                on_click=attempt,
                args=(PROBLEM, stop_sweep, workspace(), sweep),
            )
        if sweep.state == "stopped" or (sweep.state == "active" and not is_supervised(workspace())):
            st.button(
                "Continue",
                type="primary",
                icon=":material/play_arrow:",
                key="resume_sweep",
                on_click=attempt,
                args=(PROBLEM, _resume, sweep),
            )
    show_problem(PROBLEM)
    if sweep.reason:
        st.caption(no_pictures(f"{sweep.reason[0].upper()}{sweep.reason[1:]}."))


def _show_pictures(sweep: Sweep, trials: list[Trial], table: pd.DataFrame) -> None:
    if table["val_loss"].notna().sum() == 0:
        st.caption("Figures appear after the first epoch of the first trial.")
        return
    shares: dict[str, float] = {}
    try:
        shares = importances(sweep, trials)
    except BloodCellError:
        # Without Optuna a grid is shown without them.
        shares = {}
    left, right = st.columns([3, 2])
    with left:
        st.plotly_chart(
            sweep_history(table.sort_values("number"), title="Lowest validation loss"),
            config=CONFIG,
            key="sweep_history",
            alt="Lowest validation loss of each trial, and of the best so far",
        )
    with right:
        if shares:
            st.plotly_chart(
                sweep_importance(shares, title="Importance"),
                config=CONFIG,
                key="sweep_importance",
                alt="Share of the differences between trials that is due to each setting",
            )
        elif len(sweep.axes) > 1:
            st.caption("Importance is shown after four complete trials.")
    if len(sweep.axes) > 1:
        st.plotly_chart(
            parallel_coordinates(
                table,
                [axis.key for axis in sweep.axes],
                [axis.key for axis in sweep.axes if axis.log],
                title="Values of each trial",
            ),
            config=CONFIG,
            key="sweep_parallel",
            alt="A line for each trial through its values to its validation loss",
        )
        st.caption("A line for each trial, the best in violet and on top.")


def _show_sweep(name: str) -> None:
    with show_errors():
        sweep = next(sweep for sweep in list_sweeps(workspace()) if sweep.name == name)
        trials = trials_of(workspace(), sweep)
        _show_head(sweep, trials)
        table = trial_table(sweep, trials)
        _show_pictures(sweep, trials, table)
        shown = table.drop(columns="label").rename(columns={"number": "trial", "val_loss": "loss"})
        shown["trial"] += 1
        st.dataframe(
            shown.rename(columns=lambda key: key.replace("_", " ")),
            hide_index=True,
            placeholder="–",
            height=table_height(len(shown)),
            column_config={
                "loss": st.column_config.NumberColumn(
                    format="%.4f", help="The lowest on the validation part: what is looked for."
                ),
                "val accuracy": st.column_config.NumberColumn(format="%.2f %%"),
            },
        )
        st.caption(
            "Only the validation part decides. It was used to choose among many trials, so the "
            "best one looks better here than it is: judge it once on the test part."
        )


def show_sweeps() -> None:
    """Draw the sweeps of the workspace, if there are any."""
    sweeps = list_sweeps(workspace())
    if not sweeps:
        return
    with st.container(border=True, key="sweeps"):
        names = [sweep.name for sweep in sweeps]
        name = st.selectbox("Sweep", names, key="sweep_name", persist_state="session", width=360)
        live = any(sweep.name == name and sweep.state == "active" for sweep in sweeps)
        st.fragment(_show_sweep, run_every=LIVE_S if live else None)(name)
