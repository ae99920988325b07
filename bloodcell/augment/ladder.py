"""One augmentation at several strengths, each at the end of what its setting allows."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bloodcell.augment.apply import apply
from bloodcell.augment.catalogue import CATALOGUE
from bloodcell.augment.policy import Policy, Step

__all__ = ["SHARES", "Rung", "extreme", "ladder"]

SHARES = (0.0, 0.5, 1.0, 1.5, 2.0)


class _Ends(np.random.Generator):
    """Draws the ends of ranges, and partners that are never oneself.

    Of a range about 0 it draws the upper end towards +1 and the lower one towards −1, of others
    the end farthest from 0. Towards +1 what happens with probability one half, as a flip, does.
    """

    def __init__(self, seed: int, direction: int):
        super().__init__(np.random.PCG64(seed))
        self._direction = direction

    def uniform(self, low=0.0, high=1.0, size=None):
        if low * high >= 0 or size is None:
            upper = self._direction > 0 if low * high < 0 else abs(high) > abs(low)
            end = high if upper else low
            return end if size is None else np.full(size, end)
        signs = np.where(super().random(size) < 0.5, -1.0, 1.0)
        # all channels moved alike would change brightness and leave the colour
        signs[-1] = -signs[0]
        return np.where(self._direction * signs > 0, high, low)

    def random(self, size=None, *arguments, **named):
        drawn = super().random(size, *arguments, **named)
        return drawn / 2 if self._direction > 0 else drawn

    def permutation(self, x, axis=0):
        return np.roll(np.arange(x), 1)


@dataclass(frozen=True)
class Rung:
    """One strength.

    Attributes:
        share: of the setting; 0 changes nothing, 1 is the setting itself.
        parameters: those it stands for.
        sensible: whether all of them are sensible for blood cells.
        images: uint8, B×H×W×3. labels: float32, B×K.
    """

    share: float
    parameters: dict[str, float | int | bool]
    sensible: bool
    images: np.ndarray
    labels: np.ndarray


def extreme(
    step: Step, images: np.ndarray, labels: np.ndarray, seed: int = 0, direction: int = 1
) -> tuple[np.ndarray, np.ndarray]:
    """The most that a step can do to images, whatever its probability.

    Args:
        images: uint8, B×H×W×3. labels: float32, B×K.
        seed: of what has no end to go to: flips, orders, chains.
        direction: 1 or −1: towards which end, where there are two.

    Returns:
        Images and labels as `bloodcell.augment.apply` returns them.
    """
    policy = Policy("extreme", (Step(step.key, 1.0, step.parameters),))
    return apply(policy, images, labels, _Ends(seed, direction))


def ladder(
    step: Step,
    images: np.ndarray,
    labels: np.ndarray,
    seed: int = 0,
    direction: int = 1,
    shares: Sequence[float] = SHARES,
) -> list[Rung]:
    """`extreme` at several shares of a step's setting.

    Shares that lead to the same parameters, as for a switch or at the end of a range, make one
    rung.

    Args: as for `extreme`.
    """
    augmentation = CATALOGUE[step.key]
    rungs: list[Rung] = []
    for share in shares:
        parameters = augmentation.scaled(step.parameters, share)
        if rungs and parameters == rungs[-1].parameters:
            continue
        made = extreme(Step(step.key, 1.0, parameters), images, labels, seed, direction)
        rungs.append(Rung(share, parameters, not augmentation.insensible(parameters), *made))
    return rungs
