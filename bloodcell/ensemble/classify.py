"""Files in, answers out: the same for the command line and the page."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from bloodcell.data.imaging.colour_constancy import agreed_backgrounds, balanced
from bloodcell.data.imaging.cropping import Crop, candidates, cut, square_for
from bloodcell.data.imaging.nucleus import Stained, find_stained
from bloodcell.data.readers.decoded import Decoded
from bloodcell.data.readers.inputs import File
from bloodcell.ensemble.ensemble import BATCH, Answers, Ensemble
from bloodcell.ensemble.shift import wanted_background
from bloodcell.errors import BadInput, BloodCellError
from bloodcell.progress import Progress, silent

__all__ = ["MOST_FILES", "Classified", "classify"]

MOST_FILES = 10_000


@dataclass(frozen=True)
class Classified:
    """The answers for some files.

    Attributes:
        files: the names as given, in order.
        errors: position → why it could not be read.
        sizes: (height, width) of the readable photographs in order.
        crops: the square of each that the ensemble was shown.
        images: uint8, n×S×S×3: what the ensemble was shown.
        backgrounds: float32, n×3: the empty field of each, RGB, before any balancing.
        answers: for those images.
    """

    files: list[str]
    errors: dict[int, str]
    sizes: list[tuple[int, int]]
    crops: list[Crop]
    images: np.ndarray
    backgrounds: np.ndarray
    answers: Answers

    def row_of(self, position: int) -> int | None:
        """The row in `images` and `answers` of the file at `position`; None if unreadable."""
        if position in self.errors:
            return None
        return position - sum(p < position for p in self.errors)

    def with_one(self, position: int, one: "Classified") -> "Classified":
        """The same with the answer for one readable file in the place of that at `position`."""
        row = self.row_of(position)
        if row is None or one.errors:
            return self
        a, b = self.answers, one.answers

        def put(many: np.ndarray, single: np.ndarray) -> np.ndarray:
            return np.concatenate([many[:row], single, many[row + 1 :]])

        answers = Answers(
            put(a.probabilities, b.probabilities),
            np.concatenate([a.members[:, :row], b.members, a.members[:, row + 1 :]], axis=1),
            put(a.prediction_sets, b.prediction_sets),
            put(a.novelty, b.novelty),
            put(a.recognised, b.recognised),
            [put(x, y) for x, y in zip(a.maps, b.maps, strict=True)],
        )
        return replace(
            self,
            crops=[*self.crops[:row], *one.crops, *self.crops[row + 1 :]],
            images=put(self.images, one.images),
            backgrounds=put(self.backgrounds, one.backgrounds),
            answers=answers,
        )


@dataclass
class _Photograph:
    """A readable file on its way: its size, and its square or what is known for choosing one.

    Attributes:
        image: what the ensemble is shown; None until there is a square.
    """

    position: int
    size: tuple[int, int]
    crop: Crop | None
    image: np.ndarray | None
    stained: Stained | None = None


def classify(
    ensemble: Ensemble,
    files: list[File] | Decoded,
    *,
    tta: bool | None = None,
    crop: Crop | Literal["auto", "centre"] = "auto",
    moved: Mapping[int, Crop] | None = None,
    balance: bool = False,
    beside: np.ndarray | None = None,
    progress: Progress = silent,
) -> Classified:
    """Decode, cut the square that shows the cell as in training, and answer.

    An unreadable file gets its sentence.

    Args:
        files: see :mod:`bloodcell.data.readers.inputs`, or what another step has decoded of them.
        tta: all members, averaged over flips and turns or not; None: as the ensemble was composed.
        crop: one square for all; "centre": the largest centre square; "auto": see
            :func:`bloodcell.data.imaging.cropping.candidates`.
        moved: position → the square of this file instead.
        balance: bring the empty field of each photograph to the colour of the training
            photographs' first (colour constancy).
        beside: float, m×3: backgrounds of photographs of the same microscope, which are not
            classified here.

    Raises:
        BadInput: there are too many files, or the ensemble cannot balance.
    """
    decoded = files if isinstance(files, Decoded) else Decoded(files)
    files = decoded.files
    if len(files) > MOST_FILES:
        raise BadInput(
            f"These are {len(files):,} files, expected at most {MOST_FILES:,} at once: "
            "classify them in several parts."
        )
    wanted = wanted_background(ensemble) if balance else None
    if balance and wanted is None:
        raise BadInput(
            f"The ensemble {ensemble.name} does not say how bright its training photographs "
            "were: make it again with this version of BloodCell Lab, or leave the light alone."
        )
    photographs, errors = _read(ensemble, decoded, crop, dict(moved or {}), progress)
    _choose(ensemble, decoded, photographs, errors, wanted, progress)
    photographs = [p for p in photographs if p.position not in errors]
    shape = (0, ensemble.size, ensemble.size, 3)
    images = np.stack([p.image for p in photographs]) if photographs else np.zeros(shape, np.uint8)
    backgrounds = agreed_backgrounds(images, beside)
    if wanted is not None:
        images = balanced(images, backgrounds, wanted)
    answers = ensemble.predict(images, tta=tta, progress=progress)
    return Classified(
        # What no file can hold: half of a surrogate pair, from a name that is not UTF-8.
        [name.encode("utf-8", "replace").decode("utf-8") for name, _ in files],
        errors,
        [p.size for p in photographs],
        [p.crop for p in photographs],
        images,
        backgrounds,
        answers,
    )


def _read(
    ensemble: Ensemble,
    decoded: Decoded,
    crop: Crop | Literal["auto", "centre"],
    moved: dict[int, Crop],
    progress: Progress,
) -> tuple[list[_Photograph], dict[int, str]]:
    """Cut what can be cut at once; measure the rest."""
    field = ensemble.description.field_of_view
    photographs: list[_Photograph] = []
    errors: dict[int, str] = {}
    files = decoded.files
    for position, (name, _) in enumerate(files):
        try:
            image = decoded.image(position)
            size = (image.shape[0], image.shape[1])
            square = square_for(field, size, moved.get(position, crop))
            if square is not None:
                shown = cut(image, square, ensemble.size, name)
                photographs.append(_Photograph(position, size, square, shown))
                decoded.drop(position)
            else:
                photographs.append(_Photograph(position, size, None, None, find_stained(image)))
        except BloodCellError as error:
            errors[position] = str(error)
        if position % BATCH == BATCH - 1 or position == len(files) - 1:
            progress(position + 1, len(files), "files read")
    return photographs, errors


def _choose(
    ensemble: Ensemble,
    decoded: Decoded,
    photographs: list[_Photograph],
    errors: dict[int, str],
    wanted: np.ndarray | None,
    progress: Progress,
) -> None:
    """Give each photograph without a square one; one that has gone meanwhile gets its sentence."""
    left = [p for p in photographs if p.crop is None]
    squares = candidates(
        ensemble.description.field_of_view,
        [p.size for p in left],
        [p.stained for p in left],
        ensemble.size,
    )
    for done, (photograph, possible) in enumerate(zip(left, squares, strict=True)):
        if done % BATCH == 0:
            progress(done, len(left), "fields of view")
        name, _ = decoded.files[photograph.position]
        try:
            image = decoded.image(photograph.position)
        except BloodCellError as error:
            errors[photograph.position] = str(error)
            continue
        decoded.drop(photograph.position)
        shown = np.stack([cut(image, square, ensemble.size, name) for square in possible])
        best = _least_strange(ensemble, shown, wanted) if len(possible) > 1 else 0
        photograph.crop, photograph.image = possible[best], shown[best]


def _least_strange(ensemble: Ensemble, shown: np.ndarray, wanted: np.ndarray | None) -> int:
    """Which of some squares of one photograph shows a known cell best; the first if none does."""
    if wanted is not None:
        shown = balanced(shown, agreed_backgrounds(shown), wanted)
    found = ensemble.predict(shown, tta=False)
    best = int(found.novelty.argmin())
    return best if found.recognised[best] else 0
