"""A verification: planned, locked, and only then measured.

What is asked, of how many smears, by which readers, and which differences are accepted is written
down first and locked with its hash. Results say what was planned and what was found; what nobody
planned is called explored. The comparison is that of CLSI H20 and ICSH 2014: for each class the
machine against the mean of the readers, smear by smear.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from bloodcell.agreement.counts import MEASURED, Counts
from bloodcell.agreement.methods import (
    BlandAltman,
    Line,
    bland_altman,
    deming,
    passing_bablok,
    power_of_limits,
    samples_for_limits,
)
from bloodcell.errors import BadInput
from bloodcell.evaluation.intervals import clopper_pearson
from bloodcell.files import read_json, write_json

__all__ = [
    "Comparison",
    "Flag",
    "Plan",
    "Result",
    "compare",
    "load_plan",
    "lock_plan",
    "samples_needed",
    "save_plan",
    "verify",
]


@dataclass(frozen=True)
class Plan:
    """What a verification is going to ask.

    Attributes:
        name: of the verification.
        question: in a sentence.
        machine, readers: as they stand in the column ``reader`` of the counts.
        smears: how many are to be counted.
        cells: white cells that a reader counts on a smear.
        limits: class → largest difference accepted, in cells of 100 white cells.
        flag: class → from how many of 100 white cells a smear needs a person.
        expected_deviation: of the differences, for the probability that the plan succeeds.
        created, locked: times (ISO 8601, UTC), the second "" until it is locked.
        seal: sha256 of all of the above, "" until it is locked.
    """

    name: str
    question: str
    machine: str
    readers: tuple[str, ...]
    smears: int
    cells: int = 200
    limits: Mapping[str, float] = field(default_factory=dict)
    flag: Mapping[str, float] = field(
        default_factory=lambda: {"immature_granulocyte": 2.0, "erythroblast": 1.0, "other": 1.0}
    )
    expected_deviation: float = 2.0
    created: str = ""
    locked: str = ""
    seal: str = ""

    def __post_init__(self) -> None:
        for name in (*self.limits, *self.flag):
            if name not in MEASURED:
                raise BadInput(
                    f"There is no class {name!r} in a differential: expected one of "
                    f"{', '.join(MEASURED)}."
                )
        wrong = [k for k, v in (*self.limits.items(), *self.flag.items()) if not 0 < v <= 100]
        if wrong:
            raise BadInput(
                f"The limit of {wrong[0]} is not between 0 and 100: expected cells of 100 white "
                "cells."
            )
        if self.smears < 3 or self.cells < 1 or not self.expected_deviation > 0:
            raise BadInput(
                f"{self.smears} smears of {self.cells} cells with an expected deviation of "
                f"{self.expected_deviation:g} are no plan: expected at least 3 smears, one cell "
                "and a deviation above 0."
            )
        if not self.question.strip() or not self.readers or self.machine in self.readers:
            raise BadInput(
                "A plan needs a question, at least one reader, and a machine that is none of the "
                "readers."
            )

    def content(self) -> dict[str, Any]:
        """Everything but the seal, as JSON."""
        found = asdict(self) | {"readers": list(self.readers)}
        found.pop("seal")
        return found

    def power(self, limit: float) -> float:
        """How probably so many smears show agreement within `limit`, without bias."""
        return power_of_limits(self.smears, limit, self.expected_deviation)


def _seal(plan: Plan) -> str:
    text = json.dumps(plan.content(), sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def samples_needed(plan: Plan, limit: float, power: float = 0.8) -> int | None:
    """Smears that show agreement within `limit` with probability `power`, None for no number."""
    return samples_for_limits(limit, plan.expected_deviation, power=power)


def save_plan(path: Path, plan: Plan) -> None:
    """Write a plan that is not locked yet.

    Raises:
        BadInput: the plan that is there is locked.
    """
    if path.exists() and load_plan(path).locked:
        raise BadInput(
            f"{path} is locked since {load_plan(path).locked}: a plan cannot be changed once "
            "figures may have been seen, so begin a new verification."
        )
    write_json(path, asdict(plan) | {"readers": list(plan.readers)})


def lock_plan(path: Path) -> Plan:
    """Lock a plan: from now on it cannot be changed, and figures can be seen.

    Raises:
        BadInput: it is locked already.
    """
    plan = load_plan(path)
    if plan.locked:
        raise BadInput(f"{path} is locked since {plan.locked}: nothing is left to lock.")
    locked = replace(plan, locked=datetime.now(UTC).isoformat(timespec="seconds"))
    locked = replace(locked, seal=_seal(locked))
    write_json(path, asdict(locked) | {"readers": list(locked.readers)})
    return locked


def load_plan(path: Path) -> Plan:
    """Read a plan.

    Raises:
        BadInput: it is damaged, or was changed after it was locked.
    """
    value = read_json(path)
    try:
        plan = Plan(**(value | {"readers": tuple(value["readers"])}))
    except (TypeError, KeyError, ValueError, AttributeError) as error:
        raise BadInput(
            f"{path} is no plan of a verification ({error}): restore it from a copy, or begin a "
            "new verification."
        ) from error
    if plan.locked and plan.seal != _seal(plan):
        raise BadInput(
            f"{path} was changed after it was locked on {plan.locked}: restore it from a copy, or "
            "begin a new verification."
        )
    return plan


@dataclass(frozen=True)
class Comparison:
    """The machine against the mean of the readers in one class.

    Attributes:
        name: the class.
        planned: whether the plan has a limit for it.
        limit: that, or None.
        agreement: limits of agreement, in cells of 100 white cells.
        accepted: whether they lie within the limit, intervals included; None without a limit.
        passing_bablok, deming: regression of the machine on the readers; None where a class was
            too rare for a line.
        correlation: Pearson's, None where one side is constant.
        within_counting_error: share of smears on which machine and readers differ by no more than
            counting so many cells explains (Fisher's exact test, 5 %; Rümke 1985 for why).
        between_readers: limits of agreement between the first two readers, None with one.
    """

    name: str
    planned: bool
    limit: float | None
    agreement: BlandAltman
    accepted: bool | None
    passing_bablok: Line | None
    deming: Line | None
    correlation: float | None
    within_counting_error: float
    between_readers: BlandAltman | None


@dataclass(frozen=True)
class Flag:
    """How well the machine says that a smear needs a person.

    Attributes:
        needed, flagged, both: smears.
        n: smears in all.
        sensitivity, specificity: None where no smear decides it.
        sensitivity_interval, specificity_interval: exact binomial, 95 %, over smears.
    """

    n: int
    needed: int
    flagged: int
    both: int
    sensitivity: float | None
    specificity: float | None
    sensitivity_interval: tuple[float, float] | None
    specificity_interval: tuple[float, float] | None


@dataclass(frozen=True)
class Result:
    """What a verification found.

    Attributes:
        plan: as it was locked.
        n: smears that the machine and all readers counted.
        left_out: smears that somebody did not count.
        too_few: cells below the number planned, by smear and reader: "s1, anna: 87".
        comparisons: planned classes first.
        flag: of smears that need a person.
        passed: whether all planned classes are accepted on at least as many smears as planned.
    """

    plan: Plan
    n: int
    left_out: list[str]
    too_few: list[str]
    comparisons: list[Comparison]
    flag: Flag
    passed: bool

    @property
    def verdict(self) -> str:
        """Whether it passed, and if not why, as a sentence."""
        if self.passed:
            return (
                f"Passed on {self.n} smears: every planned class lies within its accepted limits."
            )
        reasons = []
        if self.n < self.plan.smears:
            reasons.append(f"{self.n} of {self.plan.smears} planned smears")
        if not self.plan.limits:
            reasons.append("no class had an accepted difference")
        reasons += [
            f"{c.name.replace('_', ' ')} outside ± {c.limit:g}"
            for c in self.comparisons
            if c.planned and not c.accepted
        ]
        return f"Not passed: {'; '.join(reasons)}."

    def to_json(self) -> dict[str, Any]:
        found = asdict(self)
        found["plan"] = self.plan.content() | {"seal": self.plan.seal}
        return _finite(found)


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _finite(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(v) for v in value]
    if isinstance(value, float) and not np.isfinite(value):
        return None
    return value


def _or_none(method: Any, x: np.ndarray, y: np.ndarray) -> Line | None:
    try:
        return method(x, y)
    except BadInput:
        return None


def compare(
    name: str,
    machine: pd.DataFrame,
    readers: list[pd.DataFrame],
    limit: float | None = None,
) -> Comparison:
    """Compare the machine with readers in one class.

    Args:
        name: the class.
        machine, readers: shares from :meth:`Counts.shares`, the same smears in the same order.
        limit: largest difference accepted.
    """
    reference = np.mean([r[name] for r in readers], axis=0)
    own = machine[name].to_numpy()
    counted = np.sum([r["n"] for r in readers], axis=0)
    seen = np.sum([np.rint(r[name] * r["n"] / 100) for r in readers], axis=0)
    of_machine = machine["n"].to_numpy()
    own_seen = np.rint(own * of_machine / 100)
    p_values = [
        stats.fisher_exact([[a, max(0, n - a)], [b, max(0, m - b)]]).pvalue
        for a, n, b, m in zip(seen, counted, own_seen, of_machine, strict=True)
    ]
    agreement = bland_altman(reference, own)
    varies = np.ptp(reference) > 0 and np.ptp(own) > 0
    return Comparison(
        name,
        limit is not None,
        limit,
        agreement,
        None if limit is None else agreement.within(limit),
        _or_none(passing_bablok, reference, own) if varies else None,
        _or_none(deming, reference, own) if varies else None,
        float(np.corrcoef(reference, own)[0, 1]) if varies else None,
        float((np.array(p_values) >= 0.05).mean()),
        bland_altman(readers[0][name], readers[1][name]) if len(readers) > 1 else None,
    )


def _flagged(shares: pd.DataFrame, rule: Mapping[str, float]) -> np.ndarray:
    return np.any([shares[name] >= least for name, least in rule.items()], axis=0)


def verify(plan: Plan, counts: Counts) -> Result:
    """Measure what was planned.

    Raises:
        BadInput: the plan is not locked, the machine or a reader of it counted nothing, or fewer
            than three smears were counted by all of them.
    """
    if not plan.locked:
        raise BadInput(
            f"The plan of {plan.name} is not locked: lock it before figures are seen, with "
            f"`verify {plan.name} --lock`."
        )
    who = (plan.machine, *plan.readers)
    tables = dict(zip(who, counts.common_shares(who), strict=True))
    machine, readers = tables[plan.machine], [tables[r] for r in plan.readers]
    smears = list(machine.index)
    left_out = sorted(set(counts.table["smear"]) - set(smears))
    if len(smears) < 3:
        raise BadInput(
            f"{len(smears)} smears were counted by {plan.machine} and {', '.join(plan.readers)}: "
            "expected at least three, so add their counts."
        )
    names = [*plan.limits, *(m for m in MEASURED if m not in plan.limits)]
    comparisons = [compare(name, machine, readers, plan.limits.get(name)) for name in names]
    mean = sum(r[list(MEASURED)] for r in readers) / len(readers)
    needed, flagged = _flagged(mean, plan.flag), _flagged(machine, plan.flag)
    both, n = int((needed & flagged).sum()), len(smears)
    positive, negative = int(needed.sum()), int((~needed).sum())
    quiet = int((~needed & ~flagged).sum())
    flag = Flag(
        n,
        positive,
        int(flagged.sum()),
        both,
        both / positive if positive else None,
        quiet / negative if negative else None,
        clopper_pearson(both, positive) if positive else None,
        clopper_pearson(quiet, negative) if negative else None,
    )
    too_few = [
        f"{smear}, {who}: {int(tables[who]['n'].loc[smear]):,}"
        for who in plan.readers
        for smear in smears
        if tables[who]["n"].loc[smear] < plan.cells
    ]
    accepted = all(c.accepted for c in comparisons if c.planned)
    passed = bool(plan.limits) and accepted and n >= plan.smears
    return Result(plan, n, left_out, too_few, comparisons, flag, passed)
