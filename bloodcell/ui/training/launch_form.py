"""The form of a new run: one, an ensemble's members, several seeds, or cross-validation."""

import dataclasses
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import streamlit as st

from bloodcell.augment import policy_names
from bloodcell.data.split_choice import chosen_rule
from bloodcell.data.store.dataset import Dataset, open_dataset
from bloodcell.errors import BadInput, BloodCellError
from bloodcell.models.classifier import BACKBONES
from bloodcell.runs.labels import read_labels, write_labels
from bloodcell.runs.lifecycle import duplicate, prepare_all
from bloodcell.runs.preflight import check_launch, is_settled
from bloodcell.runs.queue import edit, engaged, enqueue, settings, slots_of, waiting
from bloodcell.runs.run import Run, list_runs, open_run
from bloodcell.runs.supervisor import wake
from bloodcell.runs.sweep import k_folds, leave_one_out, members, seeds
from bloodcell.runs.trials import MOST_TRIALS, advance, make_sweep, parse_space, trials_of
from bloodcell.training.config import (
    FIELDS,
    PRESETS,
    InitialWeights,
    TrainConfig,
    make_config,
    preset_values,
)
from bloodcell.training.schedule import selection_loss
from bloodcell.ui.common.dataset_index import dataset_index
from bloodcell.ui.common.errors import show_errors
from bloodcell.ui.common.format import no_pictures, percent
from bloodcell.ui.common.state import active_dataset, workspace
from bloodcell.ui.training.engine_choice import show_engine_choice
from bloodcell.ui.training.estimate import show_estimate
from bloodcell.ui.training.preflight import find_split_checks, show_checks

__all__ = ["Prefill", "draw_launch_form", "prefill_from"]

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
# Of the dataset and not of the preset.
SPLIT = ("split_seed", "split_shares", "split_by", "split_hold_out")
FROM = "launch_from"
SEEN = "launch_labels"
PRESET_HELP = {
    "fast": "the best recipe found for two CPU cores; ends in under half an hour",
    "bloodcellcnn": "the original BloodCellCNN recipe; made for a GPU, takes hours on a CPU",
}
KINDS = {
    "one": "Single run",
    "ensemble": "Ensemble members",
    "seeds": "Several seeds",
    "folds": "Cross-validation",
    "laboratories": "Leave one laboratory out",
    "sweep": "Sweep",
}
KIND_HELP = {
    "one": "",
    "ensemble": "One run for each network. Combine them on the Evaluation page.",
    "seeds": "The same run with different seeds shows how much of a difference is chance.",
    "folds": "Each image outside the test part is used for validation once. All folds share the "
    "same test part.",
    "laboratories": "One run for each laboratory, which is its test part: how the network would do "
    "in a laboratory that it never saw.",
    "sweep": "Trials with other values look for the lowest validation loss; hopeless ones are "
    "stopped. The test part is never looked at.",
}
AXES_KEY = "train_axes"
AXES = "learning-rate=1e-4:1e-2:log\npolicy=gentle,strong"


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


def _label_of(name: str) -> str:
    text = name.replace("_", " ")
    return LABELS.get(name, text[0].upper() + text[1:])


def _choose_policy(prefill: Prefill) -> str:
    policies = policy_names(workspace())
    widget = prefill.widget("policy")
    # The Augmentation page, or an address, may have chosen one.
    wanted = st.session_state.pop("train_policy", None)
    asked = st.query_params.get("policy")
    if asked and st.session_state.get("policy_of_address") != asked:
        st.session_state["policy_of_address"] = wanted = asked
    if wanted in policies:
        st.session_state[widget["key"]] = wanted
    elif wanted:
        st.warning(f"No augmentation policy {wanted!r} in this workspace.")
    default = prefill.value("policy")
    # A run holds the policy that it was made with, wherever that came from and is now.
    options = policies if default in policies else [default, *policies]
    return st.selectbox(
        "Augmentation policy",
        options,
        index=options.index(default),
        format_func=lambda name: name if name in policies else f"{name} (stored in the run)",
        help="Policies are edited on the Augmentation page.",
        **widget,
    )


