"""How fast a policy is on this machine, compared with its training runs."""

import os
import platform
import time
from dataclasses import dataclass
from statistics import median

import numpy as np
import streamlit as st

from bloodcell.augment import Policy, apply
from bloodcell.errors import BloodCellError
from bloodcell.models.classifier import BACKBONES
from bloodcell.runs.run import list_runs
from bloodcell.ui.augmentation.cells import Cells
from bloodcell.ui.augmentation.preview import one_hot
from bloodcell.ui.common.format import percent
from bloodcell.ui.common.state import workspace
from bloodcell.workspace import Workspace

__all__ = ["Trained", "list_trained_here", "measure_speed", "show_speed"]

BATCH = 32


@dataclass(frozen=True)
class Trained:
    """How fast a backbone learned in its newest run on this machine.

    Attributes:
        rate: images a second, the median of the epochs.
        cores: of the machine, all of which a step may use.
    """

    backbone: str
    input_size: int
    run: str
    rate: float
    cores: int

    def share(self, augmented: float) -> float:
        """The part of a step's processor time that augmentation takes.

        Args:
            augmented: images a second that one core augments.
        """
        return self.rate / (augmented * self.cores)


def measure_speed(policy: Policy, cells: Cells, seconds: float = 1.0) -> tuple[float, int]:
    """Images a second that one thread augments, and over how many images it was measured.

    Args:
        cells: repeated to batches of 32.
        seconds: how long to measure.
    """
    chosen = np.resize(np.arange(len(cells.images)), BATCH)
    images, labels = cells.images[chosen], one_hot(cells.labels[chosen])
    rng = np.random.default_rng(0)
    apply(policy, images, labels, rng)  # tables that are made once are not counted
    began, n = time.perf_counter(), 0
    while (passed := time.perf_counter() - began) < seconds:
        apply(policy, images, labels, rng)
        n += len(images)
    return n / passed, n


def list_trained_here(home: Workspace) -> list[Trained]:
    """The newest finished run of each backbone that ran on this machine."""
    found: dict[str, Trained] = {}
    for run in list_runs(home):
        try:
            config, status, record = run.config(), run.status(), run.record()
            rates = [m["images_per_second"] for m in run.metrics() if "images_per_second" in m]
        except BloodCellError:
            continue
        here = status["state"] == "finished" and status.get("host") == platform.node()
        if here and rates and config.backbone not in found:
            cores = record.get("environment", {}).get("cores") or os.cpu_count() or 1
            found[config.backbone] = Trained(
                config.backbone, config.input_size, run.id, median(rates), cores
            )
    return list(found.values())


def show_speed(policy: Policy, cells: Cells) -> None:
    """Measure on request, and show what it means for a training."""
    with st.container(horizontal=True, vertical_alignment="center"):
        if st.button("Measure speed", icon=":material/speed:", key="measure"):
            with st.spinner("Measuring for a second"):
                found = (policy, *measure_speed(policy, cells), list_trained_here(workspace()))
                st.session_state["speed"] = found
        measured = st.session_state.get("speed")
        if measured is None or measured[0] != policy:
            st.caption("Images per second on this machine, and the share of a training step.")
            return
    _, rate, n, trained = measured
    height, width = cells.images.shape[1:3]
    st.markdown(
        f"**{rate:,.0f} images/s** on one core of this machine, measured over {n:,} images "
        f"of {width}×{height} pixels."
    )
    if not trained:
        st.caption("The share of a training step is shown once a run has finished on this machine.")
    for t in trained:
        st.markdown(
            f"- **{percent(t.share(rate))}** of a {BACKBONES.get(t.backbone, t.backbone)} step at "
            f"{t.input_size} pixels: run `{t.run}` trained at {t.rate:,.1f} images/s on all "
            f"{t.cores} cores."
        )
