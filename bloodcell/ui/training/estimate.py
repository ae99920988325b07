"""How long a training will take on this machine: from an earlier run, or measured on request."""

import contextlib
import json
import signal
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any

import streamlit as st

from bloodcell.augment.policy import find_policy
from bloodcell.errors import BadInput, BloodCellError
from bloodcell.files import format_bytes, write_json
from bloodcell.models.classifier import BACKBONES
from bloodcell.progress import Progress
from bloodcell.runs.preflight import check_config
from bloodcell.runs.run import ACTIVE, list_runs
from bloodcell.training.config import TrainConfig
from bloodcell.training.estimate import Estimate, Speed, estimate, known_speed
from bloodcell.ui.common.dataset_index import DatasetIndex
from bloodcell.ui.common.format import duration
from bloodcell.ui.common.jobs import start_job
from bloodcell.ui.common.state import workspace
from bloodcell.workspace import Workspace

__all__ = ["measure_here", "show_estimate"]

ROOT = Path(__file__).parents[3]


def measure_here(home: Workspace, configs: list[TrainConfig], progress: Progress) -> int:
    """Measure the speed of each config in a process of its own; returns how many.

    Raises:
        Stopped: `progress` asked for a stop; the process is gone then.
        BadInput: a config that cannot be trained.
    """
    busy = any(run.status()["state"] in ACTIVE for run in list_runs(home))
    for config in configs:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "config.json"
            # With the paths of what it learns from, which are looked up by their names.
            write_json(path, check_config(home, config)[0].to_json())
            _measure(home, path, config, busy, progress)
    return len(configs)


def _measure(
    home: Workspace, path: Path, config: TrainConfig, busy: bool, progress: Progress
) -> None:
    command = [sys.executable, "-m", "bloodcell.training.estimate", str(home.home), str(path)]
    process = subprocess.Popen(
        [*command, *(["busy"] if busy else [])],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    what = f"batches of {BACKBONES[config.backbone]}"
    lines: list[str] = []
    reader = threading.Thread(target=lambda: lines.extend(process.stderr), daemon=True)
    reader.start()
    try:
        progress(0, 1, f"Loading TensorFlow and building {BACKBONES[config.backbone]}")
        while process.poll() is None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(0.3)
            words = lines[-1].split() if lines else []
            if len(words) == 2 and words[0].isdigit():
                progress(int(words[0]), int(words[1]), what)
            else:
                progress(0, 1, f"Loading TensorFlow and building {BACKBONES[config.backbone]}")
    except BaseException:
        process.send_signal(signal.SIGTERM)
        process.wait()
        raise
    reader.join(5)
    answer: dict[str, Any] = {}
    try:
        answer = json.loads(process.stdout.read())
    except json.JSONDecodeError:
        last = "".join(lines[-3:]).strip() or f"exit {process.returncode}"
        raise BadInput(
            f"Measuring {BACKBONES[config.backbone]} failed ({last[:200]}): start the run without "
            "an estimate, or look at the server's log."
        ) from None
    if "error" in answer:
        raise BadInput(answer["error"])


def _source(speed: Speed) -> str:
    if speed.source != "measured":
        return f"from run {speed.source} with the same settings on this machine"
    words = f"measured on this machine over {speed.batches} batches on {speed.when[:10]}"
    return f"{words}, while another training was running" if speed.busy else words


def show_estimate(
    configs: list[TrainConfig], index: DatasetIndex
) -> tuple[list[Estimate], list[Speed]]:
    """Show how long the runs will take as far as it is known, and a button to measure the rest.

    Args:
        index: of the dataset, for the number of images.
    """
    runs = list_runs(workspace())
    train, validation = int(index.counts[:, 0].sum()), int(index.counts[:, 1].sum())
    estimates, speeds, unknown = [], [], []
    for config in configs:
        try:
            speed = known_speed(workspace(), config, find_policy(workspace(), config.policy), runs)
        except BloodCellError:
            speed = None
        if speed is None:
            unknown.append(config)
            continue
        speeds.append(speed)
        kept = train
        judged = validation
        if config.split_fold[1]:
            judged = (train + validation) // config.split_fold[1]
            kept = train + validation - judged
        estimates.append(estimate(config, speed, kept, judged))
    different = list({(c.backbone, c.input_size, c.batch_size): c for c in unknown}.values())
    with st.container(border=True, key="launch_estimate"):
        if estimates:
            _show_known(configs, estimates, speeds, len(unknown))
        if different:
            names = ", ".join(BACKBONES[c.backbone] for c in different)
            st.markdown(
                f"The training time of {names} with these settings is not known on this machine "
                "yet."
            )
            if st.button(
                "Estimate the time",
                icon=":material/timer:",
                key="measure",
                help="Trains a few batches, about half a minute for each network. Only the "
                "measured speed is kept.",
            ):
                home = workspace()
                start_job(
                    "Measuring the speed", lambda progress: measure_here(home, different, progress)
                )
                st.rerun()
    return estimates, speeds


def _show_known(
    configs: list[TrainConfig], estimates: list[Estimate], speeds: list[Speed], unknown: int
) -> None:
    total = sum(e.total_s for e in estimates)
    runs = "" if len(configs) == 1 else f" for {len(estimates)} of {len(configs)} runs"
    early = " at most, as early stopping may end it before" if configs[0].early_stopping else ""
    st.markdown(f"**About {duration(total)}**{runs} on this machine{early}.")
    for speed in {s.source + s.when: s for s in speeds}.values():
        shared = [e for e, s in zip(estimates, speeds, strict=True) if s == speed]
        epochs = shared[0].epochs
        memory = f", {format_bytes(speed.memory_bytes)} of memory" if speed.memory_bytes else ""
        start = f" and {duration(speed.startup_s)} to start" if speed.startup_s else ""
        each = "" if len(shared) == 1 else f", {len(shared)} times"
        st.caption(
            f"{epochs} epochs of {duration(shared[0].epoch_s)}{start}{each}: "
            f"{speed.images_per_second:,.0f} images/s{memory}, {_source(speed)}."
        )
