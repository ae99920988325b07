"""Verbs on datasets: import, merge, demo, download, datasets, audit, exclude, decisions."""

from collections import Counter
from pathlib import Path
from typing import Annotated, Any

import typer

from bloodcell.classes import LABELS
from bloodcell.errors import BadInput, BloodCellError
from bloodcell.progress import to_stderr
from bloodcell.verbs.options import AsJson, DatasetName, Name, show, table

__all__ = ["app"]

app = typer.Typer()

NO_ENSEMBLE = "none"
# Broken files named on the screen; all of them stand in --json and in dataset.json.
SHOWN = 20
AuditEnsemble = Annotated[
    str | None,
    typer.Option(
        metavar="ENSEMBLE",
        help="Whose features show doubtful labels; none for image statistics. "
        "Default: reference, else the first ensemble of the workspace.",
    ),
]


def _dataset_summary(dataset: Any) -> tuple[dict[str, Any], str]:
    counts = dataset.counts()
    found = {
        "name": dataset.name,
        "path": str(dataset.path),
        "n": len(dataset),
        "kept": sum(counts.values()),
        "size": list(dataset.size),
        "counts": counts,
        "fingerprint": dataset.fingerprint,
    }
    rows = [[c.title, f"{counts[c.name]:,}"] for c in LABELS if c.name in counts]
    head = f"{dataset.name}: {len(dataset):,} images of {dataset.size[1]}×{dataset.size[0]} pixels"
    return found, f"{head}\n{table(rows, ['class', 'images'])}"


