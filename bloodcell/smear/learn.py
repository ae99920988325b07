"""What a reviewer decided on, as a dataset: labelled cells that know where they come from."""

from bloodcell.classes import CLASS_NAMES, OTHER, OTHER_CLASS, class_id
from bloodcell.data.store.dataset import Dataset, new_dataset, open_dataset
from bloodcell.errors import BadInput
from bloodcell.smear.count import Cell
from bloodcell.smear.review import About, Place, Review
from bloodcell.workspace import Workspace

__all__ = ["keep_reviewed", "reviewed_cells"]


def reviewed_cells(review: Review) -> list[tuple[Place, Cell, int]]:
    """The cells that were accepted, corrected or added, with their label: 0 to 7 or OTHER.

    What an earlier photograph shows too is there already.
    """
    labelled = []
    for place, cell in review.places():
        decided = review.decisions.get(place)
        if cell.same_as is None and decided in (*CLASS_NAMES, OTHER_CLASS.name):
            label = OTHER if decided == OTHER_CLASS.name else class_id(decided)
            labelled.append((place, cell, label))
    return labelled


def keep_reviewed(workspace: Workspace, name: str, review: Review, about: About) -> Dataset:
    """Keep the reviewed cells as the dataset `name`.

    Laboratory, patient and reader are what is written on the smear, its name is the slide, and
    what the ensemble had said is the source label.

    Raises:
        BadInput: no cell was decided on, or the name is unusable.
        NameTaken: there is a dataset of that name.
    """
    cells = reviewed_cells(review)
    if not cells:
        raise BadInput(
            "No cell of this smear was accepted or corrected: decide on some first, ten of each "
            "class are worth most."
        )
    of_smear = {
        "laboratory": about.laboratory,
        "slide": about.name,
        "patient": about.patient,
        "reader": about.reviewer,
    }
    known = {k: v for k, v in of_smear.items() if v}
    with new_dataset(
        workspace,
        name,
        cells[0][1].image.shape[:2],
        f"reviewed cells of the smear {about.name or 'without a name'}",
        "as an ensemble is shown them",
        {"skipped": []},
        (*known, "source_label"),
    ) as writer:
        for (photograph, number), cell, label in cells:
            file = f"{review.smear.photographs[photograph].file}, cell {number + 1}"
            writer.add(cell.image, label, file, origin=known | {"source_label": cell.label})
    return open_dataset(workspace, name)
