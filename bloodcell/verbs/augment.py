"""The verb augment: what a policy does to cells as one picture, and what there is to choose."""

from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from bloodcell.classes import CLASSES
from bloodcell.errors import BadInput
from bloodcell.verbs.options import AsJson, show, table

__all__ = ["app"]

app = typer.Typer()

DRAWN_SIDE = 96


@app.command()
def augment(
    context: typer.Context,
    policy: Annotated[
        str | None, typer.Argument(metavar="POLICY", help="A policy's name or file.")
    ] = None,
    dataset: Annotated[
        str | None, typer.Option(help="A dataset's name or path. Default: drawn cells.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="The picture to write, a .png.")] = None,
    copies: Annotated[int, typer.Option(min=1, max=40, help="Variants of each cell.")] = 8,
    seed: Annotated[int, typer.Option(min=0, help="Same seed, same picture.")] = 0,
    engine: Annotated[str, typer.Option(help="What carries it out: own or keras-cv.")] = "own",
    catalogue: Annotated[
        bool, typer.Option("--catalogue", help="Draw every augmentation at its defaults instead.")
    ] = False,
    listing: Annotated[
        bool, typer.Option("--list", help="Print every augmentation with its parameters.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Show what a policy does: a cell of each class and its variants, as one picture."""
    if listing:
        _list(as_json)
        return
    if (policy is None) != catalogue:
        given = "both" if catalogue else "neither"
        raise BadInput(
            f"augment was given {given} of POLICY and --catalogue where one was expected: name a "
            "policy, e.g. gentle, or use --catalogue, or see the choice with --list."
        )
    from bloodcell.augment import ENGINES

    if engine not in ENGINES:
        raise BadInput(
            f"--engine is {engine} where one of {', '.join(ENGINES)} was expected: choose one."
        )
    if catalogue and engine != "own":
        raise BadInput(
            f"--catalogue is drawn by our own engine, and --engine is {engine}: leave one of them "
            "out, or see with --list what keras-cv has of the catalogue."
        )
    if out is None or out.suffix.lower() != ".png":
        raise BadInput(
            f"--out is {str(out) if out else 'missing'} where the name of a .png file was "
            "expected: give one, e.g. --out grid.png."
        )
    if out.is_dir():
        raise BadInput(f"--out {out} is a folder where a file was expected: give another name.")
    found = _draw(context.obj, policy, dataset, out, copies, seed, engine)
    lines = [f"{out}: {found['width']}×{found['height']} pixels, {len(found['cells'])} cells"]
    show(found, as_json, "\n".join([*lines, *found["cautions"]]))


def _draw(
    workspace: Any,
    name: str | None,
    dataset: str | None,
    out: Path,
    copies: int,
    seed: int,
    engine: str,
) -> dict[str, Any]:
    from PIL import Image

    from bloodcell.augment import cautions, find_policy
    from bloodcell.augment.sheet import catalogue_sheet, policy_sheet
    from bloodcell.files import replacing

    policy = None if name is None else find_policy(workspace, name)
    images, labels, cells = _cells(workspace, dataset, seed)
    if policy is None:
        sheet = catalogue_sheet(images, labels, seed)
    else:
        sheet = policy_sheet(policy, images, labels, copies, seed, engine)
    with replacing(out) as temporary:
        Image.fromarray(sheet).save(temporary)
    return {
        "policy": policy and policy.name,
        "engine": engine,
        "dataset": dataset,
        "out": str(out),
        "height": sheet.shape[0],
        "width": sheet.shape[1],
        "seed": seed,
        "copies": 1 if policy is None else copies,
        "cells": cells,
        "cautions": [c.sentence for c in cautions(policy)] if policy else [],
    }


def _cells(
    workspace: Any, dataset: str | None, seed: int
) -> tuple[np.ndarray, np.ndarray, list[dict[str, Any]]]:
    """A cell of each class that there is: images, labels, and which they are."""
    if dataset is None:
        from bloodcell.data.synthetic.drawing.draw import draw_cell

        drawn = [draw_cell(c.id, np.random.default_rng([seed, c.id]), DRAWN_SIDE) for c in CLASSES]
        named = [{"index": None, "name": "drawn", "label": c.name} for c in CLASSES]
        return np.stack(drawn), np.arange(len(CLASSES)), named
    from bloodcell.data.store.dataset import open_dataset

    opened = open_dataset(workspace, dataset)
    labels, rng = np.where(opened.kept, opened.labels, -1), np.random.default_rng(seed)
    chosen = [
        int(rng.choice(members)) for c in CLASSES if len(members := np.flatnonzero(labels == c.id))
    ]
    if not chosen:
        raise BadInput(
            f"Dataset {opened.name} has no image that is kept: take exclusions back on the "
            "Dataset page, or choose another dataset."
        )
    names = opened.items["name"]
    named = [
        {"index": i, "name": str(names.iloc[i]), "label": CLASSES[labels[i]].name} for i in chosen
    ]
    return np.ascontiguousarray(opened.images[chosen]), labels[chosen], named


def _list(as_json: bool) -> None:
    from bloodcell.augment import PRESETS, catalogue_json, policy_to_json
    from bloodcell.augment.keras_cv_engine import describe_engine

    listed = [entry | {"keras_cv": describe_engine(entry["key"])} for entry in catalogue_json()]
    lines = []
    for entry in listed:
        mixed = " Mixes labels." if entry["mixes_labels"] else ""
        lines += [
            f"{entry['key']} ({entry['group']}): {entry['summary']}{mixed}",
            *(f"    {line}" for line in _parameters(entry).splitlines()),
            *([f"    {entry['caution']}"] if entry["caution"] else []),
            f"    Source: {entry['source']}",
            f"    keras-cv: {entry['keras_cv']}",
            "",
        ]
    presets = [policy_to_json(p) for p in PRESETS.values()]
    lines.append(f"Presets: {', '.join(PRESETS)}")
    show({"augmentations": listed, "presets": presets}, as_json, "\n".join(lines))


def _parameters(entry: dict[str, Any]) -> str:
    def number(value: Any) -> str:
        return str(value).lower() if isinstance(value, bool) else f"{value:g}"

    return table(
        [
            [
                p["key"],
                f"{number(p['low'])} to {number(p['high'])}",
                number(p["default"]),
                f"to {number(p['sensible'][1])}" if p["kind"] != "switch" else "",
                p["unit"],
                p["help"],
            ]
            for p in entry["parameters"]
        ],
        ["parameter", "range", "default", "sensible", "unit", ""],
    )
