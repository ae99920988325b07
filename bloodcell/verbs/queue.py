"""Verbs on the queue and on what is kept of runs: queue, edit, duplicate, pack,
compare, track."""

import dataclasses
import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from bloodcell.errors import BadInput
from bloodcell.verbs.options import AsJson, RunName, show, table
from bloodcell.workspace import Workspace

__all__ = ["app", "start_waiting", "warn_if_unsupervised"]

app = typer.Typer()

Changes = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="A value of its config; may be repeated."),
]


def _values(changes: list[str] | None) -> dict[str, Any]:
    """``epochs=12`` → {"epochs": 12}; a value that is no JSON is a text."""
    found: dict[str, Any] = {}
    for change in changes or []:
        key, equals, value = change.partition("=")
        if not equals:
            raise BadInput(f"--set {change!r} is no change: expected KEY=VALUE such as epochs=12.")
        try:
            found[key.strip().replace("-", "_")] = json.loads(value)
        except json.JSONDecodeError:
            found[key.strip().replace("-", "_")] = value
    return found


def start_waiting(workspace: Workspace) -> None:
    """Have the runs that wait started, and say on stderr who does it."""
    from bloodcell.runs.supervisor import is_supervised, wake

    if pid := wake(workspace):
        print(f"process {pid} starts what waits as slots become free", file=sys.stderr, flush=True)
    elif is_supervised(workspace):
        print("the queue is at work and starts it when a slot is free", file=sys.stderr, flush=True)


def warn_if_unsupervised(workspace: Workspace) -> None:
    """Say on stderr if runs wait and nobody starts them."""
    from bloodcell.runs.queue import waiting
    from bloodcell.runs.supervisor import is_supervised

    if (n := len(waiting(workspace))) and not is_supervised(workspace):
        print(
            f"warning: {n} {'runs wait' if n > 1 else 'run waits'} and no process starts them: "
            "do so with `python -m bloodcell queue --start`.",
            file=sys.stderr,
        )


@app.command()
def queue(
    context: typer.Context,
    run: Annotated[str | None, typer.Argument(metavar="[RUN]", help="To queue or move.")] = None,
    place: Annotated[int | None, typer.Option(help="Where to put RUN; 1 is next.")] = None,
    slots: Annotated[
        int | None, typer.Option("--slots", "--places", help="How many runs at a time.")
    ] = None,
    engine: Annotated[
        str | None,
        typer.Option(help="local, slurm or ray: who carries out RUN, or without one all."),
    ] = None,
    changes: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="With --engine slurm or ray: what its jobs ask for, such as partition=gpu, "
            "minutes=240, memory=16, cpus=4, gpus=1, address=http://head:8265; may be repeated.",
        ),
    ] = None,
    start: Annotated[
        bool, typer.Option("--start", help="Start the runs that wait as slots become free.")
    ] = False,
    supervise: Annotated[bool, typer.Option("--supervise", hidden=True)] = False,
    as_json: AsJson = False,
) -> None:
    """List the runs that wait for a free slot; queue or move one; choose slots and engine.

    Only --start, or a RUN that is queued, starts anything.
    """
    from bloodcell.runs import queue as waits
    from bloodcell.runs.engines import describe_job
    from bloodcell.runs.run import open_run
    from bloodcell.runs.supervisor import supervise as start_in_turn

    workspace = context.obj
    if supervise:
        start_in_turn(workspace)
        return
    _change_engine(workspace, engine, slots, changes, one=run is not None)
    if run is not None:
        opened = open_run(workspace, run)
        if engine is not None or opened.id not in [r.id for r in waits.waiting(workspace)]:
            waits.enqueue(workspace, [opened], engine=engine)
            start = True
        if place is not None:
            waits.move(workspace, opened, place)
    elif place is not None:
        raise BadInput("--place needs a RUN: give the id of one that waits.")
    if start:
        start_waiting(workspace)
    else:
        warn_if_unsupervised(workspace)
    chosen = waits.settings(workspace)
    busy = waits.engaged(workspace, chosen.engine)
    jobs = {r.id: said for r in busy if (said := describe_job(r))}
    chosen = dataclasses.replace(chosen, slots=waits.slots_of(workspace, chosen.engine))
    found = {
        **dataclasses.asdict(chosen),
        "engaged": [r.id for r in busy],
        "jobs": jobs,
        "waiting": [r.id for r in waits.waiting(workspace)],
    }
    rows = [[i + 1, name] for i, name in enumerate(found["waiting"])]
    text = table(rows, ["place", "id"]) if rows else "No run waits."
    text = "\n".join([*(f"{run_id}  {said}" for run_id, said in jobs.items()), text])
    by = "" if chosen.engine == "local" else f" at {chosen.engine}"
    show(found, as_json, f"{len(found['engaged'])} of {chosen.slots} slots taken{by}.\n{text}")


