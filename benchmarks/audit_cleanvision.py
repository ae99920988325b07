"""What cleanvision finds among the same images, for `python -m benchmarks.audit --cleanvision`.

cleanvision (``pip install cleanvision``) looks for copies, near copies (perceptual hashes) and
pictures that are dark, light, blurred, grey or of low information; it knows no labels.
"""

import time
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from PIL import Image

from bloodcell.data.store.dataset import Dataset
from bloodcell.errors import BadInput

__all__ = ["Beside", "by_cleanvision"]

COPIES, NEAR = "exact_duplicates", "near_duplicates"


@dataclass(frozen=True)
class Beside:
    """What cleanvision found.

    Attributes:
        issues: kind of issue → indices of the images that have it.
        seconds: by the clock, without writing the images to files.
        processor_seconds: the same of processor time, in one process.
    """

    issues: dict[str, set[int]]
    seconds: float
    processor_seconds: float

    @property
    def odd(self) -> set[int]:
        """Indices of images with any issue but copies."""
        kinds = (rows for kind, rows in self.issues.items() if kind not in (COPIES, NEAR))
        return set().union(*kinds)


def by_cleanvision(dataset: Dataset, folder: Path) -> Beside:
    """Write the images in use to a folder as PNG, and let cleanvision look at them.

    Raises:
        BadInput: cleanvision is not installed.
    """
    if find_spec("cleanvision") is None:
        raise BadInput("cleanvision is not installed: `pip install cleanvision`, then repeat.")
    from cleanvision.imagelab import Imagelab

    folder.mkdir(parents=True, exist_ok=True)
    for i in np.flatnonzero(dataset.kept):
        Image.fromarray(np.ascontiguousarray(dataset.images[i])).save(folder / f"{i}.png")
    clock, processor = time.perf_counter(), time.process_time()
    lab = Imagelab(data_path=str(folder), verbose=False)
    lab.find_issues(n_jobs=1, verbose=False)
    clock, processor = time.perf_counter() - clock, time.process_time() - processor
    index = np.array([int(Path(path).stem) for path in lab.issues.index])
    issues = {}
    for column in lab.issues.columns:
        if column.startswith("is_") and column.endswith("_issue"):
            kind = column.removeprefix("is_").removesuffix("_issue")
            issues[kind] = {int(i) for i in index[lab.issues[column].to_numpy(bool)]}
    return Beside(issues, clock, processor)
