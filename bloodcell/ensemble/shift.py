"""Whether a batch of photographs differs as a whole from those an ensemble learned from.

Calibration does not carry over to another microscope or stain: then a confident answer is worth
less than it says. Two signs are looked at that need no labels: the colour of the empty field, and
how many of the cells are stranger than nine in ten known cells.
"""

from dataclasses import dataclass

import numpy as np

from bloodcell.ensemble.description import Description, Light
from bloodcell.ensemble.ensemble import Ensemble

__all__ = ["Shift", "find_shift", "wanted_background"]

# Half a stop of one channel against the others is what an eye notices at once.
LEAST_LIGHT = 0.08
SPREADS = 3.0
COMMON = 0.9
ENOUGH = 5
CHANCE = 1e-3


@dataclass(frozen=True)
class Shift:
    """What sets a batch apart.

    Attributes:
        n: photographs looked at.
        background: float, 3, RGB: the median empty field of the batch.
        reference: that of the training photographs, or None if the ensemble does not say.
        other_light: it is the background of no lot of training photographs.
        strange: how many are stranger than 90 % of known cells; None if that is not known.
        other_cells: that many is no chance, and most of the batch.
    """

    n: int
    background: np.ndarray
    reference: np.ndarray | None
    other_light: bool
    strange: int | None
    other_cells: bool

    @property
    def found(self) -> bool:
        return self.other_light or self.other_cells

    def sentence(self, balanced: bool = False) -> str:
        """What is different, and what that means for the answers."""
        signs = []
        if self.other_light and self.reference is not None:
            done = " (now balanced)" if balanced else ""
            signs.append(
                f"the empty field is RGB {_rgb(self.background)} where the training photographs "
                f"have {_rgb(self.reference)}{done}"
            )
        if self.other_cells:
            signs.append(f"{self.strange:,} of {self.n:,} are stranger than 90 % of known cells")
        which = "This photograph differs" if self.n == 1 else "As a whole these differ"
        return (
            f"{which} from the photographs that the ensemble learned from: {'; '.join(signs)}. "
            "Its probabilities cannot be trusted here as they stand."
        )


def wanted_background(ensemble: Ensemble) -> np.ndarray | None:
    """The median empty field of the training photographs, RGB; None if it is not known."""
    light = ensemble.description.light
    return None if light is None else np.array(light.background[1])


def find_shift(ensemble: Ensemble, backgrounds: np.ndarray, novelty: np.ndarray) -> Shift | None:
    """Compare a batch with the training photographs.

    Args:
        backgrounds: float, n×3: the empty field of each photograph as it was dropped.
        novelty: float, n: of each.

    Returns:
        None for no photographs.
    """
    n = len(novelty)
    if n == 0:
        return None
    middle = np.median(backgrounds, axis=0)
    reference, strange = wanted_background(ensemble), _strange(ensemble.description, novelty)
    other_light = reference is not None and _is_other(ensemble.description.light, middle)
    other_cells = strange is not None and n >= ENOUGH and _no_chance(strange, n)
    return Shift(n, middle, reference, other_light, strange, other_cells)


def _is_other(light: Light, background: np.ndarray) -> bool:
    found = np.log(np.maximum(background, 1))
    if light.known:
        away = np.abs(np.log(np.maximum(light.known, 1)) - found).max(1)
        return bool(away.min() > LEAST_LIGHT)
    # Earlier ensembles keep a median and a spread only.
    low, usual, high = np.log(np.maximum(light.background, 1))
    allowed = np.maximum(SPREADS * np.maximum(high - usual, usual - low), LEAST_LIGHT)
    return bool((np.abs(found - usual) > allowed).any())


def _strange(description: Description, novelty: np.ndarray) -> int | None:
    levels = dict(description.novelty.levels)
    return int((novelty > levels[COMMON]).sum()) if COMMON in levels else None


def _no_chance(strange: int, n: int) -> bool:
    from scipy.stats import binom

    return strange > n / 2 and float(binom.sf(strange - 1, n, 1 - COMMON)) < CHANCE


def _rgb(colour: np.ndarray) -> str:
    return " ".join(f"{value:.0f}" for value in colour)
