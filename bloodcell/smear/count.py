"""Photographs of a smear in, its cells and its differential out.

    from bloodcell.data.readers.inputs import gathered, unpacked
    from bloodcell.ensemble.ensemble import open_ensemble
    from bloodcell.smear.count import count
    from bloodcell.workspace import open_workspace

    ensemble = open_ensemble(open_workspace(), "reference")
    smear = count(ensemble, unpacked(gathered(["slide-7/"])))
    print(smear.differential().to_json())

One photograph at a time is in memory; of each cell the cut-out is kept that the networks saw.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import cv2
import numpy as np

from bloodcell.classes import CLASS_NAMES
from bloodcell.data.imaging.colour_constancy import background, balanced
from bloodcell.data.imaging.decode import decode_image
from bloodcell.data.readers.inputs import File, content_of
from bloodcell.ensemble.ensemble import DECIMALS, Ensemble
from bloodcell.ensemble.shift import wanted_background
from bloodcell.errors import BadInput, BloodCellError
from bloodcell.progress import Progress, silent
from bloodcell.smear.differential import Differential, differential
from bloodcell.smear.find import Found, find_cells
from bloodcell.smear.overlap import View, repeats, view_of
from bloodcell.smear.ruler import find_ruler

__all__ = ["Cell", "Photograph", "Smear", "agreed", "answered", "count", "counted", "cut_out"]

# What the training photographs show: 200 pixels where a red cell measures 78.
SHOWN = 200 / 78
# Photographs of one size are of one microscope: their median is nearer the truth than each alone.
ENOUGH = 3
SAME = 1.35


@dataclass(frozen=True)
class Cell:
    """A cell of a smear and what the ensemble says of it.

    Attributes:
        box: left, top, right, bottom, pixels of the photograph.
        kind: what its size says.
        cut: the border of the photograph cuts it, so it does not count.
        label: the likeliest class.
        probability: of that class, 0 to 1.
        prediction_set: the classes that it may be.
        recognised: it is one of the eight, and large enough for it.
        novelty: higher is stranger.
        image: uint8, S×S×3: what the networks were shown.
        doublet: several cells that cannot be told apart.
        same_as: (photograph, cell) where it was counted already, see
            :mod:`bloodcell.smear.overlap`.
    """

    box: tuple[int, int, int, int]
    kind: Literal["white", "platelet"]
    cut: bool
    label: str
    probability: float
    prediction_set: tuple[str, ...]
    recognised: bool
    novelty: float
    image: np.ndarray = field(repr=False, compare=False)
    doublet: bool = False
    same_as: tuple[int, int] | None = None

    @property
    def apart(self) -> str | None:
        """Why it is no cell to be counted: ``repeated``, ``cut`` or ``doublet``; else None."""
        if self.same_as is not None:
            return "repeated"
        return "cut" if self.cut else "doublet" if self.doublet else None

    @property
    def counted(self) -> str | None:
        """The class that it counts as; None where it is kept apart."""
        return self.label if self.recognised and self.apart is None else None

    def to_json(self) -> dict[str, Any]:
        return {
            "box": list(self.box),
            "label": self.label,
            "probability": round(self.probability, DECIMALS),
            "prediction_set": list(self.prediction_set),
            "recognised": self.recognised,
            "novelty": self.novelty,
            "cut": self.cut,
            "doublet": self.doublet,
            "same_as": None if self.same_as is None else list(self.same_as),
        }


@dataclass(frozen=True)
class Photograph:
    """A photograph of a smear.

    Attributes:
        file: its name.
        width, height: pixels.
        red_cell: width of a red cell in pixels; None where none is seen.
        cells: what was found.
        error: why it could not be read, else None.
    """

    file: str
    width: int = 0
    height: int = 0
    red_cell: float | None = None
    cells: tuple[Cell, ...] = ()
    error: str | None = None

    def to_json(self) -> dict[str, Any]:
        if self.error is not None:
            return {"file": self.file, "error": self.error}
        return {
            "file": self.file,
            "width": self.width,
            "height": self.height,
            "red_cell_pixels": None if self.red_cell is None else round(self.red_cell, 1),
            "cells": [cell.to_json() for cell in self.cells],
        }


@dataclass(frozen=True)
class Smear:
    """Photographs of one smear with their cells."""

    photographs: tuple[Photograph, ...]

    @property
    def cells(self) -> list[Cell]:
        return [cell for photograph in self.photographs for cell in photograph.cells]

    def differential(self, merged: bool = False) -> Differential:
        """What the ensemble counts; `merged`: immature granulocytes as neutrophils."""
        return counted(self.cells, merged)

    def to_json(self, merged: bool = False) -> dict[str, Any]:
        """What ``count --json`` prints."""
        return {
            "photographs": [photograph.to_json() for photograph in self.photographs],
            "differential": self.differential(merged).to_json(),
        }


def counted(cells: Iterable[Cell], merged: bool = False) -> Differential:
    """The differential of some cells as the ensemble calls them; `merged` as for a smear."""
    cells = list(cells)
    labels = [cell.counted for cell in cells]
    apart = Counter(cell.apart for cell in cells)
    return differential(
        [label for label in labels if label is not None],
        refused=sum(not cell.recognised and cell.apart is None for cell in cells),
        cut=apart["cut"],
        doublets=apart["doublet"],
        repeated=apart["repeated"],
        merged=merged,
    )


def count(
    ensemble: Ensemble,
    files: list[File],
    *,
    tta: bool | None = None,
    balance: bool = False,
    progress: Progress = silent,
) -> Smear:
    """Find, classify and count the cells of the photographs of a smear.

    A photograph that cannot be read keeps its place with its sentence.

    Args:
        files: names and contents, see :mod:`bloodcell.data.readers.inputs`.
        tta: average over flips and turns; None: as the ensemble was composed.
        balance: bring the empty field of each photograph to the colour of the training
            photographs' first.

    Raises:
        BadInput: the ensemble cannot balance.
    """
    wanted = wanted_background(ensemble) if balance else None
    if balance and wanted is None:
        raise BadInput(
            f"The ensemble {ensemble.name} does not say how bright its training photographs "
            "were: make it again with this version of BloodCell Lab, or leave the light alone."
        )
    scales = _scales(files, progress)
    photographs: list[Photograph] = []
    views: list[View | None] = []
    for done, (name, content) in enumerate(files):
        progress(done, len(files), "photographs")
        try:
            image = decode_image(content_of(content), name)
        except BloodCellError as error:
            photographs.append(Photograph(_printable(name), error=str(error)))
            views.append(None)
            continue
        height, width = image.shape[:2]
        scale = scales[done]
        cells: tuple[Cell, ...] = ()
        view = None
        if scale is not None:
            found = find_cells(image, scale).cells
            cells = answered(ensemble, image, found, scale, tta=tta, wanted=wanted)
            middles = [one.middle for one in found]
            view = view_of(image, scale, middles, np.array([cell.image for cell in cells]))
        views.append(view)
        photographs.append(Photograph(_printable(name), width, height, scale, cells))
    progress(len(files), len(files), "photographs")
    return Smear(_once(photographs, repeats(views)))


def _once(
    photographs: list[Photograph], seen: dict[tuple[int, int], tuple[int, int]]
) -> tuple[Photograph, ...]:
    """The photographs, with the cells that were seen before marked."""
    return tuple(
        replace(
            photograph,
            cells=tuple(
                replace(cell, same_as=seen.get((i, j))) for j, cell in enumerate(photograph.cells)
            ),
        )
        for i, photograph in enumerate(photographs)
    )


def _printable(name: str) -> str:
    # What no file can hold: half of a surrogate pair, from a name that is not UTF-8.
    return name.encode("utf-8", "replace").decode("utf-8")


def _scales(files: list[File], progress: Progress) -> list[float | None]:
    """How wide a red cell is on each photograph, agreed among those of one size."""
    own: list[float | None] = [None] * len(files)
    by_size: dict[tuple[int, ...], list[int]] = defaultdict(list)
    for done, (name, content) in enumerate(files):
        progress(done, len(files), "scales")
        try:
            image = decode_image(content_of(content), name)
        except BloodCellError:
            continue
        ruler = find_ruler(image)
        if ruler is not None:
            own[done] = ruler.diameter
            by_size[image.shape].append(done)
    return agreed(own, list(by_size.values()))


def agreed(own: list[float | None], groups: list[list[int]]) -> list[float | None]:
    """Scales, with the median of each group where a photograph's own is near it.

    Args:
        own: of each photograph.
        groups: positions of photographs of one size that have a scale.
    """
    scales = list(own)
    for group in groups:
        middle = float(np.median([own[i] for i in group]))
        for i in group:
            if len(group) >= ENOUGH and 1 / SAME < own[i] / middle < SAME:
                scales[i] = middle
    return scales


def answered(
    ensemble: Ensemble,
    image: np.ndarray,
    found: list[Found],
    red_cell: float,
    *,
    tta: bool | None = None,
    wanted: np.ndarray | None = None,
) -> tuple[Cell, ...]:
    """What an ensemble says of cells on a photograph.

    Args:
        image: uint8, H×W×3, RGB: the photograph.
        found: where they are.
        red_cell: width of a red cell, pixels.
        tta: see :func:`count`.
        wanted: float, 3: the empty field to bring it to; None leaves the light alone.
    """
    if not found:
        return ()
    shown = np.stack([cut_out(image, one.middle, red_cell, ensemble.size) for one in found])
    if wanted is not None:
        lights = np.repeat(background(image)[None], len(shown), axis=0)
        shown = balanced(shown, lights, wanted)
    answers = ensemble.predict(shown, tta=tta)
    labels = answers.labels
    return tuple(
        Cell(
            one.box,
            one.kind,
            one.cut,
            CLASS_NAMES[labels[i]],
            float(answers.probabilities[i, labels[i]]),
            tuple(CLASS_NAMES[k] for k in np.flatnonzero(answers.prediction_sets[i])),
            bool(answers.recognised[i]) and _fits(one.kind, CLASS_NAMES[labels[i]]),
            float(answers.novelty[i]),
            shown[i],
            one.doublet,
        )
        for i, one in enumerate(found)
    )


def _fits(kind: str, label: str) -> bool:
    """Whether a class can be so small: what has less stain than any nucleus is no white cell.

    Networks are shown every cell at one scale, yet those that never saw a laboratory's platelets
    call them what they saw of it.
    """
    return kind != "platelet" or label == "platelet"


def cut_out(
    image: np.ndarray, middle: tuple[float, float], red_cell: float, size: int
) -> np.ndarray:
    """The square around a cell that shows as much as the training photographs do.

    What lies outside the photograph is its mirror image.

    Args:
        image: uint8, H×W×3.
        middle: of the cell, pixels from the left and from the top.
        red_cell: width of a red cell, pixels.
        size: side of the result, pixels.

    Returns:
        uint8, size×size×3.
    """
    side = max(2, round(SHOWN * red_cell))
    left, top = round(middle[0] - side / 2), round(middle[1] - side / 2)
    height, width = image.shape[:2]
    rows = _mirrored(np.arange(top, top + side), height)
    columns = _mirrored(np.arange(left, left + side), width)
    square = image[rows[:, None], columns]
    shrinks = side > size
    return cv2.resize(
        square, (size, size), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
    )


def _mirrored(places: np.ndarray, length: int) -> np.ndarray:
    """Places on an axis, those outside reflected into it."""
    period = max(1, 2 * (length - 1))
    inside = np.abs(places) % period
    return np.where(inside >= length, period - inside, inside)
