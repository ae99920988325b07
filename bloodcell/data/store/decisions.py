"""The decisions about a dataset as a table (CSV), to be carried to another copy of its images.

An image is known by the hash of its pixels, so the other copy may have another order, other
names or fewer images. Among images of the same pixels the one of the same name is meant; where
names differ, as many as before are decided on and as many stay.
"""

import re
from collections import defaultdict
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from bloodcell.classes import LABEL_NAMES, label_id
from bloodcell.csv_files import csv_text, unescaped
from bloodcell.data.imaging.decode import printable
from bloodcell.data.readers.tables import table_rows
from bloodcell.data.store.curation import DECISIONS
from bloodcell.data.store.dataset import Dataset
from bloodcell.errors import BadInput, NotFound

__all__ = ["COLUMNS", "Imported", "decisions_csv", "import_decisions", "read_table"]

COLUMNS = ("hash", "name", "copies", "decision", "label", "reason", "time", "by", "index")
NEEDED = ("hash", "decision")
KEPT = ("decision", "label", "reason", "time", "by")


@dataclass(frozen=True)
class Imported:
    """What came of a table of decisions.

    Attributes:
        applied: decisions taken over.
        changed: images that are treated differently now.
        unknown: rows about images that are not in the dataset.
    """

    applied: int
    changed: int
    unknown: int


def decisions_csv(dataset: Dataset) -> str:
    """All decisions about a dataset as CSV with COLUMNS; label is the name of a class."""
    rows = []
    hashes, names = dataset.hashes, dataset.items["name"].to_numpy()
    copies: dict[str, int] = defaultdict(int)
    for digest in hashes:
        copies[digest] += 1
    for i, d in dataset.curation.decisions.items():
        label = LABEL_NAMES[d["label"]] if "label" in d else ""
        digest = hashes[i]
        about = (digest, names[i], copies[digest], d["decision"], label)
        rows.append([*about, d.get("reason", ""), d.get("time", ""), d.get("by", ""), i])
    return csv_text(COLUMNS, rows)


def _read(data: bytes, source: str) -> list[dict[str, Any]]:
    """The rows of a table, checked.

    Raises:
        BadInput: the first row that is wrong, with its line.
    """
    every = table_rows(data, source)
    head = [h.strip().lower() for h in next(every, (0, []))[1]]
    missing = [c for c in NEEDED if c not in head]
    if missing:
        raise BadInput(
            f"{source} has the columns {printable(', '.join(head)) or 'none'}: expected at least "
            f"{', '.join(NEEDED)}, as in a table of decisions exported here."
        )
    rows = [(f"{source}, line {line}", _row(row, head, f"{source}, line {line}"))
            for line, row in every]  # fmt: skip
    day_first = _day_first([row.get("time", "") for _, row in rows])
    return [_checked(row, where, day_first) for where, row in rows]


def _row(values: list[str], head: list[str], where: str) -> dict[str, str]:
    """Column → value; a spreadsheet may leave out what is empty at the end, or add it."""
    row = dict(zip(head, (v.strip() for v in values), strict=False))
    more = [v for v in values[len(head) :] if v.strip()]
    if more or any(c not in row for c in NEEDED):
        raise BadInput(f"{where}: expected {len(head)} values, as many as there are columns.")
    return row


def _checked(row: dict[str, str], where: str, day_first: bool) -> dict[str, Any]:
    digest, decision = row["hash"].lower(), row["decision"].casefold()
    if len(digest) != 32 or not set(digest) <= set("0123456789abcdef"):
        raise BadInput(f"{where}: {row['hash']!r} is no pixel hash: expected 32 hex digits.")
    if decision not in DECISIONS:
        raise BadInput(
            f"{where}: there is no decision {row['decision']!r}: expected {', '.join(DECISIONS)}."
        )
    found = {"hash": digest, "name": unescaped(row.get("name", "")), "decision": decision}
    label = row.get("label", "")
    if decision == "relabel" or (decision == "keep" and label):
        known = label_id(label)
        if known is None:
            raise BadInput(
                f"{where}: there is no class {label!r}: expected one of {', '.join(LABEL_NAMES)}."
            )
        found["label"] = known
    copies = row.get("copies", "")
    if copies and not re.fullmatch(r"\d{1,9}([.,]0+)?", copies):
        raise BadInput(f"{where}: {copies!r} copies: expected a number.")
    found["copies"] = int(re.split("[.,]", copies)[0] or 0)
    found["time"] = _time(row.get("time", ""), where, day_first)
    found["by"] = unescaped(row.get("by", ""))
    found["reason"] = unescaped(row.get("reason", "")) or "imported"
    return found


