"""A dataset as it is curated now → a file that any program, and this one, can bring in again.

    python -m bloodcell export DATASET cells.npz
    python -m bloodcell export DATASET cells.zip

Excluded images are left out and labels are the curated ones. Images go through a few megabytes
at a time: memory does not grow with the dataset.
"""

import io
import re
import zipfile
from pathlib import Path, PurePosixPath

import numpy as np
from PIL import Image

from bloodcell.classes import LABEL_NAMES, OTHER
from bloodcell.csv_files import csv_text
from bloodcell.data.readers.manifest import MANIFEST
from bloodcell.data.readers.sizing import require_space
from bloodcell.data.split import Split
from bloodcell.data.store.dataset import PARTS, Dataset
from bloodcell.errors import BadInput
from bloodcell.files import replacing
from bloodcell.progress import Progress, silent

__all__ = ["FORMATS", "export_dataset"]

FORMATS = (".npz", ".zip")
CHUNK_BYTES = 4 * 2**20
# MedMNIST (Yang et al. 2023) calls the validation part "val".
_KEYS = {"train": "train_", "validation": "val_", "test": "test_"}
# A PNG of noise is slightly larger than its pixels; its zip entry adds two headers.
_PER_FILE = 1024


def export_dataset(
    dataset: Dataset,
    target: Path,
    *,
    split: Split | None = None,
    progress: Progress = silent,
) -> int:
    """Write the images that are not excluded, with their labels; returns how many.

    ``.npz``: ``images`` (uint8, n×H×W×3, RGB) and ``labels`` (int64, n; names where there is
    any ``other``), uncompressed; with
    `split` MedMNIST's keys ``train_images``, ``train_labels``, ``val_images`` and so on.
    ``.zip``: an exact PNG an image in a folder a class, with ``manifest.csv`` where anything is
    known of where the cells come from; with `split` below a folder a part.

    Args:
        target: ends with one of FORMATS; an existing file is replaced when the new one is whole.
        split: of this dataset, to keep its parts.
        progress: called with (done, total, "images"); may raise Stopped.

    Raises:
        BadInput: another ending, or no image is left.
        NoSpace: the disk is too full.
        Stopped: by `progress`; nothing is left behind.
    """
    if target.suffix not in FORMATS:
        raise BadInput(
            f"{target} ends with {target.suffix!r}, expected .npz for arrays or .zip for a folder "
            "a class: choose one of them."
        )
    kept = np.flatnonzero(dataset.kept)
    if not len(kept):
        raise BadInput(f"All images of {dataset.name} are excluded: there is nothing to export.")
    pieces = {"": kept}
    if split is not None:
        pieces = {part: rows for part in PARTS if len(rows := split.indices(part))}
    bytes_each = int(np.prod(dataset.images.shape[1:]))
    require_space(target.parent, len(kept) * (bytes_each + _PER_FILE))
    write = _write_arrays if target.suffix == ".npz" else _write_folders
    with (
        replacing(target) as temporary,
        zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED) as archive,
    ):
        write(archive, dataset, pieces, _Count(len(kept), progress))
    progress(len(kept), len(kept), "images")
    return len(kept)


class _Count:
    """How many images are written so far."""

    def __init__(self, total: int, progress: Progress):
        self._done, self._total, self._progress = 0, total, progress

    def add(self, n: int) -> None:
        self._progress(self._done, self._total, "images")
        self._done += n


def _write_arrays(
    archive: zipfile.ZipFile, dataset: Dataset, pieces: dict[str, np.ndarray], count: _Count
) -> None:
    labels, shape = dataset.labels, dataset.images.shape[1:]
    step = max(1, CHUNK_BYTES // int(np.prod(shape)))
    for part, rows in pieces.items():
        with archive.open(f"{_KEYS.get(part, '')}images.npy", "w", force_zip64=True) as member:
            header = {"descr": "|u1", "fortran_order": False, "shape": (len(rows), *shape)}
            np.lib.format.write_array_header_1_0(member, header)
            for start in range(0, len(rows), step):
                chunk = dataset.images[rows[start : start + step]]
                count.add(len(chunk))
                member.write(chunk.data)
        buffer = io.BytesIO()
        # A number for none of the eight would be taken for a mistake elsewhere: names are not.
        named = np.array(LABEL_NAMES)[labels[rows]] if OTHER in labels else labels[rows]
        np.save(buffer, named, allow_pickle=False)
        archive.writestr(f"{_KEYS.get(part, '')}labels.npy", buffer.getvalue())


def _write_folders(
    archive: zipfile.ZipFile, dataset: Dataset, pieces: dict[str, np.ndarray], count: _Count
) -> None:
    labels, names = dataset.labels, dataset.items["name"].to_numpy()
    # A table would be read instead of the folders, which then could not say the parts.
    columns = () if "" not in pieces else tuple(dataset.items.columns[4:])
    known = dataset.items[list(columns)].to_numpy()
    table: list[list[str]] = []
    for part, rows in pieces.items():
        for i in rows:
            count.add(1)
            label = LABEL_NAMES[labels[i]]
            file = f"{PurePosixPath(part, label)}/{_file_name(int(i), names[i])}"
            buffer = io.BytesIO()
            Image.fromarray(dataset.images[i]).save(buffer, "PNG", compress_level=1)
            archive.writestr(file, buffer.getvalue())
            table.append([file, label, *known[i]])
    if columns:
        archive.writestr(MANIFEST, csv_text(["file", "label", *columns], table))


def _file_name(index: int, name: str) -> str:
    """The index, which no other image has, and what of the original name any disk can hold."""
    stem = re.sub(r"[^A-Za-z0-9_-]+", "_", PurePosixPath(name).stem).strip("_")[-60:]
    return f"{index:07d}{'_' if stem else ''}{stem}.png"
