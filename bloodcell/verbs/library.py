"""Verbs on the datasets of a workspace: split, export, rename, delete, restore, trash."""

from pathlib import Path
from typing import Annotated, Any

import typer

from bloodcell.errors import BadInput
from bloodcell.progress import to_stderr
from bloodcell.verbs.options import AsJson, DatasetName, show, table
from bloodcell.workspace import Workspace

__all__ = ["app"]

app = typer.Typer()

InWorkspace = Annotated[str, typer.Argument(metavar="DATASET", help="A dataset's name.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do it although runs refer to the dataset.")]


@app.command()
def split(
    context: typer.Context,
    dataset: DatasetName,
    seed: Annotated[int | None, typer.Option(help="Choose this seed from now on.")] = None,
    shares: Annotated[
        str | None,
        typer.Option(help="Choose these shares of train, validation, test: 0.8,0.1,0.1"),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Say how a dataset is divided, or choose it: the default of the runs on it.

    Copies of an image stay together; parts that the source gives are kept.
    """
    from bloodcell.data.split import make_split
    from bloodcell.data.split_choice import choose_split, chosen_split
    from bloodcell.data.store.dataset import PARTS, open_dataset

    opened = open_dataset(context.obj, dataset)
    if seed is not None or shares is not None:
        before = chosen_split(opened)
        choose_split(
            opened,
            before[0] if seed is None else seed,
            before[1] if shares is None else _shares(shares),
        )
    chosen = chosen_split(opened)
    found = make_split(opened, *chosen)
    counts = {part: len(found.indices(part)) for part in PARTS}
    value = {
        "seed": chosen[0],
        "shares": list(chosen[1]),
        "given": found.given,
        "drawn_from_train": list(found.drawn),
        "parts": counts,
        "shared_images": found.shared_images(),
    }
    whose = "parts of the source" if found.given else f"seed {chosen[0]}"
    if found.drawn:
        whose += f", {' and '.join(found.drawn)} drawn from its train part, seed {chosen[0]}"
    rows = [[part, f"{n:,}"] for part, n in counts.items()]
    text = (
        f"{opened.name}: {whose}\n{table(rows, ['part', 'images'])}\n"
        f"{value['shared_images']} images shared between parts"
    )
    show(value, as_json, text)


def _shares(text: str) -> tuple[float, ...]:
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError as error:
        raise BadInput(
            f"The shares {text!r} cannot be read: give three numbers such as 0.8,0.1,0.1."
        ) from error


@app.command()
def export(
    context: typer.Context,
    dataset: DatasetName,
    target: Annotated[str, typer.Argument(metavar="FILE", help="Ends with .npz or .zip.")],
    parts: Annotated[
        bool, typer.Option("--parts", help="Keep train, validation and test apart.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Write the cleaned dataset: without what is excluded, with the curated labels.

    An .npz holds images and labels (MedMNIST's keys with --parts), a .zip a folder a class
    (below a folder a part with --parts).
    """
    from bloodcell.data.split import make_split
    from bloodcell.data.split_choice import chosen_split
    from bloodcell.data.store.dataset import open_dataset
    from bloodcell.data.store.export import export_dataset

    opened = open_dataset(context.obj, dataset)
    path = Path(target).expanduser()
    drawn = make_split(opened, *chosen_split(opened)) if parts else None
    n = export_dataset(opened, path, split=drawn, progress=to_stderr())
    found = {"path": str(path), "n": n, "bytes": path.stat().st_size}
    show(found, as_json, f"{path}: {n:,} images, {found['bytes'] / 2**20:,.1f} MiB")


def _allow(workspace: Workspace, dataset: str, yes: bool) -> None:
    from bloodcell.runs.uses import require_idle, runs_on, uses_text

    runs = runs_on(workspace, dataset)
    require_idle(dataset, runs)
    if runs and not yes:
        raise BadInput(f"{uses_text(dataset, runs)[:-1]}; say --yes to do it all the same.")


@app.command()
def rename(
    context: typer.Context,
    dataset: InWorkspace,
    new_name: Annotated[str, typer.Argument(metavar="NEW", help="What to call it.")],
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Call a dataset something else."""
    from bloodcell.data.store.library import rename_dataset

    _allow(context.obj, dataset, yes)
    path = rename_dataset(context.obj, dataset, new_name)
    show({"name": new_name, "path": str(path)}, as_json, f"{dataset} is now {new_name}")


@app.command()
def delete(
    context: typer.Context, dataset: InWorkspace, yes: Yes = False, as_json: AsJson = False
) -> None:
    """Move a dataset to the trash, from which `restore` takes it back."""
    from bloodcell.data.store.library import throw_away

    _allow(context.obj, dataset, yes)
    thrown = throw_away(context.obj, dataset)
    show(
        {"name": thrown.name, "entry": thrown.entry, "path": str(thrown.path)},
        as_json,
        f"{dataset} is in the trash; `python -m bloodcell restore {thrown.entry}` takes it back",
    )


@app.command()
def restore(
    context: typer.Context,
    entry: Annotated[
        str, typer.Argument(metavar="DATASET", help="Its name (the latest) or entry in the trash.")
    ],
    name: Annotated[str | None, typer.Option(help="What to call it; default: as before.")] = None,
    as_json: AsJson = False,
) -> None:
    """Take a dataset back from the trash."""
    from bloodcell.data.store.library import restore_dataset

    path = restore_dataset(context.obj, entry, name)
    show({"name": path.name, "path": str(path)}, as_json, f"{path.name} is back")


@app.command()
def trash(
    context: typer.Context,
    empty: Annotated[
        bool, typer.Option("--empty", help="Delete all of it for good, without a way back.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """List the datasets in the trash, or delete them for good."""
    from bloodcell.data.store.library import empty_trash, list_trash

    found: list[dict[str, Any]] = [
        {"entry": t.entry, "name": t.name, "when": t.when.isoformat(), "bytes": t.bytes}
        for t in list_trash(context.obj)
    ]
    if empty:
        n = empty_trash(context.obj)
        show({"deleted": n, "datasets": found}, as_json, f"{n} datasets deleted for good")
        return
    rows = [[t["entry"], t["when"], f"{t['bytes'] / 2**20:,.1f}"] for t in found]
    text = table(rows, ["entry", "when", "MiB"]) if rows else "The trash is empty."
    show({"datasets": found}, as_json, text)
