"""Verbs that compare people and machines: agree, verify."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from bloodcell.errors import BadInput
from bloodcell.verbs.options import AsJson, show, table

__all__ = ["app"]

app = typer.Typer()


@app.command()
def agree(
    labels: Annotated[
        Path, typer.Argument(help="A CSV with the columns file, reader, label (and patient).")
    ],
    machine: Annotated[
        str | None, typer.Option(help="The reader that is a machine: is it worse than people?")
    ] = None,
    staged: Annotated[
        bool, typer.Option("--staged", help="Count mistaken stages of one line as half an error.")
    ] = False,
    seed: Annotated[int, typer.Option(help="Of the bootstrap.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Say how far readers of the same cells agree: kappas with their intervals."""
    from bloodcell.agreement.readers import describe_agreement, machine_verdict, read_readings

    found = describe_agreement(read_readings(labels), machine, staged, seed)
    rows = [
        [" and ".join(p["readers"]), p["n"], f"{p['agreed']:.1%}", _kappa(p)]
        for p in found["pairs"]
    ]
    text = table(rows, ["readers", "cells", "the same", "Cohen's kappa (95 %)"])
    if found["fleiss"]:
        text += (
            f"\nall readers: Fleiss' kappa {_kappa(found['fleiss'])}, n = {found['fleiss']['n']}"
        )
    if found["machine"]:
        m = found["machine"]
        low, high = m["interval"]
        figures = f"mean kappa {m['machine']:.3f}, among readers {m['readers']:.3f}"
        difference = f"{m['difference']:+.3f}, 95 % {low:+.3f} to {high:+.3f}"
        text += f"\n{figures}: {machine_verdict(m, machine)} ({difference})"
    show(found, as_json, text)


def _kappa(found: dict) -> str:
    if found["value"] is None:
        return "undefined: one class only"
    return f"{found['value']:.3f} ({found['low']:.3f} to {found['high']:.3f})"


@app.command()
def verify(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="Of the verification.")],
    question: Annotated[str | None, typer.Option(help="Plan: what is asked.")] = None,
    machine: Annotated[str | None, typer.Option(help="Plan: the reader that is judged.")] = None,
    reader: Annotated[
        list[str] | None, typer.Option(help="Plan: a person who counts. Give it twice.")
    ] = None,
    smears: Annotated[int | None, typer.Option(help="Plan: how many smears.")] = None,
    cells: Annotated[int | None, typer.Option(help="Plan: white cells on a smear.")] = None,
    limit: Annotated[
        list[str] | None,
        typer.Option(help="Plan: accepted difference of a class, as neutrophil=5."),
    ] = None,
    deviation: Annotated[
        float | None, typer.Option(help="Plan: expected standard deviation of differences.")
    ] = None,
    lock: Annotated[bool, typer.Option("--lock", help="Lock the plan.")] = False,
    counts: Annotated[Path | None, typer.Option(help="A CSV of counts to be measured.")] = None,
    report: Annotated[Path | None, typer.Option(help="Write the report (HTML) here.")] = None,
    as_json: AsJson = False,
) -> None:
    """Plan a comparison of a machine with readers, lock it, and measure it."""
    from bloodcell.agreement.counts import read_counts
    from bloodcell.agreement.verification import (
        Plan,
        load_plan,
        lock_plan,
        samples_needed,
        save_plan,
    )
    from bloodcell.agreement.verification import verify as measure
    from bloodcell.files import write_text
    from bloodcell.workspace import check_name

    folder = context.obj.verifications / check_name(name, "verification")
    path = folder / "plan.json"
    given = {
        "question": question,
        "machine": machine,
        "readers": tuple(reader) if reader else None,
        "smears": smears,
        "cells": cells,
        "limits": _limits(limit) if limit else None,
        "expected_deviation": deviation,
    }
    given = {k: v for k, v in given.items() if v is not None}
    if given:
        if path.exists():
            plan = replace(load_plan(path), **given)
        else:
            missing = [k for k in ("question", "machine", "readers", "smears") if k not in given]
            if missing:
                raise BadInput(
                    f"There is no plan of {name} yet, and {', '.join(missing)} is missing: give "
                    "--question, --machine, --reader and --smears."
                )
            plan = Plan(name, created=datetime.now(UTC).isoformat(timespec="seconds"), **given)
        save_plan(path, plan)
    elif not path.exists():
        raise BadInput(
            f"There is no verification {name!r} in {context.obj.verifications}: plan it with "
            "--question, --machine, --reader and --smears."
        )
    plan = lock_plan(path) if lock else load_plan(path)
    if counts is None:
        if report is not None:
            raise BadInput("A report needs figures: give the counts with --counts FILE.")
        rows = [
            [c, f"± {v:g}", f"{plan.power(v):.0%}", samples_needed(plan, v) or "no number"]
            for c, v in plan.limits.items()
        ]
        head = ["class", "accepted", "chance to succeed", "smears for 80 %"]
        state = f"locked {plan.locked}" if plan.locked else "not locked yet"
        text = f"{plan.name}: {plan.question} ({plan.smears} smears, {state})"
        show(plan.content() | {"seal": plan.seal}, as_json, f"{text}\n{table(rows, head)}")
        return
    read = read_counts(counts)
    result = measure(plan, read)
    from bloodcell.figures.verification_report import HEAD, comparison_rows, verification_report

    if report is not None:
        write_text(report, verification_report(result, read))
    text = f"{plan.name}: {result.verdict}"
    show(result.to_json(), as_json, f"{text}\n{table(comparison_rows(result), HEAD)}")


def _limits(given: list[str]) -> dict[str, float]:
    found = {}
    for text in given:
        name, _, value = text.partition("=")
        try:
            found[name.strip()] = float(value)
        except ValueError as error:
            raise BadInput(
                f"The limit {text!r} cannot be read: give a class and a number, as neutrophil=5."
            ) from error
    return found
