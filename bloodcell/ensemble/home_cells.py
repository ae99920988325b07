"""Cells of home that an adaptation keeps, so that an ensemble does not forget: ``home.npz``.

Of each cell it holds what the networks saw, never the photograph: numbers scaled by the spread of
home cells and sketched, that is added up with random signs in fewer places, which keeps inner
products (Charikar, Chen and Farach-Colton, ICALP 2002; Weinberger et al., "Feature hashing",
ICML 2009). They are cells that the networks were not fitted on.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import numpy as np

from bloodcell.classes import CLASS_NAMES
from bloodcell.ensemble.adapted_head import standardised
from bloodcell.errors import BadInput
from bloodcell.models.litert import LiteModel

__all__ = [
    "HOME",
    "PER_CLASS",
    "HomeCells",
    "evenly",
    "evenly_of_each",
    "features_among",
    "home_cells",
]

HOME = ""
PER_CLASS = 60
# Training cells that are kept as known; the second where they come from several laboratories.
KNOWN_PER_CLASS, KNOWN_PER_LABORATORY = 250, 125
# Places of the sketch: of features, of textures.
PLACES = 2048
LARGEST = 1e6


@dataclass(frozen=True)
class HomeCells:
    """The tables of ``home.npz``; D numbers are what all members see together.

    Attributes:
        middle, spread: float32, D.
        place, sign: int16, int8, D: where the sketch adds each number, and how. The first half of
            the places takes the features, the second the textures.
        rows: float16, n×2·PLACES: the cells.
        said: float32, n×8: probabilities of the members' mean.
        labels: int8, n.
        ids: str, n: their identities.
        laboratory: str, n: HOME, or that of an earlier adaptation, whose cells count in full.
    """

    middle: np.ndarray
    spread: np.ndarray
    place: np.ndarray
    sign: np.ndarray
    rows: np.ndarray
    said: np.ndarray
    labels: np.ndarray
    ids: np.ndarray
    laboratory: np.ndarray

    @classmethod
    def read(cls, tables: dict[str, np.ndarray], where: str, width: int) -> "HomeCells":
        """Check the tables of a file; `width` is D.

        Raises:
            BadInput: one is missing, or holds what it cannot.
        """
        n = len(tables["labels"]) if tables.get("labels", np.zeros(())).ndim == 1 else -1
        shapes = {
            "middle": ("f", (width,)),
            "spread": ("f", (width,)),
            "place": ("i", (width,)),
            "sign": ("i", (width,)),
            "rows": ("f", (n, 2 * PLACES)),
            "said": ("f", (n, len(CLASS_NAMES))),
            "labels": ("i", (n,)),
            "ids": ("U", (n,)),
            "laboratory": ("U", (n,)),
        }
        for key, (kind, shape) in shapes.items():
            found = tables.get(key)
            sound = found is not None and found.dtype.kind == kind and found.shape == shape
            if sound and kind == "f":
                sound = bool((np.abs(found.astype(np.float64)) < LARGEST).all())
            if not sound:
                holds = "nothing" if found is None else f"{found.dtype} {found.shape}"
                raise BadInput(
                    f"{where} holds {holds} as {key}, expected finite values of the shape {shape}: "
                    "restore the ensemble from a copy or make its home cells again with "
                    "`python -m bloodcell home`."
                )
        home = cls(**{f.name: tables[f.name] for f in fields(cls)})
        limits = ((home.place, 2 * PLACES), (home.labels, len(CLASS_NAMES)))
        if any(len(v) and not 0 <= v.min() <= v.max() < top for v, top in limits):
            raise BadInput(f"{where} names places or classes that there are not: restore it.")
        if not (home.spread > 0).all():
            raise BadInput(f"{where} has a spread that is not above 0: restore it from a copy.")
        return home

    def tables(self) -> dict[str, np.ndarray]:
        return {f.name: getattr(self, f.name) for f in fields(self)}

    def sketch(self, seen: np.ndarray) -> np.ndarray:
        """float32, n×2·PLACES, of what all members see, n×D."""
        scaled = standardised(seen, self.middle, self.spread) * self.sign
        found = np.zeros((2 * PLACES, len(seen)), np.float32)
        np.add.at(found, self.place, scaled.T)
        return found.T

    def weights_of(self, sketched: np.ndarray) -> np.ndarray:
        """The weights of D numbers (D×8) that do what those of the sketch (2·PLACES×8) do."""
        return self.sign[:, None] * sketched[self.place]

    def views(self, rows: np.ndarray) -> dict[str, np.ndarray]:
        """The representations to choose from; all have 2·PLACES columns."""
        rows = np.asarray(rows, np.float32)
        scale = self._scales
        both = rows * scale
        features, textures = both * np.sqrt(2), both * np.sqrt(2)
        features[:, PLACES:] = 0
        textures[:, :PLACES] = 0
        return {"features": features, "textures": textures, "both": both}

    def view_weights(self, view: str, sketched: np.ndarray) -> np.ndarray:
        """Weights for sketched rows, given those for rows of a representation."""
        found = self._scales[:, None] * sketched
        if view != "both":
            found = found * np.sqrt(2)
            found[PLACES:] *= view == "textures"
            found[:PLACES] *= view == "features"
        return found

    @property
    def _scales(self) -> np.ndarray:
        # Features and textures count alike, whatever their number.
        features = max(1, int((self.place < PLACES).sum()))
        textures = max(1, len(self.place) - features)
        return np.sqrt(np.repeat([PLACES / features, PLACES / textures], PLACES)).astype(np.float32)

    def with_cells(
        self, rows: np.ndarray, said: np.ndarray, labels: np.ndarray, ids: np.ndarray, lab: str
    ) -> "HomeCells":
        """The same with a laboratory's cells, in the place of what it had of them."""
        old = self.without(ids)
        return replace(
            old,
            rows=np.concatenate([old.rows, rows.astype(np.float16)]),
            said=np.concatenate([old.said, said.astype(np.float32)]),
            labels=np.concatenate([old.labels, labels.astype(np.int8)]),
            ids=np.concatenate([old.ids, np.asarray(ids, str)]),
            laboratory=np.concatenate([old.laboratory, np.full(len(rows), lab)]),
        )

    def without(self, ids: np.ndarray) -> "HomeCells":
        keep = ~np.isin(self.ids, ids)
        each = ("rows", "said", "labels", "ids", "laboratory")
        return replace(self, **{k: getattr(self, k)[keep] for k in each})


