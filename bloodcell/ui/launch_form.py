"""The form that starts a run: a preset, the fields that matter, and all others on request."""

import dataclasses
import inspect
import re
from pathlib import Path
from typing import Any

import streamlit as st

from bloodcell.augment import policy_names
from bloodcell.data.dataset import PARTS, Dataset, open_dataset
from bloodcell.data.split import SHARES
from bloodcell.errors import BadInput, BloodCellError
from bloodcell.models.classifier import BACKBONES
from bloodcell.runs.carry_out import check_startable
from bloodcell.runs.launch import prepare, start
from bloodcell.runs.run import ACTIVE, list_runs
from bloodcell.training.config import (
    OPTIMIZERS,
    PRESETS,
    SAMPLE_WEIGHTS,
    SCHEDULES,
    TrainConfig,
    make_config,
    preset_values,
)
from bloodcell.ui.dataset_index import SPLIT_SEED, DatasetIndex, dataset_index
from bloodcell.ui.state import active_dataset, sentences, workspace

__all__ = ["explanations", "launch_form"]

IMPORTANT = (
    "dataset",
    "preset",
    "backbone",
    "weights",
    "policy",
    "epochs",
    "batch_size",
    "learning_rate",
    "seed",
)
PRESET_WORDS = {
    "cpu": "the best known for two cores in under half an hour",
    "bloodcellcnn": "the forerunner's recipe, entire: hours on a CPU, made for a GPU",
}
CHOICES: dict[str, tuple[str, ...]] = {
    "optimizer": OPTIMIZERS,
    "schedule": SCHEDULES,
    "sample_weights": SAMPLE_WEIGHTS,
}
SOURCES = {"imagenet": "ImageNet", "none": "None (from nothing)", "file": "A local file"}


def explanations() -> dict[str, str]:
    """What each field of a training means, from the docstring of `TrainConfig`."""
    text = inspect.getdoc(TrainConfig) or ""
    found: dict[str, str] = {}
    for entry in re.findall(r"^    (\w[\w, ]*): (.+(?:\n        .+)*)", text, re.MULTILINE):
        words = " ".join(entry[1].split()).replace("`", "")
        for name in entry[0].split(", "):
            found[name] = words[0].upper() + words[1:]
    return found


def _words(name: str) -> str:
    text = name.replace("_", " ")
    return "EMA of the weights" if name == "ema" else text[0].upper() + text[1:]


def _preset_value(preset: str, field: dataclasses.Field) -> Any:
    return PRESETS[preset].get(field.name, field.default)


def _other_fields(preset: str) -> dict[str, Any]:
    """A widget for each field of `TrainConfig` that has none in the main form."""
    told = explanations()
    values: dict[str, Any] = {}
    columns = st.columns(3)
    fields = [f for f in dataclasses.fields(TrainConfig) if f.name not in IMPORTANT]
    for place, field in enumerate(fields):
        value = _preset_value(preset, field)
        about = {
            "label": _words(field.name),
            "key": f"train_{preset}_{field.name}",
            "help": told.get(field.name),
        }
        with columns[place % 3]:
            if field.name == "split_shares":
                text = st.text_input(value=", ".join(map(str, SHARES)), **about)
                values[field.name] = _shares(text)
            elif field.name == "split_seed":
                seed = int(st.session_state.get(SPLIT_SEED, 0))
                values[field.name] = st.number_input(min_value=0, value=seed, **about)
            elif field.name in CHOICES:
                allowed = CHOICES[field.name]
                values[field.name] = st.selectbox(
                    options=allowed, index=allowed.index(value), **about
                )
            elif isinstance(value, int):
                values[field.name] = st.number_input(min_value=0, value=value, **about)
            else:
                values[field.name] = st.number_input(
                    min_value=0.0, value=float(value), step=0.01, format="%g", **about
                )
    return values


def _shares(text: str) -> tuple[float, ...]:
    try:
        shares = tuple(float(part) for part in text.split(","))
    except ValueError:
        shares = ()
    if len(shares) != 3:
        raise BadInput(
            f"The split shares {text!r} cannot be read: expected three numbers such as "
            "0.8, 0.1, 0.1."
        )
    return shares


def _weights(preset: str, backbone: str) -> str:
    told = explanations()["weights"]
    if backbone == "tiny":
        st.segmented_control(
            "Weights to start from",
            ["none"],
            default="none",
            format_func=SOURCES.get,
            disabled=True,
            key="train_weights_tiny",
            help=told,
        )
        return "none"
    source = st.segmented_control(
        "Weights to start from",
        list(SOURCES),
        default=PRESETS[preset]["weights"],
        required=True,
        format_func=SOURCES.get,
        key=f"train_{preset}_weights",
        help=told,
    )
    if source == "file":
        return st.text_input(
            "Path of the weights on the server",
            key="train_weights_path",
            placeholder=f"{backbone}_notop.weights.h5",
            help="ImageNet weights without top, as Keras publishes them (.h5 or .weights.h5).",
        ).strip()
    if source == "imagenet":
        st.caption("Downloaded once by Keras. Without a connection, give a local file.")
    return str(source)


