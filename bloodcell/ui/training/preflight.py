"""What is checked before a training starts, as a short list of sentences."""

import os
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import psutil
import streamlit as st

from bloodcell.classes import CLASSES
from bloodcell.data.split import SplitRule
from bloodcell.data.store.dataset import PARTS, Dataset
from bloodcell.errors import BloodCellError
from bloodcell.models.classifier import BACKBONES
from bloodcell.runs.execute import check_startable
from bloodcell.runs.run import Run, open_run
from bloodcell.runs.weights import runs_named
from bloodcell.training.config import TrainConfig
from bloodcell.training.estimate import Estimate, Speed, disk_bytes
from bloodcell.ui.common.dataset_index import DatasetIndex, dataset_index
from bloodcell.ui.common.format import format_bytes
from bloodcell.workspace import Workspace

__all__ = ["Check", "check_launch", "show_checks"]

# Below this a recall has an interval of some 40 points: it says next to nothing.
FEW_VALIDATION = 20
FEW_TRAINING = 50
MOST_NAMED = 2
STYLES = {
    "ok": ("check_circle", "green"),
    "warning": ("warning", "orange"),
    "error": ("error", "red"),
}
HDF5 = b"\x89HDF\r\n\x1a\n"
# How Keras names the files that it has downloaded.
DOWNLOADED = {
    "mobilenetv2": "mobilenet_v2*no_top*",
    "efficientnetb3": "efficientnetb3*notop*",
    "resnet50": "resnet50_weights*notop*",
}


@dataclass(frozen=True)
class Check:
    """The result of one check.

    Attributes:
        level: "ok", "warning" (it can start) or "error" (it cannot).
        words: what was found, and what to do.
    """

    level: str
    words: str


@st.cache_data(max_entries=16, show_spinner=False)
def _refusal(state: tuple, rule: SplitRule, _dataset: Dataset) -> str:
    """Why a training cannot start on this split, or ""."""
    try:
        check_startable(_dataset, dataset_index(_dataset, rule=rule).split)
    except BloodCellError as error:
        return str(error)
    return ""


def _split(dataset: Dataset, config: TrainConfig) -> list[Check]:
    state = (str(dataset.path), dataset.fingerprint, dataset.curation.fingerprint)
    refusal = _refusal(state, config.split_rule, dataset)
    if refusal:
        return [Check("error", refusal)]
    index = dataset_index(dataset, rule=config.split_rule)
    totals = index.counts.sum(axis=0)
    parts = ", ".join(f"{n:,} {part}" for n, part in zip(totals, PARTS, strict=True))
    return [
        Check("ok", f"{parts}; {index.shared} images shared between parts."),
        *(Check("warning", note) for note in index.split.notes),
        _classes(index),
    ]


def _classes(index: DatasetIndex) -> Check:
    rows = [(c, index.counts[c.id]) for c in CLASSES if index.counts[c.id].sum()]
    small = [(c, n) for c, n in rows if n[0] < FEW_TRAINING or n[1] < FEW_VALIDATION]
    if small:
        named = "; ".join(
            f"{c.title} ({n[0]:,} train, {n[1]:,} validation, {n[2]:,} test)"
            for c, n in sorted(small, key=lambda row: row[1].sum())[:MOST_NAMED]
        )
        more = f" and {len(small) - MOST_NAMED} more classes" if len(small) > MOST_NAMED else ""
        return Check(
            "warning",
            f"Few images of {named}{more}: metrics of such a class are imprecise. Balanced sample "
            "weights give it the same influence as the others.",
        )
    smallest, n = min(rows, key=lambda row: row[1].sum())
    return Check(
        "ok",
        f"All {len(rows)} classes are in each part; the smallest is {smallest.title} ({n[0]:,} "
        f"train, {n[1]:,} validation, {n[2]:,} test).",
    )


def _weights(home: Workspace, backbone: str, weights: str) -> Check:
    name = BACKBONES[backbone]
    if weights == "none":
        return Check("ok", f"{name} starts from random weights.")
    path = Path(weights).expanduser()
    if os.path.isfile(path):
        return _file(path, name)
    try:
        runs = [open_run(home, run).id for run in runs_named(home, weights)]
    except BloodCellError as error:
        return Check("error", str(error))
    if len(runs) == 1:
        return Check("ok", f"{name} starts from the best epoch of {runs[0]}.")
    if runs:
        words = f"{name} starts from the mean of the best epochs of {', '.join(runs)}."
        return Check("ok", words)
    return Check(
        "error",
        f"There is no weights file {weights!r}: enter the path of a file on the server, or "
        "choose ImageNet or random weights.",
    )


