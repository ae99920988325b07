"""The form that starts runs: one, an ensemble's members, several seeds, or the folds of a split."""

from datetime import datetime
from typing import Any

import streamlit as st

from bloodcell.data.store.dataset import Dataset, open_dataset
from bloodcell.errors import BadInput, BloodCellError
from bloodcell.runs.labels import read_labels, write_labels
from bloodcell.runs.lifecycle import duplicate, prepare_all
from bloodcell.runs.queue import edit, engaged, enqueue, settings, waiting
from bloodcell.runs.run import Run, open_run
from bloodcell.runs.supervisor import wake
from bloodcell.runs.sweep import k_folds, members, seeds
from bloodcell.training.config import PRESETS, TrainConfig, make_config
from bloodcell.ui.common.dataset_index import dataset_index
from bloodcell.ui.common.state import active_dataset, show_errors, workspace
from bloodcell.ui.training.launch_checks import check_launch, show_checks
from bloodcell.ui.training.launch_estimate import show_estimate
from bloodcell.ui.training.launch_fields import Origin, main_fields, other_fields, weights_of

__all__ = ["begin_from", "launch_form"]

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
