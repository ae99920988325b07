"""The widgets of a run's config: the fields that matter, and all others on request."""

import dataclasses
import inspect
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import streamlit as st

from bloodcell.augment import policy_names
from bloodcell.data.split_choice import chosen_split
from bloodcell.data.store.dataset import Dataset
from bloodcell.errors import BadInput
from bloodcell.models.classifier import BACKBONES, MAX_SIZE, MIN_SIZE
from bloodcell.runs.run import list_runs
from bloodcell.runs.weights import MEAN, is_settled, runs_named
from bloodcell.training.config import (
    MOST_EPOCHS,
    OPTIMIZERS,
    PRECISIONS,
    SAMPLE_WEIGHTS,
    SCHEDULES,
    TrainConfig,
    preset_values,
)
from bloodcell.ui.common.state import workspace

__all__ = ["Origin", "explanations", "main_fields", "other_fields", "weights_of"]

MAIN = (
    "dataset",
    "preset",
    "backbone",
    "weights",
    "policy",
    "input_size",
    "epochs",
    "batch_size",
    "learning_rate",
    "time_budget",
    "seed",
    # Folds are launched all at once, by the form's own field for it; a copy of one keeps its own.
    "split_fold",
)
CHOICES: dict[str, tuple[str, ...]] = {
    "optimizer": OPTIMIZERS,
    "schedule": SCHEDULES,
    "sample_weights": SAMPLE_WEIGHTS,
    "precision": PRECISIONS,
}
SOURCES = {
    "imagenet": "ImageNet",
    "none": "None (from nothing)",
    "file": "A local file",
    "run": "An earlier run",
}
WORDS = {"ema": "EMA of the weights", "input_size": "Input size (pixels)"}


@dataclass(frozen=True)
class Origin:
    """What the form is filled with at first.

    Attributes:
        key: of its widgets: the preset's name, or the id of the run that is copied or edited.
        preset: the preset.
        values: of the fields, where they are not the preset's.
    """

    key: str
    preset: str
    values: dict[str, Any]

    def value(self, name: str, backbone: str = "") -> Any:
        default = {f.name: f.default for f in dataclasses.fields(TrainConfig)}.get(name)
        return {**preset_values(self.preset, backbone), **self.values}.get(name, default)

    def widget(self, name: str, backbone: str = "") -> dict[str, str]:
        """Key and persistence of a widget; a network with values of its own has its own."""
        own = f"{backbone}_" if backbone == "tiny" and not self.values else ""
        return {"key": f"train_{self.key}_{own}{name}", "persist_state": "session"}


def explanations() -> dict[str, str]:
    """What each field of a training means, from the docstring of `TrainConfig`."""
    text = inspect.getdoc(TrainConfig) or ""
    found: dict[str, str] = {}
    for entry in re.findall(r"^    (\w[\w, ]*): (.+(?:\n        .+)*)", text, re.MULTILINE):
        words = " ".join(entry[1].split()).replace("`", "")
        for name in entry[0].split(", "):
            found[name] = words[0].upper() + words[1:]
    return found


def _label(name: str) -> str:
    text = name.replace("_", " ")
    return WORDS.get(name, text[0].upper() + text[1:])


def _policy(origin: Origin) -> str:
    policies = policy_names(workspace())
    widget = origin.widget("policy")
    # The Augmentation page, or an address, may have chosen one.
    wanted = st.session_state.pop("train_policy", None)
    asked = st.query_params.get("policy")
    if asked and st.session_state.get("policy_of_address") != asked:
        st.session_state["policy_of_address"] = wanted = asked
    if wanted in policies:
        st.session_state[widget["key"]] = wanted
    elif wanted:
        st.warning(f"There is no augmentation policy {wanted!r} in this workspace.")
    default = origin.value("policy")
    # A run holds the policy that it was made with, wherever that came from and is now.
    options = policies if default in policies else [default, *policies]
    return st.selectbox(
        "Augmentation policy",
        options,
        index=options.index(default),
        format_func=lambda name: name if name in policies else f"{name} (as the run has it)",
        help="Composed on the Augmentation page.",
        **widget,
    )


def main_fields(origin: Origin, several_backbones: bool) -> tuple[list[str], dict[str, Any]]:
    """The fields that matter; returns the chosen backbones and the values of the others."""
    told = explanations()
    values: dict[str, Any] = {}
    if several_backbones:
        backbones = st.multiselect(
            "Backbones: a member each",
            list(BACKBONES),
            default=[b for b in BACKBONES if b != "tiny"],
            format_func=BACKBONES.get,
            help="Members that differ in their network make different mistakes.",
            **origin.widget("backbones"),
        )
        columns = st.columns(3)
    else:
        left, *columns = st.columns(4)
        names = list(BACKBONES)
        with left:
            chosen = st.selectbox(
                "Backbone",
                names,
                index=names.index(origin.value("backbone")),
                format_func=BACKBONES.get,
                help="MobileNetV2 is the quickest by far and, on these cells, as good as the "
                "others.",
                **origin.widget("backbone"),
            )
        backbones = [chosen]
    first = backbones[0] if len(backbones) == 1 else ""
    whole: dict[str, tuple[int, int]] = {
        "input_size": (MIN_SIZE, MAX_SIZE),
        "seed": (0, 2**31 - 1),
        "epochs": (1, MOST_EPOCHS),
        "batch_size": (2, 1024),
    }
    places = {"input_size": 1, "seed": 2, "epochs": 0, "batch_size": 1}
    with columns[0]:
        values["policy"] = _policy(origin)
    second = st.columns(4)
    for name, (low, high) in whole.items():
        with (columns if name in ("input_size", "seed") else second)[places[name]]:
            values[name] = st.number_input(
                _label(name),
                low,
                high,
                int(origin.value(name, first)),
                help=told[name] if name == "seed" else None,
                **origin.widget(name, first if name == "batch_size" else ""),
            )
    with second[2]:
        values["learning_rate"] = st.number_input(
            "Learning rate",
            1e-8,
            10.0,
            float(origin.value("learning_rate", first)),
            step=1e-4,
            format="%g",
            help=told["learning_rate"],
            **origin.widget("learning_rate", first),
        )
    with second[3]:
        values["time_budget"] = float(
            st.number_input(
                "Time budget (minutes)",
                0.0,
                100_000.0,
                float(origin.value("time_budget")),
                step=5.0,
                format="%g",
                help=told["time_budget"],
                **origin.widget("time_budget"),
            )
        )
    return backbones, values


