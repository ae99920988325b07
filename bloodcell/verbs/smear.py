"""The verb on whole photographs of a smear: count."""

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
    as_json: AsJson = False,
) -> None:
    """Find and classify the white cells and platelets of a smear: its differential."""
    from bloodcell.data.readers.inputs import gathered, unpacked
    from bloodcell.ensemble.ensemble import open_ensemble
    from bloodcell.smear.count import count as counted

    loaded = open_ensemble(context.obj, ensemble)
    files = unpacked(gathered(photographs))
    smear = counted(loaded, files, tta=tta, balance=balance, progress=to_stderr())
    told = smear.differential()
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
            f"{told.n:,} white cells on {len(smear.photographs):,} photographs",
            table(rows, ["", "n", "%", "95 % limits"]),
            f"beside them: {', '.join(beside)}",
            f"kept apart: {told.refused} none of the eight, {told.cut} cut by the border",
            *(f"{p.file}: {p.error}" for p in smear.photographs if p.error is not None),
        ]
    )
    show(smear.to_json(), as_json, text)
    broken = [p for p in smear.photographs if p.error is not None]
    if broken and len(broken) == len(smear.photographs):
        raise BadInput(
            f"None of the {len(broken)} files could be read; the first: {broken[0].error}"
        )
