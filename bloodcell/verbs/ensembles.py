"""Verbs on ensembles: ensemble, card, evaluate, stress, home, adapt."""

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from bloodcell.errors import BadInput
from bloodcell.files import write_text
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
    find_weights: Annotated[
        bool,
        typer.Option("--find-weights", help="Weights that fit the validation images best."),
    ] = False,
    tta: Annotated[
        bool, typer.Option("--tta/--no-tta", help="Average over the eight flips and turns.")
    ] = False,
    cascade: Annotated[
        bool,
        typer.Option(
            "--cascade",
            help="Let the smallest member answer alone where it is sure, if that costs nothing.",
        ),
    ] = False,
    compact: Annotated[
        bool,
        typer.Option("--compact", help="All members but the smallest in int8: half the size."),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Combine finished runs into an ensemble: a folder, and one zip of it."""
    from bloodcell.ensemble.bundle import Bundle
    from bloodcell.ensemble.compose import compose
    from bloodcell.runs.run import open_run

    if weight and find_weights:
        raise BadInput("Both --weight and --find-weights were given: choose one of them.")
    opened = [open_run(context.obj, r) for r in runs]
    weights = "found" if find_weights else weight
    path = compose(
        context.obj,
        opened,
        name,
        weights=weights,
        tta=tta,
        cascade=cascade,
        compact=compact,
        progress=to_stderr(),
    )
    description = Bundle(path).description
    if cascade and description.cascade is None:
        print("note: no cascade: all members answer each image.", file=sys.stderr)
    shown = {"members", "temperature", "tta", "novelty", "measured", "left_out", "cascade"}
    found = {
        "name": name,
        "path": str(path),
        "zip": str(path.with_name(f"{name}.zip")),
        **description.model_dump(mode="json", exclude_unset=True, include=shown),
    }
    on = description.measured.validation
    rows = [
        [m.name, f"{m.weight:.3f}", f"{m.validation_accuracy:.4f}"] for m in description.members
    ]
    for row, without in zip(rows, on.without, strict=False):
        row += [f"{100 * (on.accuracy - without.accuracy):+.2f}"]
    head = ["member", "weight", "accuracy", "adds, points"][: len(rows[0])]
    text = f"{path}: {100 * on.accuracy:.2f} % right of {on.n:,} validation images"
    left = f"\nleft out: {', '.join(description.left_out)}" if description.left_out else ""
    show(found, as_json, f"{text}\n{table(rows, head)}{left}")


@app.command()
def card(
    context: typer.Context,
    ensemble: EnsembleName,
    add: Annotated[
        Path | None,
        typer.Option(help="Append this Markdown file to it, such as what was measured."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Print the model card of an ensemble, or add to it."""
    from bloodcell.ensemble.bundle import Bundle
    from bloodcell.ensemble.card import add_to_card
    from bloodcell.workspace import built_in_ensembles

    path = context.obj.find("ensembles", ensemble)
    if add is None:
        text = Bundle(path).read("card.md").decode("utf-8", "replace")
    elif path.parent == built_in_ensembles() != context.obj.ensembles:
        raise BadInput(
            f"{ensemble} came with the program and belongs to no workspace: copy {path} into "
            f"{context.obj.ensembles} to add to its card."
        )
    elif not add.is_file():
        raise BadInput(f"There is no file {add}: give the path of a Markdown file.")
    else:
        try:
            words = add.read_text(encoding="utf-8-sig")
        except (OSError, UnicodeDecodeError) as error:
            raise BadInput(f"{add} cannot be read as UTF-8 ({error}): save it as UTF-8.") from error
        text = add_to_card(path, words)
    show({"ensemble": ensemble, "path": str(path), "card": text}, as_json, text)


@app.command()
def evaluate(
    context: typer.Context,
    ensemble: EnsembleName,
    dataset: Annotated[str, typer.Option(help="A dataset's name or path.")],
    part: Annotated[Part, typer.Option(help="What to judge on.")] = Part.test,
    tta: Tta = None,
    report: Annotated[
        Path | None, typer.Option(help="Write the whole evaluation as one HTML file.")
    ] = None,
    tables: Annotated[
        Path | None, typer.Option(help="Write every table as CSV into a folder.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Judge an ensemble on images it has not seen."""
    from bloodcell.data.store.dataset import open_dataset
    from bloodcell.ensemble.ensemble import open_ensemble
    from bloodcell.evaluation.stored import evaluated

    opened = open_dataset(context.obj, dataset)
    loaded = open_ensemble(context.obj, ensemble)
    judged = evaluated(loaded, opened, part.value, tta=tta, progress=to_stderr())
    found = judged.to_json()
    if tables is not None:
        from bloodcell.csv_files import frame_csv
        from bloodcell.evaluation.tables import all_tables

        for name, content in all_tables(judged, opened, loaded.description).items():
            write_text(tables / f"{name}.csv", frame_csv(content))
    if report is not None:
        from bloodcell.figures.report import evaluation_report

        write_text(report, evaluation_report(judged, opened, loaded.description))
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
    pieces = [head, table(rows, ["", "value", "95 % interval"]), *_origin_lines(found)]
    show(found, as_json, "\n".join([*pieces, judged.limits()]))


def _origin_lines(found: dict[str, Any]) -> list[str]:
    """Each laboratory, the worst first, and what is refused of none of the eight."""
    lines = []
    if found["laboratories"]:
        rows = [
            [
                score["name"] or "not known",
                f"{score['n']:,}",
                f"{score['classes']}",
                *(
                    f"{score[key]:.4f} ({score['intervals'][key][0]:.3f} to "
                    f"{score['intervals'][key][1]:.3f})"
                    for key in ("balanced_accuracy", "accuracy", "recognised")
                ),
            ]
            for score in found["laboratories"]
        ]
        head = ["laboratory, worst first", "n", "classes", "balanced", "accuracy", "recognised"]
        lines.append(table(rows, head))
    if found["other"]:
        other = found["other"]
        low, high = other["interval"]
        lines.append(
            f"{other['n']:,} labelled as none of the eight: {100 * other['refused']:.1f} % refused "
            f"({100 * low:.1f} to {100 * high:.1f} %)"
        )
    return lines


@app.command()
def stress(
    context: typer.Context,
    ensemble: EnsembleName,
    dataset: Annotated[str, typer.Option(help="A dataset's name or path.")],
    part: Annotated[Part, typer.Option(help="What to corrupt.")] = Part.test,
    images: Annotated[int, typer.Option(help="How many, spread over the classes; 0 for all.")] = 0,
    tta: Tta = None,
    as_json: AsJson = False,
) -> None:
    """Judge an ensemble on corrupted images: eleven corruptions at five strengths.

    What is done is kept: a study that was stopped goes on where it was.
    """
    from bloodcell.data.store.dataset import open_dataset
    from bloodcell.ensemble.ensemble import open_ensemble
    from bloodcell.evaluation.corruptions import CORRUPTIONS
    from bloodcell.evaluation.stress import CLEAN, study

    done = study(
        open_ensemble(context.obj, ensemble),
        open_dataset(context.obj, dataset),
        part.value,
        images=images,
        tta=tta,
        progress=to_stderr(),
    )
    found = done.to_json()
    long = done.table()
    wide = long[long["network"] == done.networks[0]].pivot(
        index="corruption", columns="strength", values="accuracy"
    )
    rows = [
        [title, *(f"{100 * wide.loc[name, s]:.1f}" for s in range(1, 6))]
        for name, title in CORRUPTIONS.items()
    ]
    means = [
        [name, f"{m['accuracy']:.4f}", "{:.4f} to {:.4f}".format(*m["interval"])]
        for name, m in found["mean"].items()
    ]
    head = (
        f"{found['ensemble']} on {found['n']:,} images ({found['part']}) of {found['dataset']}; "
        f"{100 * wide.loc[CLEAN, 0]:.1f} % right of the clean ones"
    )
    below = table(means, ["mean over all", "accuracy", "95 % interval"])
    text = table(rows, ["% right at strength", "1", "2", "3", "4", "5"])
    show(found, as_json, f"{head}\n{text}\n{below}")


@app.command()
def home(
    context: typer.Context,
    ensemble: EnsembleName,
    dataset: Annotated[str, typer.Option(help="The dataset that it was trained on.")],
    as_json: AsJson = False,
) -> None:
    """Add to an ensemble the cells of home that adapting it needs: numbers, no photographs."""
    from bloodcell.data.store.dataset import open_dataset
    from bloodcell.ensemble.adapt import write_home

    path = context.obj.find("ensembles", ensemble)
    count = write_home(path, open_dataset(context.obj, dataset), to_stderr())
    found = {"ensemble": ensemble, "path": str(path), "cells": count}
    show(found, as_json, f"{path}: {count} cells of home")


@app.command()
def adapt(
    context: typer.Context,
    ensemble: EnsembleName,
    name: Name,
    dataset: Annotated[
        str | None, typer.Option(help="A dataset with labelled cells of the laboratory.")
    ] = None,
    unlabelled: Annotated[
        Path | None, typer.Option(help="A folder or zip of its photographs without labels.")
    ] = None,
    per_class: Annotated[
        int | None, typer.Option(help="Use so many of each class, and judge on the others.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of every draw.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Adapt an ensemble to a laboratory from a few of its cells, in seconds."""
    from bloodcell.data.readers.inputs import gathered, unpacked
    from bloodcell.data.store.dataset import open_dataset
    from bloodcell.ensemble.adapt import adapt as make
    from bloodcell.ensemble.ensemble import open_ensemble

    strays: list[str] = []
    files = unpacked(gathered([str(unlabelled)], strays), strays) if unlabelled else None
    found = make(
        context.obj,
        open_ensemble(context.obj, ensemble),
        name,
        None if dataset is None else open_dataset(context.obj, dataset),
        unlabelled=files,
        per_class=per_class,
        seed=seed,
        progress=to_stderr(),
    )
    for warning in found["warnings"]:
        print(f"warning: {warning}", file=sys.stderr)
    rows = []
    for key in ("accuracy", "balanced_accuracy", "ece", "recognised"):
        if found["after"] is not None and found["after"][key] is not None:
            low, high = found["after"]["intervals"][key]
            before = f"{100 * found['before'][key]:.1f} %"
            after = f"{100 * found['after'][key]:.1f} %"
            rows.append([key, before, after, f"{100 * low:.1f} to {100 * high:.1f}"])
    for key, words in (("other", "other refused"), ("synthetic", "synthetic refused")):
        if shares := found.get(key):
            both = (f"{100 * shares[f'refused_{k}']:.1f} %" for k in ("before", "after"))
            rows.append([words, *both, f"n = {shares['n']}"])
    at_home = found["home"]
    if at_home:
        rows.append(["at home", *(f"{100 * at_home[k]:.1f} %" for k in ("before", "after")), ""])
    used = ", ".join(f"{n} {c}" for c, n in found["used"].items()) or "no labels"
    head = f"{found['name']}: {found['parent']} adapted to {found['laboratory']} ({used}); "
    show(found, as_json, f"{head}{found['how']}\n{table(rows, ['', 'before', 'after', '95 %'])}")
