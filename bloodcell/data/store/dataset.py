"""A dataset on disk: memory-mapped images, labels, items, and what was decided about them.

``artifacts/datasets/NAME/`` holds

* ``images.npy``    uint8, N×H×W×3, RGB, only ever read with ``mmap_mode="r"``
* ``labels.npy``    int64, N: 0 to 7, or -1 for none of the eight (``other``)
* ``items.csv``     index, original name, pixel hash, part given by the source (may be empty); and
  where they are known the columns of ORIGINS, and any other column of the source
* ``dataset.json``  classes, size, source, crop, fingerprint
* ``curation.json`` index → decision and reason (see :mod:`bloodcell.data.store.curation`)
"""

import csv
import hashlib
import io
import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from bloodcell.classes import CLASS_NAMES, OTHER, OTHER_CLASS
from bloodcell.data.store.curation import Curation
from bloodcell.errors import BadInput
from bloodcell.files import load_array, new_folder, read_json, write_array, write_json, write_text
from bloodcell.workspace import Workspace

__all__ = [
    "GROUPS",
    "ORIGINS",
    "PARTS",
    "Dataset",
    "DatasetWriter",
    "new_dataset",
    "open_dataset",
    "pixel_hash",
    "write_items",
]

PARTS: tuple[str, ...] = ("train", "validation", "test")
# From the widest to the narrowest: what cells may have in common beside what they are.
GROUPS: tuple[str, ...] = ("laboratory", "patient", "slide")
# Where a cell comes from, who labelled it, and the label as the source has it.
ORIGINS: tuple[str, ...] = ("laboratory", "slide", "patient", "reader", "source_label")
FORMAT_VERSION = 1
_ALWAYS = ("index", "name", "hash", "part")


def pixel_hash(image: np.ndarray) -> str:
    """The identity of an image: 32 hex digits of BLAKE2b over its shape and pixels.

    Args:
        image: uint8, H×W×3.
    """
    digest = hashlib.blake2b(str(image.shape).encode(), digest_size=16)
    digest.update(np.ascontiguousarray(image, dtype=np.uint8))
    return digest.hexdigest()


@lru_cache(maxsize=4)
def _list_items(path: Path, n: int, modified: int, inode: int) -> tuple[pd.DataFrame, np.ndarray]:
    """Items and hashes; a page opens the same dataset at every click."""
    # Everything but the index is text: a file called 0001 must not become the number 1.
    kinds = defaultdict(lambda: str, {"index": int})
    try:
        found = pd.read_csv(path, dtype=kinds, keep_default_na=False, na_filter=False)
        sound = np.array_equal(found["index"], np.arange(n))
        sound &= tuple(found.columns[:4]) == _ALWAYS and found["part"].isin(["", *PARTS]).all()
        sound &= bool(found["hash"].str.fullmatch("[0-9a-f]{32}").all())
    except (OSError, ValueError, KeyError) as error:
        raise BadInput(
            f"{path} is missing or damaged ({error}): restore the dataset from a copy or "
            "import it again."
        ) from error
    if not sound:
        raise BadInput(
            f"{path} does not list the {n} images in order with {', '.join(_ALWAYS)}: "
            "restore the dataset from a copy or import it again."
        )
    hashes = found["hash"].to_numpy(dtype=str)
    hashes.flags.writeable = False
    return found, hashes


def identity_line(digest: str, label: int, part: str, origin: Mapping[str, str]) -> bytes:
    """What one image adds to the fingerprint of a dataset."""
    # A given part and a known group decide the split, so they belong to what the dataset is.
    line = f"{digest} {label} {part}".rstrip()
    groups = {c: origin[c] for c in GROUPS if origin.get(c)}
    return (f"{line} {json.dumps(groups, sort_keys=True)}" if groups else line).encode()


def _stamp(path: Path) -> tuple[int, int, int]:
    stat = path.stat()
    return stat.st_mtime_ns, stat.st_size, stat.st_ino


