"""Recall and precision of the audit, kind by kind, on faults planted in a copy of a dataset.

    python -m benchmarks.audit [DATASET] [--home DIR] [--ensemble E] [--images N] [--seed 0]
                               [--cleanvision] [--json FILE]

DATASET is a name in the workspace, or a .zip, .npz or folder to bring in; ``drawn`` (the default)
draws one. It is copied into a temporary workspace, and faults are planted in the copy: 100
bit-identical copies of one cell blended with a piece of a photograph, under random labels; 50
cells each blended (35 to 65 %) with another piece of one of scikit-learn's two photographs; 150
labels changed; 60 near copies (JPEG of quality 60 to 90, shifted by a pixel, mirrored or turned).

With --cleanvision, cleanvision (``pip install cleanvision``) looks at the same images.

What the same audit finds before anything is planted is listed as "before": a dataset has
faults of its own, and a finding there is not known to be wrong. Precision is given both ways.
"""

import argparse
import io
import json
import resource
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
from PIL import Image
from sklearn.datasets import load_sample_images

from benchmarks.audit_cleanvision import Beside, by_cleanvision
from bloodcell.audit import Audit, audit
from bloodcell.classes import CLASS_NAMES
from bloodcell.data.readers.source import import_source
from bloodcell.data.store.dataset import Dataset, new_dataset, open_dataset
from bloodcell.data.synthetic.demo import make_demo
from bloodcell.ensemble.ensemble import Ensemble, open_ensemble
from bloodcell.progress import to_stderr
from bloodcell.workspace import Workspace, open_workspace

__all__ = ["Found", "Planted", "compare", "main", "plant", "table"]


@dataclass(frozen=True)
class Planted:
    """Indices of the planted faults.

    Attributes:
        repeated: bit-identical copies of one foreign picture.
        foreign: different foreign pictures.
        flipped: images with a changed label.
        near: near copies. originals: of each of them. ways: how each was made.
    """

    repeated: list[int]
    foreign: list[int]
    flipped: list[int]
    near: list[int]
    originals: list[int]
    ways: list[str]


@dataclass(frozen=True)
class Found:
    """A row of the table.

    Attributes:
        kind: of finding. planted: how many there are. found: how many of them were found.
        listed: findings of the kind in all. known: those of them that were there before.
    """

    kind: str
    planted: int
    found: int
    listed: int
    known: int

    @property
    def recall(self) -> float:
        return self.found / self.planted

    @property
    def precision(self) -> float:
        """Share of planted ones among what is listed."""
        return self.found / self.listed if self.listed else float("nan")

    @property
    def precision_on_top(self) -> float:
        """The same, without what was listed before anything was planted."""
        new = self.listed - self.known
        return self.found / new if new else float("nan")


def _piece(rng: np.random.Generator, size: int) -> np.ndarray:
    """uint8, size×size×3: a square cut from one of two real photographs of no cells."""
    photograph = load_sample_images().images[int(rng.integers(2))]
    height, width = photograph.shape[:2]
    side = int(rng.integers(size, min(height, width) + 1))
    y, x = int(rng.integers(height - side + 1)), int(rng.integers(width - side + 1))
    cut = np.ascontiguousarray(photograph[y : y + side, x : x + side])
    return cv2.resize(cut, (size, size), interpolation=cv2.INTER_AREA)


def _near_copy(rng: np.random.Generator, image: np.ndarray, way: str) -> np.ndarray:
    if way == "re-encoded":
        buffer = io.BytesIO()
        Image.fromarray(image).save(buffer, "JPEG", quality=int(rng.integers(60, 91)))
        return np.asarray(Image.open(buffer))
    if way == "shifted":
        y, x = ((0, 1), (1, 0), (2, 1), (1, 2))[int(rng.integers(4))]
        size = len(image)
        return np.pad(image, ((1, 1), (1, 1), (0, 0)), "edge")[y : y + size, x : x + size]
    return np.rot90(image[:, ::-1], int(rng.integers(4)))


