"""The verb that says what works here and what does not: doctor."""

import dataclasses

import typer

from bloodcell.verbs.options import AsJson, show

__all__ = ["app"]

app = typer.Typer()

MARKS = {"ok": "ok     ", "note": "note   ", "warning": "WARNING", "error": "ERROR  "}


@app.command()
def doctor(context: typer.Context, as_json: AsJson = False) -> None:
    """Say what of the machine, libraries, workspace and cluster works, a sentence each.

    The exit code is 0 whatever is found: it is told, and nothing is changed.
    """
    from bloodcell.runs.doctor import examine

    found = examine(context.obj)
    lines: list[str] = []
    for about in dict.fromkeys(finding.about for finding in found):
        lines.append(about.capitalize())
        lines += [f"  {MARKS[f.level]}  {f.words}" for f in found if f.about == about]
    show([dataclasses.asdict(finding) for finding in found], as_json, "\n".join(lines))
