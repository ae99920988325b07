"""The form that starts runs: one, an ensemble's members, several seeds, or the folds of a split."""

import dataclasses
import inspect
import re
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import streamlit as st

from bloodcell.augment import policy_names
from bloodcell.data.split_choice import chosen_split
from bloodcell.data.store.dataset import Dataset, open_dataset
from bloodcell.errors import BadInput, BloodCellError
from bloodcell.models.classifier import BACKBONES, MAX_SIZE, MIN_SIZE
from bloodcell.runs.labels import read_labels, write_labels
from bloodcell.runs.lifecycle import duplicate, prepare_all
from bloodcell.runs.queue import edit, engaged, enqueue, settings, waiting
from bloodcell.runs.run import Run, list_runs, open_run
from bloodcell.runs.supervisor import wake
from bloodcell.runs.sweep import k_folds, members, seeds
from bloodcell.runs.weights import MEAN, is_settled, runs_named
from bloodcell.training.config import (
    MOST_EPOCHS,
    OPTIMIZERS,
    PRECISIONS,
    PRESETS,
    SAMPLE_WEIGHTS,
    SCHEDULES,
    TrainConfig,
    make_config,
    preset_values,
)
from bloodcell.ui.common.dataset_index import dataset_index
from bloodcell.ui.common.errors import show_errors
from bloodcell.ui.common.state import active_dataset, workspace
from bloodcell.ui.training.estimate import show_estimate
from bloodcell.ui.training.preflight import check_launch, show_checks

