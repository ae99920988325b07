"""The two engines side by side: what they make of the same cells, and how fast they are now.

Run as a program, ``python -m bloodcell.augment.comparison FOLDER``, it measures in a process of
its own, so that TensorFlow stays out of the one that asks.
"""

import json
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from bloodcell.augment.apply import ENGINES, augmenter
from bloodcell.augment.keras_cv_engine import refuse_missing
from bloodcell.augment.policy import Policy, policy_from_json, policy_to_json
from bloodcell.errors import BadInput
from bloodcell.progress import Progress, silent

__all__ = ["EngineResult", "compare_engines", "run_engines"]

BATCH = 32
ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class EngineResult:
    """What one engine made of cells, and its speed.

    Attributes:
        engine: one of `ENGINES`.
        images, labels: as `bloodcell.augment.apply` returns them.
        per_second: images a second by the clock, of the median batch of 32.
        processor_ms: milliseconds of processor time an image, of all cores together; median, too.
        counted: images over which both were measured; the first batch is not among them.
        first_s: seconds that the first batch took, with which keras-cv is imported and traced.
    """

    engine: str
    images: np.ndarray
    labels: np.ndarray
    per_second: float
    processor_ms: float
    counted: int
    first_s: float


def run_engines(
    policy: Policy,
    engines: Sequence[str],
    images: np.ndarray,
    labels: np.ndarray,
    seed: int = 0,
    seconds: float = 1.0,
) -> list[EngineResult]:
    """Augment a batch by each engine, then measure on batches of 32 of the same images.

    The engines take turns, and the median of their batches counts: what else the machine does
    then disturbs them alike.

    Args:
        images: uint8, B×H×W×3. labels: float32, B×K.
        seconds: how long to measure, for each; at least one batch is made.

    Raises:
        BadInput: an engine lacks a step, or is not installed.
    """
    chosen = np.resize(np.arange(len(images)), BATCH)
    batch, targets = images[chosen], labels[chosen]
    augments, made, first_s = [], [], []
    for engine in engines:
        began = time.perf_counter()
        augments.append(augmenter(policy, engine))
        made.append(augments[-1](images, labels, np.random.default_rng(seed)))
        first_s.append(time.perf_counter() - began)
        augments[-1](batch, targets, np.random.default_rng(seed))
    rng, end = np.random.default_rng(seed), time.perf_counter() + seconds * len(engines)
    spent: list[list[tuple[float, float]]] = [[] for _ in engines]
    while not spent[0] or time.perf_counter() < end:
        for augment, times in zip(augments, spent, strict=True):
            began, worked = time.perf_counter(), time.process_time()
            augment(batch, targets, rng)
            times.append((time.perf_counter() - began, time.process_time() - worked))
    return [
        EngineResult(
            engine, *made[i], BATCH / clock, 1000 * processor / BATCH, BATCH * len(spent[i]), took
        )
        for i, (engine, took) in enumerate(zip(engines, first_s, strict=True))
        for clock, processor in [np.median(spent[i], axis=0).tolist()]
    ]


def compare_engines(
    policy: Policy,
    images: np.ndarray,
    labels: np.ndarray,
    seed: int = 0,
    seconds: float = 3.0,
    progress: Progress = silent,
) -> list[EngineResult]:
    """Both engines in one process that is not this one.

    Args: as for `run_engines`; `progress` is called while it takes, and may stop it by raising.

    Raises:
        BadInput: keras-cv lacks a step or cannot be used here.
    """
    refuse_missing(policy)
    with TemporaryDirectory(prefix="bloodcell-") as name:
        folder = Path(name)
        asked = {"policy": policy_to_json(policy), "seed": seed, "seconds": seconds}
        (folder / "asked.json").write_text(json.dumps(asked), "utf-8")
        np.savez(folder / "cells.npz", images=images, labels=labels)
        code = _run(folder, progress)
        if code:
            lines = (folder / "log.txt").read_text("utf-8", "replace").strip().splitlines()
            reason = lines[-1][:300] if lines else f"exit code {code}"
            raise BadInput(f"The engines could not be compared ({reason}): try again.")
        refusal = folder / "refusal.txt"
        if refusal.exists():
            raise BadInput(refusal.read_text("utf-8"))
        numbers = json.loads((folder / "measured.json").read_text("utf-8"))
        with np.load(folder / "made.npz") as made:
            return [
                EngineResult(e, made[f"{e} images"], made[f"{e} labels"], **numbers[e])
                for e in ENGINES
            ]


def _run(folder: Path, progress: Progress) -> int:
    with (folder / "log.txt").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "bloodcell.augment.comparison", str(folder)],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    try:
        while process.poll() is None:
            progress(0, 1, "loading and tracing keras-cv")
            with suppress(subprocess.TimeoutExpired):
                process.wait(0.2)
    except BaseException:
        process.terminate()
        process.wait()
        raise
    return process.returncode


def _answer(folder: Path) -> None:
    import cv2

    cv2.setNumThreads(1)
    asked = json.loads((folder / "asked.json").read_text("utf-8"))
    policy = policy_from_json(asked["policy"], "policy")
    with np.load(folder / "cells.npz") as cells:
        images, labels = cells["images"], cells["labels"]
    try:
        found = run_engines(policy, ENGINES, images, labels, asked["seed"], asked["seconds"])
    except BadInput as error:
        (folder / "refusal.txt").write_text(str(error), "utf-8")
        return
    arrays = {f"{r.engine} images": r.images for r in found}
    arrays |= {f"{r.engine} labels": r.labels for r in found}
    np.savez(folder / "made.npz", **arrays)
    keys = ("per_second", "processor_ms", "counted", "first_s")
    numbers = {r.engine: {key: getattr(r, key) for key in keys} for r in found}
    (folder / "measured.json").write_text(json.dumps(numbers), "utf-8")


if __name__ == "__main__":
    _answer(Path(sys.argv[1]))
