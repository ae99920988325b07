"""What a setting does to the class cue that it endangers, shown on cells."""

import numpy as np
import streamlit as st

from bloodcell.augment import Caution, Policy, cautions, extreme
from bloodcell.classes import CLASSES, class_id
from bloodcell.data.store.dataset import Dataset
from bloodcell.ui.augmentation.cells import example
from bloodcell.ui.augmentation.preview import one_hot
from bloodcell.ui.common.gallery import Picture, gallery

__all__ = ["cue_tiles", "show_cues", "warn"]


def warn(policy: Policy) -> None:
    """One line if any step goes too far; the examples are shown further down by `show_cues`."""
    found = cautions(policy)
    if found:
        places = ", ".join(str(c.place) for c in found)
        steps = f"Step {places} goes" if len(found) == 1 else f"Steps {places} go"
        st.markdown(
            f":orange[:material/warning: {steps} beyond what is sensible for blood cells: see "
            "below what tells classes apart, and what is left of it.]"
        )


def cue_tiles(caution: Caution, dataset: Dataset | None, seed: int) -> list[Picture]:
    """The class that loses its mark, before and at the ends of the setting, and its double.

    Args:
        dataset: where the cells are taken from, or None for drawn ones.
        seed: which cells are taken.

    Returns:
        No tile where no class suffers in particular.
    """
    if caution.cue is None:
        return []
    changed, beside = class_id(caution.cue.changed), class_id(caution.cue.beside)
    images = np.stack([example(dataset, k, seed) for k in (changed, beside)])
    labels = one_hot(np.array([changed, beside]))
    ends = [extreme(caution.step, images, labels, seed, d)[0][0] for d in (1, -1)]
    if np.array_equal(*ends):
        ends.pop()
    name, other = CLASSES[changed].title, CLASSES[beside].title
    return [
        Picture(0, images[0], f"{name} as it is", caption=name, colour=CLASSES[changed].colour),
        *(
            Picture(
                1 + i,
                image,
                f"{name} at the end of the setting",
                caption="augmented",
                colour=CLASSES[changed].colour,
                marked=True,
            )
            for i, image in enumerate(ends)
        ),
        Picture(9, images[1], f"{other} as it is", caption=other, colour=CLASSES[beside].colour),
    ]


def show_cues(policy: Policy, dataset: Dataset | None, seed: int) -> None:
    """A warning for each step that goes too far, with cells that show why."""
    for caution in cautions(policy):
        st.warning(caution.sentence, icon=":material/warning:")
        if shown := cue_tiles(caution, dataset, seed):
            gallery(shown, key=f"cue_{caution.place}", columns=4, clickable=False)
