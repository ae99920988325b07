"""What a reviewer makes of a counted smear: accept, correct, remove, add; and what both counted."""

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime

import pandas as pd

from bloodcell.classes import CLASS_NAMES, OTHER_CLASS
from bloodcell.csv_files import frame_csv
from bloodcell.smear.count import Cell, Smear, counted
from bloodcell.smear.differential import Differential, differential

__all__ = [
    "REMOVED",
    "About",
    "Place",
    "Review",
    "apart_text",
    "cells_csv",
    "changes_text",
    "class_counts",
    "some",
    "state_of",
]

REMOVED = "removed"
OTHER = OTHER_CLASS.name
# (position of the photograph, position of the cell on it, those that were added last).
Place = tuple[int, int]


@dataclass(frozen=True)
class About:
    """What is written on a smear and on its report; all of it may be empty."""

    name: str = ""
    patient: str = ""
    laboratory: str = ""
    stain: str = ""
    reviewer: str = ""


@dataclass
class Review:
    """The reviewer's decisions on a smear, beside the ensemble's own answers, which stay.

    Attributes:
        smear: as the ensemble counted it.
        decisions: place → a class name, ``other`` or REMOVED.
        added: position of a photograph → cells that the finder did not see.
        at: when the last of them was made.
    """

    smear: Smear
    decisions: dict[Place, str] = field(default_factory=dict)
    added: dict[int, list[Cell]] = field(default_factory=dict)
    at: datetime | None = None

    def cells(self, photograph: int) -> list[Cell]:
        """The cells of one photograph: those that were found, then those that were added."""
        return [*self.smear.photographs[photograph].cells, *self.added.get(photograph, ())]

    def places(self) -> list[tuple[Place, Cell]]:
        """Every cell with its place."""
        return [
            ((i, j), cell)
            for i in range(len(self.smear.photographs))
            for j, cell in enumerate(self.cells(i))
        ]

    def decide(self, place: Place, label: str | None) -> None:
        """Call a cell `label`; None: as the ensemble calls it again."""
        self.at = datetime.now().astimezone()
        if label is None:
            self.decisions.pop(place, None)
        else:
            self.decisions[place] = label

    def add(self, photograph: int, cell: Cell) -> Place:
        """Add a cell that was not found."""
        self.at = datetime.now().astimezone()
        self.added.setdefault(photograph, []).append(cell)
        return photograph, len(self.cells(photograph)) - 1

    @property
    def looked_at(self) -> int:
        """How many cells were accepted, corrected, removed or added."""
        return len(self.decisions)

    @property
    def changed(self) -> int:
        """How many cells are no longer what the ensemble called them."""
        return sum(
            self.decisions.get(place, cell.counted) != cell.counted
            or place[1] >= len(self.smear.photographs[place[0]].cells)
            for place, cell in self.places()
        )

    def machine(self, merged: bool = False) -> Differential:
        """The differential of the ensemble alone; `merged` as in :meth:`reviewed`."""
        return _merged(self.smear.cells, {}, merged)

    def reviewed(self, merged: bool = False) -> Differential:
        """The differential after the review; what was not decided counts as the ensemble says.

        Args:
            merged: immature granulocytes count as neutrophils.
        """
        cells, decided = [], {}
        for place, cell in self.places():
            if (label := self.decisions.get(place)) is not None:
                decided[len(cells)] = label
            cells.append(cell)
        return _merged(cells, decided, merged)


def _merged(cells: list[Cell], decided: dict[int, str], merged: bool) -> Differential:
    left = counted(cell for i, cell in enumerate(cells) if i not in decided)
    labels = [
        label
        for i, cell in enumerate(cells)
        if (label := decided.get(i, cell.counted)) in CLASS_NAMES
    ]
    others = sum(label == OTHER for label in decided.values())
    return differential(
        labels,
        refused=left.refused + others,
        cut=left.cut,
        doublets=left.doublets,
        repeated=left.repeated,
        merged=merged,
    )


def state_of(review: Review, place: Place, cell: Cell) -> str:
    """What a cell is now: a class name, ``other``, REMOVED, or why it is apart (Cell.apart)."""
    if (decided := review.decisions.get(place)) is not None:
        return decided
    return cell.apart or cell.counted or OTHER


def class_counts(review: Review) -> dict[str, int]:
    """How many cells of each class there are after the review, and of "other".

    A white cell that none of the eight classes fits is one of "other"; what is as small as a
    platelet is not.
    """
    states = Counter(
        state
        for place, cell in review.places()
        if (state := state_of(review, place, cell)) != OTHER
        or cell.kind == "white"
        or place in review.decisions
    )
    return {name: states[name] for name in (*CLASS_NAMES, OTHER)}


def some(n: int, noun: str) -> str:
    """ "1 cell", "1,200 cells"."""
    return f"1 {noun}" if n == 1 else f"{n:,} {noun}s"


def changes_text(review: Review) -> str:
    """How much a review changed, in words, with the day and time of its last decision."""
    changed = review.changed
    words = f"{some(changed, 'cell')} {'was' if changed == 1 else 'were'} changed"
    if review.at is None:
        return f"not reviewed yet; {words}"
    return f"{review.looked_at:,} decided on, {words}, last at {review.at:%Y-%m-%d %H:%M %Z}"


def apart_text(told: Differential) -> str:
    """What was kept apart, in words."""
    return (
        f"Kept apart: {told.refused:,} that none of the eight classes fits, {told.cut:,} cut by "
        f"the border of a photograph, {told.doublets:,} lying together so that they cannot be "
        f"told apart, {told.repeated:,} that an earlier photograph shows too."
    )


def cells_csv(review: Review) -> str:
    """A line a cell: where it is, what the ensemble said and what it was decided to be."""
    rows = [
        {
            "file": review.smear.photographs[place[0]].file,
            "left": cell.box[0],
            "top": cell.box[1],
            "right": cell.box[2],
            "bottom": cell.box[3],
            "machine": cell.label,
            "probability": round(cell.probability, 6),
            "recognised": cell.recognised,
            "apart": cell.apart or "",
            "reviewed": review.decisions.get(place, ""),
            "counts_as": state_of(review, place, cell),
        }
        for place, cell in review.places()
    ]
    columns = [
        "file",
        "left",
        "top",
        "right",
        "bottom",
        "machine",
        "probability",
        "recognised",
        "apart",
        "reviewed",
        "counts_as",
    ]
    return frame_csv(pd.DataFrame(rows, columns=columns))
