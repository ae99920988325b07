"""Several readers of the same cells: how far they agree, and where they do not.

Cohen's kappa (Educ. Psychol. Meas. 20, 1960; weighted: Psychol. Bull. 70, 1968), Fleiss' kappa
(Psychol. Bull. 76, 1971). Intervals are percentiles of a bootstrap over cells, or over patients
where they are known (Efron & Tibshirani, 1993).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from bloodcell.agreement.tables import Source, read_table
from bloodcell.classes import CLASS_NAMES, class_id
from bloodcell.errors import BadInput

__all__ = [
    "STAGES",
    "Kappa",
    "Readings",
    "against_readers",
    "cohen_kappa",
    "consensus",
    "costs",
    "describe_agreement",
    "disagreements",
    "fleiss_kappa",
    "kappa_of",
    "machine_verdict",
    "read_readings",
]

OTHER = "other"
# Classes that are stages of one line: to take one for the other is half an error.
STAGES = (("immature_granulocyte", "neutrophil"),)
DRAWS = 2000


@dataclass(frozen=True)
class Readings:
    """What each reader called each cell.

    Attributes:
        cells: names, N.
        readers: names, R.
        labels: int64, N×R: ids of `classes`; −1 where a reader did not read a cell.
        classes: the eight names, then "other".
        patients: of each cell, or None where not all are known.
    """

    cells: tuple[str, ...]
    readers: tuple[str, ...]
    labels: np.ndarray
    classes: tuple[str, ...] = (*CLASS_NAMES, OTHER)
    patients: tuple[str, ...] | None = None

    def pair(self, a: str, b: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Labels of two readers on the cells that both read, and which cells those are."""
        for name in (a, b):
            if name not in self.readers:
                raise BadInput(
                    f"There is no reader {name!r}: expected one of {', '.join(self.readers)}."
                )
        x, y = (self.labels[:, self.readers.index(name)] for name in (a, b))
        both = np.flatnonzero((x >= 0) & (y >= 0))
        return x[both], y[both], both


@dataclass(frozen=True)
class Kappa:
    """A kappa with its 95 % interval.

    Attributes:
        value: 1 for readers who always agree, 0 for as often as by chance; NaN where all cells
            were called one class, so that there is no chance to compare with.
        low, high: 95 % interval.
        n: cells.
        agreed: share of cells that were called the same.
    """

    value: float
    low: float
    high: float
    n: int
    agreed: float

    def to_json(self) -> dict[str, Any]:
        return {
            k: None if isinstance(v, float) and not np.isfinite(v) else v
            for k, v in vars(self).items()
        }


def read_readings(source: Source) -> Readings:
    """Readings in a CSV with columns ``file``, ``reader``, ``label`` and perhaps ``patient``.

    Args:
        source: its path, or the name and content of an upload.

    Raises:
        BadInput: a column is missing, a label is none of the eight nor "other", a cell was read
            twice by one reader, or there is one reader only.
    """
    path, table = read_table(source, ("file", "reader", "label"), "file, reader and label")
    classes = (*CLASS_NAMES, OTHER)
    ids = {}
    for word in sorted(set(table["label"]) - {""}):
        known = len(CLASS_NAMES) if word.lower() == OTHER else class_id(word)
        if known is None:
            raise BadInput(
                f"{path} calls a cell {word!r}: expected one of {', '.join(classes)}, so rename it "
                "or leave it empty."
            )
        ids[word] = known
    twice = table[table.duplicated(["file", "reader"], keep=False)]
    if len(twice):
        row = twice.iloc[0]
        raise BadInput(
            f"{path} has the cell {row['file']!r} twice from reader {row['reader']!r}: expected "
            "one label of each reader, so remove one of the lines."
        )
    read = table[table["label"] != ""]
    cells, readers = tuple(pd.unique(read["file"])), tuple(pd.unique(read["reader"]))
    if len(readers) < 2:
        raise BadInput(
            f"{path} has labels of {' and '.join(readers) or 'nobody'}: expected those of at least "
            "two readers."
        )
    labels = np.full((len(cells), len(readers)), -1)
    rows = pd.Index(cells).get_indexer(read["file"])
    labels[rows, pd.Index(readers).get_indexer(read["reader"])] = read["label"].map(ids)
    patients = None
    if "patient" in read.columns:
        known = read.drop_duplicates("file").set_index("file")["patient"].loc[list(cells)]
        patients = tuple(known) if (known != "").all() else None
    return Readings(cells, readers, labels, classes, patients)


def costs(classes: Sequence[str], stages: Sequence[Sequence[str]] = STAGES) -> np.ndarray:
    """float64, K×K: what it costs to call one class the other: 0, 1, or half between stages."""
    found = 1 - np.eye(len(classes))
    for line in stages:
        places = [classes.index(name) for name in line if name in classes]
        for at, a in enumerate(places):
            for b in places[at + 1 :]:
                far = (places.index(b) - at) / len(places)
                found[a, b] = found[b, a] = far
    return found


