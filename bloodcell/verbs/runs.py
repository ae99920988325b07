"""Verbs that carry runs out: train, runs, stop, resume."""

import contextlib
import os
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bloodcell.errors import BadInput, BloodCellError
from bloodcell.verbs.options import AsJson, Detach, RunName, show, table
from bloodcell.verbs.queue import start_waiting, warn_if_unsupervised
from bloodcell.workspace import Workspace

if TYPE_CHECKING:
    from bloodcell.data.store.dataset import Dataset
    from bloodcell.runs.run import Run
    from bloodcell.training.config import TrainConfig

__all__ = ["app"]

app = typer.Typer()


@app.command()
def train(
    context: typer.Context,
    dataset: Annotated[str, typer.Option(help="A dataset's name or path.")],
    preset: Annotated[str, typer.Option(help="fast or bloodcellcnn.")] = "fast",
    backbone: Annotated[
        str | None, typer.Option(help="mobilenetv2, efficientnetb3, resnet50 or tiny.")
    ] = None,
    weights: Annotated[
        str | None,
        typer.Option(
            help="imagenet, none, a local .weights.h5 without top, a run, ENSEMBLE/MEMBER, or "
            "several with + between: their mean."
        ),
    ] = None,
    input_size: Annotated[int | None, typer.Option(help="Pixels a side.")] = None,
    white_balance: Annotated[
        str | None,
        typer.Option(help="none, or background: the network gives the empty field one colour."),
    ] = None,
    policy: Annotated[str | None, typer.Option(help="Augmentations: preset, name or path.")] = None,
    augment_engine: Annotated[
        str | None, typer.Option(help="own, or keras-cv: the forerunner's layers.")
    ] = None,
    optimizer: Annotated[str | None, typer.Option(help="lion, adamw or sgd.")] = None,
    learning_rate: Annotated[float | None, typer.Option(help="The highest.")] = None,
    weight_decay: Annotated[float | None, typer.Option(help="Decoupled.")] = None,
    schedule: Annotated[str | None, typer.Option(help="constant, cosine or plateau.")] = None,
    plateau_patience: Annotated[
        int | None, typer.Option(help="Epochs without progress before a plateau's next step.")
    ] = None,
    warmup_epochs: Annotated[float | None, typer.Option(help="Of growing rate.")] = None,
    epochs: Annotated[int | None, typer.Option(help="At most.")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Images a step.")] = None,
    early_stopping: Annotated[int | None, typer.Option(help="Patience; 0 = never.")] = None,
    label_smoothing: Annotated[float | None, typer.Option(help="0 up to 0.9.")] = None,
    dropout: Annotated[float | None, typer.Option(help="0 up to 0.9.")] = None,
    ema: Annotated[float | None, typer.Option(help="Decay of averaged weights; 0 = off.")] = None,
    sample_weights: Annotated[
        str | None, typer.Option(help="balanced, laboratories or none.")
    ] = None,
    outlier_exposure: Annotated[
        float | None,
        typer.Option(
            "--outlier-exposure",
            "--strangers",
            help="Share of every batch that is made into images of none of the eight.",
        ),
    ] = None,
    teacher: Annotated[
        str | None, typer.Option(help="A finished run that it also learns from.")
    ] = None,
    precision: Annotated[str | None, typer.Option(help="float32 or bfloat16.")] = None,
    seed: Annotated[int | None, typer.Option(help="Of weights, order, augmentation.")] = None,
    split_seed: Annotated[
        int | None, typer.Option(help="Of the split; else the one chosen for the dataset.")
    ] = None,
    split_by: Annotated[
        str | None,
        typer.Option(help="image, slide, patient or laboratory: what is never in two parts."),
    ] = None,
    split_hold_out: Annotated[
        str | None,
        typer.Option(
            "--split-hold-out",
            "--hold-out",
            metavar="laboratory=NAME",
            help="A group that is the test part.",
        ),
    ] = None,
    time_budget: Annotated[float | None, typer.Option(help="Minutes; 0 = no limit.")] = None,
    members: Annotated[
        bool, typer.Option("--members", help="Queue one run for each of the three backbones.")
    ] = False,
    folds: Annotated[
        int | None, typer.Option(help="Queue a cross-validation of so many folds.")
    ] = None,
    seeds: Annotated[int | None, typer.Option(help="Queue so many runs with other seeds.")] = None,
    leave_one_out: Annotated[
        str | None,
        typer.Option(
            metavar="laboratory", help="Queue a run for each laboratory, which is its test part."
        ),
    ] = None,
    sweep: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KEY=VALUES",
            help="Look for good values: learning-rate=1e-4:1e-3:log or policy=gentle,strong; may "
            "be repeated. Choices alone without --trials: all combinations.",
        ),
    ] = None,
    trials: Annotated[int | None, typer.Option(help="With --sweep: how many runs.")] = None,
    sweep_name: Annotated[str | None, typer.Option(help="With --sweep: what to call it.")] = None,
    pruning: Annotated[
        bool,
        typer.Option(help="With --sweep: stop trials that are worse than the median."),
    ] = True,
    tracker: Annotated[
        list[str] | None,
        typer.Option(
            "--tracker",
            "--mirror",
            help="Also log it there: tensorboard=FOLDER or mlflow=FOLDER-OR-URL.",
        ),
    ] = None,
    engine: Annotated[
        str | None,
        typer.Option(help="local, slurm or ray: queue it there, not with the workspace's."),
    ] = None,
    detach: Detach = False,
    as_json: AsJson = False,
) -> None:
    """Train a classifier, here or, with --detach, in the queue.

    Stop it with Ctrl-C or `stop`, continue it with `resume`. A value that is not given is the
    preset's: `fast` for two cores and half an hour, `bloodcellcnn` for the forerunner's recipe.
    """
    from bloodcell.data.split import check_by
    from bloodcell.data.split_choice import chosen_rule
    from bloodcell.data.store.dataset import open_dataset
    from bloodcell.runs import sweep as several
    from bloodcell.runs.lifecycle import prepare_all
    from bloodcell.runs.queue import check_engine
    from bloodcell.runs.tracker import parse_tracker
    from bloodcell.training.config import make_config

    given = dict(context.params)
    asked = {"dataset": dataset, "preset": preset}
    for key in (
        "dataset",
        "preset",
        "members",
        "folds",
        "seeds",
        "tracker",
        "engine",
        "detach",
        "as_json",
        "leave_one_out",
        "sweep",
        "trials",
        "sweep_name",
        "pruning",
    ):
        given.pop(key)
    several_asked = members or folds is not None or seeds is not None or leave_one_out is not None
    _check_sweep_words(sweep, trials, sweep_name, several=several_asked or bool(tracker))
    opened = open_dataset(context.obj, dataset)
    rule = chosen_rule(opened)
    # A seed of its own draws anew, in the shares that were chosen for the dataset.
    given |= {"split_shares": rule.shares}
    given["split_seed"] = rule.seed if split_seed is None else split_seed
    given["split_by"] = split_by or rule.by
    given["split_hold_out"] = rule.hold_out if split_hold_out is None else split_hold_out
    if sweep:
        given |= asked
        _sweep(context.obj, opened, sweep, trials, sweep_name, pruning, engine, given, as_json)
        return
    if members:
        configs = several.members(dataset, preset, **given)
    else:
        configs = [make_config(dataset, preset, **given)]
    if folds is not None:
        configs = [c for one in configs for c in several.k_folds(one, folds)]
    if leave_one_out is not None:
        check_by(leave_one_out, "")
        named = sorted(set(opened.origin(leave_one_out)) - {""})
        configs = [c for one in configs for c in several.leave_one_out(one, leave_one_out, named)]
    if seeds is not None:
        configs = [c for one in configs for c in several.seeds(one, seeds)]
    trackers = [parse_tracker(text) for text in tracker or []]
    if engine is not None:
        check_engine(engine)
    warnings = _check_launch(context.obj, opened, configs)
    made = prepare_all(context.obj, configs, trackers=trackers)
    for words in warnings:
        print(f"warning: {words}", file=sys.stderr)
    if several_asked:
        _queue(context.obj, made, engine)
        rows = [run.summary() for run in made]
        show(rows, as_json, "\n".join(f"{r['id']} {r['state']}" for r in rows))
    else:
        _execute_or_queue(context.obj, made[0], detach or engine is not None, as_json, engine)


