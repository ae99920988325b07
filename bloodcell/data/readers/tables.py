"""Tables as spreadsheets write them: comma, semicolon or tab, UTF-8, UTF-16 or Windows-1252."""

import csv
import io
import re
from collections.abc import Iterator

from bloodcell.data.imaging.decode import looks_like, printable
from bloodcell.errors import BadInput

__all__ = ["table_rows"]

_BOMS = ((b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"), (b"\xef\xbb\xbf", "utf-8-sig"))
_SEPARATOR = re.compile(r"sep=(.)")


def table_rows(data: bytes, name: str) -> Iterator[tuple[int, list[str]]]:
    """(line, values) of every row that is not empty, the heading first.

    Args:
        data: the file.
        name: for messages.

    Raises:
        BadInput: it is no table.
    """
    name = printable(name)
    text = _text(data, name)
    first, _, rest = text.partition("\n")
    skipped = 0
    # Excel's own way to say the separator.
    if said := _SEPARATOR.fullmatch(first.strip().strip('"')):
        delimiter, text, skipped = said[1], rest, 1
    else:
        delimiter = max(",;\t|", key=first.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    try:
        for row in reader:
            if any(value.strip() for value in row):
                yield reader.line_num + skipped, row
    except csv.Error as error:
        raise BadInput(
            f"{name} is not readable as CSV ({error}), line {reader.line_num + skipped}: save it "
            "anew as CSV (UTF-8)."
        ) from error


def _text(data: bytes, name: str) -> str:
    what = looks_like(data[:512])
    if what is not None:
        book = " (an Excel workbook is one)" if what == "zip archive" else ""
        raise BadInput(f"{name} is a {what}{book}, expected a table: save it as CSV (UTF-8).")
    coding = next((coding for bom, coding in _BOMS if data.startswith(bom)), "utf-8")
    try:
        text = data.decode(coding)
    except UnicodeDecodeError as error:
        # What Excel calls plain CSV on a Western Windows; other files rarely are.
        text = data.decode("cp1252", "replace") if coding == "utf-8" else "\0"
        if "\N{REPLACEMENT CHARACTER}" in text:
            raise BadInput(
                f"{name} is neither UTF-8 nor Windows text: save the table as CSV (UTF-8)."
            ) from error
    if "\0" in text:
        raise BadInput(f"{name} is not text, expected a CSV table: save it as CSV (UTF-8).")
    return text
