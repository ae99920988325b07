"""The verb on whole photographs of a smear: count."""

from pathlib import Path
from typing import Annotated

import typer

from bloodcell.errors import BadInput
from bloodcell.progress import to_stderr
from bloodcell.verbs.options import AsJson, Tta, show, table

__all__ = ["app"]

app = typer.Typer()


@app.command()
def count(
    context: typer.Context,
    photographs: Annotated[
        list[str],
        typer.Argument(metavar="PHOTO...", help="Files, folders or zips of one smear."),
    ],
    ensemble: Annotated[str, typer.Option(help="An ensemble's name, folder or zip.")] = "reference",
    tta: Tta = None,
    balance: Annotated[
        bool,
        typer.Option("--balance", help="Bring the empty field to the training photographs'."),
    ] = False,
    merge_immature: Annotated[
        bool,
        typer.Option("--merge-immature", help="Count immature granulocytes as neutrophils."),
    ] = False,
    smear: Annotated[str | None, typer.Option(help="Its name in the table of counts.")] = None,
    counts: Annotated[
        Path | None, typer.Option(help="Add it to this table (CSV), as `verify` reads it.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Find and classify the white cells and platelets of a smear: its differential."""
    from bloodcell.agreement.counts import add_counts
    from bloodcell.data.readers.inputs import gathered, unpacked
    from bloodcell.ensemble.ensemble import open_ensemble
    from bloodcell.smear.count import count as counted
    from bloodcell.smear.review import Review, class_counts

    if counts is not None and smear is None:
        raise BadInput("A table of counts needs the smear's name: give it with --smear.")
    loaded = open_ensemble(context.obj, ensemble)
    files = unpacked(gathered(photographs))
    found = counted(loaded, files, tta=tta, balance=balance, progress=to_stderr())
    told = found.differential(merge_immature)
    rows = [
        [
            name,
            share.n,
            "" if share.share is None else f"{100 * share.share:.1f}",
            f"{100 * share.low:.1f} to {100 * share.high:.1f}",
        ]
        for name, share in told.classes.items()
    ]
    beside = [
        f"{name} {count}" + ("" if told.n == 0 else f" ({told.per_100(count):.1f} per 100)")
        for name, count in (("platelets", told.platelets), ("erythroblasts", told.erythroblasts))
    ]
    text = "\n".join(
        [
            f"{told.n:,} white cells on {len(found.photographs):,} photographs",
            table(rows, ["", "n", "%", "95 % limits"]),
            f"beside them: {', '.join(beside)}",
            f"kept apart: {told.refused} none of the eight, {told.cut} cut by the border",
            *(f"{p.file}: {p.error}" for p in found.photographs if p.error is not None),
        ]
    )
    show(found.to_json(merge_immature), as_json, text)
    broken = [p for p in found.photographs if p.error is not None]
    if broken and len(broken) == len(found.photographs):
        raise BadInput(
            f"None of the {len(broken)} files could be read; the first: {broken[0].error}"
        )
    if counts is not None and smear is not None:
        add_counts(counts, smear, loaded.name, class_counts(Review(found)))
