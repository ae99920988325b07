"""A dataset of drawn cells: everything can be tried, and every audit judged, without a photograph.

python -m bloodcell demo --name demo
"""

from dataclasses import asdict, dataclass, fields

import numpy as np

from bloodcell.classes import CLASS_NAMES
from bloodcell.data.store.dataset import Dataset, DatasetWriter, new_dataset, open_dataset
from bloodcell.data.synthetic.drawing.draw import draw_cell, draw_foreign
from bloodcell.errors import BadInput
from bloodcell.progress import Progress, silent
from bloodcell.workspace import Workspace

__all__ = ["Faults", "make_demo"]

SIZES = (28, 224)
REPORT_EVERY = 32


@dataclass(frozen=True)
class Faults:
    """How many images of each kind of fault to plant behind the sound ones.

    Attributes:
        copies: exact copies of a sound image under the same label.
        conflicting: exact copies of a sound image under another label.
        repeated: bit-identical copies of one foreign picture under random labels.
        foreign: different foreign pictures under random labels.
        wrong_labels: freshly drawn cells under the label of another class.
    """

    copies: int = 0
    conflicting: int = 0
    repeated: int = 0
    foreign: int = 0
    wrong_labels: int = 0

    def __post_init__(self) -> None:
        for field in fields(self):
            n = getattr(self, field.name)
            if n < 0:
                raise BadInput(
                    f"Faults has {field.name}={n}, expected 0 or more: give the number of "
                    "faulty images to plant."
                )

    @property
    def total(self) -> int:
        """Number of images that are appended."""
        return sum(asdict(self).values())


def make_demo(
    workspace: Workspace,
    name: str,
    *,
    per_class: int = 60,
    size: int = 96,
    seed: int = 0,
    faults: Faults | None = None,
    progress: Progress = silent,
) -> Dataset:
    """Draw a dataset of the eight kinds of cell.

    Image i is of class i % 8 and depends on (seed, i, size) alone, so a larger dataset begins
    with the images of a smaller one. Faulty images are appended; ``dataset.json`` says under
    ``planted`` which indices they have, kind by kind. Beside it, in the same order,
    ``planted_originals`` gives the index each of the ``copies`` and ``conflicting`` was copied
    from, and ``planted_classes`` the class drawn in each of the ``wrong_labels``.

    Args:
        per_class: images of each class, at least 1.
        size: side in pixels, 28 to 224.
        seed: 0 or more.
        faults: what to plant; nothing if None.
        progress: told how many images are drawn; may raise Stopped.

    Raises:
        BadInput: a number is out of range, or the name is unusable.
        NameTaken: there is a dataset of that name.
        NoSpace: the disk is full.
        Stopped: by `progress`; nothing is left behind.
    """
    faults = faults or Faults()
    if per_class < 1:
        raise BadInput(f"per_class is {per_class}, expected at least 1: ask for more images.")
    if not SIZES[0] <= size <= SIZES[1]:
        raise BadInput(
            f"size is {size} pixels, expected {SIZES[0]} to {SIZES[1]}: choose one between."
        )
    if seed < 0:
        raise BadInput(f"seed is {seed}, expected 0 or more: choose another.")
    n = per_class * len(CLASS_NAMES)
    total = n + faults.total
    extra: dict[str, object] = {"seed": seed}
    source = f"drawn by bloodcell demo, seed {seed}"
    crop = f"none, drawn at {size}×{size} pixels"
    with new_dataset(workspace, name, (size, size), source, crop, extra) as writer:
        for index in range(n):
            if index % REPORT_EVERY == 0:
                progress(index, total, "drawing cells")
            _add(writer, _base_image(seed, index, size), index % len(CLASS_NAMES))
        extra |= _plant(writer, faults, n, size, seed, total, progress)
        progress(total, total, "drawing cells")
    return open_dataset(workspace, name)


def _base_image(seed: int, index: int, size: int) -> np.ndarray:
    return draw_cell(index % len(CLASS_NAMES), np.random.default_rng([seed, index]), size)


def _add(writer: DatasetWriter, image: np.ndarray, label: int) -> int:
    index = len(writer)
    writer.add(image, label, f"{CLASS_NAMES[label]}/drawn_{index:06d}.png")
    return index


def _plant(
    writer: DatasetWriter,
    faults: Faults,
    n: int,
    size: int,
    seed: int,
    total: int,
    progress: Progress,
) -> dict[str, object]:
    # A third number, never 0 (a trailing 0 gives the same stream), keeps faults off the cells'.
    rng = np.random.default_rng([seed, n, 1])
    classes = len(CLASS_NAMES)
    copied = rng.permutation(n)

    def any_label() -> int:
        return int(rng.integers(classes))

    def another_label(label: int) -> int:
        return (label + int(rng.integers(1, classes))) % classes

    planted: dict[str, list[int]] = {field.name: [] for field in fields(faults)}
    originals: dict[str, list[int]] = {"copies": [], "conflicting": []}
    drawn: list[int] = []

    def add(kind: str, image: np.ndarray, label: int) -> None:
        if len(writer) % REPORT_EVERY == 0:
            progress(len(writer), total, "drawing cells")
        planted[kind].append(_add(writer, image, label))

    for i in range(faults.copies + faults.conflicting):
        kind = "copies" if i < faults.copies else "conflicting"
        original = int(copied[i % n])
        label = original % classes
        originals[kind].append(original)
        image = _base_image(seed, original, size)
        add(kind, image, label if kind == "copies" else another_label(label))
    if faults.repeated:
        picture = draw_foreign(rng, size)
        for _ in range(faults.repeated):
            add("repeated", picture, any_label())
    for _ in range(faults.foreign):
        add("foreign", draw_foreign(rng, size), any_label())
    for _ in range(faults.wrong_labels):
        label = any_label()
        drawn.append(label)
        add("wrong_labels", draw_cell(label, rng, size), another_label(label))
    return {
        "planted": planted,
        "planted_originals": originals,
        "planted_classes": {"wrong_labels": drawn},
    }
