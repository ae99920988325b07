"""Images to try the Classify page with when no photograph is at hand."""

import numpy as np

from bloodcell.classes import CLASS_NAMES, CLASSES
from bloodcell.data.split import SplitRule
from bloodcell.data.store.dataset import Dataset
from bloodcell.data.synthetic.drawing.draw import draw_cell, draw_foreign
from bloodcell.ensemble.ensemble import Ensemble
from bloodcell.errors import BadInput
from bloodcell.ui.common.gallery import png_bytes

__all__ = ["Samples", "drawn_cells", "unseen_cells"]

Samples = tuple[list[tuple[str, bytes]], list[int | None]]


def drawn_cells(seed: int, size: int = 96) -> Samples:
    """A drawn cell of each class and a picture that is no cell, as PNG files with their classes."""
    files, truths = [], []
    for cell in CLASSES:
        image = draw_cell(cell.id, np.random.default_rng([seed, cell.id]), size)
        files.append((f"drawn-{cell.name}.png", png_bytes(image)))
        truths.append(cell.id)
    foreign = draw_foreign(np.random.default_rng([seed, len(CLASSES)]), size)
    files.append(("drawn-no-cell.png", png_bytes(foreign)))
    return files, [*truths, None]


def unseen_cells(dataset: Dataset, ensemble: Ensemble, seed: int) -> Samples:
    """A photograph of each class from the test part, none that a member has seen.

    Raises:
        BadInput: there is none.
    """
    rule = SplitRule.of(ensemble.description.trained_on)
    split = rule.fitting(dataset).split(dataset)
    test = split.indices("test")
    test = test[~np.isin(dataset.hashes[test], ensemble.seen())]
    labels, names = dataset.labels, dataset.items["name"]
    rng = np.random.default_rng(seed)
    files, truths = [], []
    for label in range(len(CLASS_NAMES)):
        of_class = test[labels[test] == label]
        if len(of_class):
            index = int(rng.choice(of_class))
            name = str(names.iloc[index]).rsplit("/", 1)[-1].rsplit(".", 1)[0]
            files.append((f"{name}.png", png_bytes(dataset.images[index])))
            truths.append(label)
    if not files:
        raise BadInput(
            f"No test image of {dataset.name} is left that ensemble {ensemble.name} has not "
            "seen: choose another dataset in the sidebar, or drop photographs of your own."
        )
    return files, truths
