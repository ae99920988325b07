"""The part of the validation images that chooses nothing: no epoch, no weight, no temperature.

A threshold promises something of new cells only if the images that it was taken from were new as
well. So half of the validation images are set apart for the thresholds of prediction sets and
novelty, by their identity alone: the same in every run of a dataset and in the ensemble of them.
"""

import hashlib

import numpy as np

__all__ = ["FEWEST", "calibration_part"]

# Fewer cannot say which novelty 1 % of cells reach. Then nothing is set apart, and the thresholds
# are as good as images that chose the epoch can make them.
FEWEST = 99


def calibration_part(hashes: np.ndarray) -> np.ndarray:
    """Which of some validation images are set apart for thresholds.

    Args:
        hashes: their identities, see :func:`bloodcell.data.store.dataset.pixel_hash`; copies fall
            to the same side.

    Returns:
        bool, n; none where it would be fewer than FEWEST, or leave fewer to choose by.
    """
    chosen = [hashlib.blake2b(f"calibration {h}".encode()).digest()[0] & 1 for h in hashes]
    found = np.array(chosen, bool)
    return found if FEWEST <= found.sum() <= len(found) - FEWEST else np.zeros(len(found), bool)