@lru_cache(maxsize=32)
def _belongs(path: Path, fingerprint: str, labels_stamp: object, items_stamp: object) -> bool:
    """Whether labels and items of a dataset are those that its fingerprint was made of."""
    labels = load_array(path / "labels.npy").tolist()
    items, hashes = _list_items(path / "items.csv", len(labels), items_stamp[0], items_stamp[2])
    parts = items["part"].tolist()
    groups = [c for c in GROUPS if c in items.columns and (items[c] != "").any()]
    origins = items[groups].to_dict("records") if groups else [{}] * len(labels)
    rows = list(zip(hashes.tolist(), labels, parts, origins, strict=True))
    if fingerprint == _fingerprint([identity_line(*row) for row in rows]):
        return True
    # Before parts and groups counted: a dataset of an earlier version.
    return fingerprint == _fingerprint([identity_line(d, k, "", {}) for d, k, *_ in rows])


def _fingerprint(identities: list[bytes]) -> str:
    return hashlib.sha256(b"\n".join(sorted(identities))).hexdigest()


class Dataset:
    """A dataset opened for reading. Nothing is loaded until it is asked for."""

    def __init__(self, path: Path):
        self.path = path
        self.info: dict[str, Any] = read_json(path / "dataset.json")
        found = self.info.get("format_version") if isinstance(self.info, dict) else None
        if found != FORMAT_VERSION:
            raise BadInput(
                f"{path / 'dataset.json'} has format_version {found!r} where {FORMAT_VERSION} was "
                "expected: import the images again with this version of BloodCell Lab."
            )
        if len(self.images) != len(self):
            raise BadInput(
                f"{path / 'images.npy'} holds {len(self.images)} images where labels.npy has "
                f"{len(self)}: restore the dataset from a copy or import it again."
            )
        wanted = {
            "classes": list(CLASS_NAMES),
            "n": len(self),
            "size": list(self.images.shape[1:3]),
        }
        for key, value in wanted.items():
            if self.info.get(key) != value:
                raise BadInput(
                    f"{path / 'dataset.json'} has {key} {self.info.get(key)!r} where the files "
                    f"beside it say {value!r}: restore the dataset from a copy or import it again."
                )
        for key in ("fingerprint", "source", "crop"):
            if not isinstance(self.info.get(key), str):
                raise BadInput(
                    f"{path / 'dataset.json'} has {key} {self.info.get(key)!r} where a text was "
                    "expected: restore the dataset from a copy or import it again."
                )
        self._check_identity()

    def _check_identity(self) -> None:
        """Raise BadInput if a label, or what is said of an image, is not the one imported."""
        try:
            stamps = [_stamp(self.path / name) for name in ("labels.npy", "items.csv")]
        except OSError as error:
            raise BadInput(
                f"{self.path / 'items.csv'} is missing ({error.strerror}): restore the dataset "
                "from a copy or import it again."
            ) from error
        if not _belongs(self.path, self.fingerprint, *stamps):
            raise BadInput(
                f"{self.path} has other labels or items than it was imported with (labels.npy and "
                "items.csv do not give the fingerprint in dataset.json): restore the dataset from "
                "a copy or import it again; labels are changed by decisions."
            )

    def _array(self, name: str, dtype: type, dimensions: int, mmap_mode: str | None) -> np.ndarray:
        path = self.path / name
        try:
            found = load_array(path, mmap_mode)
        except (OSError, ValueError, EOFError) as error:
            raise BadInput(
                f"{path} is missing or damaged ({error}): restore the dataset from a copy or "
                "import it again."
            ) from error
        if found.dtype != dtype or found.ndim != dimensions:
            raise BadInput(
                f"{path} holds {found.dtype} {found.shape}, expected {np.dtype(dtype)} with "
                f"{dimensions} axes: restore the dataset from a copy or import it again."
            )
        return found

    @property
    def name(self) -> str:
        return self.path.name

    @property
    def fingerprint(self) -> str:
        """Hex digest of all images' pixel hash, label, given part and groups, in any order."""
        return self.info["fingerprint"]

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) in pixels."""
        return tuple(self.info["size"])

    @cached_property
    def images(self) -> np.ndarray:
        """uint8, N×H×W×3, RGB, memory-mapped and read-only."""
        return self._array("images.npy", np.uint8, 4, "r")

    @cached_property
    def given_labels(self) -> np.ndarray:
        """int64, N: labels as imported, 0 to 7 or OTHER."""
        return self._array("labels.npy", np.int64, 1, None)

    @property
    def items(self) -> pd.DataFrame:
        """Columns index (int), name, hash, part ("" or one of PARTS), in index order, and as text
        what else is known of the cells. Shared: not to be changed."""
        return self._listed[0]

    def origin(self, column: str) -> np.ndarray:
        """str (object), N: what is known of each cell in a column of ``items.csv``, else ""."""
        if column not in self.items.columns:
            return np.full(len(self), "", object)
        return self.items[column].to_numpy(dtype=object)

    @property
    def origins(self) -> tuple[str, ...]:
        """Those of ORIGINS that are known of at least one cell."""
        there = [c for c in ORIGINS if c in self.items.columns]
        return tuple(c for c in there if (self.items[c] != "").any())

    @property
    def hashes(self) -> np.ndarray:
        """str, N: pixel hashes. Shared: not to be changed."""
        return self._listed[1]

    @cached_property
    def _listed(self) -> tuple[pd.DataFrame, np.ndarray]:
        path = self.path / "items.csv"
        try:
            stat = path.stat()
        except OSError as error:
            raise BadInput(
                f"{path} is missing ({error.strerror}): restore the dataset from a copy or import "
                "it again."
            ) from error
        return _list_items(path, len(self), stat.st_mtime_ns, stat.st_ino)

    @cached_property
    def curation(self) -> Curation:
        return Curation(self.path / "curation.json", len(self))

    @property
    def labels(self) -> np.ndarray:
        """int64, N: labels after the curation's relabelling, 0 to 7 or OTHER."""
        labels = self.given_labels.copy()
        for index, label in self.curation.relabelled().items():
            labels[index] = label
        return labels

    @property
    def kept(self) -> np.ndarray:
        """bool, N: False where the curation excludes the image."""
        kept = np.ones(len(self), bool)
        kept[self.curation.excluded()] = False
        return kept

    def __len__(self) -> int:
        return len(self.given_labels)

    def counts(self) -> dict[str, int]:
        """Images of each class that are not excluded; and of ``other``, where there are any."""
        labels = self.labels[self.kept]
        found = np.bincount(labels[labels != OTHER], minlength=len(CLASS_NAMES))
        counts = {name: int(n) for name, n in zip(CLASS_NAMES, found, strict=True)}
        others = int((labels == OTHER).sum())
        return {**counts, OTHER_CLASS.name: others} if others else counts