def _change_engine(
    workspace: Workspace,
    engine: str | None,
    slots: int | None,
    changes: list[str] | None,
    *,
    one: bool,
) -> None:
    """Change the workspace's engine and what it is given, once it has been found to answer.

    Args:
        one: the engine is meant for one run, and the workspace's stays.
    """
    from bloodcell.runs.engines import ENGINES
    from bloodcell.runs.queue import change_settings, check_engine, settings

    if engine is not None:
        check_engine(engine)
    meant = engine or settings(workspace).engine
    values = _values(changes)
    if slots is not None and meant == "local":
        change_settings(workspace, slots=slots)
    elif slots is not None:
        values["slots"] = slots
    if values or engine is not None:
        ENGINES[meant](workspace).change(**values)
    if engine is not None and not one:
        change_settings(workspace, engine=engine)


@app.command()
def edit(
    context: typer.Context,
    run: RunName,
    name: Annotated[str | None, typer.Option(help='Shown instead of the id; "" for none.')] = None,
    tag: Annotated[list[str] | None, typer.Option(help="To add; may be repeated.")] = None,
    untag: Annotated[list[str] | None, typer.Option(help="To remove; may be repeated.")] = None,
    note: Annotated[str | None, typer.Option(help="Replaces the old one.")] = None,
    changes: Changes = None,
    as_json: AsJson = False,
) -> None:
    """Name, tag or annotate a run; with --set, change the config of one that has not begun."""
    from bloodcell.runs.labels import read_labels, write_labels
    from bloodcell.runs.queue import edit as edit_config
    from bloodcell.runs.run import open_run

    opened = open_run(context.obj, run)
    if changes:
        edit_config(context.obj, opened, **_values(changes))
    given = {k: v for k, v in (("name", name), ("note", note)) if v is not None}
    if given or tag or untag:
        labels = write_labels(opened, add=tag or (), drop=untag or (), **given)
    else:
        labels = read_labels(opened)
    found = {
        "id": opened.id,
        **dataclasses.asdict(labels),
        "config": opened.config().to_json(),
    }
    text = "  ".join([opened.id, labels.name, *(f"#{t}" for t in labels.tags), labels.note])
    show(found, as_json, text.rstrip())


@app.command()
def duplicate(
    context: typer.Context, run: RunName, changes: Changes = None, as_json: AsJson = False
) -> None:
    """Queue a new run like RUN, with changes."""
    from bloodcell.runs.lifecycle import duplicate as like
    from bloodcell.runs.queue import enqueue
    from bloodcell.runs.run import open_run

    made = like(context.obj, open_run(context.obj, run), **_values(changes))
    enqueue(context.obj, [made])
    start_waiting(context.obj)
    summary = made.summary()
    show(summary, as_json, f"{summary['id']} {summary['state']}")


