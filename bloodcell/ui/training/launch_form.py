"""The form of a new run: one, an ensemble's members, several seeds, or cross-validation."""

from datetime import datetime
from typing import Any

import streamlit as st

from bloodcell.data.store.dataset import Dataset, open_dataset
from bloodcell.errors import BadInput, BloodCellError
from bloodcell.models.classifier import BACKBONES
from bloodcell.runs.labels import read_labels, write_labels
from bloodcell.runs.lifecycle import duplicate, prepare_all
from bloodcell.runs.preflight import check_launch
from bloodcell.runs.queue import edit, engaged, enqueue, settings, slots_of, waiting
from bloodcell.runs.run import Run, open_run
from bloodcell.runs.supervisor import wake
from bloodcell.runs.sweep import k_folds, leave_one_out, members, seeds
from bloodcell.runs.trials import MOST_TRIALS, advance, make_sweep, parse_space, trials_of
from bloodcell.training.config import (
    PRESETS,
    TrainConfig,
    make_config,
    preset_values,
)
from bloodcell.ui.common.dataset_index import dataset_index
from bloodcell.ui.common.errors import show_errors
from bloodcell.ui.common.format import no_pictures
from bloodcell.ui.common.state import active_dataset, workspace
from bloodcell.ui.training.engine_choice import show_engine_choice
from bloodcell.ui.training.estimate import show_estimate
from bloodcell.ui.training.launch_fields import (
    PRESET_HELP,
    Prefill,
    choose_weights,
    draw_advanced_fields,
    draw_main_fields,
    label_of,
    only_of,
)
from bloodcell.ui.training.preflight import find_split_checks, show_checks

__all__ = ["draw_launch_form", "prefill_from"]

# Of the dataset and not of the preset.
SPLIT = ("split_seed", "split_shares", "split_by", "split_hold_out")
FROM = "launch_from"
SEEN = "launch_labels"
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
    changes = {**prefill.changes(values, only_of(backbones)), **split}
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
            f"{label_of(name).lower()} {value:g}"
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
