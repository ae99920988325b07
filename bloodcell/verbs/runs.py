"""Verbs on runs: train, runs, stop, resume."""

import os
import sys
from typing import Annotated, Any

import typer

from bloodcell.verbs.options import AsJson, RunName, show, table
from bloodcell.workspace import Workspace

__all__ = ["app"]

app = typer.Typer()


@app.command()
def train(
    context: typer.Context,
    dataset: Annotated[str, typer.Option(help="A dataset's name or path.")],
    preset: Annotated[str, typer.Option(help="bloodcellcnn or cpu.")] = "cpu",
    backbone: Annotated[
        str | None, typer.Option(help="mobilenetv2, efficientnetb3, resnet50 or tiny.")
    ] = None,
    weights: Annotated[
        str | None, typer.Option(help="imagenet, none, a local .weights.h5 without top, or a run.")
    ] = None,
    input_size: Annotated[int | None, typer.Option(help="Pixels a side.")] = None,
    policy: Annotated[str | None, typer.Option(help="Augmentations: preset, name or path.")] = None,
    optimizer: Annotated[str | None, typer.Option(help="lion, adamw or sgd.")] = None,
    learning_rate: Annotated[float | None, typer.Option(help="The highest.")] = None,
    weight_decay: Annotated[float | None, typer.Option(help="Decoupled.")] = None,
    schedule: Annotated[str | None, typer.Option(help="constant, cosine or plateau.")] = None,
    warmup_epochs: Annotated[float | None, typer.Option(help="Of growing rate.")] = None,
    epochs: Annotated[int | None, typer.Option(help="At most.")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Images a step.")] = None,
    early_stopping: Annotated[int | None, typer.Option(help="Patience; 0 = never.")] = None,
    label_smoothing: Annotated[float | None, typer.Option(help="0 up to 0.9.")] = None,
    dropout: Annotated[float | None, typer.Option(help="0 up to 0.9.")] = None,
    ema: Annotated[float | None, typer.Option(help="Decay of averaged weights; 0 = off.")] = None,
    sample_weights: Annotated[str | None, typer.Option(help="balanced or none.")] = None,
    precision: Annotated[str | None, typer.Option(help="float32 or bfloat16.")] = None,
    seed: Annotated[int | None, typer.Option(help="Of weights, order, augmentation.")] = None,
    split_seed: Annotated[int | None, typer.Option(help="Of the split.")] = None,
    detach: Annotated[
        bool, typer.Option("--detach", help="Train in a process of its own and return at once.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Train a classifier.

    Stop it with Ctrl-C or `stop`, continue it with `resume`. A value that is not given is the
    preset's: `cpu` for two cores and half an hour, `bloodcellcnn` for the forerunner's recipe.
    """
    from bloodcell.runs.launch import prepare
    from bloodcell.training.config import make_config

    given = dict(context.params)
    for key in ("dataset", "preset", "detach", "as_json"):
        given.pop(key)
    run = prepare(context.obj, make_config(dataset, preset, **given))
    _go_on(context.obj, run, detach, as_json)


def _go_on(workspace: Workspace, run: Any, detach: bool, as_json: bool) -> None:
    from bloodcell.runs.carry_out import carry_out
    from bloodcell.runs.launch import DETACHED, start

    if DETACHED not in os.environ:
        print(f"run {run.id}", file=sys.stderr, flush=True)
    if detach:
        start(workspace, run)
    else:
        # A detached process has the run's log as its stderr: once is enough there.
        carry_out(workspace, run, echo=DETACHED not in os.environ)
    summary = run.summary()
    show(summary, as_json, f"{summary['id']} {summary['state']}")


@app.command()
def runs(context: typer.Context, as_json: AsJson = False) -> None:
    """List the runs, newest first."""
    from bloodcell.runs.run import list_runs

    found = [r.summary() for r in list_runs(context.obj)]
    rows = [
        [
            r["id"],
            r["state"],
            r["backbone"],
            r["dataset"],
            f"{r['epoch']}/{r['epochs']}",
            None if r["val_accuracy"] is None else f"{100 * r['val_accuracy']:.2f} %",
            f"{r['seconds']:.0f}",
        ]
        for r in found
    ]
    head = ["id", "state", "backbone", "dataset", "epoch", "val accuracy", "seconds"]
    show(found, as_json, table(rows, head) if rows else "No runs yet.")


@app.command()
def stop(
    context: typer.Context,
    run: RunName,
    wait: Annotated[float, typer.Option(help="Seconds to wait for its end.")] = 60.0,
    as_json: AsJson = False,
) -> None:
    """Stop a run after its current batch, with its state saved."""
    from bloodcell.runs.launch import ask_to_stop
    from bloodcell.runs.run import open_run

    opened = open_run(context.obj, run)
    state = ask_to_stop(opened, wait)
    show({"id": opened.id, "state": state}, as_json, f"{opened.id} {state}")


@app.command()
def resume(
    context: typer.Context,
    run: RunName,
    detach: Annotated[
        bool, typer.Option("--detach", help="In a process of its own; return at once.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Carry on with a run that was stopped, failed or lost, from its last saved state."""
    from bloodcell.runs.run import open_run

    _go_on(context.obj, open_run(context.obj, run), detach, as_json)
