"""The tables that are compared: CSV files of counts or labels as columns of text."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from bloodcell.csv_files import unescaped
from bloodcell.data.imaging.decode import printable
from bloodcell.data.readers.tables import table_rows
from bloodcell.errors import BadInput

__all__ = ["Source", "read_table"]

# A file, or the name and the content of one that was uploaded.
Source = str | Path | tuple[str, bytes]


def read_table(source: Source, needed: Sequence[str], expected: str) -> tuple[str, pd.DataFrame]:
    """The name of a table and its values, without the blanks around them.

    Args:
        needed: columns that must be there.
        expected: which columns such a table has, for messages.

    Returns:
        Columns are named in small letters; what a row leaves out at its end is "".

    Raises:
        BadInput: it cannot be read, is no such table, or has a row that is longer than its head.
    """
    if isinstance(source, tuple):
        name, data = printable(source[0]), source[1]
    else:
        name = str(source)
        try:
            data = Path(source).read_bytes()
        except OSError as error:
            raise BadInput(
                f"{name} cannot be read ({error.strerror}): expected a CSV with {expected}."
            ) from error
    rows = table_rows(data, name)
    head = [unescaped(h.strip()).lower() for h in next(rows, (0, []))[1]]
    while head and not head[-1]:
        head.pop()
    told = printable(", ".join(head)) or "none"
    missing = [c for c in needed if c not in head]
    if missing:
        raise BadInput(
            f"{name} has the columns {told}: expected {expected}, so add {' and '.join(missing)}."
        )
    twice = [c for c, n in Counter(head).items() if n > 1]
    if twice:
        raise BadInput(
            f"{name} has the column {twice[0]!r} twice: expected {expected}, so remove one."
        )
    table = []
    for line, row in rows:
        values = [unescaped(v.strip()) for v in row]
        if any(values[len(head) :]):
            raise BadInput(
                f"{name}, line {line}: {len(row)} values under {len(head)} columns, expected as "
                "many as there are columns."
            )
        table.append((values + [""] * len(head))[: len(head)])
    return name, pd.DataFrame(table, columns=head, dtype=str)