__all__ = [
    "Origin",
    "begin_from",
    "explanations",
    "launch_form",
    "main_fields",
    "other_fields",
    "weights_of",
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
FROM = "launch_from"
PRESET_WORDS = {
    "cpu": "the best known for two cores in under half an hour",
    "bloodcellcnn": "the forerunner's recipe, entire: hours on a CPU, made for a GPU",
}
WHAT = {
    "one": "One run",
    "ensemble": "The ensemble",
    "seeds": "Several seeds",
    "folds": "Cross-validation",
}
WHAT_WORDS = {
    "one": "",
    "ensemble": "Three networks, one after the other, ready to be combined on Evaluation.",
    "seeds": "The same run again and again: how much of a difference is chance?",
    "folds": "Each image that is not in the test part is validated once; the test part is the "
    "same in all folds.",
}


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


def begin_from(run: Run, how: str) -> None:
    """Fill the form with a run's config.

    Args:
        how: "duplicate" for a new run, "edit" for one that waits.
    """
    # What was changed and given up at an earlier time is not proposed again.
    own = (f"train_{how}_{run.id}_", f"train_dataset_{how}_{run.id}")
    for key in [k for k in st.session_state if str(k).startswith(own)]:
        del st.session_state[key]
    st.session_state[FROM] = (run.id, how)


def _origin() -> tuple[Origin | None, Run | None, str]:
    """What the form is filled with, if it is a run; the run, and "duplicate" or "edit"."""
    run_id, how = st.session_state.get(FROM, ("", ""))
    if not run_id:
        return None, None, ""
    try:
        run = open_run(workspace(), run_id)
        config, record = run.config(), run.record()
    except BloodCellError as error:
        st.warning(str(error), icon=":material/link_off:")
        st.session_state.pop(FROM)
        return None, None, ""
    values = {**config.to_json(), "weights": record.get("started_from", config.weights)}
    return Origin(f"{how}_{run.id}", config.preset, values), run, how


def _forget() -> None:
    st.session_state.pop(FROM, None)


def _dataset_and_preset(origin: Origin | None) -> tuple[str, Origin]:
    names = workspace().names("datasets")
    active = active_dataset()
    wanted = origin.values["dataset"] if origin else active.name if active else names[0]
    # One that was deleted, or lies elsewhere, is not silently another one.
    options = names if wanted in names else [wanted, *names]
    left, right = st.columns(2)
    with left:
        name = st.selectbox(
            "Dataset",
            options,
            index=options.index(wanted),
            # Another active dataset is another proposal.
            key=f"train_dataset_{origin.key if origin else wanted}",
            persist_state="session",
        )
    if origin is not None:
        return name, origin
    with right:
        preset = st.segmented_control(
            "Preset",
            list(PRESETS)[::-1],
            default="cpu",
            required=True,
            format_func=lambda p: {"cpu": "cpu", "bloodcellcnn": "bloodcellcnn (the seed)"}[p],
            key="train_preset",
            persist_state="session",
        )
        st.caption(f"{preset}: {PRESET_WORDS[preset]}.")
    return name, Origin(preset, preset, {})


def _what() -> tuple[str, int]:
    """What to launch, and how many where there is a choice."""
    what = st.segmented_control(
        "Launch",
        list(WHAT),
        default="one",
        required=True,
        format_func=WHAT.get,
        key="train_what",
        persist_state="session",
    )
    number = 1
    if what in ("seeds", "folds"):
        number = st.number_input(
            "How many",
            2,
            20,
            3 if what == "seeds" else 5,
            key=f"train_number_{what}",
            persist_state="session",
            width=140,
        )
    if WHAT_WORDS[what]:
        st.caption(WHAT_WORDS[what])
    return what, int(number)


def _configs(
    dataset: Dataset, origin: Origin, what: str, number: int
) -> tuple[list[TrainConfig], list[str]]:
    """The configs that the form says now, and the backbones for which no weights are given."""
    backbones, values = main_fields(origin, what == "ensemble")
    if not backbones:
        raise BadInput("No backbone is chosen: choose at least one.")
    weights = weights_of(origin, backbones)
    with st.expander("Everything else", key="train_everything"):
        values |= other_fields(origin, dataset)
    fold, folds = origin.value("split_fold")
    if folds:
        values["split_fold"] = (fold, folds)
        st.caption(f"Fold {fold} of {folds} of a cross-validation.")
    values["weights"] = next(iter(weights.values())) or "none"
    config = make_config(dataset.name, origin.preset, backbone=backbones[0], **values)
    missing = [b for b, w in weights.items() if not w]
    if what == "ensemble":
        given = {b: w or "none" for b, w in weights.items()}
        return members(config, tuple(backbones), given), missing
    if what == "seeds":
        return seeds(config, number), missing
    if what == "folds":
        return k_folds(config, number), missing
    return [config], missing


def _labels(origin: Origin, run: Run | None, what: str) -> tuple[str, tuple[str, ...]]:
    name = ""
    # A name is of one run; tags are of all.
    left, right = st.columns(2) if what == "one" else (st.container(), st.container())
    before = read_labels(run) if run else None
    with left:
        if what == "one":
            name = st.text_input(
                "Name (optional)",
                value=before.name if before else "",
                key=f"train_{origin.key}_name",
                placeholder="shown instead of its id",
                max_chars=80,
                persist_state="session",
            )
    with right:
        tags = st.text_input(
            "Tags (optional, separated by commas)",
            value=", ".join(before.tags) if before else "",
            key=f"train_{origin.key}_tags",
            placeholder="to find it by",
            persist_state="session",
        )
    return name, tuple(t.strip() for t in tags.split(",") if t.strip())


def _launch(configs: list[TrainConfig], what: str, name: str, tags: tuple[str, ...]) -> Run:
    """Make the runs and queue them; returns the one that is next."""
    if what != "one":
        tags = (*tags, f"{WHAT[what].removeprefix('The ')} {datetime.now():%d %b %H:%M}".lower())
    runs = prepare_all(workspace(), configs, tags)
    if name:
        write_labels(runs[0], name=name)
    return _queue(runs)


def _queue(runs: list[Run]) -> Run:
    enqueue(workspace(), runs)
    wake(workspace())
    return runs[0]


def _differences(run: Run, config: TrainConfig, values: dict[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in config.to_json().items() if v != values.get(k)}


def launch_form() -> Run | None:
    """Show the form; returns the run that was just started, queued or edited, else None."""
    origin, run, how = _origin()
    if run is not None:
        with st.container(horizontal=True, vertical_alignment="center"):
            words = "Edit" if how == "edit" else "A copy of"
            st.markdown(f"**{words} `{run.id}`**: change what you like.")
            st.button("Back to a new run", icon=":material/undo:", on_click=_forget)
    name, origin = _dataset_and_preset(origin)
    what, number = ("one", 1) if run is not None else _what()
    begun = None
    with show_errors():
        dataset = open_dataset(workspace(), name)
        configs, missing = _configs(dataset, origin, what, number)
        label, tags = _labels(origin, run, what)
        first = configs[0]
        index = dataset_index(dataset, first.split_seed, first.split_shares)
        estimates, speeds = show_estimate(configs, index)
        checks = check_launch(
            workspace(), dataset, configs, missing, estimates, speeds, _before(run)
        )
        ready = show_checks(checks)
        if st.button(
            _start_words(len(configs), how),
            type="primary",
            icon=":material/save:" if how == "edit" else ":material/play_arrow:",
            disabled=not ready,
            key="start",
        ):
            if run is None:
                begun = _launch(configs, what, label, tags)
            elif how == "edit":
                edit(workspace(), run, **_differences(run, first, origin.values))
                write_labels(run, name=label, tags=tags)
                begun = run
            else:
                begun = duplicate(workspace(), run, **_differences(run, first, origin.values))
                write_labels(begun, name=label, tags=tags)
                _queue([begun])
            _forget()
    return begun


def _before(run: Run | None) -> list[Run]:
    """The runs that come first, if there is no free place."""
    queue = workspace()
    chosen = settings(queue)
    busy = [r for r in engaged(queue, chosen.engine) if run is None or r.id != run.id]
    waits = [r for r in waiting(queue) if run is None or r.id != run.id]
    return [*busy, *waits] if len(busy) + len(waits) >= chosen.places else []


def _start_words(runs: int, how: str) -> str:
    if how == "edit":
        return "Save the changes"
    return "Start" if runs == 1 else f"Start {runs} runs"