def _check_sweep_words(
    axes: list[str] | None, trials: int | None, name: str | None, *, several: bool
) -> None:
    """Raise BadInput for options of `train` that do not go together."""
    if not axes and (trials is not None or name is not None):
        raise BadInput("--trials and --sweep-name go with --sweep: say what is to be varied.")
    if axes and several:
        raise BadInput(
            "--sweep goes with none of --members, --folds, --seeds, --leave-one-out and --tracker: "
            "vary the backbone or the seed by --sweep, or give up the other."
        )


def _sweep(
    workspace: Workspace,
    dataset: "Dataset",
    axes: list[str],
    trials: int | None,
    name: str | None,
    pruning: bool,
    engine: str | None,
    given: dict[str, Any],
    as_json: bool,
) -> None:
    """Begin a sweep, whose runs the queue makes one after the other."""
    from bloodcell.runs.trials import make_sweep, parse_space, remove_sweep
    from bloodcell.training.config import TrainConfig

    preset = given.pop("preset", None) or "fast"
    space = parse_space(axes)
    made = make_sweep(
        workspace, space, str(given.pop("dataset")), preset, trials,
        name=name or "", pruning=pruning, engine=engine, **given,
    )  # fmt: skip
    try:
        configs = [TrainConfig.from_json(dict(base)) for base in made.base.values()]
        for words in _check_launch(workspace, dataset, configs):
            print(f"warning: {words}", file=sys.stderr)
    except BloodCellError:
        remove_sweep(workspace, made.name)
        raise
    start_waiting(workspace)
    found = {"name": made.name, "trials": made.trials, "state": made.state, "grid": made.grid}
    show(found, as_json, f"{made.name}: {made.trials} trials; see `python -m bloodcell sweeps`")


