"""An ensemble at work: several classifiers, one calibrated answer. No TensorFlow needed."""

from collections.abc import Callable, Iterable
from copy import copy
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from bloodcell.data.imaging.colour_constancy import from_laboratory
from bloodcell.data.imaging.resize import resized
from bloodcell.ensemble.adapted_head import AdaptedHead
from bloodcell.ensemble.bundle import Bundle
from bloodcell.ensemble.description import Member
from bloodcell.ensemble.novelty import detect, neighbour_distance, novelty_of, unit
from bloodcell.ensemble.stained import beyond, unlike_stained
from bloodcell.errors import BadInput
from bloodcell.evaluation.calibration import apply_temperature, prediction_sets
from bloodcell.models.litert import LiteModel, Outputs, one_blas_thread
from bloodcell.progress import Progress, silent
from bloodcell.workspace import Workspace

__all__ = [
    "DECIMALS",
    "VIEWS",
    "Answers",
    "Ensemble",
    "Raw",
    "decides",
    "open_ensemble",
    "run_members",
]

BATCH = 32
# Of novelty, and of what is written of probabilities: what lies behind them depends on a machine's
# arithmetic and on the place of an image in its batch.
DECIMALS = 6
# Of the numbers of known cells, their directions and detectors; they are about 1.
LARGEST = 1e15
# The eight flips and turns of a square.
VIEWS = tuple((turns, flip) for flip in (False, True) for turns in range(4))


@dataclass(frozen=True)
class Raw:
    """What m members say of n images, before calibration.

    Attributes:
        probabilities: float32, m×n×8, averaged over flips and turns where asked for.
        plain: float32, m×n×8, of the unturned image.
        features: a float32 array n×C for each member, of the unturned image.
        maps: a float32 array n×h×w×8 for each member, likewise.
        novelty_features: a float32 array n×(C+T) for each member, likewise: features and textures.
        unlike: float64, n×2: see :func:`bloodcell.ensemble.stained.unlike_stained`.
    """

    probabilities: np.ndarray
    plain: np.ndarray
    features: list[np.ndarray]
    maps: list[np.ndarray]
    novelty_features: list[np.ndarray]
    unlike: np.ndarray


@dataclass(frozen=True)
class Answers:
    """The ensemble's answers for n images.

    Attributes:
        probabilities: float64, n×8, calibrated, rows sum to 1.
        members: float32, m×n×8, of each member, uncalibrated; NaN where a cascade asked it not.
        prediction_sets: bool, n×8.
        novelty: float64, n, to six decimals; above the threshold it is none of the eight.
        recognised: bool, n.
        maps: a float32 array n×h×w×8 for each member; none from a cascade.
    """

    probabilities: np.ndarray
    members: np.ndarray
    prediction_sets: np.ndarray
    novelty: np.ndarray
    recognised: np.ndarray
    maps: list[np.ndarray]

    @property
    def labels(self) -> np.ndarray:
        """int64, n: the likeliest class."""
        return self.probabilities.argmax(1)


def run_members(models: list[LiteModel], images: np.ndarray, tta: bool) -> Raw:
    """Run every member on one batch.

    Args:
        images: uint8, n×S×S×3.
        tta: average the probabilities over the eight flips and turns.
    """
    found: list[Outputs] = [model(resized(images, model.size)) for model in models]
    plain = np.stack([f.probabilities for f in found])
    return Raw(
        average_views(models, images, plain) if tta else plain,
        plain,
        [f.features for f in found],
        [f.maps for f in found],
        [np.concatenate([f.features, f.textures], axis=1) for f in found],
        unlike_stained(images),
    )


def average_views(models: list[LiteModel], images: np.ndarray, plain: np.ndarray) -> np.ndarray:
    """float32, m×n×8: each member's mean over the eight flips and turns of one batch.

    Args:
        plain: m×n×8, what it says of the unturned images.
    """
    total = plain.astype(np.float64)
    for i, model in enumerate(models):
        own = resized(images, model.size)
        for turns, flip in VIEWS[1:]:
            view = np.rot90(own[:, :, ::-1] if flip else own, turns, axes=(1, 2))
            total[i] += model(view).probabilities
    return (total / len(VIEWS)).astype(np.float32)


def decides(
    probabilities: np.ndarray, novelty: np.ndarray, probability: float, limit: float
) -> np.ndarray:
    """bool, n: where the first member of a cascade answers alone.

    Args:
        probabilities: n×8, its own, calibrated. novelty: n, its own.
        probability, limit: from the one on and up to the other it is sure.
    """
    return (probabilities.max(1) >= probability) & (novelty <= limit)


