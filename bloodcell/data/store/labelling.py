"""Cells that a person labels here, one after another: a dataset whose labels are decisions.

The cells of a batch are kept when they come, each once, and stay excluded until somebody says what
they are (:mod:`bloodcell.data.store.curation`). So a label has its time, is taken back by one step,
and nothing is lost by closing the browser; who gave it stands in ``items.csv`` as the reader. The
dataset grows with the next batch, and by cells whose answer somebody corrects.
"""

import os
import re
import shutil
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from bloodcell.classes import OTHER
from bloodcell.data.store.dataset import (
    Dataset,
    DatasetWriter,
    open_dataset,
    pixel_hash,
    write_items,
)
from bloodcell.errors import BadInput, BloodCellError, NameTaken
from bloodcell.files import new_folder
from bloodcell.locks import changing
from bloodcell.workspace import Workspace, check_name

__all__ = [
    "MOST_CELLS",
    "keep_cells",
    "label_cell",
    "labelled_cells",
    "labelling_datasets",
    "labelling_name",
    "take_back",
    "waiting_cells",
]

WAITING = "not labelled yet"
COLUMNS = ("laboratory", "reader")
# What is seen of every cell is held in memory while it is labelled, 50 KB each.
MOST_CELLS = 2000
KEY = "labelling"


def labelling_name(laboratory: str) -> str:
    """The name of the dataset with the cells labelled for a laboratory."""
    return re.sub(r"[^A-Za-z0-9]+", "-", laboratory).strip("-")[:48] or "labelled"


def labelling_datasets(workspace: Workspace) -> list[str]:
    """Names of the datasets that are labelled here, the one that changed last first."""
    found = []
    for left in workspace.datasets.glob(".*.before"):
        _mend(workspace.datasets / left.name[1:].removesuffix(".before"))
    for name in workspace.names("datasets"):
        with suppress(BloodCellError, OSError):
            dataset = open_dataset(workspace, name)
            if KEY in dataset.info:
                changed = (dataset.path / "curation.json").stat().st_mtime_ns
                found.append((-changed, name))
    return [name for _, name in sorted(found)]


def keep_cells(
    workspace: Workspace,
    name: str,
    cells: Sequence[tuple[str, np.ndarray]],
    laboratory: str,
    crop: str,
) -> tuple[Dataset, list[int]]:
    """Keep cells to be labelled in the dataset `name`, which is made if there is none.

    Args:
        cells: name and uint8 S×S×3 of each; copies are kept once.
        laboratory: where they come from.
        crop: how they were cut, for ``dataset.json``.

    Returns:
        The dataset, and the index of each cell in it.

    Raises:
        BadInput: another size than its cells have, or more than can be labelled at once.
        NameTaken: a dataset of that name was not made here, or is being changed.
    """
    path = workspace.datasets / check_name(name, "dataset")
    with changing(path):
        _mend(path)
        old = _opened(workspace, path)
        hashes = [pixel_hash(image) for _, image in cells]
        places = {} if old is None else {h: i for i, h in enumerate(old.hashes.tolist())}
        new = []
        for digest, cell in zip(hashes, cells, strict=True):
            if digest not in places:
                places[digest] = len(places)
                new.append(cell)
        if len(places) > MOST_CELLS:
            raise BadInput(
                f"{name} would have {len(places):,} cells, expected at most {MOST_CELLS:,}: label "
                "a part of them, a few dozen are enough."
            )
        if new:
            _write(path, old, new, laboratory, crop)
    return open_dataset(workspace, name), [places[digest] for digest in hashes]


def _opened(workspace: Workspace, path: Path) -> Dataset | None:
    if not path.exists():
        return None
    dataset = open_dataset(workspace, path.name)
    if KEY not in dataset.info:
        raise NameTaken(
            f"The dataset {path.name} was imported, not labelled here: give the laboratory another "
            "name."
        )
    return dataset


