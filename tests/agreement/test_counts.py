"""Counts of smears: what is read, and what is refused in a sentence."""

from pathlib import Path

import pytest

from bloodcell.agreement.counts import add_counts, read_counts
from bloodcell.errors import BadInput


def written(folder: Path, text: str, encoding: str = "utf-8") -> Path:
    path = folder / "counts.csv"
    path.write_text(text, encoding=encoding)
    return path


@pytest.mark.parametrize(
    ("separator", "encoding"), [(",", "utf-8"), (";", "utf-8-sig"), ("\t", "utf-8")]
)
def test_shares_are_of_white_cells_and_erythroblasts_for_100_of_them(
    tmp_path: Path, separator: str, encoding: str
):
    rows = [
        ["smear", "reader", "Neutrophils", "LY", "erythroblast", "platelet", "other"],
        ["s1", "anna", "120", "78", "10", "900", "2"],
        ["s1", "reference", "60", "40", "", "3", "0"],
    ]
    text = "\n".join(separator.join(row) for row in rows)
    counts = read_counts(written(tmp_path, text + "\n", encoding))
    assert counts.readers == ["anna", "reference"]
    own = counts.shares("anna").loc["s1"]
    assert (own["n"], own["neutrophil"], own["lymphocyte"]) == (200, 60, 39)
    assert (own["other"], own["erythroblast"], own["monocyte"]) == (1, 5, 0)
    assert counts.shares("reference").loc["s1", "neutrophil"] == 60


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("smear,neutrophil\ns,1\n", "add reader"),
        ("smear,reader,blast\ns,anna,1\n", "column 'blast'"),
        ("smear,reader,neutrophil\ns,anna,12.5\n", "'12.5'.*whole number"),
        ("smear,reader,neutrophil\ns,anna,1\ns,anna,2\n", "twice"),
        ("smear,reader,neutrophil,platelet\ns,anna,0,4\n", "no white cell"),
        ("smear,reader,neutrophil\n,anna,4\n", "without smear or reader"),
        ("smear,reader\ns,anna\n", "no column of a class"),
        ("", "the columns none"),
        ("smear,reader,LY\ns,anna,1,2\n", "line 2: 4 values under 3 columns"),
        ("smear,reader,LY,ly\ns,anna,1,2\n", "column 'ly' twice"),
    ],
)
def test_a_table_that_is_none_is_a_sentence(tmp_path: Path, text: str, match: str):
    with pytest.raises(BadInput, match=match):
        read_counts(written(tmp_path, text))


def test_who_did_not_count_is_named_with_who_did(tmp_path: Path):
    counts = read_counts(written(tmp_path, "smear,reader,neutrophil\ns,anna,4\n"))
    with pytest.raises(BadInput, match=r"'ben'.*anna"):
        counts.shares("ben")


def test_a_differential_is_added_to_the_table_and_replaces_its_like(tmp_path: Path):
    path = written(tmp_path, "smear;reader;LY\n-1;anna;9\ns1;net;4\n")
    add_counts(path, "s1", "net", {"neutrophil": 7, "other": 1, "platelet": 20})
    add_counts(path, "s2", "net", {"monocyte": 2})
    found = read_counts(path).table
    assert list(zip(found["smear"], found["reader"], strict=True)) == [
        ("-1", "anna"), ("s1", "net"), ("s2", "net"),
    ]  # fmt: skip
    assert found["lymphocyte"].tolist() == [9, 0, 0]
    assert found.loc[1, ["neutrophil", "other", "platelet"]].tolist() == [7, 1, 20]


def test_a_smear_without_white_cells_is_not_added(tmp_path: Path):
    with pytest.raises(BadInput, match="No white cell"):
        add_counts(tmp_path / "new.csv", "s1", "net", {"platelet": 3})
    assert not (tmp_path / "new.csv").exists()