def plant(
    workspace: Workspace,
    source: Dataset,
    name: str,
    *,
    seed: int = 0,
    repeated: int = 100,
    foreign: int = 50,
    flipped: int = 150,
    near: int = 60,
) -> tuple[Dataset, Planted]:
    """Copy the images in use of `source` to a new dataset, and plant faults in it."""
    rng = np.random.default_rng(seed)
    rows = np.flatnonzero(source.kept)
    labels, names = source.labels[rows], source.items["name"].to_numpy()[rows]
    size = source.size[0]
    chosen = rng.permutation(len(rows))[: flipped + near]
    wrong, originals = chosen[:flipped], chosen[flipped:]
    labels[wrong] = (labels[wrong] + rng.integers(1, len(CLASS_NAMES), len(wrong))) % len(
        CLASS_NAMES
    )
    ways = [("re-encoded", "shifted", "mirrored")[i % 3] for i in range(near)]

    def blended() -> np.ndarray:
        share = rng.uniform(0.35, 0.65)
        cell = source.images[rows[int(rng.integers(len(rows)))]].astype(np.float64)
        return np.rint((1 - share) * cell + share * _piece(rng, size)).astype(np.uint8)

    with new_dataset(workspace, name, source.size, f"{source.name} with faults", "none") as writer:
        for row, label, original in zip(rows, labels, names, strict=True):
            writer.add(source.images[row], label, original)
        joke, first = blended(), len(writer)
        for i in range(repeated):
            writer.add(joke, int(rng.integers(len(CLASS_NAMES))), f"repeated_{i}")
        for i in range(foreign):
            writer.add(blended(), int(rng.integers(len(CLASS_NAMES))), f"foreign_{i}")
        for way, original in zip(ways, originals, strict=True):
            image = np.array(source.images[rows[original]])
            copy = np.ascontiguousarray(_near_copy(rng, image, way))
            writer.add(copy, int(labels[original]), f"{way}_{original}")
    begin = np.cumsum([first, repeated, foreign, near])
    places = [list(range(a, b)) for a, b in pairwise(begin)]
    planted = Planted(*places[:2], wrong.tolist(), places[2], originals.tolist(), ways)
    return open_dataset(workspace, name), planted


def compare(planted: Planted, found: Audit, before: Audit | None = None) -> list[Found]:
    """Hold an audit against what was planted.

    Args:
        before: the audit of the same images with nothing planted in them.
    """

    def listed(judged: Audit | None, *kinds: str) -> set[int]:
        return {f.index for f in judged.findings if f.kind in kinds} if judged else set()

    copied = ("exact_duplicate", "conflicting_label")
    rows = []
    for kind, kinds, targets, others in (
        ("exact copies", copied, planted.repeated, []),
        ("foreign pictures", ("outlier",), planted.foreign, planted.repeated),
        ("changed labels", ("suspect_label",), planted.flipped, []),
        ("near copies", ("near_duplicate",), planted.near, planted.originals),
    ):
        # Originals of copies, and the repeated picture as a foreign one, are rightly listed.
        here = listed(found, *kinds) - set(others)
        known = (here & listed(before, *kinds)) - set(targets)
        rows.append(Found(kind, len(targets), len(here & set(targets)), len(here), len(known)))
    return rows


def _suggested(planted: Planted, found: Audit) -> str:
    """How right the suggestions to exclude outliers are."""
    gone = {f.index for f in found.findings if f.kind == "outlier" and f.suggested == "exclude"}
    foreign, joke = gone & set(planted.foreign), gone & set(planted.repeated)
    others = len(gone - set(planted.foreign) - set(planted.repeated))
    return (
        f"outliers suggested to exclude: {len(foreign)} of {len(planted.foreign)} foreign, "
        f"{len(joke)} of {len(planted.repeated)} repeated, {others} others"
    )


def _beside(planted: Planted, found: Audit, theirs: Beside, seconds: tuple[float, float]) -> str:
    """A line for each kind of fault: found here, found by cleanvision, listed by either."""

    def ours(*kinds: str) -> set[int]:
        return {f.index for f in found.findings if f.kind in kinds}

    copies = theirs.issues.get("exact_duplicates", set())
    near = theirs.issues.get("near_duplicates", set())
    rows = (
        ("exact copies", planted.repeated, ours("exact_duplicate", "conflicting_label"), copies),
        ("foreign pictures", planted.foreign, ours("outlier"), theirs.odd),
        ("changed labels", planted.flipped, ours("suspect_label"), set()),
        ("near copies", planted.near, ours("near_duplicate"), near),
    )
    lines = [f"{'kind':18}{'planted':>8}{'here':>8}{'listed':>8}{'cleanvision':>13}{'listed':>8}"]
    for kind, there, a, b in rows:
        mine, other = len(a & set(there)), len(b & set(there))
        lines.append(f"{kind:18}{len(there):8}{mine:8}{len(a):8}{other:13}{len(b):8}")
    kinds = ", ".join(f"{len(rows):,} {kind}" for kind, rows in theirs.issues.items() if rows)
    lines.append(f"cleanvision lists: {kinds}")
    clock, processor = seconds[0] / theirs.seconds, seconds[1] / theirs.processor_seconds
    lines.append(
        f"time of the audit / time of cleanvision: {clock:.2f} by the clock, {processor:.2f} of "
        "processor time"
    )
    return "\n".join(lines)