def _write(
    path: Path,
    old: Dataset | None,
    new: Sequence[tuple[str, np.ndarray]],
    laboratory: str,
    crop: str,
) -> None:
    size = new[0][1].shape[:2] if old is None else old.size
    if any(image.shape[:2] != size for _, image in new):
        raise BadInput(
            f"{path.name} holds cells of {size[1]}×{size[0]} pixels, the new ones have others: "
            "label them with an ensemble of that input, or under another laboratory's name."
        )
    grown, before = _beside(path, "grown"), _beside(path, "before")
    shutil.rmtree(grown, ignore_errors=True)
    now = datetime.now(UTC).isoformat(timespec="seconds")
    with new_folder(grown) as folder:
        writer = DatasetWriter(folder, size, COLUMNS)
        try:
            if old is not None:
                names, labels = old.items["name"].tolist(), old.given_labels.tolist()
                origins = old.items[list(COLUMNS)].to_dict("records")
                for image, label, one, origin in zip(
                    old.images, labels, names, origins, strict=True
                ):
                    writer.add(image, label, one, origin=origin)
                writer.decisions = {str(i): d for i, d in old.curation.decisions.items()}
            for one, image in new:
                wait = {"decision": "exclude", "reason": WAITING, "time": now, "batch": 0}
                writer.decisions[str(len(writer))] = wait
                writer.add(image, OTHER, one, origin={"laboratory": laboratory})
            writer.finish(
                f"labelled here for {laboratory}",
                crop if old is None else old.info["crop"],
                {"skipped": [], KEY: {"laboratory": laboratory}},
            )
        finally:
            writer.close()
    if old is not None:
        os.rename(path, before)
    os.rename(grown, path)
    shutil.rmtree(before, ignore_errors=True)


def _beside(path: Path, what: str) -> Path:
    return path.with_name(f".{path.name}.{what}")


def _mend(path: Path) -> None:
    """Bring back what a crash between two renamings left aside."""
    before = _beside(path, "before")
    if before.exists() and not path.exists():
        with suppress(OSError):
            os.rename(before, path)


def labelled_cells(dataset: Dataset) -> np.ndarray:
    """int64: the cells that have a label and are not excluded, as they are in the dataset."""
    return np.flatnonzero(dataset.kept)


def waiting_cells(dataset: Dataset) -> np.ndarray:
    """int64: the cells that nobody has said anything of."""
    return np.array(
        [
            i
            for i, d in dataset.curation.decisions.items()
            if d["decision"] == "exclude" and d.get("reason") == WAITING
        ],
        int,
    )


def label_cell(dataset: Dataset, index: int, label: int, reader: str, why: str = "") -> None:
    """Say what a cell is: 0 to 7, or OTHER.

    Args:
        reader: who says so.
        why: what else is to be remembered, such as what the ensemble had said.

    Raises:
        NameTaken: another process does not let go of the dataset.
        NotFound: it is not there any more.
    """
    with changing(dataset.path, dataset.path.parent):
        # As it is now, not as it was when the dataset was opened.
        items = Dataset(dataset.path).items
        if items["reader"].iloc[index] != reader:
            items = items.copy()
            items.loc[index, "reader"] = reader
            write_items(dataset.path, items)
        reason = f"labelled by {reader}{f': {why}' if why else ''}"
        dataset.curation.decide({index: {"decision": "relabel", "label": label, "reason": reason}})


def take_back(dataset: Dataset) -> list[int]:
    """Undo the label that was given last; returns the cells it was of, none if there is none."""
    curation = dataset.curation
    last = curation.in_last_batch() if curation.last_batch > 0 else []
    decisions = curation.decisions
    # What was decided on the Dataset page is taken back there.
    if not all(str(decisions[i].get("reason", "")).startswith("labelled by ") for i in last):
        return []
    if last:
        curation.undo_last(curation.last_step)
    return last
