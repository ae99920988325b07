"""How strange an image is: its distance to known cells in the members' feature spaces.

Cosine distance to the k-th nearest of a sample of training cells (Sun et al., "Out-of-
distribution detection with deep nearest neighbors", ICML 2022), a member at a time, divided by
the distance that 99 % of validation cells stay below, averaged over the members.
"""

import numpy as np

__all__ = ["NEIGHBOURS", "REFUSED_SHARE", "neighbour_distance", "unit"]

NEIGHBOURS = 10
# At most this share of real validation cells is refused.
REFUSED_SHARE = 0.01


def unit(features: np.ndarray) -> np.ndarray:
    """Rows scaled to length 1; float32."""
    features = np.asarray(features, np.float32)
    return features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-12)


def neighbour_distance(features: np.ndarray, reference: np.ndarray, k: int) -> np.ndarray:
    """Cosine distance of each row to its k-th nearest row of a reference.

    Args:
        features: n×C, any scale.
        reference: r×C, rows of length 1.
        k: at most r is used.

    Returns:
        float64, n, 0 to 2.
    """
    similarity = unit(features) @ reference.astype(np.float32).T
    k = min(k, reference.shape[0])
    return 1.0 - np.partition(similarity, -k, axis=1)[:, -k].astype(np.float64)
