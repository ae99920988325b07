"""Differentials of smears, by several methods or readers: a table of counts.

A CSV with a line for each smear and reader: ``smear``, ``reader``, and a column of counted cells
for each class (a class without a column was not counted: 0). Shares are of the white cells;
erythroblasts stand beside them, for 100 white cells, as laboratories report them.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from bloodcell.agreement.tables import Source, read_table
from bloodcell.classes import CLASS_NAMES, class_id
from bloodcell.csv_files import frame_csv
from bloodcell.errors import BadInput
from bloodcell.files import write_text

__all__ = ["MEASURED", "WHITE", "Counts", "add_counts", "counts_csv", "read_counts"]

OTHER = "other"
NEEDED = ("smear", "reader")
# The classes that a differential divides 100 white cells into. "other" is a white cell too.
WHITE = tuple(c for c in CLASS_NAMES if c not in ("erythroblast", "platelet"))
# What two differentials are compared in.
MEASURED = (*WHITE, OTHER, "erythroblast")


@dataclass(frozen=True)
class Counts:
    """Cells counted on smears.

    Attributes:
        table: columns ``smear``, ``reader`` and one of int64 for each of the eight classes and
            "other"; one row for each smear and reader.
    """

    table: pd.DataFrame

    @property
    def readers(self) -> list[str]:
        return list(pd.unique(self.table["reader"]))

    def shares(self, reader: str) -> pd.DataFrame:
        """Per smear, what of 100 white cells each of MEASURED is, and ``n``: white cells counted.

        Raises:
            BadInput: nobody of that name counted.
        """
        if reader not in self.readers:
            raise BadInput(
                f"Nobody called {reader!r} counted: expected one of {', '.join(self.readers)}."
            )
        own = self.table[self.table["reader"] == reader].set_index("smear")
        n = own[[*WHITE, OTHER]].sum(axis=1)
        found = own[list(MEASURED)].mul(100).div(n, axis=0)
        return found.assign(n=n)

    def common_shares(self, readers: Sequence[str]) -> list[pd.DataFrame]:
        """The shares of each of `readers`, on the smears that all of them counted, in one order.

        Raises:
            BadInput: one of them counted nothing.
        """
        tables = [self.shares(reader) for reader in readers]
        everyone = [
            smear
            for smear in pd.unique(self.table["smear"])
            if all(smear in shares.index for shares in tables)
        ]
        return [shares.loc[everyone] for shares in tables]


def read_counts(source: Source) -> Counts:
    """Read a table of counts.

    Args:
        source: its path, or the name and content of an upload.

    Raises:
        BadInput: it is no such table, a count is no whole number, a smear was counted twice by
            one reader, or a differential has no white cell.
    """
    path, table = read_table(source, NEEDED, "smear, reader and one for each class")
    found = table[list(NEEDED)].copy()
    for name in (*CLASS_NAMES, OTHER):
        found[name] = np.zeros(len(table), np.int64)
    counted = False
    for column in table.columns:
        if column in NEEDED:
            continue
        place = class_id(column)
        name = OTHER if column.lower() == OTHER else None if place is None else CLASS_NAMES[place]
        if name is None:
            raise BadInput(
                f"{path} has a column {column!r}: expected smear, reader, the eight classes and "
                "other, so rename or remove it."
            )
        values = table[column].replace("", "0")
        wrong = ~values.str.fullmatch(r"\d{1,7}")
        if wrong.any():
            at = int(np.flatnonzero(wrong)[0])
            raise BadInput(
                f"{path} has {values.iloc[at]!r} for {column} of smear "
                f"{found['smear'].iloc[at]!r}: expected a whole number of "
                "counted cells, not a share."
            )
        found[name] += values.astype(np.int64)
        counted = True
    empty = (found["smear"] == "") | (found["reader"] == "")
    if empty.any() or not counted or not len(found):
        raise BadInput(
            f"{path} has {len(found)} lines"
            + (", one of them without smear or reader" if empty.any() else "")
            + (", and no column of a class" if not counted else "")
            + ": expected a smear, a reader and counts on every line."
        )
    twice = found[found.duplicated(["smear", "reader"])]
    if len(twice):
        row = twice.iloc[0]
        raise BadInput(
            f"{path} has smear {row['smear']!r} twice from {row['reader']!r}: expected one "
            "differential of each reader, so add the two together or remove one."
        )
    none = found[found[[*WHITE, OTHER]].sum(axis=1) == 0]
    if len(none):
        row = none.iloc[0]
        raise BadInput(
            f"{path} has no white cell of smear {row['smear']!r} from {row['reader']!r}: expected "
            "at least one, so remove the line."
        )
    return Counts(found)


def counts_csv(lines: Iterable[tuple[str, str, Mapping[str, int]]]) -> str:
    """A table of counts as :func:`read_counts` reads it.

    Args:
        lines: smear, reader, and how many cells of each class and of "other".
    """
    names = (*CLASS_NAMES, OTHER)
    rows = [[smear, reader, *(found.get(n, 0) for n in names)] for smear, reader, found in lines]
    return frame_csv(pd.DataFrame(rows, columns=[*NEEDED, *names]))


def add_counts(path: Path, smear: str, reader: str, found: Mapping[str, int]) -> None:
    """Write a differential into a table of counts, in place of one of the same smear and reader.

    Args:
        path: of the table, made where there is none.
        found: how many cells of each class and of "other".

    Raises:
        BadInput: the table cannot be read or written, a name is empty, or there is no white cell.
    """
    if not smear.strip() or not reader.strip():
        raise BadInput("A differential needs the name of its smear and of who counted it.")
    if not sum(found.get(name, 0) for name in (*WHITE, OTHER)):
        raise BadInput(
            f"No white cell was counted on the smear {smear!r}: expected at least one, so look at "
            f"its photographs; {path} is as it was."
        )
    lines = []
    if path.exists():
        for row in read_counts(path).table.to_dict("records"):
            if (row["smear"], row["reader"]) != (smear.strip(), reader.strip()):
                lines.append((row["smear"], row["reader"], row))
    write_text(path, counts_csv([*lines, (smear.strip(), reader.strip(), found)]))
