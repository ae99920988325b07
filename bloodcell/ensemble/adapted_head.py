"""What an ensemble that was adapted to a laboratory carries beyond its parent: ``adapted.npz``.

A linear head on what all members see, which gives the probabilities in place of the members' mean,
and the laboratory's own cells, so that cells like them are recognised. An ensemble that was adapted
with cells without labels has the second alone.
"""

import io
from dataclasses import dataclass, fields

import numpy as np

from bloodcell.classes import CLASS_NAMES
from bloodcell.ensemble.fit_head import probabilities_of
from bloodcell.ensemble.novelty import unit
from bloodcell.errors import BadInput

__all__ = [
    "CLIP",
    "AdaptedHead",
    "joined",
    "laboratory_novelty",
    "reach_of",
    "strangeness",
    "strangeness_left_out",
    "to_bytes",
]

# Spreads of home cells. A number that lies further away says no more than that it is far.
CLIP = 4.0
LARGEST = 1e6
MOST_CELLS = 20_000
# A cell of the laboratory is like it if it is as near to some other as this share of them are.
RECOGNISED_SHARE = 0.97
# With few cells the largest distance seen is no limit yet.
MARGIN = 1.15
NEIGHBOURS = 3
# So many times nearer to an artefact than to a cell: it is made of cells and lies among them.
CLEARLY = 1.6


@dataclass(frozen=True)
class AdaptedHead:
    """The tables of ``adapted.npz``; D numbers are what all members see together.

    Attributes:
        middle, spread: float32, D: of home cells.
        weights: float32, D×8; D is 0 if there were no labels. constant: float32, 8.
        beginning: float32, (): how much of the parent's probabilities is added.
        cells: float16, n×F: the members' features of the laboratory's cells, each member's of
            length 1 over the root of their number.
        others: float16, m×F: likewise, of those that are none of the eight.
        artefacts: float16, a×F: likewise, of synthetic pictures made of the laboratory's cells;
            earlier files have none.
        reach: float32, (): the distance to cells of the laboratory up to which one is like them.
    """

    middle: np.ndarray
    spread: np.ndarray
    weights: np.ndarray
    constant: np.ndarray
    beginning: np.ndarray
    cells: np.ndarray
    others: np.ndarray
    artefacts: np.ndarray
    reach: np.ndarray

    @classmethod
    def read(
        cls, tables: dict[str, np.ndarray], where: str, channels: int, width: int
    ) -> "AdaptedHead":
        """Check the tables of a file.

        Args:
            channels: F. width: D of the networks.

        Raises:
            BadInput: one is missing, or holds what it cannot.
        """
        classes = len(CLASS_NAMES)
        tables = {"artefacts": np.zeros((0, channels), np.float16), **tables}
        shapes = {
            "middle": [(0,), (width,)],
            "spread": [(0,), (width,)],
            "weights": [(0, classes), (width, classes)],
            "constant": [(classes,)],
            "beginning": [()],
            "cells": None,
            "others": None,
            "artefacts": None,
            "reach": [()],
        }
        for key, allowed in shapes.items():
            found = tables.get(key)
            kind = "nothing" if found is None else f"{found.dtype} {found.shape}"
            sound = found is not None and found.dtype.kind == "f"
            if sound and allowed is None:
                sound = found.ndim == 2 and found.shape[1] == channels
                sound = sound and found.shape[0] <= MOST_CELLS
            elif sound:
                sound = found.shape in allowed
            if not sound or not (np.abs(found.astype(np.float64)) < LARGEST).all():
                raise BadInput(
                    f"{where} holds {kind} as {key}, expected finite numbers that fit "
                    f"{channels} features and {width} values: restore the ensemble from a copy "
                    "or adapt its parent again."
                )
        head = cls(**{f.name: tables[f.name] for f in fields(cls)})
        lengths = {len(head.middle), len(head.spread), len(head.weights)}
        if len(lengths) > 1 or not (head.spread > 0).all() or not head.reach > 0:
            raise BadInput(
                f"{where} holds tables that do not fit each other: restore the ensemble from a "
                "copy or adapt its parent again."
            )
        return head

    @property
    def labelled(self) -> bool:
        return len(self.weights) > 0

    def probabilities(self, said: np.ndarray, seen: np.ndarray) -> np.ndarray:
        """In place of the members' mean; it is calibrated afterwards.

        Args:
            said: float, n×8: the members' mean. seen: float, n×D.

        Returns:
            float64, n×8, rows sum to 1.
        """
        if not self.labelled:
            return said
        rows = standardised(seen, self.middle, self.spread)
        scores = float(self.beginning) * said + self.constant
        # Row by row alike whatever the batch: see `neighbour_distance`.
        return probabilities_of(scores + rows.astype(np.float64) @ self.weights)

    def novelty(
        self, parents: np.ndarray, threshold: float, features: list[np.ndarray]
    ) -> np.ndarray:
        """Novelty with the laboratory's cells among the known: the parent's, or a lower one.

        Args:
            parents: float, n: what the parent says. threshold: above which it refuses.
            features: of each member, n×C.
        """
        rows, reach = joined(features), float(self.reach)
        return threshold * laboratory_novelty(
            parents / threshold, rows, self.cells, self.others, self.artefacts, reach
        )


