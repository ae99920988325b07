"""No cell of a CSV that is handed out is a formula to a spreadsheet."""

import ast
import csv
import io
from pathlib import Path

import pandas as pd
import pytest

from bloodcell.csv_files import csv_text, escaped, frame_csv, unescaped

FORMULAS = ["=1+1", "+A1", "-2+3", "@SUM(A1)", "\t=1", "\r=1", "＝1"]


@pytest.mark.parametrize("text", [*FORMULAS, "plain", "'=1", "'quoted'", ""])
def test_what_is_escaped_comes_back(text: str):
    assert unescaped(escaped(text)) == text
    assert not escaped(text).startswith(tuple("=+-@\t\r＝"))


def test_numbers_stay_numbers():
    frame = pd.DataFrame({"name": ["=1", "a"], "value": [-1.5, None], "seen": [True, False]})
    assert frame_csv(frame) == "name,value,seen\n'=1,-1.5,True\na,,False\n"
    assert csv_text(["name", "value"], [["=1", -1]]) == "name,value\n'=1,-1\n"


def by_frame(head: list, rows: list) -> str:
    return frame_csv(pd.DataFrame(rows, columns=head))


@pytest.mark.parametrize("write", [csv_text, by_frame])
def test_heads_and_cells_are_escaped_alike(write):
    rows = [[formula] for formula in FORMULAS]
    found = list(csv.reader(io.StringIO(write(["=head"], rows), newline="")))
    assert all(cell.startswith("'") for row in found for cell in row)


def test_there_is_one_writer():
    """Of tables for people; items.csv is the dataset's own."""
    package = Path(__file__).parents[1] / "bloodcell"
    own = {package / "csv_files.py", package / "data" / "store" / "dataset.py"}
    for path in set(package.rglob("*.py")) - own:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute):
                named = ast.unparse(node)
                assert node.attr != "to_csv", f"{path} writes {named}: use bloodcell.csv_files"
                assert named not in ("csv.writer", "csv.DictWriter"), path
