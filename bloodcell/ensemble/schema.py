"""What ``ensemble.json`` must hold, checked before anything relies on it.

An ensemble may come from anywhere, so every value that is used is looked at once, here.
"""

import math
import re
from collections.abc import Callable
from typing import Any

from bloodcell.classes import CLASS_NAMES
from bloodcell.data.split import check_shares
from bloodcell.errors import BadInput

__all__ = ["FORMAT_VERSION", "check_info"]

FORMAT_VERSION = 1
MAX_MEMBERS = 32

Rule = tuple[str, Callable[[Any], bool], str]


def _text(value: Any) -> bool:
    return isinstance(value, str) and len(value) < 10_000


def _number(low: float, high: float, kind: type = float) -> Callable[[Any], bool]:
    kinds = int if kind is int else int | float

    def holds(value: Any) -> bool:
        sound = isinstance(value, kinds) and not isinstance(value, bool)
        return sound and math.isfinite(value) and low <= value <= high

    return holds


def _shares(value: Any) -> bool:
    try:
        check_shares(value)
    except BadInput:
        return False
    return True


RULES: tuple[Rule, ...] = (
    ("name", _text, "a text"),
    ("created", _text, "a text"),
    ("bloodcell_version", _text, "a text"),
    ("input_size", _number(16, 1024, int), "16 to 1024 pixels"),
    ("crop", _text, "a text"),
    ("temperature", _number(1e-3, 1e3), "a number from 0.001 to 1000"),
    ("tta", lambda v: isinstance(v, bool), "true or false"),
    ("novelty.method", _text, "a text"),
    ("novelty.neighbours", _number(1, 10_000, int), "a whole number from 1"),
    ("novelty.threshold", _number(0, 1e9), "a number from 0"),
    ("conformal.coverage", _number(0, 1), "a share"),
    ("conformal.threshold", _number(0, 1), "a number from 0 to 1"),
    ("trained_on.dataset", _text, "a text"),
    ("trained_on.source", _text, "a text"),
    ("trained_on.split_seed", _number(0, 2**63, int), "a whole number from 0"),
    ("trained_on.split_shares", _shares, "three shares that sum to 1"),
    ("measured.validation.n", _number(1, 1e12, int), "a whole number from 1"),
    ("measured.validation.accuracy", _number(0, 1), "a share"),
    (
        "files",
        lambda v: isinstance(v, dict) and all(map(_text, [*v, *v.values()])),
        "an object of names and checksums",
    ),
    (
        "members",
        lambda v: isinstance(v, list) and 1 <= len(v) <= MAX_MEMBERS,
        f"a list of 1 to {MAX_MEMBERS} members",
    ),
)


def _rows(widths: tuple[int, ...], low: float, high: float) -> Callable[[Any], bool]:
    """A list of lists of numbers within limits, each as long as one of `widths`."""
    holds = _number(low, high)

    def sound(value: Any) -> bool:
        if not isinstance(value, list) or not 1 <= len(value) <= 100_000:
            return False
        return all(isinstance(r, list) and len(r) in widths and all(map(holds, r)) for r in value)

    return sound


def _sizes(value: Any) -> bool:
    return value == [] or _rows((2,), 1, 1_000_000)(value)


def _rising(value: Any) -> bool:
    return value is None or (_rows((3,), 1e-6, 10)([value]) and value == sorted(value))


# Of ensembles made since they know their field of view and light.
OPTIONAL_RULES: tuple[Rule, ...] = (
    (
        "field.crop_px",
        lambda v: v is None or _number(1, 1_000_000, int)(v),
        "a side in pixels or null",
    ),
    ("field.source_sizes", _sizes, "a list of [width, height]"),
    ("field.stained", _rising, "three rising shares or null"),
    (
        "light.background",
        lambda v: _rows((3,), 0, 255)(v) and len(v) == 3,
        "three colours of 0 to 255",
    ),
    (
        "light.known",
        lambda v: v is None or v == [] or _rows((3,), 0, 255)(v),
        "a list of colours of 0 to 255",
    ),
    ("novelty.levels", _rows((2,), 0, 1e9), "a list of [share, novelty]"),
)

MEMBER_RULES: tuple[Rule, ...] = (
    (
        "name",
        lambda v: _text(v) and re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,80}", v) is not None,
        "a name",
    ),
    ("file", _text, "a text"),
    ("features", _text, "a text"),
    ("backbone", _text, "a text"),
    ("run", _text, "a text"),
    ("weight", _number(0, 1e9), "a number from 0"),
    ("novelty_scale", _number(1e-12, 1e9), "a number above 0"),
    ("validation_accuracy", _number(0, 1), "a share"),
)


def _look_up(value: Any, key: str) -> Any:
    for part in key.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return value


def check_info(info: Any, where: str) -> None:
    """Refuse what is not the ``ensemble.json`` of an ensemble of the eight classes.

    Args:
        info: the parsed JSON.
        where: the ensemble's path, for the sentence.

    Raises:
        BadInput: another version, other classes, or a value that cannot be.
    """
    if not isinstance(info, dict) or not {"format_version", "classes", "members"} <= set(info):
        raise BadInput(
            f"{where}: its ensemble.json is not that of an ensemble: "
            "give one that `python -m bloodcell ensemble` wrote."
        )
    if info["format_version"] != FORMAT_VERSION:
        raise BadInput(
            f"{where} has format_version {info['format_version']!r} where {FORMAT_VERSION} was "
            "expected: use the version of BloodCell Lab that wrote it, or make the ensemble again."
        )
    if info["classes"] != list(CLASS_NAMES):
        raise BadInput(
            f"{where} tells the classes {_short(info['classes'])} apart, expected "
            f"{', '.join(CLASS_NAMES)}: choose an ensemble of the eight blood cells."
        )
    _check(info, RULES, where, "")
    present = [rule for rule in OPTIONAL_RULES if _present(info, rule[0])]
    _check(info, tuple(present), where, "")
    for i, member in enumerate(info["members"]):
        _check(member, MEMBER_RULES, where, f"members[{i}].")
        for key in {"basis", "detector"} & set(member):
            _check(member, ((key, _text, "a text"),), where, f"members[{i}].")
    if not sum(m["weight"] for m in info["members"]) > 0:
        raise BadInput(f"{where}: the weights of all its members are 0: make the ensemble again.")


def _present(info: dict[str, Any], key: str) -> bool:
    """Whether an optional part is there; of "novelty.levels" the last word, else the first."""
    first, last = key.split(".")
    return last in info["novelty"] if first == "novelty" else first in info


def _check(value: Any, rules: tuple[Rule, ...], where: str, before: str) -> None:
    for key, holds, expected in rules:
        found = _look_up(value, key)
        if not holds(found):
            raise BadInput(
                f"{where}: its ensemble.json has {before}{key} {_short(found)}, expected "
                f"{expected}: restore the ensemble from a copy or make it again."
            )


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."
