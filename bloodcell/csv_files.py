"""Tables as CSV that a spreadsheet shows and does not run.

A text that begins like a formula is one to Excel and its kin (OWASP, "CSV injection"), whoever
wrote it: the name of a file, the reason of a decision, a patient's number. Every CSV that this
package hands out is written here, and read back with :func:`unescaped`.
"""

import csv
import io
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["csv_text", "escaped", "frame_csv", "unescaped"]

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")


def escaped(value: Any) -> Any:
    """A text that no spreadsheet takes for a formula; any other value as it is."""
    return f"'{value}" if isinstance(value, str) and _is_formula(value) else value


def unescaped(text: str) -> str:
    """What :func:`escaped` was given."""
    return text[1:] if text[:1] == "'" and _is_formula(text[1:]) else text


def _is_formula(text: str) -> bool:
    # Behind the mark that tells one apart as well: so that it can be taken off again.
    return text.lstrip("'").startswith(_FORMULA)


def csv_text(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """Rows of values under a head as CSV."""
    text = io.StringIO()
    for row in (head, *rows):
        safe = [escaped(value) for value in row]
        csv.writer(text, lineterminator="\n", quoting=_quoting(safe)).writerow(safe)
    return text.getvalue()


def frame_csv(frame: "pd.DataFrame") -> str:
    """A data frame as CSV, without its index."""
    numbers = {"b", "i", "u", "f"}
    safe = frame.rename(columns=escaped)
    for at, dtype in enumerate(frame.dtypes):
        if getattr(dtype, "kind", "O") not in numbers:
            safe.isetitem(at, frame.iloc[:, at].map(escaped))
    cells = (value for at in range(safe.shape[1]) for value in safe.iloc[:, at])
    return safe.to_csv(index=False, quoting=_quoting((*safe.columns, *cells)))


def _quoting(values: Iterable[Any]) -> int:
    # A carriage return alone would not be quoted, and end the line for who reads it.
    torn = any(isinstance(value, str) and "\r" in value for value in values)
    return csv.QUOTE_NONNUMERIC if torn else csv.QUOTE_MINIMAL
