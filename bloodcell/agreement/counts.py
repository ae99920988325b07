"""Differentials of smears, by several methods or readers: a table of counts.

A CSV with a line for each smear and reader: ``smear``, ``reader``, and a column of counted cells
for each class (a class without a column was not counted: 0). Shares are of the white cells;
erythroblasts stand beside them, for 100 white cells, as laboratories report them.
"""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from bloodcell.classes import CLASS_NAMES, class_id
from bloodcell.errors import BadInput

__all__ = ["MEASURED", "WHITE", "Counts", "read_counts"]

OTHER = "other"
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


def read_counts(path: str | Path) -> Counts:
    """Read a table of counts.

    Raises:
        BadInput: it is no such table, a count is no whole number, a smear was counted twice by
            one reader, or a differential has no white cell.
    """
    try:
        # Comma, semicolon or tab, as the spreadsheets of different countries write.
        table = pd.read_csv(
            path, dtype=str, keep_default_na=False, encoding="utf-8-sig", sep=None, engine="python"
        )
    except (OSError, ValueError, csv.Error, pd.errors.ParserError) as error:
        raise BadInput(
            f"{path} cannot be read as a table ({str(error).strip()}): expected a CSV with the "
            "columns smear, reader and one for each class."
        ) from error
    table.columns = [str(c).strip() for c in table.columns]
    missing = [c for c in ("smear", "reader") if c not in table.columns]
    if missing:
        raise BadInput(
            f"{path} has the columns {', '.join(table.columns)}: expected smear, reader and one "
            f"for each class, so add {' and '.join(missing)}."
        )
    found = pd.DataFrame({c: table[c].str.strip() for c in ("smear", "reader")})
    for name in (*CLASS_NAMES, OTHER):
        found[name] = np.zeros(len(table), np.int64)
    counted = False
    for column in table.columns:
        if column in ("smear", "reader"):
            continue
        place = class_id(column)
        name = OTHER if column.lower() == OTHER else None if place is None else CLASS_NAMES[place]
        if name is None:
            raise BadInput(
                f"{path} has a column {column!r}: expected smear, reader, the eight classes and "
                "other, so rename or remove it."
            )
        values = table[column].str.strip().replace("", "0")
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
