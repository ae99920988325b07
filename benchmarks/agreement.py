"""How a machine counts whole fields against their own labels, as a verification does it.

    python -m benchmarks.agreement FIELDS.zip OUT [--ensemble reference] [--fields 10] [--adapt]

FIELDS has whole fields with `boxes.csv`, see `benchmarks.smear`. Fields of which every white cell
has a label are put together to smears. A plan is made and locked with `verify`; `count` adds each
smear to a table of counts, in which the labels stand as the reader `labels`; `verify` measures and
`agree` compares the cells that both know one by one. With `--adapt` every other smear is reviewed
by its labels, the ensemble is adapted to those cells with `adapt`, and what it became is verified
on the rest. OUT receives `counts.csv`, `cells.csv` and `report.html`.

Both count the same cells: what differs was missed, invented or called otherwise, and nothing of it
is the chance of having counted others.
"""

import argparse
import json
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from bloodcell.agreement.counts import add_counts
from bloodcell.csv_files import csv_text
from bloodcell.ensemble.ensemble import open_ensemble
from bloodcell.smear.count import count
from bloodcell.smear.learn import keep_reviewed
from bloodcell.smear.review import About, Review
from bloodcell.workspace import Workspace, open_workspace

READER, NAME = "labels", "fields"
# Accepted differences of 100 white cells, and the deviation expected of ten cells a smear.
LIMITS = {"neutrophil": 15, "eosinophil": 15, "lymphocyte": 15, "monocyte": 15}
DEVIATION = 5.0


def labelled_smears(archive: zipfile.ZipFile, base: str, fields: int) -> list[pd.DataFrame]:
    """The labelled white cells of each smear, as rows of `boxes.csv`."""
    boxes = pd.read_csv(archive.open(f"{base}boxes.csv"), dtype={"label": str})
    boxes = boxes[boxes["kind"] == "white"]
    whole = boxes.groupby("file")["label"].transform(lambda labels: labels.notna().all())
    boxes = boxes[whole]
    names = sorted(boxes["file"].unique())
    starts = range(0, len(names) - fields + 1, fields)
    return [boxes[boxes["file"].isin(names[i : i + fields])] for i in starts]


def same_cells(boxes: pd.DataFrame, found: list[list[int]]) -> list[int | None]:
    """For each labelled box the found one in it whose middle is nearest to its own."""
    middles = np.array(found, float).reshape(-1, 2, 2).mean(1)
    places = []
    for left, top, right, bottom in boxes[["left", "top", "right", "bottom"]].to_numpy():
        inside = ((middles >= (left, top)) & (middles <= (right, bottom))).all(1)
        away = np.hypot(*(middles - ((left + right) / 2, (top + bottom) / 2)).T)
        places.append(int(np.where(inside, away, np.inf).argmin()) if inside.any() else None)
    return places


def verb(*arguments: str, quiet: bool = False) -> str:
    """What one verb of the command line prints, in a process of its own."""
    if not quiet:
        print(f"\n$ bloodcell {' '.join(arguments)}", flush=True)
    command = [sys.executable, "-m", "bloodcell", *arguments]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        sys.exit(done.stderr)
    if not quiet:
        print(done.stdout, flush=True)
    return done.stdout


def adapted(ensemble: str, home: Workspace, smears: list[tuple[Path, pd.DataFrame]]) -> str:
    """Review smears by their labels and adapt the ensemble to their cells; returns its name."""
    loaded = open_ensemble(open_workspace(), ensemble)
    files = [(p.name, p.read_bytes()) for folder, _ in smears for p in sorted(folder.iterdir())]
    review = Review(count(loaded, files))
    boxes = pd.concat([boxes for _, boxes in smears])
    for i, photograph in enumerate(review.smear.photographs):
        here = boxes[boxes["file"] == photograph.file]
        places = same_cells(here, [list(c.box) for c in photograph.cells])
        for place, label in zip(places, here["label"], strict=True):
            if place is not None:
                review.decide((i, place), label)
    keep_reviewed(home, "reviewed", review, About("every other smear", reviewer=READER))
    name = f"{loaded.name}-adapted"
    path = str(open_workspace().home / "ensembles" / ensemble)
    verb("--home", str(home.home), "adapt", path, "--dataset", "reviewed", "--name", name)
    return name


def readings(told: dict[str, Any], boxes: pd.DataFrame, machine: str) -> list[list[str]]:
    """The labelled cells that were found, each with its label and the machine's."""
    lines = []
    for photograph in told["photographs"]:
        here = boxes[boxes["file"] == Path(photograph["file"]).name]
        places = same_cells(here, [c["box"] for c in photograph["cells"]])
        for number, (at, label) in enumerate(zip(places, here["label"], strict=True), 1):
            if at is not None:
                cell, name = photograph["cells"][at], f"{photograph['file']} {number}"
                said = cell["label"] if cell["recognised"] else "other"
                lines += [[name, READER, label], [name, machine, said]]
    return lines


def main() -> None:
    """Plan, lock, count, verify and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("fields_zip")
    parser.add_argument("out", type=Path)
    parser.add_argument("--ensemble", default="reference")
    parser.add_argument("--fields", type=int, default=10, help="fields of a smear")
    parser.add_argument("--adapt", action="store_true", help="adapt to every other smear first")
    given = parser.parse_args()
    out = given.out.resolve()
    if out.exists() and any(out.iterdir()):
        parser.error(f"{out} is not empty: a plan is made and locked anew, so name a new folder")
    archive = zipfile.ZipFile(given.fields_zip)
    base = next(n for n in archive.namelist() if n.endswith("boxes.csv"))[: -len("boxes.csv")]
    smears = []
    for number, boxes in enumerate(labelled_smears(archive, base, given.fields), 1):
        folder = out / f"smear-{number:02}"
        folder.mkdir(parents=True)
        for name in boxes["file"].unique():
            (folder / name).write_bytes(archive.read(base + name))
        smears.append((folder, boxes))
    home, machine = open_workspace(), given.ensemble
    own = open_workspace(out / "workspace")
    if given.adapt:
        machine, home, smears = adapted(machine, own, smears[::2]), own, smears[1::2]
    verify = ("--home", str(own.home), "verify", NAME)
    limits = [w for name, limit in LIMITS.items() for w in ("--limit", f"{name}={limit}")]
    verb(
        *(*verify, "--question", "Does the machine count these fields as their labels do?"),
        *("--machine", machine, "--reader", READER, "--smears", str(len(smears))),
        *("--cells", str(given.fields), "--deviation", str(DEVIATION), *limits, "--lock"),
    )
    counts, cells, lines = out / "counts.csv", out / "cells.csv", []
    for folder, boxes in smears:
        table = ("--smear", folder.name, "--counts", str(counts))
        asked = ("--home", str(home.home), "count", str(folder), "--ensemble", machine)
        told = json.loads(verb(*asked, *table, "--json", quiet=True))
        add_counts(counts, folder.name, READER, boxes["label"].value_counts().to_dict())
        lines += readings(told, boxes, machine)
    cells.write_text(csv_text(["file", "reader", "label"], lines), encoding="utf-8")
    verb(*verify, "--counts", str(counts), "--report", str(out / "report.html"))
    labelled = sum(len(boxes) for _, boxes in smears)
    print(f"{len(lines) // 2} of {labelled} labelled white cells were found")
    verb("agree", str(cells))


if __name__ == "__main__":
    main()