def home_cells(
    seen: np.ndarray,
    channels: np.ndarray,
    said: np.ndarray,
    labels: np.ndarray,
    ids: np.ndarray,
) -> HomeCells:
    """What an adaptation needs of some cells of home.

    Args:
        seen: float, n×D: what all members see of them.
        channels: bool, D: which of these numbers are features; the others are textures.
        said: float, n×8. labels: int64, n. ids: str, n.
    """
    seen = np.asarray(seen, np.float32)
    middle, spread = seen.mean(0), seen.std(0)
    spread = np.maximum(spread, 1e-3 * spread.mean() + 1e-6)
    rng = np.random.default_rng(0)
    width = seen.shape[1]
    place = rng.integers(PLACES, size=width) + np.where(channels, 0, PLACES)
    sign = rng.choice(np.array([-1, 1], np.int8), size=width)
    n = len(seen)
    home = HomeCells(
        middle.astype(np.float32),
        spread.astype(np.float32),
        place.astype(np.int16),
        sign,
        np.zeros((n, 2 * PLACES), np.float16),
        said.astype(np.float32),
        labels.astype(np.int8),
        np.asarray(ids, str),
        np.full(n, HOME, "<U64"),
    )
    return replace(home, rows=home.sketch(seen).astype(np.float16))


def features_among(models: Sequence[LiteModel]) -> np.ndarray:
    """bool, D: which numbers of what all members see are features."""
    return np.concatenate([np.repeat([True, False], [m.channels, m.textures]) for m in models])


def evenly(labels: np.ndarray, per_class: int) -> np.ndarray:
    """Up to `per_class` places of each label, evenly spread; the same every time.

    Args:
        labels: int, n: classes, or any other groups.
    """
    chosen = [np.zeros(0, int)]
    for label in np.unique(labels):
        rows = np.flatnonzero(labels == label)
        count = min(per_class, len(rows))
        chosen.append(rows[np.linspace(0, len(rows) - 1, count).astype(int)])
    return np.concatenate(chosen)


def evenly_of_each(labels: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Places of cells that are kept as known: some of each class in each laboratory.

    Args:
        labels: int, n, 0 to 7. places: str, n: their laboratories.
    """
    names, codes = np.unique(places, return_inverse=True)
    most = KNOWN_PER_CLASS if len(names) == 1 else KNOWN_PER_LABORATORY
    return evenly(labels * len(names) + codes, most)
