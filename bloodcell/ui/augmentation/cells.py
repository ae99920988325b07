"""Which cells the Augmentation page shows: of the dataset, synthetic, or uploaded."""

from dataclasses import dataclass

import numpy as np
import streamlit as st

from bloodcell.classes import CLASSES, OTHER, title
from bloodcell.data.imaging.decode import decode_image, fit
from bloodcell.data.store.dataset import Dataset
from bloodcell.data.synthetic.drawing.draw import draw_cell
from bloodcell.errors import BadInput
from bloodcell.ui.common.dataset_index import DatasetIndex, dataset_index
from bloodcell.ui.common.state import active_dataset
from bloodcell.ui.common.uploads import drop_zone, dropped

__all__ = ["OWN", "Cells", "Shown", "choose_cells", "draw_cells", "find_example", "take_cells"]

ONE = "One cell"
EACH = "One per class"
UPLOAD = "Upload"
# The label of an uploaded image, whose class is unknown.
OWN = len(CLASSES)
PARTNERS = 24
MOST_OWN = 8
MOST_MIB = 32
DRAWN_SIDE = 96


@dataclass(frozen=True)
class Cells:
    """Originals: images uint8, B×H×W×3, labels int64, B (0 to 7 or `OWN`), and names, B."""

    images: np.ndarray
    labels: np.ndarray
    names: tuple[str, ...]


@dataclass(frozen=True)
class Shown:
    """What the page shows.

    Attributes:
        cells: the originals.
        partners: cells they may be mixed with, of the same size.
        source: the dataset to take examples from, or None for synthetic ones.
    """

    cells: Cells
    partners: Cells
    source: Dataset | None

    @property
    def one(self) -> bool:
        return len(self.cells.images) == 1


def take_cells(dataset: Dataset, index: DatasetIndex, indices: list[int]) -> Cells:
    """The images `indices` of a dataset."""
    return Cells(
        np.ascontiguousarray(dataset.images[indices]),
        index.labels[indices],
        tuple(f"image {i}" for i in indices),
    )


@st.cache_data(max_entries=32, show_spinner=False)
def draw_cells(labels: tuple[int, ...], seed: int, side: int = DRAWN_SIDE) -> Cells:
    """Synthetic cells, one for each label."""
    images = [draw_cell(k, np.random.default_rng([seed, i]), side) for i, k in enumerate(labels)]
    return Cells(np.stack(images), np.array(labels, np.int64), ("synthetic",) * len(labels))


def find_example(dataset: Dataset | None, label: int, seed: int) -> np.ndarray:
    """A cell of a class, uint8, H×W×3: of the dataset if it has one, else synthetic."""
    if dataset is not None:
        index = dataset_index(dataset)
        members = np.flatnonzero((index.labels == label) & index.kept)
        if len(members):
            return np.ascontiguousarray(dataset.images[members[seed % len(members)]])
    side = DRAWN_SIDE if dataset is None else dataset.size[0]
    return draw_cells((label,), seed, side).images[0]


def _decode_uploads() -> None:
    """Decode uploads once; they stay in the memory of the session."""
    images, problems, files = [], [], dropped("own_upload")
    for file in files[:MOST_OWN]:
        try:
            images.append((fit(decode_image(file.getvalue(), file.name), DRAWN_SIDE), file.name))
        except BadInput as error:
            problems.append(str(error))
    if len(files) > MOST_OWN:
        problems.append(f"The first {MOST_OWN} of {len(files)} images are shown.")
    st.session_state["own_cells"] = images
    st.session_state["own_problems"] = problems


def _upload_cells() -> Cells | None:
    there = drop_zone(
        "Images of single cells (JPEG, PNG, TIFF, BMP or WebP). They stay in memory and are not "
        f"stored; the centre square is shown at {DRAWN_SIDE} pixels.",
        accept_multiple_files=True,
        max_upload_size=MOST_MIB,
        key="own_upload",
        on_change=_decode_uploads,
    )
    for problem in st.session_state.get("own_problems", []):
        st.warning(problem, icon=":material/warning:")
    own = st.session_state.get("own_cells")
    if own and not there:
        # The upload field is emptied when another page is opened; the images are kept.
        st.caption(f"Uploaded before: {', '.join(name for _, name in own)}.")
    if not own:
        return None
    images, names = zip(*own, strict=True)
    return Cells(np.stack(images), np.full(len(images), OWN), names)


def _choose_partners(dataset: Dataset | None, side: int, rng: np.random.Generator) -> Cells:
    if dataset is not None and dataset.size == (side, side):
        index = dataset_index(dataset)
        kept = np.flatnonzero(index.kept & (index.labels != OTHER))
        if len(kept):
            return take_cells(dataset, index, sorted(rng.choice(kept, PARTNERS).tolist()))
    return draw_cells(tuple(i % len(CLASSES) for i in range(PARTNERS)), 1, side)


def choose_cells(seed: int) -> Shown | None:
    """Draw the choice of cells; returns them, or None while nothing is uploaded.

    Args:
        seed: which cell of a class is taken.
    """
    dataset, rng = active_dataset(), np.random.default_rng(seed)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        mode = st.segmented_control(
            "Cells",
            [ONE, EACH, UPLOAD],
            default=ONE,
            required=True,
            key="preview_mode",
            persist_state="session",
        )
        label = 0
        if mode == ONE:
            label = st.selectbox(
                "Class",
                [c.id for c in CLASSES],
                format_func=title,
                key="preview_class",
                width=210,
                persist_state="session",
            )
    if mode == UPLOAD:
        own = _upload_cells()
        return own and Shown(own, _choose_partners(dataset, DRAWN_SIDE, rng), dataset)
    labels = (label,) if mode == ONE else tuple(c.id for c in CLASSES)
    if dataset is None:
        st.caption("Synthetic cells, as there is no dataset yet.")
    else:
        index = dataset_index(dataset)
        chosen = [
            int(rng.choice(members))
            for k in labels
            if len(members := np.flatnonzero((index.labels == k) & index.kept))
        ]
        if chosen:
            partners = _choose_partners(dataset, dataset.size[0], rng)
            return Shown(take_cells(dataset, index, chosen), partners, dataset)
        st.info(f"{dataset.name} has no {title(label).lower()}: synthetic cells are shown instead.")
    return Shown(draw_cells(labels, seed), _choose_partners(None, DRAWN_SIDE, rng), None)