def _check_launch(
    workspace: Workspace, dataset: "Dataset", configs: "list[TrainConfig]"
) -> list[str]:
    """What a person should know before the runs start; raises BadInput if they cannot."""
    from bloodcell.runs.preflight import check_launch, check_split

    split = check_split(dataset, configs[0].split_rule.split(dataset))
    checks = check_launch(workspace, dataset, configs, split)
    for check in checks:
        if check.level == "error":
            raise BadInput(check.words)
    return [check.words for check in checks if check.level == "warning"]


def _queue(workspace: Workspace, runs: list["Run"], engine: str | None = None) -> None:
    from bloodcell.runs.queue import enqueue

    for run in runs:
        print(f"run {run.id}", file=sys.stderr, flush=True)
    enqueue(workspace, runs, engine=engine)
    start_waiting(workspace)


def _execute_or_queue(
    workspace: Workspace, run: "Run", detach: bool, as_json: bool, engine: str | None = None
) -> None:
    from bloodcell.runs.execute import execute
    from bloodcell.runs.launch import DETACHED

    if detach:
        _queue(workspace, [run], engine)
    else:
        if DETACHED not in os.environ:
            print(f"run {run.id}", file=sys.stderr, flush=True)
        try:
            # A detached process has the run's log as its stderr: once is enough there.
            execute(workspace, run, echo=DETACHED not in os.environ)
        finally:
            # A slot is free now; should the supervisor have been killed, here is the next.
            with contextlib.suppress(BloodCellError, OSError):
                start_waiting(workspace)
    summary = run.summary()
    show(summary, as_json, f"{summary['id']} {summary['state']}")


@app.command()
def runs(context: typer.Context, as_json: AsJson = False) -> None:
    """List the runs, newest first."""
    from bloodcell.runs.labels import Labels, read_labels
    from bloodcell.runs.queue import waiting
    from bloodcell.runs.run import damaged_runs, list_runs

    warn_if_unsupervised(context.obj)
    places = {run.id: i + 1 for i, run in enumerate(waiting(context.obj))}
    found = []
    for run in list_runs(context.obj):
        try:
            labels = read_labels(run)
        except BadInput as error:
            print(f"warning: {error}", file=sys.stderr)
            labels = Labels()
        row = {**run.summary(), "place": places.get(run.id)}
        found.append({**row, "name": labels.name, "tags": list(labels.tags), "note": labels.note})
    rows = [
        [
            r["id"],
            r["state"] if r["place"] is None else f"{r['state']} ({r['place']})",
            r["backbone"],
            r["dataset"],
            f"{r['epoch']}/{r['epochs']}",
            None if r["val_accuracy"] is None else f"{100 * r['val_accuracy']:.2f} %",
            f"{r['seconds']:.0f}",
            " ".join([r["name"], *(f"#{tag}" for tag in r["tags"])]).strip(),
        ]
        for r in found
    ]
    head = ["id", "state", "backbone", "dataset", "epoch", "val accuracy", "seconds", "labels"]
    for problem in damaged_runs(context.obj):
        print(f"warning: {problem}", file=sys.stderr)
    show(found, as_json, table(rows, head) if rows else "No runs yet.")


