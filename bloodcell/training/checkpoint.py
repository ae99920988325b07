"""The full state of a training on disk: written whole, read back exactly.

``state.npz`` holds every variable (weights, optimizer, moving average, random generators) and
a JSON text with the rest (epoch, batch, history, patience). The one before it is kept as
``previous.npz``: a file that a failing disk cut short is noticed by its checksums and the
older one is used. ``best-EPOCH.npz`` holds the weights of the best epoch.
"""

import json
import os
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from bloodcell.errors import BadInput
from bloodcell.files import replacing

__all__ = ["best_epoch", "load_arrays", "load_state", "save_arrays", "save_state"]

META = "meta"


def _key(i: int) -> str:
    return f"a{i:05d}"


def save_arrays(path: Path, arrays: list[np.ndarray], meta: dict[str, Any]) -> None:
    """Write arrays and a JSON-able `meta` to one file, whole or not at all."""
    named = {_key(i): a for i, a in enumerate(arrays)}
    named[META] = np.frombuffer(json.dumps(meta).encode(), np.uint8)
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.savez(file, **named)
        file.flush()
        os.fsync(file.fileno())


def load_arrays(path: Path) -> tuple[list[np.ndarray], dict[str, Any]]:
    """Read what :func:`save_arrays` wrote.

    Raises:
        BadInput: the file is damaged.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            meta = json.loads(file[META].tobytes())
            return [file[_key(i)] for i in range(len(file.files) - 1)], meta
    # A flipped bit in a header makes zipfile and numpy raise almost anything.
    except (
        OSError,
        ValueError,
        KeyError,
        EOFError,
        RuntimeError,
        MemoryError,
        zipfile.BadZipFile,
        zlib.error,
    ) as error:
        what = "damaged" if path.exists() else "missing"
        raise BadInput(
            f"{path} is {what} ({error}): restore it from a copy, or start a new run."
        ) from error


def best_epoch(folder: Path) -> Path | None:
    """The weights of the best epoch so far, ``best-EPOCH.npz``; None if there are none."""
    found = folder.glob("best-*.npz")
    return max(found, key=lambda p: int(p.stem.removeprefix("best-")), default=None)


def save_state(folder: Path, arrays: list[np.ndarray], meta: dict[str, Any]) -> None:
    """Write the state of a training, keeping the one before it."""
    state, previous = folder / "state.npz", folder / "previous.npz"
    fresh = folder / "next.npz"
    save_arrays(fresh, arrays, meta)
    if state.exists():
        os.replace(state, previous)
    os.replace(fresh, state)


def load_state(folder: Path) -> tuple[list[np.ndarray], dict[str, Any]] | None:
    """The newest undamaged state, or None where there is none at all.

    Raises:
        BadInput: there are states, and each of them is damaged.
    """
    # A process killed between the two renames of save_state leaves only next and previous.
    names = ("next.npz", "state.npz", "previous.npz")
    found = [folder / name for name in names if (folder / name).exists()]
    newest, error = None, None
    for path in found:
        try:
            arrays, meta = load_arrays(path)
        except BadInput as damaged:
            error = damaged
            continue
        if newest is None or _age(meta) > _age(newest[1]):
            newest = arrays, meta
    if newest is None and error is not None:
        raise error
    return newest


def _age(meta: dict[str, Any]) -> tuple[int, int]:
    return meta["epoch"], meta["batch"]