def _tables(x: np.ndarray, y: np.ndarray, k: int, weights: np.ndarray) -> np.ndarray:
    """float64, B×K×K: tables of two readers, for B ways of counting the cells (B×N)."""
    flat = x * k + y
    one_hot = np.zeros((len(x), k * k), np.float64)
    one_hot[np.arange(len(x)), flat] = 1
    return (weights @ one_hot).reshape(-1, k, k)


def _kappas(tables: np.ndarray, cost: np.ndarray) -> np.ndarray:
    total = tables.sum((1, 2), keepdims=True)
    shares = tables / total
    chance = shares.sum(2)[:, :, None] * shares.sum(1)[:, None, :]
    with np.errstate(divide="ignore", invalid="ignore"):
        return 1 - (cost * shares).sum((1, 2)) / (cost * chance).sum((1, 2))


def _draws(n: int, groups: Sequence[str] | None, seed: int) -> np.ndarray:
    """float64, DRAWS×n: how often each cell is in each resample."""
    rng = np.random.default_rng(seed)
    if groups is None:
        return rng.multinomial(n, np.full(n, 1 / n), DRAWS).astype(np.float64)
    _, member = np.unique(list(groups), return_inverse=True)
    count = int(member.max()) + 1
    return rng.multinomial(count, np.full(count, 1 / count), DRAWS)[:, member].astype(np.float64)


def _interval(drawn: np.ndarray) -> tuple[float, float]:
    drawn = drawn[np.isfinite(drawn)]
    if not len(drawn):
        return np.nan, np.nan
    low, high = np.percentile(drawn, [2.5, 97.5])
    return float(low), float(high)


def cohen_kappa(
    x: np.ndarray,
    y: np.ndarray,
    cost: np.ndarray,
    groups: Sequence[str] | None = None,
    seed: int = 0,
) -> Kappa:
    """Cohen's kappa of two readers, weighted by what a disagreement costs.

    Args:
        x, y: int64, N: class ids of the two.
        cost: float64, K×K, from :func:`costs`; 1 − identity gives the unweighted kappa.
        groups: patient of each cell: the interval is then over patients.
        seed: of the bootstrap.

    Raises:
        BadInput: there is no cell.
    """
    if not len(x):
        raise BadInput("No cell was read by both readers: expected at least one.")
    k = len(cost)
    value = float(_kappas(_tables(x, y, k, np.ones((1, len(x)))), cost)[0])
    drawn = _kappas(_tables(x, y, k, _draws(len(x), groups, seed)), cost)
    return Kappa(value, *_interval(drawn), len(x), float((x == y).mean()))