def _earlier_runs(backbone: str) -> dict[str, str]:
    """Runs that a network can start from: id → words."""
    found = {}
    for run in list_runs(workspace()):
        metrics = run.metrics()
        if metrics and is_settled(run) and run.config().backbone == backbone:
            best = max(m["val_accuracy"] for m in metrics)
            found[run.id] = f"{run.id} ({best:.1%} in validation)"
    return found


def weights_of(origin: Origin, backbones: list[str]) -> dict[str, str]:
    """What each backbone starts from: "imagenet", "none", a path or the id of a run."""
    told = explanations()["weights"]
    real = [b for b in backbones if b != "tiny"]
    found = dict.fromkeys(backbones, "none")
    before = origin.value("weights")
    sources = [s for s in SOURCES if s in ("none", "run") or real]
    runs_before = bool(runs_named(workspace(), before))
    default = before if before in SOURCES else "run" if runs_before else "file"
    source = st.segmented_control(
        "Weights to start from",
        sources,
        default=default if default in sources else "none",
        required=True,
        format_func=SOURCES.get,
        help=told,
        **origin.widget("weights" if real else "weights_tiny"),
    )
    if source == "imagenet":
        st.caption("Downloaded once by Keras. Without a connection, give a local file.")
        found |= dict.fromkeys(real, "imagenet")
    for backbone in backbones:
        if source == "run":
            runs = _earlier_runs(backbone)
            if runs:
                chosen = st.multiselect(
                    f"Run of {BACKBONES[backbone]} to start from, or several: their mean",
                    list(runs),
                    default=[name for name in before.split(MEAN) if name in runs] or list(runs)[:1],
                    format_func=runs.get,
                    help="Their best epochs. The mean makes sense of stages of one training, or "
                    "of runs from one start.",
                    **origin.widget(f"weights_run_{backbone}"),
                )
                found[backbone] = MEAN.join(chosen)
            else:
                st.caption(f"No run of {BACKBONES[backbone]} has finished an epoch yet.")
                found[backbone] = ""
        elif source == "file" and backbone in real:
            found[backbone] = st.text_input(
                f"Path of the weights of {BACKBONES[backbone]} on the server",
                value="" if before in SOURCES or runs_before else before,
                placeholder=f"{backbone}_notop.weights.h5",
                help="ImageNet weights without top, as Keras publishes them (.h5 or .weights.h5).",
                **origin.widget(f"weights_path_{backbone}"),
            ).strip()
    return found


def other_fields(origin: Origin, dataset: Dataset) -> dict[str, Any]:
    """A widget for each field of `TrainConfig` that has none in the main form.

    Raises:
        BadInput: a text that is not what its field holds.
    """
    told = explanations()
    seed, shares = chosen_split(dataset)
    origin = dataclasses.replace(
        origin, values={"split_seed": seed, "split_shares": shares, **origin.values}
    )
    values: dict[str, Any] = {}
    columns = st.columns(3)
    fields = [f for f in dataclasses.fields(TrainConfig) if f.name not in MAIN]
    for place, field in enumerate(fields):
        value = origin.value(field.name)
        about = {
            "label": _label(field.name),
            "help": told.get(field.name),
            **origin.widget(field.name),
        }
        with columns[place % 3]:
            if field.name == "teacher":
                values[field.name] = _teacher(value, about)
            elif field.name == "split_shares":
                values[field.name] = _shares(
                    st.text_input(value=", ".join(map(str, value)), **about)
                )
            elif field.name in CHOICES:
                allowed = CHOICES[field.name]
                values[field.name] = st.selectbox(
                    options=allowed, index=allowed.index(value), **about
                )
            elif isinstance(value, bool):
                values[field.name] = st.toggle(value=value, **about)
            elif isinstance(value, int):
                values[field.name] = st.number_input(min_value=0, value=value, **about)
            else:
                values[field.name] = st.number_input(
                    min_value=0.0, value=float(value), step=0.01, format="%g", **about
                )
    return values


def _teacher(before: str, about: dict[str, str]) -> str:
    runs = [run.id for run in list_runs(workspace()) if run.status()["state"] == "finished"]
    known = Path(before).parent.name if before.endswith(".keras") else before
    # One that cannot teach now is kept, and refused with a sentence when it is launched.
    options = ["", *runs] if known in ("", *runs) else ["", known, *runs]
    return st.selectbox(
        options=options,
        index=options.index(known),
        format_func=lambda run: run or "None",
        **about,
    )


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
