"""Where runs are carried out: on this machine, or by the cluster that it can submit to."""

import shutil

import streamlit as st

from bloodcell.runs.engines.slurm import SlurmSettings, change_slurm, slurm_settings
from bloodcell.runs.queue import change_settings, settings
from bloodcell.ui.common.errors import show_errors
from bloodcell.ui.common.state import workspace

__all__ = ["show_engine_choice"]

ENGINES = {"local": "This machine", "slurm": "Slurm"}


def show_engine_choice() -> None:
    """Draw the choice; nothing where there is only this machine.

    How Python is called on a node is a command, and only the command line changes it: whoever
    sees this page need not be whom the server belongs to.
    """
    home = workspace()
    chosen = settings(home).engine
    if chosen == "local" and shutil.which("sbatch") is None:
        return
    title = f"Runs on: {ENGINES.get(chosen, chosen)}"
    with st.expander(title, icon=":material/dns:", key="engine_choice"), show_errors():
        engine = st.segmented_control(
            "Where runs are carried out",
            list(ENGINES),
            default=chosen if chosen in ENGINES else "local",
            required=True,
            format_func=ENGINES.get,
            key="engine",
            help="For all runs that are queued from now on.",
        )
        changes = _slurm_fields(slurm_settings(home)) if engine == "slurm" else {}
        if st.button("Apply", icon=":material/check:", key="set_engine"):
            if engine == "slurm":
                change_slurm(home, **changes)
            change_settings(home, engine=engine)
            st.rerun()


def _slurm_fields(now: SlurmSettings) -> dict[str, object]:
    """Draw what a job asks for; returns the values."""
    first, second = st.columns(4), st.columns(4)
    found: dict[str, object] = {}
    for column, key, words in (
        (first[0], "partition", "Partition"),
        (first[1], "account", "Account"),
        (first[2], "qos", "Quality of service"),
    ):
        with column:
            found[key] = st.text_input(
                words, getattr(now, key), key=f"slurm_{key}", placeholder="the cluster's own"
            ).strip()
    for column, key, words, low, high in (
        (first[3], "minutes", "Time limit (minutes)", 1, 86_400),
        (second[0], "cpus", "Cores", 1, 10_000),
        (second[2], "gpus", "GPUs", 0, 1000),
        (second[3], "slots", "Runs at a time", 1, 1000),
    ):
        with column:
            found[key] = int(
                st.number_input(words, low, high, getattr(now, key), key=f"slurm_{key}")
            )
    with second[1]:
        found["memory"] = float(
            st.number_input(
                "Memory (GB)", 0.1, 100_000.0, float(now.memory), format="%g", key="slurm_memory"
            )
        )
    st.caption(
        "A run that needs more than its time limit saves its state, goes back to Slurm and "
        "continues by itself. Slurm is asked whether it could grant this before it is kept."
    )
    return found
