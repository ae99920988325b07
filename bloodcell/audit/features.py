"""Numbers for every image of a dataset, worked out once and kept beside it.

``DATASET/audit/`` holds ``statistics-….npy`` (no trained model), ``thumbnails-….npy`` and, for
each network used, ``features-….npy``, each with a checksum beside it. The names carry the
dataset's fingerprint and the version of the method or the checksum of the network, so nothing
stale is ever read. All images are in them, the excluded ones too: a decision does not make them
stale. The folder can be removed.
"""

import hashlib
import mmap
import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import cv2
import numpy as np

from bloodcell.audit.statistics import DESCRIPTOR_VERSION, QUALITIES, describe, quality
from bloodcell.data.imaging.resize import resized
from bloodcell.data.store.dataset import Dataset
from bloodcell.ensemble.ensemble import Ensemble
from bloodcell.errors import ReadOnly
from bloodcell.files import load_array, replacing, write_text
from bloodcell.progress import Progress, silent

__all__ = [
    "THUMBNAIL",
    "Features",
    "image_statistics",
    "in_threads",
    "model_features",
    "thumbnails",
]

BATCH = 64
# Batches after which what was read is let go.
RELEASE = 32
THUMBNAIL = 16
# The quickest first: any of them tells cells apart far better than it needs to here.
PREFERRED = ("mobilenetv2", "efficientnetb3", "resnet50")


@dataclass(frozen=True)
class Features:
    """Numbers for every image.

    Attributes:
        values: float16, N×C, memory-mapped.
        source: where they came from, in words.
    """

    values: np.ndarray
    source: str


def _release(array: np.ndarray) -> None:
    """Let go of the pages of a memory-mapped file that were read: memory stays bounded."""
    mapped = getattr(array, "_mmap", None)
    if mapped is not None and hasattr(mmap, "MADV_DONTNEED"):
        mapped.madvise(mmap.MADV_DONTNEED)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "blake2b").hexdigest()


def _worked_out(
    dataset: Dataset,
    name: str,
    width: int,
    dtype: type,
    work: Callable[[np.ndarray], np.ndarray],
    progress: Progress,
    what: str,
) -> np.ndarray:
    """The cached N×width array `name`, made batch by batch with `work` if it is not there."""
    path = dataset.path / "audit" / f"{name}-{dataset.fingerprint[:12]}.npy"
    checksum = path.with_suffix(".blake2b")
    with suppress(OSError, ValueError, EOFError):
        # A damaged one would change what the audit finds without a word: it is made again.
        if checksum.read_text(encoding="ascii") == _digest(path):
            found = load_array(path, "r")
            if found.shape == (len(dataset), width) and found.dtype == dtype:
                return found

    def fill(target: Path) -> None:
        kind = np.dtype(dtype)
        # Written, not mapped: where a mapped page finds the disk full, the process is killed.
        with target.open("wb") as file:
            shape = (len(dataset), width)
            about = {"descr": kind.str, "fortran_order": False, "shape": shape}
            np.lib.format.write_array_header_1_0(file, about)
            for start in range(0, len(dataset), BATCH):
                progress(start, len(dataset), what)
                if start % (BATCH * RELEASE) == 0:
                    _release(dataset.images)
                found = work(dataset.images[start : start + BATCH])
                file.write(np.ascontiguousarray(found, kind).data)
        progress(len(dataset), len(dataset), what)

    try:
        with replacing(path, dataset.path) as temporary:
            fill(temporary)
            digest = _digest(temporary)
        write_text(checksum, digest, dataset.path)
    except ReadOnly:
        # A dataset that may only be read is audited all the same. The file goes with the
        # folder, its content with the last reference to the array.
        with TemporaryDirectory() as folder:
            fill(Path(folder) / path.name)
            return np.load(Path(folder) / path.name, mmap_mode="r", allow_pickle=False)
    return np.load(path, mmap_mode="r", allow_pickle=False)


def in_threads(
    work: Callable[[np.ndarray], np.ndarray], images: Iterable[np.ndarray]
) -> list[np.ndarray]:
    """`work` of each image, in as many threads as there are cores."""
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        return list(pool.map(work, images))


def image_statistics(dataset: Dataset, progress: Progress = silent) -> tuple[Features, np.ndarray]:
    """Descriptors that need no trained model, and the qualities of each image.

    Returns:
        Features, and float16, N×5: QUALITIES.
    """

    def one(image: np.ndarray) -> np.ndarray:
        return np.concatenate([quality(image), describe(image)])

    found = _worked_out(
        dataset,
        f"statistics-v{DESCRIPTOR_VERSION}",
        len(one(dataset.images[0])),
        np.float16,
        lambda images: np.stack(in_threads(one, images)),
        progress,
        "image statistics",
    )
    split = len(QUALITIES)
    return Features(found[:, split:], "image statistics, no trained model"), found[:, :split]


def thumbnails(dataset: Dataset, progress: Progress = silent) -> np.ndarray:
    """uint8, N×(THUMBNAIL²·3), memory-mapped: every image averaged down to THUMBNAIL pixels."""

    def small(image: np.ndarray) -> np.ndarray:
        size = (THUMBNAIL, THUMBNAIL)
        return cv2.resize(np.ascontiguousarray(image), size, interpolation=cv2.INTER_AREA).ravel()

    return _worked_out(
        dataset,
        f"thumbnails-{THUMBNAIL}",
        3 * THUMBNAIL**2,
        np.uint8,
        lambda images: np.stack([small(image) for image in images]),
        progress,
        "thumbnails",
    )


def model_features(dataset: Dataset, ensemble: Ensemble, progress: Progress = silent) -> Features:
    """The pooled features of the ensemble's quickest member.

    Raises:
        Stopped: by `progress`; nothing is left behind.
    """
    members = ensemble.description.members
    order = [
        PREFERRED.index(m.backbone) if m.backbone in PREFERRED else len(PREFERRED) for m in members
    ]
    chosen = int(np.argmin(order))
    model = ensemble.models[chosen]

    def work(images: np.ndarray) -> np.ndarray:
        return model(resized(images, model.size)).features

    checksum = ensemble.description.files[members[chosen].file]
    values = _worked_out(
        dataset,
        f"features-{checksum[:12]}",
        work(dataset.images[:1]).shape[1],
        np.float16,
        work,
        progress,
        "features",
    )
    return Features(values, f"{members[chosen].name} of the ensemble {ensemble.name}")
