"""Verbs on what a workspace holds: split, export, rename, delete, restore, trash."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bloodcell.errors import BadInput
from bloodcell.progress import to_stderr
from bloodcell.verbs.options import AsJson, DatasetName, show, table
from bloodcell.workspace import Workspace

if TYPE_CHECKING:
    from bloodcell.trash import Deleted

__all__ = ["app"]

app = typer.Typer()

InWorkspace = Annotated[str, typer.Argument(metavar="DATASET", help="A dataset's name.")]


class ItemKind(StrEnum):
    """What can be deleted."""

    dataset = "dataset"
    run = "run"
    policy = "policy"


Kind = Annotated[
    ItemKind | None, typer.Option("--kind", help="Where several kinds have that name.")
]
NONE = "none"
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
    by: Annotated[
        str | None,
        typer.Option(metavar="image|slide|patient|laboratory", help="What is never in two parts."),
    ] = None,
    hold_out: Annotated[
        str | None,
        typer.Option(
            metavar="laboratory=NAME", help="A group that is the test part; none for none."
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Say how a dataset is divided, or choose it: the default of the runs on it.

    Copies of an image stay together; parts that the source gives are kept.
    """
    from bloodcell.data.split_choice import choose_split, chosen_rule
    from bloodcell.data.store.dataset import PARTS, open_dataset

    opened = open_dataset(context.obj, dataset)
    if any(value is not None for value in (seed, shares, by, hold_out)):
        before = chosen_rule(opened)
        choose_split(
            opened,
            before.seed if seed is None else seed,
            before.shares if shares is None else _shares(shares),
            by or before.by,
            before.hold_out if hold_out is None else "" if hold_out == NONE else hold_out,
        )
    rule = chosen_rule(opened)
    found = rule.split(opened)
    counts = {part: len(found.indices(part)) for part in PARTS}
    others = {part: len(found.others(part)) for part in PARTS}
    value = {
        "seed": rule.seed,
        "shares": list(rule.shares),
        "by": rule.by,
        "hold_out": rule.hold_out,
        "given": found.given,
        "drawn_from_train": list(found.drawn),
        "parts": counts,
        "shared_images": found.shared_images(),
        "shared_groups": found.shared_groups(),
        "others": others,
        "notes": list(found.notes),
    }
    whose = "parts of the source" if found.given else f"by {rule.by}, seed {rule.seed}"
    if found.drawn:
        whose += f", {' and '.join(found.drawn)} drawn from its train part, seed {rule.seed}"
    if rule.hold_out:
        whose += f", {rule.hold_out} held out as test"
    rows = [[part, f"{n:,}", f"{others[part]:,}"] for part, n in counts.items()]
    columns = ["part", "images", "other"] if any(others.values()) else ["part", "images"]
    grid = table([row[: len(columns)] for row in rows], columns)
    shared = f"{value['shared_images']} images shared between parts"
    if found.groups is not None:
        shared += f", {value['shared_groups']} groups"
    text = "\n".join([f"{opened.name}: {whose}", grid, shared, *found.notes])
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
    from bloodcell.data.split_choice import chosen_rule
    from bloodcell.data.store.dataset import open_dataset
    from bloodcell.data.store.export import export_dataset

    opened = open_dataset(context.obj, dataset)
    path = Path(target).expanduser()
    drawn = chosen_rule(opened).split(opened) if parts else None
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
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="Of a dataset, run or policy.")],
    kind: Kind = None,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Move a dataset, run or policy to the trash, from which `restore` takes it back."""
    from bloodcell import trash

    found = _kind_of(context.obj, name, kind)
    if found == "datasets":
        _allow(context.obj, name, yes)
    deleted = trash.delete(context.obj, found, name)
    show(
        _entry_json(deleted),
        as_json,
        f"{name} is in the trash; `python -m bloodcell restore {deleted.entry}` takes it back",
    )


def _entry_json(deleted: "Deleted") -> dict[str, Any]:
    return {
        "kind": deleted.kind.removesuffix("s") if deleted.kind != "policies" else "policy",
        "name": deleted.name,
        "entry": deleted.entry,
        "path": str(deleted.path),
    }


def _plural(kind: "ItemKind | None") -> str | None:
    """The folder of a kind."""
    return kind and ("policies" if kind == ItemKind.policy else f"{kind.value}s")


def _kind_of(workspace: Workspace, name: str, kind: "ItemKind | None") -> str:
    """The folder of the kind that has this name in the workspace."""
    from bloodcell.trash import KINDS

    if kind is not None:
        return _plural(kind)
    kinds = [
        k for k in KINDS if (f"{name}.json" if k == "policies" else name) in workspace.names(k)
    ]
    if len(kinds) > 1:
        words = " and a ".join(KINDS[k] for k in kinds)
        raise BadInput(f"A {words} are called {name!r}: say which with --kind.")
    # Of none, the sentence is that of a dataset, with the names that there are.
    return kinds[0] if kinds else "datasets"


@app.command()
def restore(
    context: typer.Context,
    entry: Annotated[
        str, typer.Argument(metavar="NAME", help="Its name (the latest) or entry in the trash.")
    ],
    name: Annotated[
        str | None, typer.Option(help="What to call a dataset now; default: as before.")
    ] = None,
    kind: Kind = None,
    as_json: AsJson = False,
) -> None:
    """Take a dataset, run or policy back from the trash."""
    from bloodcell import trash

    deleted = trash.find_deleted(context.obj, entry, _plural(kind))
    path = trash.restore(context.obj, deleted, name)
    called = path.stem if deleted.kind == "policies" else path.name
    show({"name": called, "path": str(path)}, as_json, f"{called} is back")


@app.command()
def trash(
    context: typer.Context,
    empty: Annotated[
        bool, typer.Option("--empty", help="Delete all of it for good, without a way back.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """List the datasets, runs and policies in the trash, or delete them for good."""
    from bloodcell.trash import KINDS, count_words, empty_trash, list_trash

    items = list_trash(context.obj)
    sizes = {d: d.bytes for d in items}
    if empty:
        items = empty_trash(context.obj)
    found: dict[str, Any] = {
        kind: [
            {"entry": d.entry, "name": d.name, "when": d.when.isoformat(), "bytes": sizes.get(d, 0)}
            for d in items
            if d.kind == kind
        ]
        for kind in KINDS
    }
    if empty:
        text = f"{count_words(items)} deleted for good" if items else "The trash is empty."
        show({"deleted": len(items), **found}, as_json, text)
        return
    rows = [[KINDS[d.kind], d.entry, d.when.isoformat(), f"{sizes[d] / 2**20:,.1f}"] for d in items]
    text = table(rows, ["kind", "entry", "when", "MiB"]) if rows else "The trash is empty."
    show(found, as_json, text)
