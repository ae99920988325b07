"""The training cells that the members find most similar to an image."""

from dataclasses import dataclass

import numpy as np

from bloodcell.ensemble.ensemble import Ensemble

__all__ = ["Similar", "similar_cells"]


@dataclass(frozen=True)
class Similar:
    """A known training cell.

    Attributes:
        identity: its pixel hash, see :func:`bloodcell.data.store.dataset.pixel_hash`.
        similarity: cosine in feature space, averaged over the members by weight, -1 to 1.
    """

    identity: str
    similarity: float


def similar_cells(ensemble: Ensemble, image: np.ndarray, count: int = 6) -> list[Similar]:
    """The known cells nearest to an image, the nearest first.

    Args:
        image: uint8, S×S×3, RGB, of the ensemble's size.
        count: at most so many.

    Returns:
        Empty for an ensemble that does not name its known cells.
    """
    if "known.npy" not in ensemble.description.files:
        return []
    identities = ensemble.bundle.array("known.npy").astype(str)
    found = ensemble.run(image[None], False).features
    total = ensemble.similarity(found, len(identities))
    if total is None:
        return []
    nearest = np.argsort(-total, kind="stable")[:count]
    return [Similar(str(identities[i]), float(total[i])) for i in nearest]
