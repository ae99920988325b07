"""How an augmentation is declared, so that widgets, validation and documentation follow from it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from bloodcell.errors import BadInput

__all__ = [
    "COLOUR_CUE",
    "GRAIN_CUE",
    "MIDDLE_CUE",
    "SIZE_CUE",
    "Augmentation",
    "Cue",
    "Parameter",
    "Parameters",
    "count",
    "strength",
    "switch",
]

Value = float | int | bool
Parameters = Mapping[str, Value]


@dataclass(frozen=True)
class Cue:
    """What tells classes apart and is lost when an augmentation goes too far.

    Attributes:
        sentence: for a person.
        changed: name of the class that loses its mark.
        beside: name of the class that it is then taken for.
    """

    sentence: str
    changed: str
    beside: str


SIZE_CUE = Cue(
    "Size tells platelets and lymphocytes from larger cells: a strong change of scale blurs it.",
    "platelet",
    "lymphocyte",
)
COLOUR_CUE = Cue(
    "Stain colour tells eosinophils from neutrophils: a strong change of colour blurs it.",
    "eosinophil",
    "neutrophil",
)
GRAIN_CUE = Cue(
    "Granules tell basophils, eosinophils and neutrophils apart: too much of it hides them.",
    "basophil",
    "monocyte",
)
MIDDLE_CUE = Cue(
    "The cell to be named is in the middle: moved too far, its neighbours take its place.",
    "platelet",
    "erythroblast",
)


@dataclass(frozen=True)
class Parameter:
    """A number or a switch that an augmentation is tuned by.

    Attributes:
        key: the name in JSON and on the command line.
        title: the name as shown to a person.
        kind: "float", "int" or "switch" (a bool).
        low, high: the accepted range, both included; 0 and 1 for a switch.
        default: the value where none is given.
        unit: what the value counts ("°", "share of the side", ""), for showing.
        sensible: (low, high) within which a blood cell keeps what tells its class.
        help: one sentence on what the value does.
        strength: whether the augmentation does nothing when this and every other parameter
            that is a strength is 0 (for a switch: off).
    """

    key: str
    title: str
    kind: str
    low: Value
    high: Value
    default: Value
    unit: str
    sensible: tuple[Value, Value]
    help: str
    strength: bool = True

    def checked(self, value: Any, where: str) -> Value:
        """`value` as this parameter's kind.

        Raises:
            BadInput: it is of another kind or out of range; the sentence begins with `where`.
        """
        wanted = {
            "float": f"a number from {self.low} to {self.high}",
            "int": f"a whole number from {self.low} to {self.high}",
            "switch": "true or false",
        }[self.kind]
        problem = BadInput(
            f"{where} has {self.key} {value!r:.80} where {wanted} was expected: correct the value."
        )
        if self.kind == "switch":
            if not isinstance(value, bool):
                raise problem
            return value
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise problem
        # written this way round so that NaN, which compares with nothing, is refused
        if not self.low <= value <= self.high or (self.kind == "int" and value != int(value)):
            raise problem
        return int(value) if self.kind == "int" else float(value)


def strength(
    default: float,
    sensible: float,
    help: str,
    *,
    key: str = "amount",
    title: str = "Amount",
    high: float = 1.0,
    unit: str = "",
) -> Parameter:
    """A number from 0, where it does nothing, to `high`, sensible from 0 to `sensible`."""
    return Parameter(key, title, "float", 0.0, high, default, unit, (0.0, sensible), help)


def count(
    default: int,
    sensible: int,
    help: str,
    *,
    key: str,
    title: str,
    high: int,
    unit: str = "",
    strength: bool = True,
) -> Parameter:
    """A whole number from 0 to `high`, sensible from 0 to `sensible`."""
    return Parameter(key, title, "int", 0, high, default, unit, (0, sensible), help, strength)


def switch(key: str, title: str, help: str) -> Parameter:
    """Something that is on unless switched off."""
    return Parameter(key, title, "switch", 0, 1, True, "", (0, 1), help)


@dataclass(frozen=True)
class Augmentation:
    """One entry of the catalogue.

    Attributes:
        key: the name in JSON and on the command line.
        title: the name as shown to a person.
        group: "geometry", "colour", "texture", "chains" or "mixing".
        summary: one line on what it does to a cell.
        source: the paper, standard or layer it comes from.
        parameters: what it is tuned by.
        act: the function that does it: of (canvas, parameters, rng) for one image, or, where
            labels are seen or mixed, of (canvases, labels, chosen, parameters, rng) for a batch.
        mixes_labels: whether it makes one image, and its label, out of two.
        sees_labels: whether what it does depends on the class.
        cue: the class cue that too much of it destroys, or None.
    """

    key: str
    title: str
    group: str
    summary: str
    source: str
    parameters: tuple[Parameter, ...]
    act: Callable[..., None]
    mixes_labels: bool = False
    sees_labels: bool = False
    cue: Cue | None = None

    def defaults(self) -> dict[str, Value]:
        """Each parameter's default."""
        return {p.key: p.default for p in self.parameters}

    def scaled(self, parameters: Mapping[str, Value], share: float) -> dict[str, Value]:
        """`parameters` with every strength multiplied by `share` and kept in range.

        A share of 0 gives parameters that change nothing: the first rung of a strength ladder.
        """
        result = self.defaults() | dict(parameters)
        for p in self.parameters:
            if not p.strength:
                continue
            if p.kind == "switch":
                result[p.key] = bool(result[p.key]) and share > 0
            else:
                value = min(max(result[p.key] * share, p.low), p.high)
                result[p.key] = round(value) if p.kind == "int" else value
        return result

    def checked(self, parameters: Mapping[str, Any], where: str) -> dict[str, Value]:
        """All parameters: those given, checked, and the defaults of the others.

        Raises:
            BadInput: a parameter is unknown, of the wrong kind or out of range.
        """
        known = {p.key: p for p in self.parameters}
        for key in parameters:
            if key not in known:
                raise BadInput(
                    f"{where} has the parameter {key!r:.80} where one of {', '.join(known)} was "
                    "expected: correct or remove it."
                )
        return {
            key: p.checked(parameters[key], where) if key in parameters else p.default
            for key, p in known.items()
        }

    def insensible(self, parameters: Mapping[str, Value]) -> list[Parameter]:
        """The parameters whose value lies outside what is sensible for blood cells."""
        given = self.defaults() | dict(parameters)
        return [p for p in self.parameters if not p.sensible[0] <= given[p.key] <= p.sensible[1]]