class DatasetWriter:
    """Takes images one by one and writes them through: memory does not grow with the data."""

    def __init__(self, folder: Path, size: tuple[int, int], columns: Sequence[str] = ()):
        self._folder = folder
        self._columns = tuple(columns)
        self._shape = (*size, 3)
        self._labels: list[int] = []
        self._items = (folder / "items.csv").open("w", newline="", encoding="utf-8")
        self._rows = csv.writer(self._items)
        self._rows.writerow([*_ALWAYS, *self._columns])
        self._images = (folder / "images.npy").open("wb")
        self._images.write(self._header(0))
        self._identities: list[bytes] = []
        # What is decided from the beginning, as in ``curation.json``.
        self.decisions: dict[str, dict[str, Any]] = {}

    def _header(self, n: int) -> bytes:
        # numpy pads the header so that it keeps its length when the first axis grows.
        buffer = io.BytesIO()
        header = {"descr": "|u1", "fortran_order": False, "shape": (n, *self._shape)}
        np.lib.format.write_array_header_1_0(buffer, header)
        return buffer.getvalue()

    def __len__(self) -> int:
        return len(self._labels)

    def add(
        self,
        image: np.ndarray,
        label: int,
        name: str,
        part: str = "",
        origin: Mapping[str, str] | None = None,
    ) -> str:
        """Append one image; returns its pixel hash.

        Args:
            image: uint8, H×W×3, RGB, of the dataset's size.
            label: 0 to 7, or OTHER.
            name: where it came from, as a person would look for it.
            part: "" or one of PARTS if the source says so.
            origin: what else is known of it, by the columns that the dataset was begun with.
        """
        if image.shape != self._shape or image.dtype != np.uint8:
            raise ValueError(f"{name}: {image.dtype} {image.shape}, expected uint8 {self._shape}")
        digest = pixel_hash(image)
        known = origin or {}
        more = [known.get(c, "") for c in self._columns]
        self._rows.writerow([len(self._labels), name, digest, part, *more])
        self._labels.append(int(label))
        self._identities.append(identity_line(digest, int(label), part, known))
        self._images.write(np.ascontiguousarray(image))
        return digest

    def finish(self, source: str, crop: str, extra: dict[str, Any]) -> None:
        self._images.seek(0)
        self._images.write(self._header(len(self)))
        write_array(self._folder / "labels.npy", np.asarray(self._labels, np.int64))
        fingerprint = _fingerprint(self._identities)
        write_json(
            self._folder / "dataset.json",
            {
                "format_version": FORMAT_VERSION,
                "classes": list(CLASS_NAMES),
                "n": len(self),
                "size": list(self._shape[:2]),
                "source": source,
                "crop": crop,
                "fingerprint": fingerprint,
                "created": datetime.now(UTC).isoformat(timespec="seconds"),
                **extra,
            },
        )
        write_json(self._folder / "curation.json", self.decisions)

    def close(self) -> None:
        self._images.close()
        self._items.close()


