"""The command line: the verbs of the pages, for scripts and clusters.

    python -m bloodcell demo --name demo
    python -m bloodcell train --dataset demo --backbone tiny --epochs 3
    python -m bloodcell runs
    python -m bloodcell ensemble RUN --name first
    python -m bloodcell evaluate first --dataset demo
    python -m bloodcell classify first cell.jpg

With ``--json`` a verb prints one JSON document on stdout and nothing else there; progress goes
to stderr. Exit code 0: done; 2: wrong input, with one line on stderr; 1: a failure of the program.
"""

import json
import sys
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from bloodcell import __version__
from bloodcell.classes import CLASSES
from bloodcell.errors import BadInput, BloodCellError, NotFound
from bloodcell.progress import to_stderr
from bloodcell.workspace import Workspace, open_workspace

__all__ = ["app", "main"]

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Train and judge neural networks that tell eight kinds of blood cell apart.",
    epilog="For research use only. Not a medical device.",
)

# Typer brings its own copy of click along in some versions; this is its ClickException in all.
_WrongUsage = typer.BadParameter.__mro__[2]

Name = Annotated[str, typer.Option("--name", help="What to call it in the workspace.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")]
DatasetName = Annotated[str, typer.Argument(metavar="DATASET", help="A dataset's name or path.")]
RunName = Annotated[str, typer.Argument(metavar="RUN", help="A run's id or path.")]
EnsembleName = Annotated[
    str, typer.Argument(metavar="ENSEMBLE", help="An ensemble's name, folder or zip.")
]
Tta = Annotated[
    bool | None,
    typer.Option("--tta/--no-tta", help="Average over the eight flips and turns, or not."),
]


class Part(StrEnum):
    """The part of a dataset that is judged."""

    test = "test"
    validation = "validation"
    train = "train"
    all = "all"


def _show(value: Any, as_json: bool, text: str) -> None:
    print(json.dumps(value, ensure_ascii=False, allow_nan=False) if as_json else text)


def _table(rows: list[list[Any]], head: list[str]) -> str:
    texts = [head, *([("" if c is None else str(c)) for c in row] for row in rows)]
    widths = [max(len(row[i]) for row in texts) for i in range(len(head))]
    return "\n".join(
        "  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip() for row in texts
    )


def _version(asked: bool) -> None:
    if asked:
        print(__version__)
        raise typer.Exit


@app.callback()
def options(
    context: typer.Context,
    home: Annotated[
        str | None,
        typer.Option(help="The workspace. Default: $BLOODCELL_HOME, else artifacts/."),
    ] = None,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print it.")
    ] = False,
) -> None:
    context.obj = open_workspace(home)


def _dataset_summary(dataset: Any) -> tuple[dict[str, Any], str]:
    counts = dataset.counts()
    found = {
        "name": dataset.name,
        "path": str(dataset.path),
        "n": len(dataset),
        "kept": sum(counts.values()),
        "size": list(dataset.size),
        "counts": counts,
        "fingerprint": dataset.fingerprint,
    }
    rows = [[c.title, f"{counts[c.name]:,}"] for c in CLASSES]
    head = f"{dataset.name}: {len(dataset):,} images of {dataset.size[1]}×{dataset.size[0]} pixels"
    return found, f"{head}\n{_table(rows, ['class', 'images'])}"


