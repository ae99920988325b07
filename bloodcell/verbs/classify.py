"""The verb that answers: classify."""

import sys
from typing import Annotated

import typer

from bloodcell.errors import BadInput
from bloodcell.progress import to_stderr
from bloodcell.verbs.options import AsJson, EnsembleName, Tta, show, table

__all__ = ["app"]

app = typer.Typer()


@app.command()
def classify(
    context: typer.Context,
    ensemble: EnsembleName,
    images: Annotated[
        list[str], typer.Argument(metavar="IMAGE...", help="Files, folders or zips of them.")
    ],
    tta: Tta = None,
    crop: Annotated[
        str,
        typer.Option(
            help="The square to look at: auto, centre, or X,Y,SIDE in pixels.",
            metavar="auto|centre|X,Y,SIDE",
        ),
    ] = "auto",
    balance: Annotated[
        bool,
        typer.Option("--balance", help="Bring the empty field to the training photographs'."),
    ] = False,
    as_json: AsJson = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV on stdout.")] = False,
) -> None:
    """Say which cell is on each image, how sure, or that it is none of the eight."""
    from bloodcell.data.imaging.cropping import parse_crop
    from bloodcell.data.readers.decoded import Decoded
    from bloodcell.data.readers.inputs import gathered, unpacked
    from bloodcell.data.readers.strays import passed_over_text
    from bloodcell.ensemble.answer_files import answers_csv, answers_json
    from bloodcell.ensemble.classify import classify as answer
    from bloodcell.ensemble.ensemble import open_ensemble
    from bloodcell.ensemble.shift import find_shift
    from bloodcell.smear.squares import squares

    if as_json and as_csv:
        raise BadInput("Both --json and --csv were given: choose one of them.")
    square = parse_crop(crop)
    loaded = open_ensemble(context.obj, ensemble)
    strays: list[str] = []
    files = unpacked(gathered(images, strays), strays)
    if strays:
        print(f"note: {passed_over_text(strays)}", file=sys.stderr)
    alone, several, decoded = {}, [], Decoded(files)
    if square is None:
        alone, several = squares(decoded, loaded.description.field_of_view.sizes, to_stderr())
    if several:
        names = ", ".join(files[i][0] for i in several[:3]) + (" …" if len(several) > 3 else "")
        print(f"note: several white cells on {names}: `count` answers for each.", file=sys.stderr)
    found = answer(
        loaded, decoded, tta=tta, crop=square, moved=alone, balance=balance, progress=to_stderr()
    )
    shift = find_shift(loaded, found.backgrounds, found.answers.novelty)
    if shift is not None and shift.found:
        print(f"warning: {shift.sentence(balance)}", file=sys.stderr)
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
    if as_csv:
        print(answers_csv(found), end="")
    else:
        show(rows, as_json, table(texts, ["file", "answer", "probability", "could be"]))
    if rows and all("error" in r for r in rows):
        raise BadInput(
            f"None of the {len(rows)} files got an answer; the first: {rows[0]['error']}"
        )
