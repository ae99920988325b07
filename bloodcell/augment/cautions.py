"""Which steps of a policy may destroy what tells the classes apart."""

from dataclasses import dataclass

from bloodcell.augment.catalogue import CATALOGUE
from bloodcell.augment.declaration import Cue
from bloodcell.augment.policy import Policy, Step

__all__ = ["Caution", "cautions"]


@dataclass(frozen=True)
class Caution:
    """A step whose setting may destroy what tells the classes apart.

    Attributes:
        place: of the step, from 1.
        step: the step itself.
        sentence: which settings are beyond what is sensible, and what is lost.
        cue: what is lost, or None where no class suffers in particular.
    """

    place: int
    step: Step
    sentence: str
    cue: Cue | None


def cautions(policy: Policy) -> list[Caution]:
    """The steps whose settings are beyond what is sensible for blood cells."""
    found = []
    for i, s in enumerate(policy.steps, 1):
        augmentation = CATALOGUE[s.key]
        beyond = augmentation.insensible(s.parameters) if s.probability > 0 else []
        if beyond:
            said = " and ".join(
                f"{p.title.lower()} {s.parameters.get(p.key, p.default):g} is beyond "
                f"{p.sensible[1]:g}"
                for p in beyond
            )
            lost = f" {augmentation.cue.sentence}" if augmentation.cue else ""
            found.append(
                Caution(
                    i,
                    s,
                    f"Step {i}, {augmentation.title}: {said}, the most that is sensible for blood "
                    f"cells.{lost}",
                    augmentation.cue,
                )
            )
    return found
