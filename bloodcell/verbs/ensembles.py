"""Verbs on ensembles: ensemble, evaluate."""

import sys
from enum import StrEnum
from typing import Annotated

import typer

from bloodcell.progress import to_stderr
from bloodcell.verbs.options import AsJson, EnsembleName, Name, Tta, show, table

__all__ = ["app"]

app = typer.Typer()


class Part(StrEnum):
    """The part of a dataset that is judged."""

    test = "test"
    validation = "validation"
    train = "train"
    all = "all"


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
    show(found, as_json, text)


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
    show(found, as_json, f"{head}\n{table(rows, ['', 'value', '95 % interval'])}")