def _important_fields(name: str, preset: str) -> dict[str, Any]:
    told = explanations()
    key = f"train_{preset}"
    left, middle, right = st.columns(3)
    with left:
        backbone = st.selectbox(
            "Backbone",
            list(BACKBONES),
            format_func=BACKBONES.get,
            key=f"{key}_backbone",
            help="MobileNetV2 is the quickest by far and, on these cells, as good as the others.",
        )
    with middle:
        policies = policy_names(workspace())
        policy = st.selectbox(
            "Augmentation policy",
            policies,
            index=policies.index(PRESETS[preset]["policy"]),
            key=f"{key}_policy",
            help="Composed on the Augmentation page.",
        )
    with right:
        seed = st.number_input("Seed", 0, 2**31 - 1, key=f"{key}_seed", help=told["seed"])
    weights = _weights(preset, backbone)
    suited = preset_values(preset, backbone)
    # Widgets of their own for the tiny network: a widget keeps its value, whatever its default.
    own = f"{key}_tiny" if backbone == "tiny" else key
    left, middle, right = st.columns(3)
    with left:
        epochs = st.number_input("Epochs", 1, 1000, PRESETS[preset]["epochs"], key=f"{key}_epochs")
    with middle:
        batch_size = st.number_input(
            "Batch size", 2, 1024, suited["batch_size"], key=f"{own}_batch_size"
        )
    with right:
        rate = st.number_input(
            "Learning rate",
            1e-8,
            10.0,
            suited["learning_rate"],
            step=1e-4,
            format="%g",
            key=f"{own}_learning_rate",
            help=told["learning_rate"],
        )
    return {
        "backbone": backbone,
        "weights": weights,
        "policy": policy,
        "seed": int(seed),
        "epochs": int(epochs),
        "batch_size": int(batch_size),
        "learning_rate": float(rate),
    }


@st.cache_data(max_entries=16, show_spinner=False)
def _refusal(state: tuple[str, ...], seed: int, shares: tuple, _dataset: Dataset) -> str:
    """Why a training cannot start on this split, or ""."""
    try:
        check_startable(_dataset, dataset_index(_dataset, seed, shares).split)
    except BloodCellError as error:
        return str(error)
    return ""


def _check(dataset: Dataset, config: TrainConfig) -> bool:
    """Say whether the run can start, and on what; the same check is made when it starts."""
    index = dataset_index(dataset, config.split_seed, config.split_shares)
    state = (str(dataset.path), dataset.fingerprint, dataset.curation.fingerprint)
    refusal = _refusal(state, config.split_seed, config.split_shares, dataset)
    problems = [refusal] if refusal else []
    if config.weights not in ("imagenet", "none") and not Path(config.weights).is_file():
        problems.append(
            f"There is no weights file {config.weights!r}: give the path of a file on the server."
            if config.weights
            else "No weights file is given: type its path, or start from ImageNet or from nothing."
        )
    for problem in problems:
        st.error(problem, icon=":material/error:")
    if not refusal:
        st.success(_sound(index), icon=":material/verified:")
    busy = [run.id for run in list_runs(workspace()) if run.status()["state"] in ACTIVE]
    if busy:
        st.warning(
            f"{busy[0]} is being trained on this machine: two at once slow each other down.",
            icon=":material/hourglass_top:",
        )
    return not problems


def _sound(index: DatasetIndex) -> str:
    totals = index.counts.sum(axis=0)
    present = index.counts[index.counts.sum(axis=1) > 0]
    parts = ", ".join(f"{n:,} {part}" for n, part in zip(totals, PARTS, strict=True))
    return (
        f"Ready: {parts}; {index.shared} images shared between parts; all {len(present)} classes "
        f"in each part, at least {present[:, 1].min()} of each in validation and "
        f"{present[:, 2].min()} in test."
    )


def launch_form() -> str | None:
    """Show the form; returns the id of the run that was just started, else None."""
    names = workspace().names("datasets")
    active = active_dataset()
    left, right = st.columns(2)
    with left:
        name = st.selectbox(
            "Dataset",
            names,
            index=names.index(active.name) if active else 0,
            # Another active dataset is another proposal.
            key=f"train_dataset_{active.name if active else ''}",
        )
    with right:
        preset = st.segmented_control(
            "Preset", list(PRESETS)[::-1], default="cpu", required=True, key="train_preset"
        )
        st.caption(f"{preset}: {PRESET_WORDS[preset]}.")
    values = _important_fields(name, preset)
    ready = False
    with st.expander("Everything else"), sentences():
        values |= _other_fields(preset)
        ready = True
    if not ready:
        return None
    with sentences():
        config = make_config(name, preset, **values)
        ready = _check(open_dataset(workspace(), name), config)
        if st.button(
            "Start", type="primary", icon=":material/play_arrow:", disabled=not ready, key="start"
        ):
            run = prepare(workspace(), config)
            start(workspace(), run)
            return run.id
    return None
