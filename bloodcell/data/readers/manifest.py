"""A table beside the images that says what each is and where it comes from.

``manifest.csv`` in a folder or zip, or ``import SOURCE --manifest FILE``: the columns ``file`` and
``label`` (a class, or ``other``), any of laboratory, slide, patient, reader and source_label, and
whatever else, which is kept. Paths are relative to the table, or to the top of the images.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from sys import intern
from typing import Any

from bloodcell.classes import LABEL_NAMES, label_id
from bloodcell.csv_files import unescaped
from bloodcell.data.imaging.decode import printable
from bloodcell.data.readers.tables import table_rows
from bloodcell.data.store.dataset import GROUPS, ORIGINS
from bloodcell.errors import BadInput, NotFound

__all__ = [
    "MANIFEST",
    "Given",
    "Manifest",
    "Matched",
    "check_given",
    "find_manifest",
    "manifest_text",
    "match_files",
    "read_manifest",
    "read_manifest_file",
]

MANIFEST = "manifest.csv"
NEEDED = ("file", "label")
# Columns of items.csv that the import itself writes.
TAKEN = ("index", "name", "hash", "part")
LARGEST = 256 * 2**20
LONGEST_CELL = 400
LONGEST_NAME = 60
NAMED = 100


@dataclass(frozen=True)
class Given:
    """What a person says of a whole import.

    Attributes:
        laboratory: of every cell that nothing else is said of; "" for none.
        level: what the folders above the class folders are: laboratory, patient, slide or "".
        manifest: a table beside the source, instead of one in it.
    """

    laboratory: str = ""
    level: str = ""
    manifest: Path | None = None


def check_given(given: Given) -> None:
    """Raise BadInput unless the level is one and the laboratory has a name that can be shown."""
    if given.level not in ("", *GROUPS):
        raise BadInput(
            f"Folders above a class cannot be a {printable(given.level)!r}: expected one of "
            f"{', '.join(GROUPS)}."
        )
    name = given.laboratory
    if name != printable(name.strip(), LONGEST_NAME):
        raise BadInput(
            f"The laboratory {printable(name)!r} cannot be used: give a name of at most "
            f"{LONGEST_NAME} characters on one line."
        )


@dataclass(frozen=True)
class Manifest:
    """The table.

    Attributes:
        name: of the file, for messages.
        base: the folder in the tree that its paths start from, "" for the top.
        columns: what it says beside file and label: ORIGINS first.
        labels: file as written → 0 to 7 or OTHER.
        values: file as written → a value for each of `columns`.
    """

    name: str
    base: str
    columns: tuple[str, ...]
    labels: dict[str, int]
    values: dict[str, tuple[str, ...]]


@dataclass(frozen=True)
class Matched:
    """Which row is which file.

    Attributes:
        rows: (file in the tree, file as the table writes it), by row.
        without_file: rows that no file was found for.
        without_row: files that the table does not name; they are left out.
    """

    rows: list[tuple[str, str]] = field(default_factory=list)
    without_file: list[str] = field(default_factory=list)
    without_row: list[str] = field(default_factory=list)

    def to_json(self, name: str) -> dict[str, Any]:
        """Numbers, and the first NAMED names of each kind."""
        return {
            "file": name,
            "rows": len(self.rows) + len(self.without_file),
            "rows_without_file": len(self.without_file),
            "files_without_row": len(self.without_row),
            "names_without_file": [printable(n) for n in self.without_file[:NAMED]],
            "names_without_row": [printable(n) for n in self.without_row[:NAMED]],
        }


def manifest_text(found: dict[str, Any]) -> str:
    """What became of a manifest, in words; takes the document of :meth:`Matched.to_json`."""
    lines = [f"{found['file']}: {found['rows']:,} rows"]
    for count, names, what in (
        ("rows_without_file", "names_without_file", "rows without a file, passed over"),
        ("files_without_row", "names_without_row", "files without a row, left out"),
    ):
        if found[count]:
            shown = ", ".join(found[names][:5]) + (" …" if found[count] > 5 else "")
            lines.append(f"{found[count]:,} {what}: {shown}")
    return "; ".join(lines)


def find_manifest(files: Iterable[str]) -> str | None:
    """The path of ``manifest.csv`` in a tree: the one nearest to its top, or None.

    Raises:
        BadInput: two are equally near.
    """
    found = [f for f in files if PurePosixPath(f).name.lower() == MANIFEST]
    if not found:
        return None
    depth = min(f.count("/") for f in found)
    nearest = sorted(f for f in found if f.count("/") == depth)
    if len(nearest) > 1:
        raise BadInput(
            f"There are {len(nearest)} tables {MANIFEST} ({', '.join(map(printable, nearest[:3]))})"
            ", expected one for all images: join them, or name one with --manifest."
        )
    return nearest[0]


def read_manifest_file(path: Path) -> Manifest:
    """A manifest beside its images; its paths start at the top of the tree.

    Raises:
        NotFound: there is no such file.
        BadInput: as :func:`read_manifest`.
    """
    try:
        if path.stat().st_size > LARGEST:
            raise BadInput(
                f"{printable(str(path))} has {path.stat().st_size / 2**20:,.0f} MiB, expected a "
                f"table of at most {LARGEST // 2**20} MiB: is it the right file?"
            )
        data = path.read_bytes()
    except OSError as error:
        raise NotFound(
            f"The manifest {printable(str(path))} cannot be read ({error.strerror}): give the "
            "path of a CSV table."
        ) from error
    return read_manifest(data, path.name)


def read_manifest(data: bytes, name: str, base: str = "") -> Manifest:
    """Read the table; comma, semicolon or tab, UTF-8 or UTF-16.

    Args:
        data: the file.
        name: for messages.
        base: folder of the tree in which it lies.

    Raises:
        BadInput: it is no such table; the message names the line and what is wrong in it.
    """
    name = printable(name)
    rows = table_rows(data, name)
    head = [h.strip().lower() for h in next(rows, (0, []))[1]]
    missing = [c for c in NEEDED if c not in head]
    twice = [c for c, n in Counter(head).items() if n > 1 and c]
    if missing or twice:
        wrong = f"no {' and no '.join(missing)}" if missing else f"{twice[0]!r} twice"
        raise BadInput(
            f"{name} has {wrong} among its columns ({printable(', '.join(head)) or 'none'}), "
            f"expected file, label and any of {', '.join(ORIGINS)}: name the columns so, or "
            "rename the table if it is about something else."
        )
    more = [c for c in head if c and c not in NEEDED]
    order = [c for c in ORIGINS if c in more] + [c for c in more if c not in ORIGINS]
    places = [head.index(c) for c in order]
    file_at, label_at = head.index("file"), head.index("label")
    labels: dict[str, int] = {}
    values: dict[str, tuple[str, ...]] = {}
    known: dict[str, int | None] = {}
    for line, row in rows:
        if len(row) != len(head):
            raise BadInput(
                f"{name}, line {line}, has {len(row)} values where the first line has "
                f"{len(head)}: mend that line."
            )
        file = _plain(row[file_at])
        said = row[label_at].strip()
        if said not in known:
            known[said] = label_id(said)
        label = known[said]
        if label is None:
            raise BadInput(
                f"{name}, line {line}, has the label {printable(said)!r}, expected one of "
                f"{', '.join(LABEL_NAMES)}: write other for what is none of the eight, and keep "
                "the word in a column source_label."
            )
        if not file:
            raise BadInput(f"{name}, line {line}, names no file: give the path of an image.")
        these = tuple(intern(printable(unescaped(row[p].strip()), LONGEST_CELL)) for p in places)
        if file in labels and (labels[file], values[file]) != (label, these):
            raise BadInput(
                f"{name}, line {line}, says of {printable(file)} something else than a line "
                "before it: keep one of the two."
            )
        labels[file], values[file] = label, these
    if not labels:
        raise BadInput(f"{name} has no row, expected one for each image: fill or remove it.")
    columns = tuple(f"source_{c}" if c in TAKEN else printable(c, 60) for c in order)
    return Manifest(name, base, columns, labels, values)


def match_files(manifest: Manifest, files: list[str]) -> Matched:
    """Find the file of each row: from the table's folder, from the top, or by a name that only
    one file has.

    Args:
        files: the images of the tree.
    """
    there = set(files)
    names = Counter(PurePosixPath(f).name for f in files)
    by_name = {PurePosixPath(f).name: f for f in files}
    prefix = f"{manifest.base}/" if manifest.base else ""
    found = Matched()
    used: set[str] = set()
    for row in manifest.labels:
        last = PurePosixPath(row).name
        choices = [prefix + row, row] + ([by_name[last]] if names[last] == 1 else [])
        file = next((c for c in choices if c in there and c not in used), None)
        if file is None:
            found.without_file.append(row)
        else:
            used.add(file)
            found.rows.append((file, row))
    found.without_row.extend(sorted(there - used))
    return found


def _plain(path: str) -> str:
    parts = [p for p in path.strip().replace("\\", "/").split("/") if p not in ("", ".")]
    return intern("/".join(parts))