def _fleiss(counts: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Fleiss' kappa for each row of B×N weights of cells; counts is N×K of R readers each."""
    readers = counts[0].sum()
    agreed = ((counts**2).sum(1) - readers) / (readers * (readers - 1))
    total = weights.sum(1)
    shares = weights @ counts / (total[:, None] * readers)
    chance = (shares**2).sum(1)
    with np.errstate(divide="ignore", invalid="ignore"):
        return (weights @ agreed / total - chance) / (1 - chance)


def _counts(readings: Readings) -> tuple[np.ndarray, np.ndarray]:
    """float64, N×K: readers that gave each class, on the cells that all read; which those are."""
    complete = np.flatnonzero((readings.labels >= 0).all(1))
    if not len(complete):
        raise BadInput("No cell was read by all readers: expected at least one for Fleiss' kappa.")
    labels = readings.labels[complete]
    return (labels[:, :, None] == np.arange(len(readings.classes))).sum(1).astype(float), complete


def fleiss_kappa(readings: Readings, seed: int = 0) -> Kappa:
    """Fleiss' kappa of all readers on the cells that all of them read.

    Raises:
        BadInput: there is no such cell.
    """
    counts, complete = _counts(readings)
    groups = None if readings.patients is None else [readings.patients[i] for i in complete]
    value = float(_fleiss(counts, np.ones((1, len(counts))))[0])
    drawn = _fleiss(counts, _draws(len(counts), groups, seed))
    all_agree = float((counts.max(1) == len(readings.readers)).mean())
    return Kappa(value, *_interval(drawn), len(counts), all_agree)


def kappa_of(readings: Readings, name: str, seed: int = 0) -> Kappa:
    """Fleiss' kappa of one class against all others."""
    counts, complete = _counts(readings)
    place = readings.classes.index(name)
    own = np.stack([counts[:, place], counts.sum(1) - counts[:, place]], axis=1)
    groups = None if readings.patients is None else [readings.patients[i] for i in complete]
    value = float(_fleiss(own, np.ones((1, len(own))))[0])
    drawn = _fleiss(own, _draws(len(own), groups, seed))
    agreed = float(((own == 0).any(1)).mean())
    return Kappa(value, *_interval(drawn), len(own), agreed)


def disagreements(readings: Readings, cost: np.ndarray) -> pd.DataFrame:
    """Cells that were called differently, most expensive first.

    Returns:
        ``cell``, a column a reader, and ``cost``: the mean cost over pairs of readers.
    """
    rows = []
    for cell, labels in zip(readings.cells, readings.labels, strict=True):
        given = labels[labels >= 0]
        if len(set(given)) < 2:
            continue
        a, b = np.triu_indices(len(given), 1)
        names = (readings.classes[i] if i >= 0 else "" for i in labels)
        price = float(cost[given[a], given[b]].mean())
        rows.append([cell, *names, price])
    found = pd.DataFrame(rows, columns=["cell", *readings.readers, "cost"])
    return found.sort_values("cost", ascending=False, kind="stable", ignore_index=True)


def against_readers(
    readings: Readings, machine: str, cost: np.ndarray, seed: int = 0
) -> dict[str, Any]:
    """Whether a machine differs from the readers more than they do from each other.

    :func:`machine_verdict` says it in words.

    Args:
        machine: the reader that is the machine.

    Returns:
        ``readers``: mean kappa of pairs of people; ``machine``: mean kappa of the machine with
        each of them; ``difference`` (machine − readers) and its 95 % ``interval``, over the cells
        that all read, with the same resamples for both; ``n``.

    Raises:
        BadInput: there are fewer than two people, or no cell that all read.
    """
    people = [r for r in readings.readers if r != machine]
    if machine not in readings.readers or len(people) < 2:
        raise BadInput(
            f"{machine!r} and {len(people)} readers are there: expected the machine and at least "
            "two readers to compare it with."
        )
    counts, complete = _counts(readings)
    groups = None if readings.patients is None else [readings.patients[i] for i in complete]
    weights = np.concatenate([np.ones((1, len(counts))), _draws(len(counts), groups, seed)])
    columns = dict(zip(readings.readers, readings.labels[complete].T, strict=True))
    k = len(readings.classes)

    def mean(pairs: list[tuple[str, str]]) -> np.ndarray:
        found = [_kappas(_tables(columns[a], columns[b], k, weights), cost) for a, b in pairs]
        return np.mean(found, axis=0)

    among = mean([(a, b) for i, a in enumerate(people) for b in people[i + 1 :]])
    own = mean([(machine, p) for p in people])
    return {
        "readers": float(among[0]),
        "machine": float(own[0]),
        "difference": float(own[0] - among[0]),
        "interval": _interval((own - among)[1:]),
        "n": len(counts),
    }


def machine_verdict(found: Mapping[str, Any], machine: str) -> str:
    """What :func:`against_readers` found, as a sentence without its figures.

    Args:
        machine: how it is called in the sentence.
    """
    low, high = found["interval"]
    if high < 0:
        return f"{machine} agrees with the readers measurably less than they do with each other"
    if low > 0:
        return f"{machine} agrees with the readers measurably more than they do with each other"
    return f"no measurable difference between {machine} and a reader"


def consensus(readings: Readings, decided: Mapping[str, str]) -> dict[str, str]:
    """The label of each cell: what was decided, else what more than half of its readers said."""
    found = dict(decided)
    for cell, labels in zip(readings.cells, readings.labels, strict=True):
        given = labels[labels >= 0]
        counts = np.bincount(given, minlength=len(readings.classes))
        if cell not in found and counts.max() * 2 > len(given):
            found[cell] = readings.classes[int(counts.argmax())]
    return found


def describe_agreement(
    readings: Readings, machine: str | None = None, staged: bool = False, seed: int = 0
) -> dict[str, Any]:
    """All that can be said of some readers, as JSON.

    Returns:
        ``readers``; ``pairs``: for every two, ``readers`` and the fields of :class:`Kappa`;
        ``fleiss``: of all, None where no cell was read by all; ``classes``: name → the same for
        one class against the rest; ``machine``: see :func:`against_readers`, None without one;
        ``disagreements``: how many cells were called differently.
    """
    cost = costs(readings.classes, STAGES if staged else ())
    pairs = []
    for i, a in enumerate(readings.readers):
        for b in readings.readers[i + 1 :]:
            x, y, cells = readings.pair(a, b)
            if len(cells):
                groups = readings.patients and [readings.patients[c] for c in cells]
                pairs.append({"readers": [a, b], **cohen_kappa(x, y, cost, groups, seed).to_json()})
    complete = bool((readings.labels >= 0).all(1).any())
    seen = sorted(set(readings.labels[readings.labels >= 0].tolist()))
    return {
        "readers": list(readings.readers),
        "pairs": pairs,
        "fleiss": fleiss_kappa(readings, seed).to_json() if complete else None,
        "classes": {
            readings.classes[i]: kappa_of(readings, readings.classes[i], seed).to_json()
            for i in (seen if complete else ())
        },
        "machine": against_readers(readings, machine, cost, seed) if machine else None,
        "disagreements": len(disagreements(readings, cost)),
    }
