"""Draw blood cells, empty fields and pictures of other things, by this package's own code.

The drawings imitate May Grünwald-Giemsa smears closely enough to learn from and to try every
page with. They are no photographs: a model trained on them knows nothing about real cells.
"""

import numpy as np

from bloodcell.classes import CLASS_NAMES
from bloodcell.data.synthetic.drawing.cells import erythroblast, lymphocyte, monocyte, platelet
from bloodcell.data.synthetic.drawing.foreign import draw_foreign
from bloodcell.data.synthetic.drawing.granulocytes import (
    basophil,
    eosinophil,
    immature_granulocyte,
    neutrophil,
)
from bloodcell.data.synthetic.drawing.slide import new_slide
from bloodcell.errors import BadInput

__all__ = ["draw_cell", "draw_field", "draw_foreign"]

_RECIPES = {
    "basophil": basophil,
    "eosinophil": eosinophil,
    "erythroblast": erythroblast,
    "immature_granulocyte": immature_granulocyte,
    "lymphocyte": lymphocyte,
    "monocyte": monocyte,
    "neutrophil": neutrophil,
    "platelet": platelet,
}


def draw_cell(label: int, rng: np.random.Generator, size: int = 96) -> np.ndarray:
    """Draw one cell among red cells.

    Args:
        label: 0 to 7, see :data:`bloodcell.classes.CLASSES`.
        rng: the only source of chance; the same state gives the same picture.
        size: side in pixels; made for 28 to 224.

    Returns:
        uint8, size×size×3, RGB.

    Raises:
        BadInput: there is no such class.
    """
    if not 0 <= label < len(CLASS_NAMES):
        raise BadInput(
            f"There is no cell class {label!r} to draw: expected 0 to {len(CLASS_NAMES) - 1} for "
            f"{', '.join(CLASS_NAMES)}, so choose one of these."
        )
    return _RECIPES[CLASS_NAMES[label]](rng, size).photograph()


def draw_field(rng: np.random.Generator, size: int = 96) -> np.ndarray:
    """Draw a field of red cells with neither a white cell nor a platelet in it.

    Args:
        rng: the only source of chance.
        size: side in pixels; made for 28 to 224.

    Returns:
        uint8, size×size×3, RGB.
    """
    return new_slide(rng, size, room=0, strays=0).photograph()
