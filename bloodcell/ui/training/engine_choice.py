"""Where runs are carried out: on this machine, or by a cluster that it can submit to."""

import shutil

import streamlit as st

from bloodcell.runs.engines import ENGINES
from bloodcell.runs.engines.ray import RaySettings, ray_settings
from bloodcell.runs.engines.scheduled import MOST_SLOTS
from bloodcell.runs.engines.slurm import SlurmSettings, slurm_settings
from bloodcell.runs.queue import change_settings, settings
from bloodcell.ui.common.errors import show_errors
from bloodcell.ui.common.format import no_pictures
from bloodcell.ui.common.state import workspace
from bloodcell.workspace import Workspace

__all__ = ["show_engine_choice"]

TITLES = {name: engine.title for name, engine in ENGINES.items()}


def _choices(home: Workspace, chosen: str) -> list[str]:
    """The engines that can be chosen here."""
    there = {
        "local": True,
        "slurm": shutil.which("sbatch") is not None,
        "ray": shutil.which("ray") is not None or (home.queue / "ray.json").exists(),
    }
    return [name for name in TITLES if there.get(name) or name == chosen]


def show_engine_choice() -> None:
    """Draw the choice; nothing where there is only this machine.

    How Python is called on a node is a command, and where Ray is decides who gets it: only the
    command line changes these, for whoever sees this page need not be whom the server belongs to.
    """
    home = workspace()
    chosen = settings(home).engine
    choices = _choices(home, chosen)
    if choices == ["local"]:
        return
    title = f"Runs on: {TITLES.get(chosen, chosen)}"
    with st.expander(title, icon=":material/dns:", key="engine_choice"), show_errors():
        engine = st.segmented_control(
            "Where runs are carried out",
            choices,
            default=chosen if chosen in choices else "local",
            required=True,
            format_func=lambda name: TITLES.get(name, name),
            key="engine",
            help="For all runs that are queued from now on.",
        )
        changes: dict[str, object] = {}
        if engine == "slurm":
            changes = _slurm_fields(slurm_settings(home))
        elif engine == "ray":
            changes = _ray_fields(ray_settings(home))
        if st.button("Apply", icon=":material/check:", key="set_engine"):
            ENGINES[engine](home).change(**changes)
            change_settings(home, engine=engine)
            st.rerun()


def _slurm_fields(now: SlurmSettings) -> dict[str, object]:
    """Draw what a job of Slurm asks for; returns the values."""
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
    with first[3]:
        found["minutes"] = int(
            st.number_input("Time limit (minutes)", 1, 86_400, now.minutes, key="slurm_minutes")
        )
    found |= _sizes(now, second, "slurm", 0.1)
    st.caption(
        "A run that needs more than its time limit saves its state, goes back to Slurm and "
        "continues by itself. Slurm is asked whether it could grant this before it is kept."
    )
    return found


def _ray_fields(now: RaySettings) -> dict[str, object]:
    """Draw what a job of Ray asks for; returns the values."""
    found = _sizes(now, st.columns(4), "ray", 0.0)
    found["shared"] = st.checkbox(
        "Nodes see this workspace",
        now.shared,
        key="ray_shared",
        help="Under the same path, as on a file system over the network. Else each run is sent "
        "what it needs, and what it writes is fetched.",
    )
    st.caption(
        f"The Ray at {no_pictures(now.address)}; the command line gives another address. "
        "Memory 0 sets none aside. Ray is asked whether a node has as much before it is kept."
    )
    return found


def _sizes(
    now: SlurmSettings | RaySettings, columns: list, engine: str, least_memory: float
) -> dict[str, object]:
    found: dict[str, object] = {}
    for column, key, words, low, high in (
        (columns[0], "cpus", "Cores", 1, 10_000),
        (columns[2], "gpus", "GPUs", 0, 1000),
        (columns[3], "slots", "Runs at a time", 1, MOST_SLOTS),
    ):
        with column:
            found[key] = int(
                st.number_input(words, low, high, getattr(now, key), key=f"{engine}_{key}")
            )
    with columns[1]:
        memory = st.number_input(
            "Memory (GB)",
            least_memory,
            100_000.0,
            float(now.memory),
            format="%g",
            key=f"{engine}_memory",
        )
    return found | {"memory": float(memory)}