@app.command(hidden=True)
def remove(
    context: typer.Context,
    run: RunName,
    undo: Annotated[bool, typer.Option("--undo", help="Bring it back.")] = False,
    as_json: AsJson = False,
) -> None:
    """`delete` and `restore` of a run, as versions before 0.2 called them."""
    from bloodcell.runs.run import open_run
    from bloodcell.trash import delete, find_deleted, restore

    if undo:
        path = restore(context.obj, find_deleted(context.obj, run, "runs"))
        show({"id": path.name, "path": str(path)}, as_json, str(path))
        return
    opened = open_run(context.obj, run)
    inside = opened.path.absolute().parent == context.obj.runs
    deleted = delete(context.obj, "runs", opened.id if inside else run)
    show({"id": opened.id, "path": str(deleted.path)}, as_json, str(deleted.path))


@app.command()
def pack(
    context: typer.Context,
    run: RunName,
    target: Annotated[Path, typer.Argument(metavar="FILE", help="The zip to write.")],
    checkpoint: Annotated[
        bool, typer.Option(help="With the training state, to continue it elsewhere.")
    ] = True,
    as_json: AsJson = False,
) -> None:
    """Write a run's folder as a zip."""
    from bloodcell.runs.export import export_run
    from bloodcell.runs.run import open_run

    opened = open_run(context.obj, run)
    path = export_run(opened, target, checkpoint=checkpoint)
    found = {"id": opened.id, "path": str(path), "bytes": path.stat().st_size}
    show(found, as_json, f"{path} ({found['bytes'] / 1e6:.1f} MB)")


@app.command("mirror", hidden=True)
@app.command()
def track(
    context: typer.Context,
    run: RunName,
    to: Annotated[str, typer.Option("--to", help="tensorboard=FOLDER or mlflow=FOLDER-OR-URL.")],
    as_json: AsJson = False,
) -> None:
    """Log the epochs of a run to TensorBoard or MLflow too."""
    from bloodcell.runs.run import open_run
    from bloodcell.runs.tracker import parse_tracker, track_run

    opened, wanted = open_run(context.obj, run), parse_tracker(to)
    n = track_run(opened, wanted)
    show({"id": opened.id, **wanted, "epochs": n}, as_json, f"{n} epochs in {wanted['where']}")


@app.command()
def compare(
    context: typer.Context,
    runs: Annotated[list[str], typer.Argument(metavar="RUN...", help="Ids or paths of runs.")],
    as_json: AsJson = False,
) -> None:
    """Compare runs: configs, accuracy with intervals, and with two whether they really differ."""
    from bloodcell.evaluation.compare import compare_runs, paired_test
    from bloodcell.runs.run import open_run

    opened = [open_run(context.obj, run) for run in runs]
    rows = compare_runs(opened)
    found: dict[str, Any] = {"runs": [dataclasses.asdict(row) for row in rows], "paired": None}
    keys = list(rows[0].values)
    texts = [
        [
            row.name or row.id,
            row.state,
            *(
                f"{100 * s.accuracy:.2f} % ({100 * s.low:.1f} to {100 * s.high:.1f}, n = {s.n:,})"
                if (s := row.scores.get(part))
                else ""
                for part in ("validation", "test")
            ),
            *(row.values[key] for key in keys),
        ]
        for row in rows
    ]
    text = table(texts, ["run", "state", "validation accuracy", "test accuracy", *keys])
    if len(opened) == 2 and all(row.scores for row in rows):
        try:
            shared = paired_test(*opened)
        except BadInput as error:
            text += f"\n{error}"
        else:
            found["paired"] = dataclasses.asdict(shared)
            d = shared.difference
            text += (
                f"\n{100 * d.difference:+.2f} points ({100 * d.low:+.2f} to {100 * d.high:+.2f}) "
                f"on {d.n:,} test images, {d.only_a} right by the first alone, {d.only_b} by the "
                f"second: {d.verdict} (McNemar, p = {d.p_value:.3g})."
            )
    show(found, as_json, text)
