"""The fields of the form of a new run: what each value is and where it starts from."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import streamlit as st

from bloodcell.augment import policy_names
from bloodcell.data.split_choice import chosen_rule
from bloodcell.data.store.dataset import Dataset
from bloodcell.errors import BadInput
from bloodcell.models.classifier import BACKBONES
from bloodcell.runs.preflight import is_settled
from bloodcell.runs.run import list_runs
from bloodcell.training.config import (
    FIELDS,
    InitialWeights,
    TrainConfig,
    preset_values,
)
from bloodcell.training.schedule import selection_loss
from bloodcell.ui.common.format import percent
from bloodcell.ui.common.state import workspace

__all__ = [
    "PRESET_HELP",
    "Prefill",
    "choose_weights",
    "draw_advanced_fields",
    "draw_main_fields",
    "label_of",
    "only_of",
]


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


SOURCES = {
    "imagenet": "ImageNet",
    "none": "Random",
    "file": "Weights file",
    "runs": "Earlier run",
}


LABELS = {
    "augment_engine": "Augmentation engine",
    "ema": "EMA decay of the weights",
    "input_size": "Input size (pixels)",
    "plateau_patience": "Plateau patience (epochs)",
    "early_stopping": "Early stopping (patience in epochs)",
    "warmup_epochs": "Warm-up (epochs)",
    "split_shares": "Split shares (train, validation, test)",
    "split_hold_out": "Hold out (laboratory=NAME)",
    "teacher": "Teacher (distillation)",
}


PRESET_HELP = {
    "fast": "the best recipe found for two CPU cores; ends in under half an hour",
    "bloodcellcnn": "the original BloodCellCNN recipe; made for a GPU, takes hours on a CPU",
}


@dataclass(frozen=True)
class Prefill:
    """The values that the form opens with.

    Attributes:
        key: of its widgets: the preset's name, or the id of the run that is duplicated or edited.
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
        """Key and persistence of a widget; where the preset of a network has a value of its own,
        the widget is its own too."""
        own = f"{backbone}_" if self.value(name, backbone) != self.value(name) else ""
        return {"key": f"train_{self.key}_{own}{name}", "persist_state": "session"}

    def changes(self, values: dict[str, Any], backbone: str = "") -> dict[str, Any]:
        """What of the form's values the preset does not give by itself.

        The rest is left to `make_config`, as on the command line: the preset of each network.
        """
        if self.values:
            return values
        return {k: v for k, v in values.items() if v != self.value(k, backbone)}


def label_of(name: str) -> str:
    text = name.replace("_", " ")
    return LABELS.get(name, text[0].upper() + text[1:])


def _choose_policy(prefill: Prefill) -> str:
    policies = policy_names(workspace())
    widget = prefill.widget("policy")
    # An address, such as the Augmentation page's link, may choose one.
    asked = st.query_params.get("policy")
    if asked and asked not in policies:
        st.warning(f"No augmentation policy {asked!r} in this workspace.")
    elif asked and st.session_state.get("policy_of_address") != asked:
        st.session_state["policy_of_address"] = st.session_state[widget["key"]] = asked
    default = prefill.value("policy")
    # A run holds the policy that it was made with, wherever that came from and is now.
    options = policies if default in policies else [default, *policies]
    chosen = st.session_state.get(widget["key"])
    return st.selectbox(
        "Augmentation policy",
        options,
        # The choice, and not only the default: a browser may miss that it was set.
        index=options.index(chosen if chosen in options else default),
        format_func=lambda name: name if name in policies else f"{name} (stored in the run)",
        help="Policies are edited on the Augmentation page.",
        **widget,
    )


def only_of(backbones: list[str]) -> str:
    """The backbone if there is one, whose preset the form shows; else "", for that of any."""
    return backbones[0] if len(backbones) == 1 else ""


def draw_main_fields(prefill: Prefill, several_backbones: bool) -> tuple[list[str], dict[str, Any]]:
    """Draw the main fields; returns the chosen backbones and the values of the others."""
    values: dict[str, Any] = {}
    if several_backbones:
        backbones = st.multiselect(
            "Backbones (one member each)",
            list(BACKBONES),
            default=[b for b in BACKBONES if b != "tiny"],
            format_func=BACKBONES.get,
            help="Members with different networks make different errors, which the ensemble "
            "averages out.",
            **prefill.widget("backbones"),
        )
        columns = st.columns(3)
    else:
        left, *columns = st.columns(4)
        names = list(BACKBONES)
        with left:
            chosen = st.selectbox(
                "Backbone",
                names,
                index=names.index(prefill.value("backbone")),
                format_func=BACKBONES.get,
                help="MobileNetV2 is by far the fastest and about as accurate as the others on "
                "these cells.",
                **prefill.widget("backbone"),
            )
        backbones = [chosen]
    first = only_of(backbones)
    places = {"input_size": 1, "seed": 2, "epochs": 0, "batch_size": 1}
    with columns[0]:
        values["policy"] = _choose_policy(prefill)
    second = st.columns(4)
    for name, place in places.items():
        with (columns if name in ("input_size", "seed") else second)[place]:
            values[name] = st.number_input(
                label_of(name),
                FIELDS[name]["low"],
                FIELDS[name]["high"],
                int(prefill.value(name, first)),
                help=FIELDS[name]["help"],
                **prefill.widget(name, first),
            )
    with second[2]:
        values["learning_rate"] = st.number_input(
            "Learning rate",
            1e-8,
            10.0,
            float(prefill.value("learning_rate", first)),
            step=1e-4,
            format="%g",
            help=FIELDS["learning_rate"]["help"],
            **prefill.widget("learning_rate", first),
        )
    with second[3]:
        values["time_budget"] = float(
            st.number_input(
                "Time budget (minutes)",
                0.0,
                100_000.0,
                float(prefill.value("time_budget")),
                step=5.0,
                format="%g",
                help=FIELDS["time_budget"]["help"],
                **prefill.widget("time_budget"),
            )
        )
    return backbones, values