@contextmanager
def new_dataset(
    workspace: Workspace,
    name: str,
    size: tuple[int, int],
    source: str,
    crop: str,
    extra: dict[str, Any] | None = None,
    columns: Sequence[str] = (),
) -> Iterator[DatasetWriter]:
    """Write a new dataset; it appears in the workspace whole, or not at all.

    Args:
        size: (height, width) of every image.
        source: what it was made from, for ``dataset.json``.
        crop: how images were cropped and resized, for ``dataset.json``.
        extra: further JSON keys for ``dataset.json``; may be filled until the block ends.
        columns: of ``items.csv`` beside the usual ones: ORIGINS and what else the source says.

    Raises:
        BadInput: the name is unusable, or no image was added.
        NameTaken: there is a dataset of that name.
        NoSpace: the disk is full.
    """
    path = workspace.new("datasets", name)
    with new_folder(path) as folder:
        writer = DatasetWriter(folder, size, columns)
        try:
            yield writer
            if not len(writer):
                raise BadInput(f"{source} holds no image: expected at least one of each class.")
            writer.finish(source, crop, json.loads(json.dumps(extra or {})))
        finally:
            writer.close()


def write_items(folder: Path, items: pd.DataFrame) -> None:
    """Replace ``items.csv`` of a dataset; only what its fingerprint does not cover may differ."""
    write_text(folder / "items.csv", items.to_csv(index=False), folder)


def open_dataset(workspace: Workspace, name_or_path: str) -> Dataset:
    """Open a dataset by its name in the workspace or by its path.

    Raises:
        NotFound: there is none.
        BadInput: the folder is not a dataset of this version.
    """
    path = workspace.find("datasets", name_or_path)
    if not (path / "dataset.json").is_file():
        raise BadInput(
            f"{path} is not a dataset (it has no dataset.json): "
            f"bring it in first with `python -m bloodcell import {path} --name NAME`."
        )
    return Dataset(path)
