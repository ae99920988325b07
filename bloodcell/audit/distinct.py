"""The images in use, copies counted once, and which of them are near copies of each other."""

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from bloodcell.data.store.dataset import Dataset

__all__ = ["Distinct"]


class Distinct:
    """The images in use, copies counted once.

    Attributes:
        rows: int64, ascending: the first index of each distinct image.
        labels: int64: its label.
        group: int64: the near-copy group of each of them.
        score: index → explained share, for those that have a near copy.
        contested: bool: copies of it carry another label.
    """

    def __init__(self, dataset: Dataset, labels: np.ndarray):
        kept = np.flatnonzero(dataset.kept)
        hashes = dataset.hashes[kept]
        _, first, place = np.unique(hashes, return_index=True, return_inverse=True)
        order = np.argsort(first)
        self.rows = kept[first[order]]
        self.labels = labels[self.rows]
        rank = np.empty(len(order), np.int64)
        rank[order] = np.arange(len(order))
        self._kept, self._place = kept, rank[place]
        self.group = np.arange(len(self.rows))
        self.score: dict[int, float] = {}
        self.contested = np.zeros(len(self.rows), bool)
        self.contested[self._place[labels[kept] != self.labels[self._place]]] = True

    def __len__(self) -> int:
        return len(self.rows)

    def copies(self, position: int) -> np.ndarray:
        """int64: the indices of all images with the pixels of a distinct one."""
        return self._kept[self._place == position]

    def positions(self, indices: np.ndarray) -> np.ndarray:
        """int64: which distinct image each of some indices in use is."""
        return self._place[np.searchsorted(self._kept, indices)]

    def join(self, pairs: list[tuple[int, int, float]]) -> None:
        """Group near copies: (index, index, explained share) for each pair of them."""
        if not pairs:
            return
        a, b = (np.searchsorted(self.rows, [p[side] for p in pairs]) for side in (0, 1))
        n = len(self.rows)
        self.group = connected_components(coo_array((np.ones(len(a)), (a, b)), (n, n)))[1]
        for i, j, share in pairs:
            for index in (i, j):
                self.score[index] = max(share, self.score.get(index, 0.0))