def laboratory_novelty(
    parents: np.ndarray,
    rows: np.ndarray,
    cells: np.ndarray,
    others: np.ndarray,
    artefacts: np.ndarray,
    reach: float,
) -> np.ndarray:
    """Novelty in units of the threshold: the parent's, lower where a cell is like the laboratory's.

    A cell that lies nearer to one that was labelled as none of the eight is refused, although the
    parent may recognise it. What the parent refuses is not recognised for being like the
    laboratory's cells where it lies clearly nearer to an artefact: else that would be enough for
    whatever is made under the same light.

    Args:
        parents: float, n, in units of the threshold. rows, cells, others, artefacts: see `joined`.
    """
    if not len(cells):
        return parents
    found = np.minimum(parents, strangeness(rows, cells, reach))
    nearest = _distance(rows, cells, 1)
    for like, factor, judged in ((others, 1.0, True), (artefacts, CLEARLY, parents > 1)):
        if len(like):
            away = np.maximum(_distance(rows, like, 1), 1e-9)
            ratio = nearest / (factor * away)
            nearer = judged & (ratio > 1) & (away <= 2 * reach)
            found = np.where(nearer, np.maximum(found, ratio), found)
    return found


def standardised(seen: np.ndarray, middle: np.ndarray, spread: np.ndarray) -> np.ndarray:
    """float32, n×D: what networks see, in spreads of home cells, clipped."""
    return np.clip((np.asarray(seen, np.float32) - middle) / spread, -CLIP, CLIP)


def joined(features: list[np.ndarray]) -> np.ndarray:
    """float64, n×F: the members' features, each of length 1 over the root of their number."""
    return np.concatenate([unit(f) for f in features], axis=1) / np.sqrt(len(features))


def _distance(rows: np.ndarray, cells: np.ndarray, k: int) -> np.ndarray:
    away = 1.0 - rows @ np.asarray(cells, rows.dtype).T
    k = min(k, len(cells))
    return np.maximum(np.partition(away, k - 1, axis=1)[:, k - 1], 0)


def strangeness(rows: np.ndarray, cells: np.ndarray, reach: float) -> np.ndarray:
    """How unlike a laboratory's cells some are: float64, n, above 1 beyond their reach."""
    return _distance(rows, cells, neighbours_of(len(cells))) / reach


def neighbours_of(count: int) -> int:
    """Which of the nearest counts, of so many cells."""
    return max(1, min(NEIGHBOURS, count // 8))


def _left_out(cells: np.ndarray) -> np.ndarray:
    """The distance of each of some cells to the others of them."""
    k = neighbours_of(len(cells))
    similar = np.asarray(cells, np.float32) @ np.asarray(cells, np.float32).T
    np.fill_diagonal(similar, -np.inf)
    return 1.0 - np.partition(similar, -k, axis=1)[:, -k]


def strangeness_left_out(cells: np.ndarray) -> np.ndarray:
    """How unlike a laboratory's other cells each of its cells is; see `strangeness`."""
    return _left_out(cells) / reach_of(cells) if len(cells) > 1 else np.zeros(len(cells))


def reach_of(cells: np.ndarray) -> float:
    """The distance that most cells of a laboratory keep to each other, each left out in turn."""
    if len(cells) < 2:
        return 0.05
    return float(max(MARGIN * np.quantile(_left_out(cells), RECOGNISED_SHARE), 1e-4))


def to_bytes(tables: dict[str, np.ndarray]) -> bytes:
    """A ``.npz`` without anything but arrays."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **tables)
    return buffer.getvalue()