def table(rows: Sequence[Found], n: int) -> str:
    """Recall and precision of each kind as text, a line each; n: images in all."""
    head = f"{'kind':18}{'planted':>8}{'recall':>8}{'listed':>8}{'before':>8}"
    head += f"{'precision':>11}{'on top':>8}{'false alarms':>14}"
    lines = [head]
    for r in rows:
        alarms = (r.listed - r.found) / n
        lines.append(
            f"{r.kind:18}{r.planted:8}{r.recall:8.1%}{r.listed:8}{r.known:8}"
            f"{r.precision:11.1%}{r.precision_on_top:8.1%}{alarms:14.2%}"
        )
    return "\n".join(lines)


def _measure(dataset: Dataset, ensemble: Ensemble | None) -> tuple[Audit, float, float]:
    """The audit, its seconds by the clock and its seconds of processor time."""
    clock, processor = time.perf_counter(), time.process_time()
    found = audit(dataset, ensemble=ensemble, progress=to_stderr())
    return found, time.perf_counter() - clock, time.process_time() - processor


def _peak_mib() -> float:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)


def _source(workspace: Workspace, there: Workspace, name: str, images: int | None) -> Dataset:
    if name == "drawn":
        return make_demo(there, "drawn", per_class=(images or 2000) // len(CLASS_NAMES))
    if name in workspace.names("datasets") or (Path(name) / "dataset.json").is_file():
        dataset = open_dataset(workspace, name)
    else:
        dataset = import_source(there, name, "brought-in", progress=to_stderr())
    if images is None or images >= len(dataset):
        return dataset
    rows = np.sort(np.random.default_rng(0).permutation(np.flatnonzero(dataset.kept))[:images])
    names = dataset.items["name"].to_numpy()
    with new_dataset(there, "part", dataset.size, f"{images} of {name}", "none") as writer:
        for row in rows:
            writer.add(dataset.images[row], int(dataset.labels[row]), names[row])
    return open_dataset(there, "part")


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.audit", description=__doc__)
    parser.add_argument("dataset", nargs="?", default="drawn")
    parser.add_argument("--home", help="workspace; default as for the command line")
    parser.add_argument("--ensemble", help="default: features of no trained model")
    parser.add_argument("--images", type=int, help="take only so many of them")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--cleanvision", action="store_true", help="let it look at them too")
    parser.add_argument("--json", type=Path, help="write the table to this file too")
    options = parser.parse_args(arguments)
    workspace = open_workspace(options.home)
    ensemble = open_ensemble(workspace, options.ensemble) if options.ensemble else None
    with tempfile.TemporaryDirectory() as folder:
        there = Workspace(Path(folder))
        source = _source(workspace, there, options.dataset, options.images)
        # A copy with nothing planted has the images in the same order as the one with faults.
        sound, _ = plant(there, source, "sound", repeated=0, foreign=0, flipped=0, near=0)
        faulty, planted = plant(there, source, "faulty", seed=options.seed)
        before, _, _ = _measure(sound, ensemble)
        found, clock, processor = _measure(faulty, ensemble)
        peak = _peak_mib()
        theirs = by_cleanvision(faulty, there.home / "png") if options.cleanvision else None
    rows = compare(planted, found, before)
    print(f"{source.name}: {found.n:,} images, features of {found.source}")
    print(table(rows, found.n))
    print(f"{clock:.0f} s by the clock, {processor:.0f} s of processor time, peak {peak:.0f} MiB")
    print(_suggested(planted, found))
    if theirs is not None:
        print(_beside(planted, found, theirs, (clock, processor)))
    for note in found.notes:
        print(note)
    if options.json:
        result = [{"kind": r.kind, "recall": r.recall, "precision": r.precision} for r in rows]
        options.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
