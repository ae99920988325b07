"""Small drawn images and the sources made of them, for the tests of the readers."""

import io
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from PIL import Image

from bloodcell.workspace import Workspace

# Builders take the folder in which to make the source, and return its path.
Builder = Callable[[Path], Path]


def pixels(seed: int, height: int = 12, width: int | None = None, channels: int = 3) -> np.ndarray:
    """uint8, height×width×channels of noise; another one for each seed."""
    shape = (height, width or height, channels)
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def encoded(image: np.ndarray | Image.Image, format: str = "PNG", **options) -> bytes:
    buffer = io.BytesIO()
    picture = Image.fromarray(image) if isinstance(image, np.ndarray) else image
    picture.save(buffer, format, **options)
    return buffer.getvalue()


def two_each(*classes: str, size: int = 12) -> dict[str, bytes]:
    """Path → PNG: two images in a folder for each class."""
    return {
        f"{name}/{name[:2]}_{i}.png": encoded(pixels(10 * k + i, size))
        for k, name in enumerate(classes)
        for i in range(2)
    }


def write_folder(root: Path, files: Mapping[str, bytes]) -> Path:
    for name, data in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return root


def write_zip(path: Path, files: Mapping[str, bytes], compression=zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path


def write_npz(path: Path, **arrays: np.ndarray) -> Path:
    with path.open("wb") as file:  # given a name, numpy would add a suffix
        np.savez(file, **arrays)
    return path


def left_in(workspace: Workspace) -> list[str]:
    """Everything under the workspace's datasets, hidden files too."""
    return sorted(str(p.relative_to(workspace.home)) for p in workspace.datasets.rglob("*"))


GOOD = np.stack([pixels(k) for k in range(4)])
LABELS = np.array([0, 0, 5, 5])


def npz(**arrays: np.ndarray) -> Builder:
    return lambda folder: write_npz(folder / "source.npz", **arrays)


def arrays(images: np.ndarray = GOOD, labels: np.ndarray = LABELS) -> Builder:
    return npz(images=images, labels=labels)


def raw_npz(**members: bytes) -> Builder:
    return lambda folder: write_zip(
        folder / "source.npz", {f"{key}.npy": data for key, data in members.items()}
    )


def npy_bytes(array: np.ndarray, *, header: bytes | None = None) -> bytes:
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, array)
    data = buffer.getvalue()
    if header is None:
        return data
    end = 10 + int.from_bytes(data[8:10], "little")
    return data[:8] + len(header).to_bytes(2, "little") + header + data[end:]


def file(data: bytes, name: str = "source.npz") -> Builder:
    def build(folder):
        (folder / name).write_bytes(data)
        return folder / name

    return build


def folder(files: Mapping[str, bytes]) -> Builder:
    return lambda at: write_folder(at / "source", files)


def packed(files: Mapping[str, bytes]) -> Builder:
    return lambda at: write_zip(at / "source.zip", files)