def _only(backbones: list[str]) -> str:
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
    first = _only(backbones)
    places = {"input_size": 1, "seed": 2, "epochs": 0, "batch_size": 1}
    with columns[0]:
        values["policy"] = _choose_policy(prefill)
    second = st.columns(4)
    for name, place in places.items():
        with (columns if name in ("input_size", "seed") else second)[place]:
            values[name] = st.number_input(
                _label_of(name),
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
    only = _only(backbones)
    values: dict[str, Any] = {}
    columns = st.columns(3)
    fields = [f for f in dataclasses.fields(TrainConfig) if f.name not in MAIN]
    for place, field in enumerate(fields):
        value = chosen.get(field.name, prefill.value(field.name, only))
        about = {
            "label": _label_of(field.name),
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


def prefill_from(run: Run, how: str) -> None:
    """Open the form with a run's config.

    Args:
        how: "duplicate" for a new run, "edit" for one that waits.
    """
    # What was changed and given up at an earlier time is not proposed again.
    own = (f"train_{how}_{run.id}_", f"train_dataset_{how}_{run.id}")
    for key in [k for k in st.session_state if str(k).startswith(own)]:
        del st.session_state[key]
    st.session_state[FROM] = (run.id, how)
    st.session_state[SEEN] = read_labels(run)


def _read_prefill() -> tuple[Prefill | None, Run | None, str]:
    """The run that the form opens with, if any, its values, and "duplicate" or "edit"."""
    run_id, how = st.session_state.get(FROM, ("", ""))
    if not run_id:
        return None, None, ""
    try:
        run = open_run(workspace(), run_id)
        config, record = run.config(), run.record()
    except BloodCellError as error:
        st.warning(no_pictures(str(error)), icon=":material/link_off:")
        st.session_state.pop(FROM)
        return None, None, ""
    values = {**config.to_json(), "weights": record.get("started_from", config.weights)}
    return Prefill(f"{how}_{run.id}", config.preset, values), run, how


def _clear_prefill() -> None:
    st.session_state.pop(FROM, None)


def _choose_dataset_and_preset(prefill: Prefill | None) -> tuple[str, Prefill]:
    names = workspace().names("datasets")
    active = active_dataset()
    wanted = prefill.values["dataset"] if prefill else active.name if active else names[0]
    # One that was deleted, or lies elsewhere, is not silently another one.
    options = names if wanted in names else [wanted, *names]
    left, right = st.columns(2)
    with left:
        name = st.selectbox(
            "Dataset",
            options,
            index=options.index(wanted),
            # Another active dataset is another proposal.
            key=f"train_dataset_{prefill.key if prefill else wanted}",
            persist_state="session",
        )
    if prefill is not None:
        return name, prefill
    with right:
        preset = st.segmented_control(
            "Preset",
            list(PRESETS)[::-1],
            default="fast",
            required=True,
            key="train_preset",
            persist_state="session",
        )
        st.caption(f"{preset}: {PRESET_HELP[preset]}.")
    return name, Prefill(preset, preset, {})


def _choose_what() -> tuple[str, int]:
    """Draw the choice of what to start; returns its kind, and how many runs."""
    what = st.segmented_control(
        "What to run",
        list(KINDS),
        default="one",
        required=True,
        format_func=KINDS.get,
        key="train_what",
        persist_state="session",
    )
    number = 1
    if what in ("seeds", "folds"):
        number = st.number_input(
            "Number of seeds" if what == "seeds" else "Number of folds",
            2,
            20,
            3 if what == "seeds" else 5,
            key=f"train_number_{what}",
            persist_state="session",
            width=180,
        )
    elif what == "sweep":
        number = st.number_input(
            "Trials", 2, MOST_TRIALS, 12, key="train_trials", persist_state="session", width=180
        )
        st.text_area(
            "What to vary, a line each",
            AXES,
            key=AXES_KEY,
            persist_state="session",
            help="A range, KEY=LOW:HIGH or KEY=LOW:HIGH:log, or choices, KEY=VALUE,VALUE.",
        )
    if KIND_HELP[what]:
        st.caption(KIND_HELP[what])
    return what, int(number)


def _read_configs(
    dataset: Dataset, prefill: Prefill, what: str, number: int
) -> tuple[list[TrainConfig], list[str]]:
    """The configs as the form is filled in, and the backbones without initial weights."""
    backbones, values = draw_main_fields(prefill, what == "ensemble")
    if not backbones:
        raise BadInput("No backbone is chosen: choose at least one.")
    weights = choose_weights(prefill, backbones)
    with st.expander("Advanced", key="train_advanced"):
        values |= draw_advanced_fields(prefill, dataset, backbones)
    fold, folds = prefill.value("split_fold")
    if folds:
        values["split_fold"] = (fold, folds)
        st.caption(f"Fold {fold} of {folds} of a cross-validation.")
    missing = [b for b, w in weights.items() if not w]
    split = {k: values.pop(k) for k in SPLIT}
    changes = {**prefill.changes(values, _only(backbones)), **split}
    given = {b: w or "none" for b, w in weights.items()}
    if what == "ensemble":
        found = members(dataset.name, prefill.preset, tuple(backbones), given, **changes)
        _say_own_values(prefill, found)
        return found, missing
    config = make_config(
        dataset.name,
        prefill.preset,
        **{**changes, "backbone": backbones[0], "weights": given[backbones[0]]},
    )
    if what == "seeds":
        return seeds(config, number), missing
    if what == "folds":
        return k_folds(config, number), missing
    if what == "laboratories":
        named = sorted(set(dataset.origin("laboratory")) - {""})
        return leave_one_out(config, "laboratory", named), missing
    return [config], missing


def _say_own_values(prefill: Prefill, configs: list[TrainConfig]) -> None:
    """Say where the preset of a member's network has another value than the form shows."""
    if len(configs) < 2:
        return
    for config in configs:
        own = preset_values(prefill.preset, config.backbone)
        told = [
            f"{_label_of(name).lower()} {value:g}"
            for name in ("batch_size", "learning_rate")
            if (value := own[name]) == getattr(config, name) != prefill.value(name)
        ]
        if told:
            st.caption(f"{BACKBONES[config.backbone]}: {', '.join(told)}, by its preset.")


def _edit_labels(prefill: Prefill, run: Run | None, what: str) -> tuple[str, tuple[str, ...]]:
    name = ""
    # A name is of one run; tags are of all.
    left, right = st.columns(2) if what == "one" else (st.container(), st.container())
    before = read_labels(run) if run else None
    with left:
        if what == "one":
            name = st.text_input(
                "Name (optional)",
                value=before.name if before else "",
                key=f"train_{prefill.key}_name",
                placeholder="shown instead of the id",
                max_chars=80,
                persist_state="session",
            )
    with right:
        tags = st.text_input(
            "Tags (optional, separated by commas)",
            value=", ".join(before.tags) if before else "",
            key=f"train_{prefill.key}_tags",
            placeholder="to filter the runs by",
            persist_state="session",
        )
    return name, tuple(t.strip() for t in tags.split(",") if t.strip())


def _launch(configs: list[TrainConfig], what: str, name: str, tags: tuple[str, ...]) -> Run:
    """Make the runs and queue them; returns the first."""
    if what != "one":
        tags = (*tags, f"{KINDS[what]} {datetime.now():%d %b %H:%M}".lower())
    runs = prepare_all(workspace(), configs, tags)
    if name:
        write_labels(runs[0], name=name)
    return _start_queue(runs)


def _launch_sweep(config: TrainConfig, trials: int) -> Run:
    """Begin a sweep around a config, which gives all that is not varied; its first run.

    Raises:
        BadInput: what is to be varied cannot be read or is out of range.
    """
    lines = str(st.session_state.get(AXES_KEY, "")).splitlines()
    plain = make_config(config.dataset, config.preset, backbone=config.backbone).to_json()
    given = {k: v for k, v in config.to_json().items() if v != plain[k]}
    given["backbone"] = config.backbone
    axes = parse_space([line for line in lines if line.strip()])
    sweep = make_sweep(workspace(), axes, config.dataset, config.preset, trials, **given)
    advance(workspace())
    wake(workspace())
    return trials_of(workspace(), sweep)[0].run


def _start_queue(runs: list[Run]) -> Run:
    enqueue(workspace(), runs)
    wake(workspace())
    return runs[0]


def _changed_values(run: Run, config: TrainConfig, values: dict[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in config.to_json().items() if v != values.get(k)}


def draw_launch_form() -> Run | None:
    """Draw the form; returns the run that was just started, queued or edited, else None."""
    prefill, run, how = _read_prefill()
    if run is not None:
        with st.container(horizontal=True, vertical_alignment="center"):
            words = "Edit" if how == "edit" else "Duplicate"
            st.markdown(f"**{words} `{run.id}`**")
            st.button("Cancel", icon=":material/close:", on_click=_clear_prefill)
    name, prefill = _choose_dataset_and_preset(prefill)
    what, number = ("one", 1) if run is not None else _choose_what()
    started = None
    with show_errors():
        dataset = open_dataset(workspace(), name)
        configs, missing = _read_configs(dataset, prefill, what, number)
        # The trials of a sweep have its name as their tag.
        label, tags = ("", ()) if what == "sweep" else _edit_labels(prefill, run, what)
        first = configs[0]
        index = dataset_index(dataset, rule=first.split_rule)
        estimates, speeds = show_estimate(configs, index)
        checks = check_launch(
            workspace(),
            dataset,
            configs,
            find_split_checks(dataset, first.split_rule),
            missing,
            estimates,
            speeds,
            _runs_ahead(run),
        )
        ready = show_checks(checks)
        if how != "edit":
            show_engine_choice()
        if st.button(
            "Start the sweep" if what == "sweep" else _start_label(len(configs), how),
            type="primary",
            icon=":material/save:" if how == "edit" else ":material/play_arrow:",
            disabled=not ready,
            key="start",
        ):
            if what == "sweep":
                started = _launch_sweep(configs[0], number)
            elif run is None:
                started = _launch(configs, what, label, tags)
            elif how == "edit":
                edit(workspace(), run, **_changed_values(run, first, prefill.values))
                seen = st.session_state.get(SEEN)
                st.session_state[SEEN] = read_labels(run)
                write_labels(run, name=label, tags=tags, since=seen)
                started = run
            else:
                started = duplicate(workspace(), run, **_changed_values(run, first, prefill.values))
                write_labels(started, name=label, tags=tags)
                _start_queue([started])
            _clear_prefill()
    return started


def _runs_ahead(run: Run | None) -> list[Run]:
    """The runs ahead in the queue, if there is no free slot."""
    queue = workspace()
    chosen = settings(queue)
    busy = [r for r in engaged(queue, chosen.engine) if run is None or r.id != run.id]
    waits = [r for r in waiting(queue) if run is None or r.id != run.id]
    return [*busy, *waits] if len(busy) + len(waits) >= slots_of(queue, chosen.engine) else []


def _start_label(runs: int, how: str) -> str:
    if how == "edit":
        return "Save changes"
    return "Start" if runs == 1 else f"Start {runs} runs"