_LOCAL = re.compile(
    r"(\d{1,4})([./-])(\d{1,2})\2(\d{1,4})\.?"
    r"(?:,?[ T]+(\d{1,2})[:.](\d{2})(?:[:.](\d{2}))?\s*([AaPp]\.?[Mm]\.?)?)?"
)


def _day_first(times: list[str]) -> bool:
    """Whether dates such as 3/4/2025 begin with the day: what all of them allow."""
    found = [m for t in times if (m := _LOCAL.fullmatch(t)) and len(m[1]) < 3]
    if any(int(m[1]) > 12 for m in found):
        return True
    if any(int(m[3]) > 12 for m in found):
        return False
    return not any(m[8] or m[2] == "/" for m in found)


def _time(text: str, where: str, day_first: bool) -> str:
    """A time as ISO 8601, also from the way that a spreadsheet shows it."""
    if not text:
        return ""
    with suppress(ValueError):
        return datetime.fromisoformat(text).isoformat(timespec="seconds")
    try:
        found = _LOCAL.fullmatch(text)
        if found is None:
            raise ValueError(text)
        one, two, three = int(found[1]), int(found[3]), int(found[4])
        if len(found[1]) == 4:
            year, month, day = one, two, three
        else:
            year = three + (2000 if len(found[4]) == 2 else 0)
            month, day = (two, one) if day_first or found[2] == "." else (one, two)
        hour = int(found[5] or 0)
        if found[8]:
            hour = hour % 12 + (12 if found[8][0] in "Pp" else 0)
        when = datetime(year, month, day, hour, int(found[6] or 0), int(found[7] or 0))
        return when.isoformat(timespec="seconds")
    except ValueError as error:
        raise BadInput(
            f"{where}: {text!r} is no time: expected ISO 8601 or a date as spreadsheets show it."
        ) from error


def read_table(path: Path) -> bytes:
    """The content of a table of decisions.

    Raises:
        NotFound: there is no such file.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise NotFound(
            f"{path} cannot be read ({error.strerror}): give the path of an exported table."
        ) from error


def import_decisions(dataset: Dataset, table: bytes | str, source: str) -> Imported:
    """Take over the decisions of a table, as one batch that can be undone as one.

    Args:
        table: CSV, also as spreadsheets write it, with the columns hash and
            decision, and label where that is "relabel"; name, copies, reason, time and by may
            be missing.
        source: name of the file, for errors.

    Raises:
        BadInput: the table is not one of decisions; nothing is decided.
    """
    by_hash: dict[str, list[dict[str, Any]]] = defaultdict(list)
    data = table.encode() if isinstance(table, str) else table
    for row in _read(data, source):
        by_hash[row["hash"]].append(row)
    names = dataset.items["name"].to_numpy()
    here: dict[str, list[int]] = defaultdict(list)
    for i, digest in enumerate(dataset.hashes):
        if digest in by_hash:
            here[digest].append(i)
    decisions: dict[int, dict[str, Any]] = {}
    unknown = 0
    for digest, rows in by_hash.items():
        free, left = list(here[digest]), []
        unknown += 0 if free else len(rows)
        for row in rows:
            named = next((i for i in free if names[i] == row["name"]), None)
            if named is None:
                left.append(row)
            else:
                free.remove(named)
                decisions[named] = row
        # The last ones first: of copies it is the first that is to stay.
        staying = max(0, max(row["copies"] for row in rows) - len(rows))
        for row in left[: max(0, len(free) - staying)]:
            decisions[free.pop()] = row
    clean = {i: {k: row[k] for k in KEPT if row.get(k, "") != ""} for i, row in decisions.items()}
    changed = dataset.curation.decide(clean) if clean else 0
    return Imported(len(clean), changed, unknown)
