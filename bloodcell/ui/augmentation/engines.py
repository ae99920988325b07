"""How fast a policy is on this machine, beside its training runs and beside keras-cv."""

import json
import os
import platform
from dataclasses import dataclass
from statistics import median

import streamlit as st

from bloodcell.augment import CATALOGUE, Policy, policy_to_json
from bloodcell.augment.comparison import EngineResult, compare_engines, run_engines
from bloodcell.augment.keras_cv_engine import DIFFERENCES, missing_layers, missing_steps
from bloodcell.errors import BloodCellError
from bloodcell.models.classifier import BACKBONES
from bloodcell.progress import Progress
from bloodcell.runs.run import list_runs
from bloodcell.ui.augmentation.cells import Cells, Shown
from bloodcell.ui.augmentation.preview import draw_variants, one_hot, repeat_cells, split_variants
from bloodcell.ui.common.format import percent
from bloodcell.ui.common.gallery import gallery
from bloodcell.ui.common.jobs import cached_job
from bloodcell.ui.common.state import workspace
from bloodcell.workspace import Workspace

__all__ = [
    "Trained",
    "describe_speeds",
    "list_differences",
    "list_trained_here",
    "show_engines",
    "show_speed",
]

TITLES = {"own": "Own engine", "keras-cv": "keras-cv"}
COLUMNS = 4


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
                (found,) = run_engines(policy, ["own"], cells.images, one_hot(cells.labels))
                st.session_state["speed"] = (policy, found, list_trained_here(workspace()))
        measured = st.session_state.get("speed")
        if measured is None or measured[0] != policy:
            st.caption("Images per second on this machine, and the share of a training step.")
            return
    _, found, trained = measured
    rate, n = found.per_second, found.counted
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


def show_engines(policy: Policy, shown: Shown, seed: int) -> None:
    """On request, what both engines make of the cells, how fast, and where they differ."""
    lacking = ", ".join(missing_layers())
    st.caption(
        "keras-cv, whose layers the forerunner trained with, is the second engine: a run uses it "
        "by Augmentation engine under Advanced on the Training page. It has no layer for "
        f"{lacking}."
    )
    if missing := missing_steps(policy):
        st.info(
            f"keras-cv cannot carry out {'; '.join(missing)}, and a policy is never carried out in "
            "part: delete what it lacks or select another policy, such as bloodcellcnn."
        )
        return
    copies = 2 * COLUMNS - 1 if shown.one else COLUMNS - 1
    images, labels = repeat_cells(policy, shown.cells, copies, shown.partners)
    key = (json.dumps(policy_to_json(policy)), seed, hash(images.tobytes()))
    if st.button("Compare engines", icon=":material/compare:", key="compare_engines"):
        st.session_state["compared"] = key
    if st.session_state.get("compared") == key:

        def work(progress: Progress) -> list[EngineResult]:
            return compare_engines(policy, images, one_hot(labels), seed, progress=progress)

        found = cached_job(("engines", *key), "Comparing engines", work)
        if found is not None:
            _show_results(found, shown, copies)
    else:
        st.caption(
            "Takes about a minute, on a busy machine several: keras-cv is loaded and traced first."
        )
    if differences := list_differences(policy):
        st.markdown("At the same settings keras-cv differs:\n\n" + differences)


def _show_results(found: list[EngineResult], shown: Shown, copies: int) -> None:
    st.markdown(describe_speeds(found))
    for column, result in zip(st.columns(len(found)), found, strict=True):
        with column:
            st.markdown(f"**{TITLES[result.engine]}**")
            made, labels = split_variants(result.images, result.labels, shown.cells, copies)
            gallery(
                draw_variants(shown.cells, made, labels, small=True),
                key=f"engine_grid_{result.engine}",
                columns=COLUMNS,
                clickable=False,
            )


def describe_speeds(found: list[EngineResult]) -> str:
    """The speeds of the own engine and of keras-cv as a table and a sentence, in Markdown."""
    own, other = found
    rows = [
        f"| {TITLES[r.engine]} | {r.per_second:,.0f} | {r.processor_ms:,.2f} | {r.first_s:,.1f} s |"
        for r in found
    ]
    head = "| Engine | Images/s | CPU ms/image | First batch |"
    table = "\n".join([head, "|:--|--:|--:|--:|", *rows])
    return (
        f"{table}\n\nThe own engine is **{own.per_second / other.per_second:.1f} times** as fast "
        f"as keras-cv by the clock, and **{other.processor_ms / own.processor_ms:.1f} times** by "
        "processor time, which other programs disturb less. Measured just now over "
        f"{own.counted:,} and {other.counted:,} images, in turns, by the median batch; the first "
        "batch, in which keras-cv is loaded and traced, is not counted."
    )


def list_differences(policy: Policy) -> str:
    """What keras-cv does otherwise in the steps of a policy, as a list in Markdown; or ""."""
    keys = dict.fromkeys(s.key for s in policy.steps if s.key in DIFFERENCES)
    return "\n".join(f"- {CATALOGUE[key].title}: {DIFFERENCES[key]}" for key in keys)
