"""What the verbs of the command line share: options, and how they print."""

import json
import sys
from typing import Annotated, Any

import typer

__all__ = [
    "AsJson",
    "DatasetName",
    "Detach",
    "EnsembleName",
    "Name",
    "RunName",
    "Tta",
    "show",
    "table",
]

Name = Annotated[str, typer.Option("--name", help="What to call it in the workspace.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")]
DatasetName = Annotated[str, typer.Argument(metavar="DATASET", help="A dataset's name or path.")]
Detach = Annotated[
    bool, typer.Option("--detach", help="Queue it for a process of its own and return at once.")
]
RunName = Annotated[str, typer.Argument(metavar="RUN", help="A run's id or path.")]
EnsembleName = Annotated[
    str, typer.Argument(metavar="ENSEMBLE", help="An ensemble's name, folder or zip.")
]
Tta = Annotated[
    bool | None,
    typer.Option(
        "--tta/--no-tta", help="Ask all members, over the eight flips and turns, or once."
    ),
]


def show(value: Any, as_json: bool, text: str) -> None:
    # Where the output cannot hold every character, JSON can still say every one.
    narrow = not (sys.stdout.encoding or "utf-8").lower().replace("-", "").startswith("utf")
    print(json.dumps(value, ensure_ascii=narrow, allow_nan=False) if as_json else text)


def table(rows: list[list[Any]], head: list[str]) -> str:
    texts = [head, *([("" if c is None else str(c)) for c in row] for row in rows)]
    widths = [max(len(row[i]) for row in texts) for i in range(len(head))]
    return "\n".join(
        "  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip() for row in texts
    )
