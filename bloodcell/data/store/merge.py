"""Several datasets → one, with where each cell comes from.

    python -m bloodcell merge A B --name both

Images go through one at a time: memory does not grow with the datasets. Nothing is dropped:
decisions are carried over, and copies between the datasets are counted and named, for the audit
and the split to deal with.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import combinations
from typing import Any

import numpy as np

from bloodcell.data.imaging.decode import MIN_SIDE, fit
from bloodcell.data.readers.sizing import require_space
from bloodcell.data.store.dataset import ORIGINS, Dataset, new_dataset, open_dataset
from bloodcell.errors import BadInput
from bloodcell.progress import Progress, silent
from bloodcell.workspace import Workspace

__all__ = ["FROM", "merge_datasets", "merge_text"]

# The column that says which dataset an image came from.
FROM = "dataset"
LARGEST_SIDE = 1024
CHUNK_BYTES = 4 * 2**20


def merge_datasets(
    workspace: Workspace,
    datasets: Sequence[Dataset],
    name: str,
    *,
    size: int | None = None,
    progress: Progress = silent,
) -> Dataset:
    """Write the images of all datasets, excluded ones too, as one.

    All get the side of the smallest: no picture is made sharper than it is, so that sharpness
    does not tell where a cell is from. A dataset that names no laboratory is taken for one, by
    its name. What became of it stands under ``merged`` in ``dataset.json``.

    Args:
        datasets: at least two different ones.
        size: pixels a side instead.

    Raises:
        BadInput: fewer than two datasets, one of them twice, or a size that cannot be used.
        NameTaken: there is a dataset of that name.
        NoSpace: the disk is too full.
        Stopped: by `progress`; nothing is left behind.
    """
    if len(datasets) < 2 or len({d.path.resolve() for d in datasets}) < len(datasets):
        raise BadInput(
            f"{', '.join(d.name for d in datasets) or 'Nothing'} cannot be merged: name at least "
            "two different datasets."
        )
    workspace.new("datasets", name)
    if size is not None and not MIN_SIDE <= size <= LARGEST_SIDE:
        raise BadInput(
            f"The size of {size} pixels cannot be used: give {MIN_SIDE} to {LARGEST_SIDE}."
        )
    side = size or min(min(d.size) for d in datasets)
    called = _names(datasets)
    total = sum(map(len, datasets))
    require_space(workspace.datasets, total * side * side * 3)
    with_parts = all((d.items["part"] != "").all() for d in datasets)
    columns = _columns(datasets)
    extra: dict[str, Any] = {
        "source_sizes": dict(Counter(_sizes(datasets))),
        "skipped": [],
        "merged": {},
    }
    crops = sorted({d.info["crop"] for d in datasets})
    with new_dataset(
        workspace, name, (side, side), " + ".join(called), "; ".join(crops), extra, columns
    ) as writer:
        written = []
        for dataset, own in zip(datasets, called, strict=True):
            writer.decisions |= _decisions(dataset, len(writer))
            written.append(_add(writer, dataset, own, side, columns, with_parts, progress, total))
        progress(total, total, "images")
        extra["merged"] = {
            **_report(datasets, called, side, with_parts),
            "copies": _copies(written, called),
        }
    return open_dataset(workspace, str(workspace.datasets / name))


def _names(datasets: Sequence[Dataset]) -> list[str]:
    """The name of each, with a number where two folders are called alike."""
    seen: Counter[str] = Counter()
    found = []
    for dataset in datasets:
        seen[dataset.name] += 1
        again = seen[dataset.name]
        found.append(dataset.name if again == 1 else f"{dataset.name}-{again}")
    return found


def _sizes(datasets: Sequence[Dataset]) -> list[str]:
    return [f"{d.size[1]}x{d.size[0]}" for d in datasets for _ in range(len(d))]


def _columns(datasets: Sequence[Dataset]) -> tuple[str, ...]:
    known = {c: None for d in datasets for c in d.items.columns[4:]}
    first = [c for c in ORIGINS if c in known or c == "laboratory"]
    return (*first, *(c for c in known if c not in (*first, FROM)), FROM)


def _add(
    writer: Any,
    dataset: Dataset,
    own: str,
    side: int,
    columns: tuple[str, ...],
    with_parts: bool,
    progress: Progress,
    total: int,
) -> dict[str, set[int]]:
    """Write one dataset; returns the labels of each pixel hash."""
    items = dataset.items
    there = [c for c in columns if c in items.columns]
    known = [items[c].to_numpy() for c in there]
    names, parts, labels = items["name"].to_numpy(), items["part"].to_numpy(), dataset.given_labels
    alone = "laboratory" not in dataset.origins
    same = dataset.size == (side, side)
    written: dict[str, set[int]] = {}
    for i, image in _images(dataset):
        progress(len(writer), total, "images")
        origin = {c: values[i] for c, values in zip(there, known, strict=True)}
        origin[FROM] = own
        if alone:
            origin["laboratory"] = own
        pixels = image if same else fit(image, side, None)
        part = parts[i] if with_parts else ""
        digest = writer.add(pixels, int(labels[i]), f"{own}/{names[i]}", part, origin)
        written.setdefault(digest, set()).add(int(labels[i]))
    return written


def _images(dataset: Dataset) -> Iterator[tuple[int, np.ndarray]]:
    """Each image by its index. The file is mapped anew every few megabytes: what is mapped and
    was read counts as memory in use."""
    step = max(1, CHUNK_BYTES // int(np.prod(dataset.images.shape[1:])))
    for start in range(0, len(dataset), step):
        block = np.array(np.load(dataset.path / "images.npy", mmap_mode="r")[start : start + step])
        yield from enumerate(block, start)


def _report(
    datasets: Sequence[Dataset], called: list[str], side: int, with_parts: bool
) -> dict[str, Any]:
    notes = []
    for dataset, own in zip(datasets, called, strict=True):
        if dataset.size != (side, side):
            height, width = dataset.size
            notes.append(f"{own} was brought from {width}×{height} to {side}×{side} pixels.")
        if "laboratory" not in dataset.origins:
            notes.append(f"{own} names no laboratory: its own name stands for it.")
        if not with_parts and (dataset.items["part"] != "").any():
            notes.append(f"The parts that {own} gives are not kept, as not all datasets have them.")
    return {
        "datasets": [
            {"name": own, "n": len(d), "fingerprint": d.fingerprint, "source": d.info["source"]}
            for d, own in zip(datasets, called, strict=True)
        ],
        "notes": notes,
    }


def _copies(written: list[dict[str, set[int]]], called: list[str]) -> list[dict[str, Any]]:
    """Distinct images that two datasets share, and how many of them have two labels."""
    found = []
    for a, b in combinations(range(len(written)), 2):
        shared = written[a].keys() & written[b].keys()
        if shared:
            other = sum(len(written[a][digest] | written[b][digest]) > 1 for digest in shared)
            both = [called[a], called[b]]
            found.append({"datasets": both, "images": len(shared), "other_label": other})
    return found


def _decisions(dataset: Dataset, start: int) -> dict[str, dict[str, Any]]:
    """What was decided about a dataset, as of images `start` and on, as one step."""
    kept = ("decision", "label", "reason", "time", "by")
    return {
        str(start + i): {k: d[k] for k in kept if k in d} | {"batch": 1}
        for i, d in dataset.curation.decisions.items()
    }


def merge_text(merged: dict[str, Any]) -> str:
    """What became of a merge, in lines; takes ``merged`` of ``dataset.json``."""
    lines = [", ".join(f"{d['name']} {d['n']:,}" for d in merged["datasets"])]
    lines += merged["notes"]
    for found in merged.get("copies", []):
        more = f", {found['other_label']:,} of them under another label"
        images = "1 image is" if found["images"] == 1 else f"{found['images']:,} images are"
        lines.append(
            f"{images} in both {' and '.join(found['datasets'])}"
            f"{more if found['other_label'] else ''}: an audit lists them, and no split parts them."
        )
    if not merged.get("copies"):
        lines.append("No image is in two of them.")
    return "\n".join(lines)