@app.command("import")
def import_(
    context: typer.Context,
    source: Annotated[str, typer.Argument(help="An .npz, a folder a class, or a .zip of one.")],
    name: Name,
    size: Annotated[int | None, typer.Option(help="Pixels a side to resize to.")] = None,
    crop: Annotated[int | None, typer.Option(help="Central pixels to keep before that.")] = None,
    skip_broken: Annotated[
        bool, typer.Option("--skip-broken", help="Leave out images that cannot be decoded.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Bring labelled images into the workspace.

    The recipe of BloodMNIST for photographs of 360×363 pixels is --crop 200 --size 96.
    """
    from bloodcell.data.readers import import_source

    dataset = import_source(
        context.obj,
        source,
        name,
        size=size,
        crop=crop,
        skip_broken=skip_broken,
        progress=to_stderr(),
    )
    _show(*_json_first(_dataset_summary(dataset), as_json))


def _json_first(pair: tuple[Any, str], as_json: bool) -> tuple[Any, bool, str]:
    return pair[0], as_json, pair[1]


@app.command()
def demo(
    context: typer.Context,
    name: Name = "demo",
    per_class: Annotated[int, typer.Option(help="Cells of each class.")] = 60,
    size: Annotated[int, typer.Option(help="Pixels a side.")] = 96,
    seed: Annotated[int, typer.Option(help="Same seed, same pictures.")] = 0,
    faults: Annotated[
        bool, typer.Option("--faults", help="Plant copies, foreign pictures and wrong labels.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Draw a dataset of eight kinds of cell, to try everything without any data at hand."""
    from bloodcell.data.demo import Faults, make_demo

    planted = Faults(copies=8, conflicting=4, repeated=12, foreign=8, wrong_labels=8)
    dataset = make_demo(
        context.obj,
        name,
        per_class=per_class,
        size=size,
        seed=seed,
        faults=planted if faults else None,
        progress=to_stderr(),
    )
    _show(*_json_first(_dataset_summary(dataset), as_json))


@app.command()
def download(
    context: typer.Context,
    what: Annotated[str, typer.Argument(help="bloodmnist")],
    size: Annotated[int, typer.Option(help="28, 64, 128 or 224 pixels a side.")] = 64,
    name: Annotated[str | None, typer.Option(help="Default: bloodmnist-SIZE.")] = None,
    as_json: AsJson = False,
) -> None:
    """Download a public dataset from its official record and bring it in."""
    from bloodcell.data.download import download_bloodmnist
    from bloodcell.data.readers import import_source

    if what != "bloodmnist":
        raise BadInput(f"There is no public dataset {what!r} to download: expected bloodmnist.")
    target = name or f"bloodmnist-{size}"
    context.obj.new("datasets", target)
    file = download_bloodmnist(context.obj, size, progress=to_stderr())
    dataset = import_source(context.obj, file, target, progress=to_stderr())
    _show(*_json_first(_dataset_summary(dataset), as_json))


@app.command()
def datasets(context: typer.Context, as_json: AsJson = False) -> None:
    """List the datasets of the workspace."""
    from bloodcell.data.dataset import open_dataset

    found = [
        _dataset_summary(open_dataset(context.obj, name))[0]
        for name in context.obj.names("datasets")
    ]
    rows = [[d["name"], f"{d['n']:,}", f"{d['kept']:,}", d["size"][0]] for d in found]
    _show(found, as_json, _table(rows, ["name", "images", "kept", "pixels"]))


@app.command()
def audit(context: typer.Context, dataset: DatasetName, as_json: AsJson = False) -> None:
    """Find what is wrong with a dataset."""
    from bloodcell.data.audit import audit as find
    from bloodcell.data.dataset import open_dataset

    opened = open_dataset(context.obj, dataset)
    findings = find(opened)
    rows = [[f.kind, f.group, f.index, f.name, f"{f.score:.2f}", f.suggested] for f in findings]
    head = ["kind", "group", "index", "name", "score", "suggested"]
    text = _table(rows, head) if rows else "No findings."
    found = {"n": int(opened.kept.sum()), "findings": [f.to_json() for f in findings]}
    _show(found, as_json, text)


@app.command()
def exclude(
    context: typer.Context,
    dataset: DatasetName,
    findings: Annotated[str, typer.Option(help="Kinds of finding, separated by commas.")],
    as_json: AsJson = False,
) -> None:
    """Exclude what an audit suggests to exclude. Reversible: nothing is deleted."""
    from bloodcell.data.audit import exclude_findings
    from bloodcell.data.dataset import open_dataset

    opened = open_dataset(context.obj, dataset)
    kinds = [k.strip() for k in findings.split(",") if k.strip()]
    found = exclude_findings(opened, kinds)
    left = int(opened.kept.sum())
    text = "\n".join(f"{n} excluded as {kind}" for kind, n in found.items())
    _show({"excluded": found, "kept": left}, as_json, f"{text}\n{left:,} images are kept")


@app.command()
def train(
    context: typer.Context,
    dataset: Annotated[str, typer.Option(help="A dataset's name or path.")],
    preset: Annotated[str, typer.Option(help="bloodcellcnn or cpu.")] = "cpu",
    backbone: Annotated[
        str | None, typer.Option(help="mobilenetv2, efficientnetb3, resnet50 or tiny.")
    ] = None,
    weights: Annotated[
        str | None, typer.Option(help="imagenet, none, or a local .weights.h5 without top.")
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
    from bloodcell.runs.launch import start

    print(f"run {run.id}", file=sys.stderr, flush=True)
    if detach:
        start(workspace, run)
    else:
        carry_out(workspace, run)
    summary = run.summary()
    _show(summary, as_json, f"{summary['id']} {summary['state']}")


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
    _show(found, as_json, _table(rows, head) if rows else "No runs yet.")


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
    _show({"id": opened.id, "state": state}, as_json, f"{opened.id} {state}")


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


@app.command()
def ensemble(
    context: typer.Context,
    runs: Annotated[list[str], typer.Argument(metavar="RUN...", help="Finished runs.")],
    name: Name,
    weight: Annotated[
        list[float] | None, typer.Option(help="Once for each run; equal by default.")
    ] = None,
    tta: Annotated[
        bool, typer.Option("--tta/--no-tta", help="Average over the eight flips and turns.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Combine finished runs into an ensemble: a folder, and one zip of it."""
    from bloodcell.ensemble.bundle import Bundle
    from bloodcell.ensemble.compose import compose
    from bloodcell.runs.run import open_run

    opened = [open_run(context.obj, r) for r in runs]
    path = compose(context.obj, opened, name, weights=weight, tta=tta, progress=to_stderr())
    info = Bundle(path).info
    found = {
        "name": name,
        "path": str(path),
        "zip": str(path.with_name(f"{name}.zip")),
        **{k: info[k] for k in ("members", "temperature", "tta", "novelty", "measured")},
    }
    on = info["measured"]["validation"]
    text = f"{path}: {100 * on['accuracy']:.2f} % right of {on['n']:,} validation images"
    _show(found, as_json, text)


@app.command()
def evaluate(
    context: typer.Context,
    ensemble: EnsembleName,
    dataset: Annotated[str, typer.Option(help="A dataset's name or path.")],
    part: Annotated[Part, typer.Option(help="What to judge on.")] = Part.test,
    tta: Tta = None,
    as_json: AsJson = False,
) -> None:
    """Judge an ensemble on images it has not seen."""
    from bloodcell.data.dataset import open_dataset
    from bloodcell.ensemble.ensemble import open_ensemble
    from bloodcell.evaluation.evaluate import evaluate as judge

    opened = open_dataset(context.obj, dataset)
    found = judge(
        open_ensemble(context.obj, ensemble), opened, part.value, tta=tta, progress=to_stderr()
    ).to_json()
    if found["seen"]:
        note = f"{found['seen']} of the {found['n']} images were seen in training or validation"
        print(f"warning: {note}, so these figures are not of unseen cells", file=sys.stderr)
    if found["set_aside"]:
        print(f"{found['set_aside']} images seen in training are set aside", file=sys.stderr)
    rows = [
        [key, f"{found[key]:.4f}", "{:.4f} to {:.4f}".format(*found["intervals"][key])]
        for key in found["intervals"]
    ]
    rows += [
        [
            f"accuracy of {m['name']}",
            f"{m['accuracy']:.4f}",
            "{:.4f} to {:.4f}".format(*m["interval"]),
        ]
        for m in found["members"]
    ]
    head = f"{found['ensemble']} on {found['n']:,} images ({found['part']}) of {found['dataset']}"
    _show(found, as_json, f"{head}\n{_table(rows, ['', 'value', '95 % interval'])}")


@dataclass(frozen=True)
class _Files:
    """Where classify reads from: files, and folders of them."""

    names: list[str]

    def read(self) -> list[tuple[str, bytes | BloodCellError]]:
        found: list[tuple[str, bytes | BloodCellError]] = []
        for name in self.names:
            path = Path(name)
            inside = sorted(p for p in path.iterdir() if p.is_file()) if path.is_dir() else [path]
            for file in inside:
                try:
                    found.append((str(file), file.read_bytes()))
                except OSError as error:
                    reason = error.strerror or "it cannot be read"
                    found.append((str(file), NotFound(f"{file}: {reason}: check the path.")))
        return found


@app.command()
def classify(
    context: typer.Context,
    ensemble: EnsembleName,
    images: Annotated[list[str], typer.Argument(metavar="IMAGE...", help="Files or folders.")],
    tta: Tta = None,
    as_json: AsJson = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV on stdout.")] = False,
) -> None:
    """Say which cell is on each image, how sure, or that it is none of the eight."""
    from bloodcell.ensemble.classify import answers_csv, answers_json
    from bloodcell.ensemble.classify import classify as answer
    from bloodcell.ensemble.ensemble import open_ensemble

    if as_json and as_csv:
        raise BadInput("Both --json and --csv were given: choose one of them.")
    loaded = open_ensemble(context.obj, ensemble)
    found = answer(loaded, _Files(images).read(), tta=tta, progress=to_stderr())
    if as_csv:
        print(answers_csv(found), end="")
        return
    rows = answers_json(found)
    texts = [
        [r["file"], r["error"], "", ""]
        if "error" in r
        else [
            r["file"],
            r["label"] if r["recognised"] else f"none of the eight ({r['label']}?)",
            f"{100 * r['probability']:.1f} %",
            " ".join(r["prediction_set"]),
        ]
        for r in rows
    ]
    _show(rows, as_json, _table(texts, ["file", "answer", "probability", "could be"]))
    if rows and all("error" in r for r in rows):
        raise BadInput(f"None of the {len(rows)} files could be read as an image.")


def main() -> None:
    """Run the command line and exit with its code."""
    try:
        code = app(standalone_mode=False)
    except BloodCellError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except _WrongUsage as error:
        usage = error.ctx.command_path if getattr(error, "ctx", None) else "python -m bloodcell"
        message = " ".join(error.format_message().split())
        print(f"error: {message} (see `{usage} --help`)", file=sys.stderr)
        sys.exit(2)
    except (typer.Abort, KeyboardInterrupt):
        print("stopped", file=sys.stderr)
        sys.exit(130)
    except BrokenPipeError:
        sys.exit(0)
    sys.exit(code or 0)