def _import_report(info: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """What an import left out or noticed, for ``--json`` and as lines."""
    from bloodcell.data.readers.manifest import manifest_text
    from bloodcell.data.readers.strays import passed_over_text

    keys = ("skipped", "passed_over", "left_out", "notes", "manifest")
    found = {key: info[key] for key in keys if key in info}
    skipped, passed = info.get("skipped", []), info.get("passed_over", {"n": 0, "names": []})
    lines: list[str] = []
    if skipped:
        lines.append(f"Skipped {len(skipped):,} broken files:")
        lines += [f"  {row['name']}: {row['reason']}" for row in skipped[:SHOWN]]
        lines += [f"  and {len(skipped) - SHOWN:,} more"] if len(skipped) > SHOWN else []
    if passed["n"]:
        lines.append(passed_over_text(passed["names"], passed["n"]))
    if matched := info.get("manifest"):
        lines.append(manifest_text(matched))
    if info.get("left_out"):
        lines.append(f"Left out as --map says: {info['left_out']:,} images.")
    return found, lines


@app.command("import")
def import_(
    context: typer.Context,
    source: Annotated[str, typer.Argument(help="An .npz, a folder a class, or a .zip of one.")],
    name: Name,
    size: Annotated[int | None, typer.Option(help="Pixels a side to resize to.")] = None,
    crop: Annotated[int | None, typer.Option(help="Central pixels to keep before that.")] = None,
    skip_broken: Annotated[
        bool, typer.Option("--skip-broken", help="Leave out images that cannot be decoded.")
    ] = False,
    laboratory: Annotated[
        str, typer.Option(help="Where the cells come from, where nothing else says it.")
    ] = "",
    level: Annotated[
        str, typer.Option(help="What folders above a class are: laboratory, patient or slide.")
    ] = "",
    manifest: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.csv",
            help="A table with file and label, and any of laboratory, slide, patient, reader; "
            "default: manifest.csv in the source.",
        ),
    ] = None,
    mapped: Annotated[
        list[str] | None,
        typer.Option(
            "--map",
            metavar="FOLDER=CLASS",
            help="What a folder or class name means: one of the eight classes, other, skip (leave "
            "it out), train, validation or test. May be given several times.",
        ),
    ] = None,
    parts: Annotated[
        bool,
        typer.Option(
            "--parts/--no-parts",
            help="Keep the train, validation and test parts that the source gives.",
        ),
    ] = True,
    depth: Annotated[
        int | None,
        typer.Option(help="Bits used in image files of 16, where they do not say it, e.g. 12."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Bring labelled images into the workspace.

    A label or folder `other` is none of the eight: it is never learned as a class.

    The recipe of BloodMNIST for photographs of 360×363 pixels is --crop 200 --size 96.
    """
    from bloodcell.data.readers.manifest import Given
    from bloodcell.data.readers.source import import_source

    dataset = import_source(
        context.obj,
        source,
        name,
        size=size,
        crop=crop,
        skip_broken=skip_broken,
        mapped=mapped or (),
        parts=parts,
        depth=depth,
        given=Given(laboratory, level, manifest),
        progress=to_stderr(),
    )
    found, text = _dataset_summary(dataset)
    more, lines = _import_report(dataset.info)
    head, _, classes = text.partition("\n")
    # What is worth knowing stands before the table, where it is seen.
    noticed = [f"warning: {note}" for note in dataset.info.get("notes", [])]
    show({**found, **more}, as_json, "\n".join([head, *noticed, classes, *lines]))


@app.command()
def merge(
    context: typer.Context,
    datasets: Annotated[list[str], typer.Argument(metavar="DATASET…", help="Two or more.")],
    name: Name,
    size: Annotated[
        int | None, typer.Option(help="Pixels a side; default: that of the smallest.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Join datasets; where each cell comes from is kept, copies between them are named."""
    from bloodcell.data.store.dataset import open_dataset
    from bloodcell.data.store.merge import merge_datasets, merge_text
    from bloodcell.data.store.origins import confounding, laboratory_counts

    opened = [open_dataset(context.obj, d) for d in datasets]
    dataset = merge_datasets(context.obj, opened, name, size=size, progress=to_stderr())
    found, text = _dataset_summary(dataset)
    found["merged"] = dataset.info["merged"]
    told = confounding(*laboratory_counts(dataset, dataset.labels, dataset.kept))
    show(found, as_json, "\n".join([text, merge_text(dataset.info["merged"]), *told]))


@app.command()
def stains(
    context: typer.Context,
    dataset: DatasetName,
    name: Name,
    policy: Annotated[
        str, typer.Option(help="The policy that the stains and their transfer are added to.")
    ] = "gentle",
    as_json: AsJson = False,
) -> None:
    """Measure the stain of each laboratory, and keep it in a policy that transfers them.

    The policy holds statistics alone and can be shared without a photograph.
    """
    from bloodcell.augment.policy import find_policy, save_policy
    from bloodcell.data.stains import measure_stains, with_transfer
    from bloodcell.data.store.dataset import open_dataset

    opened = open_dataset(context.obj, dataset)
    measured = measure_stains(opened, progress=to_stderr())
    if len(measured) < 2:
        known = ", ".join(measured.names) or "none"
        raise BadInput(
            f"{opened.name} has cells of fewer than two laboratories with a stain to measure "
            f"(found: {known}): import with --laboratory or a manifest, or merge datasets."
        )
    path = save_policy(context.obj, with_transfer(find_policy(context.obj, policy), measured, name))
    found = {"path": str(path), "laboratories": list(measured.names)}
    show(found, as_json, f"{path}: {', '.join(measured.names)}")


@app.command()
def demo(
    context: typer.Context,
    name: Name = "demo",
    per_class: Annotated[int, typer.Option(help="Cells of each class.")] = 60,
    size: Annotated[int, typer.Option(help="Pixels a side.")] = 96,
    seed: Annotated[int, typer.Option(help="Same seed, same pictures.")] = 0,
    faults: Annotated[
        bool, typer.Option("--faults", help="Plant copies, foreign pictures and wrong labels.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Draw a dataset of eight kinds of cell, to try everything without any data at hand."""
    from bloodcell.data.synthetic.demo import Faults, make_demo

    planted = Faults(copies=8, conflicting=4, repeated=12, foreign=8, wrong_labels=8)
    dataset = make_demo(
        context.obj,
        name,
        per_class=per_class,
        size=size,
        seed=seed,
        faults=planted if faults else None,
        progress=to_stderr(),
    )
    found, text = _dataset_summary(dataset)
    show(found, as_json, text)


@app.command()
def download(
    context: typer.Context,
    what: Annotated[str, typer.Argument(help="bloodmnist")],
    size: Annotated[int, typer.Option(help="28, 64, 128 or 224 pixels a side.")] = 64,
    name: Annotated[str | None, typer.Option(help="Default: bloodmnist-SIZE.")] = None,
    as_json: AsJson = False,
) -> None:
    """Download a public dataset from its official record and bring it in."""
    from bloodcell.data.readers.download import download_bloodmnist
    from bloodcell.data.readers.source import import_source

    if what != "bloodmnist":
        raise BadInput(f"There is no public dataset {what!r} to download: expected bloodmnist.")
    target = name or f"bloodmnist-{size}"
    context.obj.new("datasets", target)
    file = download_bloodmnist(context.obj, size, progress=to_stderr())
    dataset = import_source(context.obj, file, target, progress=to_stderr())
    found, text = _dataset_summary(dataset)
    show(found, as_json, text)


@app.command()
def datasets(context: typer.Context, as_json: AsJson = False) -> None:
    """List the datasets of the workspace."""
    from bloodcell.data.store.dataset import open_dataset

    found: list[dict[str, Any]] = []
    for name in context.obj.names("datasets"):
        try:
            found.append(_dataset_summary(open_dataset(context.obj, name))[0])
        except BloodCellError as error:
            # One damaged folder must not hide the others.
            found.append({"name": name, "error": str(error)})
    rows = [
        [d["name"], d["error"], "", ""]
        if "error" in d
        else [d["name"], f"{d['n']:,}", f"{d['kept']:,}", d["size"][0]]
        for d in found
    ]
    show(found, as_json, table(rows, ["name", "images", "kept", "pixels"]))


def _ensemble_for_audit(workspace: Any, name: str | None) -> Any:
    """The ensemble asked for; by default the one that the pages begin with, if there is any."""
    from bloodcell.ensemble.ensemble import open_ensemble

    if name == NO_ENSEMBLE:
        return None
    if name is None:
        name = workspace.default_ensemble
    return None if name is None else open_ensemble(workspace, name)


def _kinds(text: str) -> list[str]:
    from bloodcell.audit import KINDS

    found = [k.strip() for k in text.split(",") if k.strip()]
    if not found:
        raise BadInput(f"No kind of finding was given: name some of {', '.join(KINDS)}.")
    return found


@app.command()
def audit(
    context: typer.Context,
    dataset: DatasetName,
    ensemble: AuditEnsemble = None,
    kinds: Annotated[
        str | None, typer.Option(help="Kinds of finding, separated by commas; all by default.")
    ] = None,
    sheet: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.png",
            help="Write a picture of the 20 most doubtful labels and the 20 strongest outliers.",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Find what is wrong with a dataset: copies, near copies, outliers, doubtful labels."""
    from bloodcell.audit import KINDS, save_audit
    from bloodcell.audit import audit as find
    from bloodcell.audit.finding import checked_kinds
    from bloodcell.audit.sheet import checked_sheet, write_sheet
    from bloodcell.data.store.dataset import open_dataset

    checked_sheet(sheet)
    opened = open_dataset(context.obj, dataset)
    wanted = KINDS if kinds is None else checked_kinds(_kinds(kinds))
    model = _ensemble_for_audit(context.obj, ensemble) if "suspect_label" in wanted else None
    found = find(opened, ensemble=model, kinds=wanted, progress=to_stderr())
    save_audit(opened, found)
    if sheet is not None:
        write_sheet(opened, found, sheet)
    rows = [
        [f.kind, f.group, f.index, f.name, f"{f.score:.2f}", f.suggested, f.why]
        for f in found.findings
    ]
    head = ["kind", "group", "index", "name", "score", "suggested", "why"]
    counts = ", ".join(f"{n:,} {kind}" for kind, n in Counter(r[0] for r in rows).items())
    text = table(rows, head) if rows else "No findings."
    lines = [f"{found.n:,} images in {found.seconds:.0f} s: {counts or 'nothing found'}"]
    lines += [f"Features: {found.source}.", *found.notes]
    show(found.to_json(), as_json, "\n".join([text, *lines]))


@app.command()
def exclude(
    context: typer.Context,
    dataset: DatasetName,
    findings: Annotated[str, typer.Option(help="Kinds of finding, separated by commas.")],
    above: Annotated[
        float,
        typer.Option(
            min=0.0,
            max=1.0,
            help="Lowest score. Outliers and doubtful labels of at least this score are all "
            "excluded, suggested or not.",
        ),
    ] = 0.0,
    ensemble: AuditEnsemble = None,
    as_json: AsJson = False,
) -> None:
    """Exclude what the last audit suggests to exclude; one is made where it is needed.

    Reversible: nothing is deleted.
    """
    from bloodcell.audit import exclude_findings
    from bloodcell.audit.finding import checked_kinds
    from bloodcell.data.store.dataset import open_dataset

    opened = open_dataset(context.obj, dataset)
    kinds = checked_kinds(_kinds(findings))
    found = exclude_findings(
        opened,
        kinds,
        above=above,
        ensemble=lambda: _ensemble_for_audit(context.obj, ensemble),
        progress=to_stderr(),
    )
    left = int(opened.kept.sum())
    text = "\n".join(f"{n} excluded as {kind}" for kind, n in found.items())
    show({"excluded": found, "kept": left}, as_json, f"{text}\n{left:,} images are kept")


@app.command()
def decisions(
    context: typer.Context,
    dataset: DatasetName,
    export: Annotated[
        Path | None, typer.Option(metavar="FILE.csv", help="Write all decisions to a table.")
    ] = None,
    take_in: Annotated[
        Path | None,
        typer.Option("--import", metavar="FILE.csv", help="Take over the decisions of a table."),
    ] = None,
    undo_last: Annotated[
        bool, typer.Option("--undo-last", help="Take back the latest step.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Count the decisions about a dataset, or carry them to another copy of its images.

    Images are known by their pixels: names and order may differ.
    """
    from bloodcell.data.store.dataset import open_dataset
    from bloodcell.data.store.decisions import decisions_csv, import_decisions, read_table
    from bloodcell.files import write_text

    opened = open_dataset(context.obj, dataset)
    found: dict[str, Any] = {}
    if undo_last:
        found["undone"] = opened.curation.undo_last()
    if take_in is not None:
        done = import_decisions(opened, read_table(take_in), take_in.name)
        found |= {"applied": done.applied, "changed": done.changed, "unknown": done.unknown}
    if export is not None:
        write_text(export, decisions_csv(opened))
        found["exported"] = str(export)
    counts = Counter(d["decision"] for d in opened.curation.decisions.values())
    found |= {"decisions": dict(counts), "kept": int(opened.kept.sum())}
    lines = [f"{key}: {value}" for key, value in found.items() if key not in ("decisions", "kept")]
    lines += [f"{n:,} {kind}" for kind, n in counts.items()] or ["no decisions"]
    show(found, as_json, "\n".join([*lines, f"{found['kept']:,} images are in use"]))
