"""The decisions about a dataset as a table (CSV), to be carried to another copy of its images.

An image is known by the hash of its pixels, so the other copy may have another order, other
names or fewer images. Among images of the same pixels the one of the same name is meant; where
names differ, as many as before are decided on and as many stay.
"""

import csv
import io
from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from bloodcell.classes import LABEL_NAMES, LABELS
from bloodcell.csv_files import csv_text, unescaped
from bloodcell.data.store.curation import DECISIONS
from bloodcell.data.store.dataset import Dataset
from bloodcell.errors import BadInput, NotFound

__all__ = ["COLUMNS", "Imported", "decisions_csv", "import_decisions", "read_table"]

COLUMNS = ("hash", "name", "copies", "decision", "label", "reason", "time", "index")
NEEDED = ("hash", "decision")


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
        rows.append([*about, d.get("reason", ""), d.get("time", ""), i])
    return csv_text(COLUMNS, rows)


def _read(text: str, source: str) -> list[dict[str, Any]]:
    """The rows of a table, checked.

    Raises:
        BadInput: the first row that is wrong, with its line.
    """
    if "\0" in text:
        raise BadInput(f"{source} is not text: expected a CSV table of decisions.")
    reader = csv.DictReader(io.StringIO(text), restkey="more")
    try:
        head = reader.fieldnames or []
        missing = [c for c in NEEDED if c not in head]
        if missing:
            raise BadInput(
                f"{source} has the columns {', '.join(head) or 'none'}: expected at least "
                f"{', '.join(NEEDED)}, as in a table of decisions exported here."
            )
        rows = [(reader.line_num, row) for row in reader]
    except csv.Error as error:
        raise BadInput(
            f"{source} is not readable as CSV ({error}), line {reader.line_num}."
        ) from error
    return [_checked(row, f"{source}, line {line}", head) for line, row in rows]


def _checked(row: dict[str, Any], where: str, head: list[str]) -> dict[str, Any]:
    if "more" in row or any(row[c] is None for c in head):
        raise BadInput(f"{where}: expected {len(head)} values, as many as there are columns.")
    digest, decision = row["hash"].strip().lower(), row["decision"].strip()
    if len(digest) != 32 or not set(digest) <= set("0123456789abcdef"):
        raise BadInput(f"{where}: {row['hash']!r} is no pixel hash: expected 32 hex digits.")
    if decision not in DECISIONS:
        raise BadInput(
            f"{where}: there is no decision {decision!r}: expected {', '.join(DECISIONS)}."
        )
    found = {"hash": digest, "name": unescaped(row.get("name") or ""), "decision": decision}
    label = (row.get("label") or "").strip()
    if decision == "relabel" or (decision == "keep" and label):
        if label not in LABEL_NAMES:
            raise BadInput(
                f"{where}: there is no class {label!r}: expected one of {', '.join(LABEL_NAMES)}."
            )
        found["label"] = LABELS[LABEL_NAMES.index(label)].id
    copies = (row.get("copies") or "").strip()
    if copies and not copies.isdecimal():
        raise BadInput(f"{where}: {copies!r} copies: expected a number.")
    found["copies"] = int(copies or 0)
    time = (row.get("time") or "").strip()
    try:
        found["time"] = datetime.fromisoformat(time).isoformat(timespec="seconds") if time else ""
    except ValueError as error:
        raise BadInput(f"{where}: {time!r} is no time: expected ISO 8601.") from error
    found["reason"] = unescaped((row.get("reason") or "").strip()) or "imported"
    return found


def read_table(path: Path) -> str:
    """The text of a table of decisions.

    Raises:
        BadInput: the file is not UTF-8 text.
        NotFound: there is no such file.
    """
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadInput(
            f"{path.name} is not UTF-8 text: export the table of decisions again as CSV."
        ) from error
    except OSError as error:
        raise NotFound(
            f"{path} cannot be read ({error.strerror}): give the path of an exported table."
        ) from error


def import_decisions(dataset: Dataset, text: str, source: str) -> Imported:
    """Take over the decisions of a table, as one batch that can be undone as one.

    Args:
        text: CSV with the columns hash and decision, and label where that is "relabel"; name,
            copies, reason and time may be missing.
        source: name of the file, for errors.

    Raises:
        BadInput: the table is not one of decisions; nothing is decided.
    """
    by_hash: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in _read(text, source):
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
    clean = {
        i: {k: row[k] for k in ("decision", "label", "reason", "time") if row.get(k, "") != ""}
        for i, row in decisions.items()
    }
    changed = dataset.curation.decide(clean) if clean else 0
    return Imported(len(clean), changed, unknown)