@app.command()
def sweeps(
    context: typer.Context,
    name: Annotated[
        str | None, typer.Argument(metavar="[SWEEP]", help="To see its trials.")
    ] = None,
    stop: Annotated[
        bool, typer.Option("--stop", help="Make no more trials, and stop those that go on.")
    ] = False,
    go_on: Annotated[bool, typer.Option("--resume", help="Go on with one that stopped.")] = False,
    trials: Annotated[int | None, typer.Option(help="So many in all from now on.")] = None,
    as_json: AsJson = False,
) -> None:
    """List the sweeps, or the trials of one, best first; stop it or let it go on."""
    from bloodcell.runs.trials import (
        change_sweep,
        list_sweeps,
        open_sweep,
        resume_sweep,
        stop_sweep,
        trials_of,
    )

    if name is None:
        found = [
            {
                "name": sweep.name,
                "state": sweep.state,
                "trials": sweep.trials,
                "made": len(made := trials_of(context.obj, sweep)),
                "complete": sum(t.state == "complete" for t in made),
                "best": min((t.value for t in made if t.state == "complete"), default=None),
                "reason": sweep.reason,
            }
            for sweep in list_sweeps(context.obj)
        ]
        lines = [list(row.values()) for row in found]
        text = table(lines, list(found[0])) if found else "No sweeps yet."
        show(found, as_json, text)
        return
    if trials is not None:
        change_sweep(context.obj, name, trials=trials)
    if stop:
        stop_sweep(context.obj, open_sweep(context.obj, name))
    elif go_on or trials is not None:
        resume_sweep(context.obj, open_sweep(context.obj, name))
        start_waiting(context.obj)
    sweep = open_sweep(context.obj, name)
    made = sorted(
        trials_of(context.obj, sweep),
        key=lambda t: (t.state != "complete", t.value is None, t.value, t.number),
    )
    keys = [axis.key for axis in sweep.axes]
    rows = [
        {
            "number": t.number,
            "id": t.run.id,
            "state": t.state,
            "epochs": len(t.losses),
            "val_loss": t.value,
            "val_accuracy": t.accuracy,
            "values": t.values,
        }
        for t in made
    ]
    text = table(
        [
            [
                *(r[k] for k in ("number", "id", "state", "epochs")),
                None if r["val_loss"] is None else f"{r['val_loss']:.4f}",
                None if r["val_accuracy"] is None else f"{100 * r['val_accuracy']:.2f} %",
                *(r["values"].get(k) for k in keys),
            ]
            for r in rows
        ],
        ["trial", "id", "state", "epochs", "val loss", "val accuracy", *keys],
    )
    head = f"{sweep.name}: {sweep.state}, {len(made)} of {sweep.trials} trials. {sweep.reason}"
    found = {"name": sweep.name, "state": sweep.state, "reason": sweep.reason, "trials": rows}
    show(found, as_json, f"{head.strip()}\n{text}")


@app.command()
def stop(
    context: typer.Context,
    run: RunName,
    wait: Annotated[float, typer.Option(help="Seconds to wait for its end.")] = 60.0,
    now: Annotated[
        bool,
        typer.Option("--now", help="End its process if it does not answer; nothing is saved."),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Stop a run after its current batch, with its state saved."""
    from bloodcell.runs.launch import wait_for_end
    from bloodcell.runs.queue import cancel, end_at_once
    from bloodcell.runs.run import open_run

    opened = open_run(context.obj, run)
    cancel(context.obj, opened)
    if now:
        end_at_once(context.obj, opened)
    state = wait_for_end(opened, wait)
    show({"id": opened.id, "state": state}, as_json, f"{opened.id} {state}")


@app.command()
def resume(
    context: typer.Context,
    run: RunName,
    epochs: Annotated[
        int | None, typer.Option(help="Go on to so many in all, also if it is finished.")
    ] = None,
    early_stopping: Annotated[
        int | None, typer.Option(help="With --epochs: a new patience; 0 = never.")
    ] = None,
    time_budget: Annotated[
        float | None, typer.Option(help="With --epochs: minutes in all; 0 = no limit.")
    ] = None,
    detach: Detach = False,
    as_json: AsJson = False,
) -> None:
    """Carry on with a run that was stopped, failed or lost, from its last saved state."""
    from bloodcell.runs.lifecycle import extend
    from bloodcell.runs.run import open_run

    opened = open_run(context.obj, run)
    if epochs is not None:
        extend(context.obj, opened, epochs, early_stopping, time_budget)
    elif early_stopping is not None or time_budget is not None:
        raise BadInput(
            "--early-stopping and --time-budget go with --epochs: give that too, or none to resume."
        )
    _execute_or_queue(context.obj, opened, detach, as_json)