def _imagenet(backbones: list[str]) -> list[Check]:
    """Whether Keras has downloaded the ImageNet weights of these networks already."""
    folder = Path.home() / ".keras" / "models"
    here: list[str] = []
    away: list[str] = []
    for backbone in backbones:
        there = any(folder.glob(DOWNLOADED.get(backbone, "nothing")))
        (here if there else away).append(BACKBONES[backbone])
    found = []
    if here:
        found.append(Check("ok", f"ImageNet weights of {', '.join(here)}: already downloaded."))
    if away:
        found.append(
            Check(
                "warning",
                f"ImageNet weights of {', '.join(away)}: not downloaded yet. Keras downloads them "
                "when the run starts; without a connection the run fails.",
            )
        )
    return found


def _file(path: Path, name: str) -> Check:
    with path.open("rb") as file:
        start = file.read(len(HDF5))
    if start != HDF5:
        return Check(
            "error",
            f"{path} is not an HDF5 file: enter the path of {name} weights without top, as "
            "published by Keras.",
        )
    return Check("ok", f"{name} starts from {path.name}.")


def _disk(home: Path, configs: list[TrainConfig]) -> Check:
    while not home.exists():
        home = home.parent
    needed, free = sum(map(disk_bytes, configs)), shutil.disk_usage(home).free
    words = f"Disk: {format_bytes(free)} free, at most {format_bytes(needed)} needed"
    if needed > free:
        return Check("error", f"{words}. Free some space first.")
    return Check("warning" if 2 * needed > free else "ok", f"{words}.")


def _memory(speeds: list[Speed]) -> Check | None:
    needed = max((s.memory_bytes for s in speeds), default=0)
    if not needed:
        return None
    free = psutil.virtual_memory().available
    words = f"Memory: {format_bytes(free)} free, {format_bytes(needed)} needed"
    if needed > free:
        return Check("warning", f"{words}. Close other programs, or choose a smaller batch size.")
    return Check("ok", f"{words}.")


def check_launch(
    home: Workspace,
    dataset: Dataset,
    configs: list[TrainConfig],
    missing: list[str],
    estimates: list[Estimate],
    speeds: list[Speed],
    busy: Iterable[Run] = (),
) -> list[Check]:
    """All checks before runs start.

    Args:
        configs: of the runs, all on `dataset` with one split.
        missing: backbones for which no weights are given.
        estimates, speeds: as far as they are known.
        busy: runs that are going on or waiting.
    """
    found = _split(dataset, configs[0])
    seen = {(c.backbone, c.weights) for c in configs}
    given = sorted((b, weights) for b, weights in seen if b not in missing)
    found += [_weights(home, b, weights) for b, weights in given if weights != "imagenet"]
    found += _imagenet([b for b, weights in given if weights == "imagenet"])
    found += [
        Check(
            "error",
            f"No initial weights for {BACKBONES[b]}: enter the path of a file, or choose ImageNet "
            "or random weights.",
        )
        for b in missing
    ]
    found += [_memory(speeds), _disk(home.home, configs)]
    short = [e for e, c in zip(estimates, configs, strict=False) if e.epochs < c.epochs]
    if short:
        found.append(
            Check(
                "warning",
                f"The time budget ends the run after about {short[0].epochs} of "
                f"{configs[0].epochs} epochs.",
            )
        )
    ids = [run.id for run in busy]
    if ids:
        others = f" and {len(ids) - 1} more" if len(ids) > 1 else ""
        found.append(Check("warning", f"Queued behind {ids[0]}{others}."))
    return [check for check in found if check is not None]


def show_checks(checks: list[Check]) -> bool:
    """Show the checks; returns whether the run can start."""
    with st.container(border=True, gap="small", key="launch_checks"):
        st.markdown("**Checks**")
        for check in sorted(checks, key=lambda c: list(STYLES)[::-1].index(c.level)):
            icon, colour = STYLES[check.level]
            st.markdown(f":{colour}[:material/{icon}:] {check.words}")
    return all(check.level != "error" for check in checks)
