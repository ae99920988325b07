"""The verb that answers: classify."""

from pathlib import Path
from typing import Annotated

import typer

from bloodcell.errors import BadInput, BloodCellError, NotFound
from bloodcell.progress import to_stderr
from bloodcell.verbs.options import AsJson, EnsembleName, Tta, show, table

__all__ = ["app"]

app = typer.Typer()


def _read(names: list[str]) -> list[tuple[str, bytes | BloodCellError]]:
    """The content of files, and of the files in folders; what cannot be read says why."""
    found: list[tuple[str, bytes | BloodCellError]] = []
    for name in names:
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
    found = answer(loaded, _read(images), tta=tta, progress=to_stderr())
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
    show(rows, as_json, table(texts, ["file", "answer", "probability", "could be"]))
    if rows and all("error" in r for r in rows):
        raise BadInput(f"None of the {len(rows)} files could be read as an image.")
