"""Which photographs show one cell, and where; which show several and are fields of a smear."""

from collections import defaultdict

from bloodcell.data.imaging.cropping import Crop, around
from bloodcell.data.readers.decoded import Decoded
from bloodcell.errors import BloodCellError
from bloodcell.progress import Progress, silent
from bloodcell.smear.count import SHOWN, agreed
from bloodcell.smear.find import Field, find_cells

__all__ = ["squares"]


def squares(
    decoded: Decoded, known: frozenset[tuple[int, int]], progress: Progress = silent
) -> tuple[dict[int, Crop], list[int]]:
    """Look at photographs that may show one white cell or several.

    Args:
        decoded: the photographs; who looks at them next does not decode them again.
        known: (height, width) of photographs that are cut as the training ones were.

    Returns:
        Position → the square around its only whole white cell, at the scale of training; and the
        positions of photographs with more white cells than one, cut ones too. What says nothing of
        the sort, or cannot be read, is in neither.
    """
    fields: dict[int, Field] = {}
    sizes = defaultdict(list)
    for position in range(len(decoded.files)):
        progress(position, len(decoded.files), "cells sought")
        try:
            image = decoded.image(position)
        except BloodCellError:
            continue
        if image.shape[:2] in known:
            continue
        field = find_cells(image)
        if field.red_cell is not None:
            fields[position] = field
            sizes[image.shape[:2]].append(position)
    own = [fields[i].red_cell if i in fields else None for i in range(len(decoded.files))]
    scales = agreed(own, list(sizes.values()))
    found, several = {}, []
    for position, field in fields.items():
        whites = [cell for cell in field.cells if cell.kind == "white"]
        whole = [cell for cell in whites if not cell.cut]
        if len(whites) > 1:
            several.append(position)
        if len(whole) == 1 or len(whites) == 1:
            x, y = (whole or whites)[0].middle
            side = SHOWN * scales[position]
            found[position] = around(x, y, side, field.height, field.width)
    return found, several