def _list_earlier_runs(backbone: str) -> dict[str, str]:
    """Runs that a network can start from: id → id, epoch and accuracy of the weights it gets."""
    found = {}
    for run in list_runs(workspace()):
        metrics = run.metrics()
        if metrics and is_settled(run) and run.config().backbone == backbone:
            # The epoch whose weights are kept, which is not always that of highest accuracy.
            best = min(metrics, key=selection_loss)
            accuracy = percent(best["val_accuracy"])
            found[run.id] = f"{run.id}: epoch {best['epoch']}, {accuracy} validation accuracy"
    return found


def choose_weights(prefill: Prefill, backbones: list[str]) -> dict[str, str]:
    """Draw the choice of initial weights: for each backbone "imagenet", "none", a path or a run."""
    real = [b for b in backbones if b != "tiny"]
    found = dict.fromkeys(backbones, "none")
    before = InitialWeights.parse(prefill.value("weights"), workspace().runs)
    sources = [s for s in SOURCES if s in ("none", "runs") or real]
    default = "file" if before.kind == "checkpoints" else before.kind
    source = st.segmented_control(
        "Initial weights",
        sources,
        default=default if default in sources else "none",
        required=True,
        format_func=SOURCES.get,
        help=FIELDS["weights"]["help"],
        **prefill.widget("weights" if real else "weights_tiny"),
    )
    if source == "imagenet":
        st.caption("Keras downloads them once. Without a connection, choose a weights file.")
        found |= dict.fromkeys(real, "imagenet")
    for backbone in backbones:
        if source == "runs":
            runs = _list_earlier_runs(backbone)
            if runs:
                chosen = st.multiselect(
                    f"Initial weights of {BACKBONES[backbone]}: one run, or the mean of several",
                    list(runs),
                    default=[name for name in before.sources if name in runs] or list(runs)[:1],
                    format_func=runs.get,
                    help="The epoch with the lowest validation loss of each run. Average only runs "
                    "that share their initial weights, or stages of one training.",
                    **prefill.widget(f"weights_run_{backbone}"),
                )
                found[backbone] = InitialWeights("runs", tuple(chosen)).text if chosen else ""
            else:
                st.caption(f"No run of {BACKBONES[backbone]} has finished an epoch yet.")
                found[backbone] = ""
        elif source == "file" and backbone in real:
            found[backbone] = st.text_input(
                f"Weights file of {BACKBONES[backbone]} (path on the server)",
                value=before.text if before.kind in ("file", "checkpoints") else "",
                placeholder=f"{backbone}_notop.weights.h5",
                help="ImageNet weights without top, as published by Keras (.h5 or .weights.h5).",
                **prefill.widget(f"weights_path_{backbone}"),
            ).strip()
    return found


def draw_advanced_fields(
    prefill: Prefill, dataset: Dataset, backbones: list[str]
) -> dict[str, Any]:
    """Draw a widget for each field of `TrainConfig` that has none in the main form.

    Returns:
        The values; None where each network is to have that of its preset.

    Raises:
        BadInput: a text that is not what its field holds.
    """
    rule = chosen_rule(dataset)
    chosen = {
        "split_seed": rule.seed,
        "split_shares": rule.shares,
        "split_by": rule.by,
        "split_hold_out": rule.hold_out,
        **prefill.values,
    }
    only = only_of(backbones)
    values: dict[str, Any] = {}
    columns = st.columns(3)
    fields = [f for f in dataclasses.fields(TrainConfig) if f.name not in MAIN]
    for place, field in enumerate(fields):
        value = chosen.get(field.name, prefill.value(field.name, only))
        about = {
            "label": label_of(field.name),
            "help": FIELDS[field.name]["help"],
            **prefill.widget(field.name, only),
        }
        with columns[place % 3]:
            if field.name == "teacher":
                values[field.name] = _choose_teacher(value, about)
            elif field.name == "split_hold_out":
                values[field.name] = st.text_input(value=value, **about).strip()
            elif field.name == "split_shares":
                values[field.name] = _parse_shares(
                    st.text_input(value=", ".join(map(str, value)), **about)
                )
            elif "choices" in FIELDS[field.name]:
                allowed: list[str | None] = list(FIELDS[field.name]["choices"])
                if len({prefill.value(field.name, b) for b in backbones}) > 1:
                    allowed, value = [None, *allowed], None
                    about["key"] += "_of_each"
                values[field.name] = st.selectbox(
                    options=allowed,
                    index=allowed.index(value),
                    format_func=lambda v: v or "preset of each network",
                    **about,
                )
            elif isinstance(value, bool):
                values[field.name] = st.toggle(value=value, **about)
            elif isinstance(value, int):
                low, high = FIELDS[field.name]["low"], FIELDS[field.name]["high"]
                values[field.name] = st.number_input(
                    min_value=low, max_value=high, value=value, **about
                )
            else:
                values[field.name] = st.number_input(
                    min_value=float(FIELDS[field.name]["low"]),
                    max_value=float(FIELDS[field.name]["high"]),
                    value=float(value),
                    step=0.01,
                    format="%g",
                    **about,
                )
    return values


def _choose_teacher(before: str, about: dict[str, str]) -> str:
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


def _parse_shares(text: str) -> tuple[float, ...]:
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
