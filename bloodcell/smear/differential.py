"""The differential of a smear: counts and shares of the white cells, with exact limits.

A differential of 100 cells is a small sample: the limits of a share follow from the binomial law
(Clopper and Pearson, Biometrika 26, 1934), as in Rümke's table (Rümke, "The imprecision of the
ratio of two percentages", Am. J. Clin. Pathol. 84, 1985; CLSI H20-A2). Platelets and erythroblasts
are no part of it: laboratories report them beside it, for each 100 white cells.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from bloodcell.classes import CLASS_NAMES
from bloodcell.evaluation.intervals import clopper_pearson

__all__ = [
    "BESIDE",
    "WHITE",
    "Differential",
    "Share",
    "cells_to_tell",
    "differential",
    "rumke_table",
]

BESIDE = ("erythroblast", "platelet")
IMMATURE = "immature_granulocyte"
WHITE = tuple(name for name in CLASS_NAMES if name not in BESIDE)
# Of an interval, and of what is written of shares.
LEVEL = 0.95
DECIMALS = 6
MOST_CELLS = 1_000_000


@dataclass(frozen=True)
class Share:
    """A class among the white cells: how many, which share, and the limits of that share (95 %)."""

    n: int
    share: float | None
    low: float
    high: float


@dataclass(frozen=True)
class Differential:
    """The differential of a smear.

    Attributes:
        n: white cells that were counted.
        classes: name of each white class → its share.
        platelets, erythroblasts: how many of them there were beside the white cells.
        refused: cells that none of the eight classes fits.
        cut: cells that the border of a photograph cuts; they are not counted.
        doublets: places with several cells that cannot be told apart; they are not counted.
        repeated: cells that an earlier photograph shows too; they are counted there.
        merged: immature granulocytes count as neutrophils and are no class of their own.
    """

    n: int
    classes: dict[str, Share]
    platelets: int
    erythroblasts: int
    refused: int = 0
    cut: int = 0
    doublets: int = 0
    repeated: int = 0
    merged: bool = False

    def per_100(self, count: int) -> float | None:
        """That many for each 100 white cells; None where there is no white cell."""
        return round(100 * count / self.n, DECIMALS) if self.n else None

    def to_json(self) -> dict[str, Any]:
        """The ``differential`` of ``count --json``."""
        return {
            "n": self.n,
            "classes": {
                name: {
                    "n": s.n,
                    "share": None if s.share is None else round(s.share, DECIMALS),
                    "low": round(s.low, DECIMALS),
                    "high": round(s.high, DECIMALS),
                }
                for name, s in self.classes.items()
            },
            "platelets_per_100": self.per_100(self.platelets),
            "erythroblasts_per_100": self.per_100(self.erythroblasts),
            "platelets": self.platelets,
            "erythroblasts": self.erythroblasts,
            "refused": self.refused,
            "cut": self.cut,
            "doublets": self.doublets,
            "repeated": self.repeated,
            "merged": self.merged,
        }


def differential(
    labels: Iterable[str],
    *,
    refused: int = 0,
    cut: int = 0,
    doublets: int = 0,
    repeated: int = 0,
    merged: bool = False,
) -> Differential:
    """Count cells.

    Args:
        labels: the class name of each cell that counts, platelets and erythroblasts too.
        refused, cut, doublets, repeated: how many were kept apart.
        merged: count immature granulocytes as neutrophils.
    """
    counts = Counter(labels)
    if merged:
        counts["neutrophil"] += counts.pop(IMMATURE, 0)
    n = sum(counts[name] for name in WHITE)
    shares = {
        name: Share(
            counts[name], counts[name] / n if n else None, *clopper_pearson(counts[name], n)
        )
        for name in WHITE
        if not (merged and name == IMMATURE)
    }
    return Differential(
        n,
        shares,
        counts["platelet"],
        counts["erythroblast"],
        refused,
        cut,
        doublets,
        repeated,
        merged,
    )


def rumke_table(
    percents: Iterable[int] = (0, 1, 2, 5, 10, 20, 30, 50, 70, 90),
    cells: tuple[int, ...] = (100, 200, 400),
) -> list[dict[str, Any]]:
    """What a share that was found may truly be, in percent, for each number of cells counted."""
    rows = []
    for percent in percents:
        row: dict[str, Any] = {"found": percent}
        for n in cells:
            low, high = clopper_pearson(round(percent * n / 100), n)
            row[f"n = {n}"] = f"{100 * low:.1f} to {100 * high:.1f}"
        rows.append(row)
    return rows


@cache
def cells_to_tell(share: float, other: float) -> int:
    """How many cells must be counted before finding `share` excludes that `other` is the truth.

    Args:
        share, other: 0 to 1, different.

    Returns:
        The fewest cells from which on the exact limits of `share` leave `other` outside.

    Raises:
        ValueError: the two are equal, or one is no share.
    """
    if share == other or not (0 <= share <= 1 and 0 <= other <= 1):
        raise ValueError(f"expected two different shares of 0 to 1, found {share} and {other}")

    from scipy.stats import beta

    tail = (1 - LEVEL) / 2
    many = 256
    while many <= MOST_CELLS:
        n = np.arange(1, many + 1)
        count = np.round(share * n)
        if other > share:
            told = (count < n) & (beta.ppf(1 - tail, count + 1, np.maximum(n - count, 1)) < other)
        else:
            told = (count > 0) & (beta.ppf(tail, np.maximum(count, 1), n - count + 1) > other)
        # Whole cells make the limits jump a little: they must hold for a while.
        held = np.cumsum(np.concatenate([[0], told]))
        first = n[: many // 2]
        until = first + np.maximum(2, first // 10)
        lasting = held[until - 1] - held[first - 1] == until - first
        if lasting.any():
            return int(first[lasting.argmax()])
        many *= 4
    return MOST_CELLS