class Ensemble:
    """A loaded ensemble; its interpreters live as long as it does.

    Args:
        bundle: its files.

    Raises:
        BadInput: a file of the bundle is missing or damaged.
    """

    def __init__(self, bundle: Bundle):
        self.bundle = bundle
        self.description = bundle.description
        members = self.description.members
        self.models = [LiteModel(bundle.read_checked(m.file), m.name) for m in members]
        self.weights = np.array([m.weight for m in members], np.float64)
        self._bases = [self._basis(m, model) for m, model in self._pairs()]
        self._known = [
            self._rows(m.features, None, model.channels if basis is None else basis.shape[1])
            for (m, model), basis in zip(self._pairs(), self._bases, strict=True)
        ]
        self._scales = np.array([m.novelty_scale for m in members], np.float64)
        self._detectors = (
            [self._detector(m, model) for m, model in self._pairs()]
            if all(m.detector is not None for m in members)
            else []
        )
        self.head = self._read_head()

    def _read_head(self) -> AdaptedHead | None:
        adapted = self.description.adapted
        if adapted is None:
            return None
        channels = sum(model.channels for model in self.models)
        width = channels + sum(model.textures for model in self.models)
        where = f"{self.bundle.path}: {adapted.file}"
        return AdaptedHead.read(self.bundle.arrays(adapted.file), where, channels, width)

    def _pairs(self) -> list[tuple[Member, LiteModel]]:
        return list(zip(self.description.members, self.models, strict=True))

    def _basis(self, member: Member, model: LiteModel) -> np.ndarray | None:
        # Earlier ensembles keep their known cells as they are.
        return self._rows(member.basis, model.channels, None) if member.basis is not None else None

    def _rows(self, file: str, height: int | None, width: int | None) -> np.ndarray:
        """A table of finite numbers, of a given height or width."""
        found = self.bundle.array(file)
        sound = found.ndim == 2 and found.dtype.kind == "f" and found.size > 0
        fits = sound and height in (None, found.shape[0]) and width in (None, found.shape[1])
        if not fits or not (np.abs(found.astype(np.float64)) < LARGEST).all():
            expected = f"{height} rows of numbers" if height else f"rows of {width} numbers"
            expected += f" below {LARGEST:g}"
            raise BadInput(
                f"{self.bundle.path}: {file} holds {found.dtype} {found.shape}, "
                f"expected {expected}: make the ensemble again."
            )
        # Converted once here: at every answer it would cost more than the networks.
        return found.astype(np.float64)

    def _detector(self, member: Member, model: LiteModel) -> np.ndarray:
        found = self.bundle.array(member.detector)
        # One is kept as a row. Earlier ensembles look at the features alone.
        lengths = {model.channels + 1, model.channels + model.textures + 1}
        sound = found.ndim in (1, 2) and found.dtype.kind == "f" and found.size > 0
        sound = sound and found.shape[-1] in lengths
        if not sound or not (np.abs(found.astype(np.float64)) < LARGEST).all():
            raise BadInput(
                f"{self.bundle.path}: {member.detector} holds {found.dtype} {found.shape}, "
                f"expected {max(lengths)} numbers below {LARGEST:g}: make the ensemble again."
            )
        return np.atleast_2d(found)

    @property
    def name(self) -> str:
        return self.description.name

    @property
    def size(self) -> int:
        """Pixels a side of the images it takes."""
        return self.description.input_size

    def similarity(self, features: list[np.ndarray], count: int) -> np.ndarray | None:
        """Cosine similarity to the known cells, averaged over the members by weight.

        Args:
            features: of one image, 1×C for each member.
            count: of the known cells.

        Returns:
            float64, count; None if a member knows other cells.
        """
        total = np.zeros(count)
        for weight, known, found, basis in zip(
            self.weights / self.weights.sum(), self._known, features, self._bases, strict=True
        ):
            if len(known) != count:
                return None
            row = unit(found)[0]
            total += weight * (known @ (row if basis is None else row @ basis))
        return total

    def seen(self) -> np.ndarray:
        """str: identities of all images that a member saw in training or validation."""
        found = self.bundle.array("seen.npy")
        if found.ndim != 1 or found.dtype.kind not in "SU":
            raise BadInput(
                f"{self.bundle.path}: seen.npy holds {found.dtype} {found.shape}, expected a list "
                "of identities: make the ensemble again."
            )
        return found.astype(str)

    def in_light(self, laboratory: np.ndarray) -> "Ensemble":
        """The same for a laboratory whose empty field has another colour, float, 3."""
        changed = copy(self)
        changed.description = self.description.changed(balance=tuple(map(float, laboratory)))
        return changed

    def run(self, images: np.ndarray, tta: bool) -> Raw:
        """What the members say of one batch, uint8, n×S×S×3, in the light that they know."""
        return run_members(self.models, self._lit(images), tta)

    def _lit(self, images: np.ndarray) -> np.ndarray:
        balance, light = self.description.balance, self.description.light
        if balance is None or light is None:
            return images
        return from_laboratory(images, np.array(balance), np.array(light.background[1]))

    @one_blas_thread
    def look(
        self,
        read: Callable[[np.ndarray], np.ndarray],
        indices: np.ndarray,
        progress: Progress = silent,
    ) -> Raw:
        """Run every member once on at least one image that `read` fetches, unturned.

        Ensembles of the same members and light answer from it without running them again.
        """
        parts = []
        for start in range(0, len(indices), BATCH):
            parts.append(self.run(read(indices[start : start + BATCH]), tta=False))
            progress(min(start + BATCH, len(indices)), len(indices), "cells")

        def each(key: str) -> list[np.ndarray]:
            return [np.concatenate(p) for p in zip(*(getattr(r, key) for r in parts), strict=True)]

        plain = np.concatenate([p.plain for p in parts], axis=1)
        return Raw(
            plain,
            plain,
            each("features"),
            each("maps"),
            each("novelty_features"),
            np.concatenate([p.unlike for p in parts]),
        )

    def said(self, raw: Raw) -> np.ndarray:
        """The members' mean by their weights, n×8, before any head of a laboratory."""
        return np.tensordot(self.weights / self.weights.sum(), raw.probabilities, axes=1)

    def calibrate(self, raw: Raw, novelty: np.ndarray | None = None) -> Answers:
        """Combine the members: average first, then temperature; novelty; prediction sets.

        Args:
            novelty: n, of these images, where it was worked out before.

        Raises:
            BadInput: a network of the ensemble answers with NaN or infinity.
        """
        mean = self.said(raw)
        if self.head is not None:
            mean = self.head.probabilities(mean, np.concatenate(raw.novelty_features, axis=1))
        probabilities = apply_temperature(mean, self.description.temperature)
        novelty = self._novelty_of_all(raw) if novelty is None else novelty
        if not (np.isfinite(probabilities).all() and np.isfinite(novelty).all()):
            raise BadInput(
                f"The ensemble {self.name} answers with what is no number, expected probabilities "
                "and distances: restore it from a copy or make it again."
            )
        return Answers(
            probabilities,
            raw.probabilities,
            prediction_sets(probabilities, self.description.conformal.threshold),
            novelty,
            novelty <= self.description.novelty.threshold,
            raw.maps,
        )

    def _novelty_of_all(self, raw: Raw) -> np.ndarray:
        novelty = self._novelty(raw, range(len(self.models)))
        if self.head is not None:
            threshold = self.description.novelty.threshold
            novelty = self.head.novelty(novelty, threshold, raw.features)
        # An answer is the same wherever in a batch its image stands: see DECIMALS.
        return novelty.round(DECIMALS)

    def _novelty(self, raw: Raw, members: Iterable[int]) -> np.ndarray:
        """float64, n: by some members, of which `raw` holds these in this order."""
        k, members = self.description.novelty.neighbours, list(members)
        distances = [
            neighbour_distance(found, self._known[i], k, self._bases[i]) / self._scales[i]
            for i, found in zip(members, raw.features, strict=True)
        ]
        detectors = [self._detectors[i] for i in members] if self._detectors else []
        detections = [
            detect(found[:, : detector.shape[1] - 1], detector)
            for found, detector in zip(raw.novelty_features, detectors, strict=False)
        ]
        weights = [self.description.members[i].novelty_weight for i in members]
        found, limits = novelty_of(distances, detections, weights), self.description.novelty.stained
        # Earlier ensembles have none.
        if limits is None:
            return found
        return np.maximum(found, self.description.novelty.threshold * beyond(raw.unlike, limits))

    def predict(
        self,
        images: np.ndarray,
        *,
        tta: bool | None = None,
        progress: Progress = silent,
    ) -> Answers:
        """Answer for images.

        Args:
            images: uint8, n×size×size×3, RGB.
            tta: all members, averaged over the eight flips and turns, or not; None: as the
                ensemble was composed, which may be by a cascade.
            progress: called after every batch.
        """
        return self.predict_from(lambda i: images[i], np.arange(len(images)), tta, progress)

    @one_blas_thread
    def predict_from(
        self,
        read: Callable[[np.ndarray], np.ndarray],
        indices: np.ndarray,
        tta: bool | None = None,
        progress: Progress = silent,
    ) -> Answers:
        """Answer for images that `read` fetches a batch at a time; see :meth:`predict`."""
        if self.description.by_cascade(tta):
            return self._by_cascade(read, indices, progress)
        use_tta = self.description.tta if tta is None else tta
        parts = []
        for start in range(0, len(indices), BATCH):
            batch = read(indices[start : start + BATCH])
            parts.append(self.calibrate(self.run(batch, use_tta)))
            progress(min(start + BATCH, len(indices)), len(indices), "images")
        if not parts:
            empty = np.zeros((0, self.size, self.size, 3), np.uint8)
            return _empty_answers(len(self.models), len(self.description.classes), len(empty))
        return Answers(
            np.concatenate([p.probabilities for p in parts]),
            np.concatenate([p.members for p in parts], axis=1),
            np.concatenate([p.prediction_sets for p in parts]),
            np.concatenate([p.novelty for p in parts]),
            np.concatenate([p.recognised for p in parts]),
            [np.concatenate(maps) for maps in zip(*(p.maps for p in parts), strict=True)],
        )

    def _by_cascade(
        self, read: Callable[[np.ndarray], np.ndarray], indices: np.ndarray, progress: Progress
    ) -> Answers:
        """One member first; all of them, in full batches, where it is not sure; and with their
        views, where they are not sure either."""
        cascade, n = self.description.cascade, len(indices)
        first = [m.name for m in self.description.members].index(cascade.first)
        said = _empty_answers(len(self.models), len(self.description.classes), n)
        said = replace(said, maps=[])
        said.members[:] = np.nan
        waiting, where = np.zeros((0, self.size, self.size, 3), np.uint8), np.zeros(0, int)
        for start in range(0, n, BATCH):
            images = read(indices[start : start + BATCH])
            rows = np.arange(start, start + len(images))
            raw = run_members([self.models[first]], self._lit(images), False)
            alone = apply_temperature(raw.probabilities[0].astype(np.float64), cascade.temperature)
            novelty = self._novelty(raw, [first]).round(DECIMALS)
            sure = decides(alone, novelty, cascade.probability, cascade.novelty)
            said.probabilities[rows[sure]] = alone[sure]
            said.members[first, rows] = raw.probabilities[0]
            said.novelty[rows[sure]] = novelty[sure]
            said.recognised[rows[sure]] = True
            waiting, where = np.concatenate([waiting, images[~sure]]), np.append(where, rows[~sure])
            last = start + BATCH >= n
            while len(where) >= BATCH or (last and len(where)):
                found, some = self._by_all(waiting[:BATCH]), where[:BATCH]
                said.probabilities[some] = found.probabilities
                said.members[:, some] = found.members
                said.novelty[some], said.recognised[some] = found.novelty, found.recognised
                waiting, where = waiting[BATCH:], where[BATCH:]
            progress(min(start + BATCH, n), n, "images")
        sets = prediction_sets(said.probabilities, self.description.conformal.threshold)
        return replace(said, prediction_sets=sets)

    def _by_all(self, images: np.ndarray) -> Answers:
        """What all members of a cascade say of one batch, with views where they matter."""
        settled = self.description.cascade.settled
        if not self.description.tta or settled is None:
            return self.calibrate(self.run(images, self.description.tta))
        raw = self.run(images, False)
        found = self.calibrate(raw)
        open_ = found.probabilities.max(1) < settled
        if not open_.any():
            return found
        viewed = raw.plain.copy()
        viewed[:, open_] = average_views(self.models, self._lit(images[open_]), raw.plain[:, open_])
        return self.calibrate(replace(raw, probabilities=viewed), found.novelty)


def _empty_answers(members: int, classes: int, n: int) -> Answers:
    return Answers(
        np.zeros((n, classes)),
        np.zeros((members, n, classes), np.float32),
        np.zeros((n, classes), bool),
        np.zeros(n),
        np.zeros(n, bool),
        [np.zeros((n, 1, 1, classes), np.float32) for _ in range(members)],
    )


def open_ensemble(workspace: Workspace, name_or_path: str) -> Ensemble:
    """Load an ensemble by its name in the workspace, or by the path of its folder or zip.

    Raises:
        NotFound: there is none.
        BadInput: it is damaged, foreign, or of another version.
    """
    return Ensemble(Bundle(Path(workspace.find("ensembles", name_or_path))))
