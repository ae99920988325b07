"""The count verb: a table of counts that `verify` reads, and merged immature granulocytes."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from bloodcell.agreement.counts import read_counts
from bloodcell.cli import main
from bloodcell.data.synthetic.drawing.draw import draw_cell, draw_field
from bloodcell.ui.common.gallery import png_bytes


@pytest.fixture
def photograph(tmp_path: Path) -> Path:
    rng = np.random.default_rng(4)
    tiles = [draw_field(rng, 160) for _ in range(9)]
    tiles[4] = draw_cell(6, rng, 160)
    path = tmp_path / "a.png"
    path.write_bytes(png_bytes(np.concatenate([np.hstack(tiles[i : i + 3]) for i in (0, 3, 6)])))
    return path


@pytest.fixture
def run(trained_home: Path, monkeypatch, capsys):
    def call(*arguments: object) -> tuple[int, str, str]:
        given = ["bloodcell", "--home", str(trained_home), "count", *map(str, arguments)]
        monkeypatch.setattr(sys, "argv", [*given, "--ensemble", "first"])
        with pytest.raises(SystemExit) as ended:
            main()
        out = capsys.readouterr()
        return ended.value.code, out.out, out.err

    return call


def test_a_smear_is_added_to_the_table_of_counts(run, photograph: Path, tmp_path: Path):
    table = tmp_path / "counts.csv"
    code, out, _ = run(photograph, "--smear", "s1", "--counts", table, "--json")
    assert code == 0
    told = json.loads(out)["differential"]
    counts = read_counts(table)
    assert counts.readers == ["first"]
    assert counts.shares("first").loc["s1", "n"] == told["n"] + told["refused"] >= 1


def test_immature_granulocytes_may_be_counted_as_neutrophils(run, photograph: Path):
    told = json.loads(run(photograph, "--merge-immature", "--json")[1])["differential"]
    assert told["merged"] is True
    assert "immature_granulocyte" not in told["classes"]
    assert "immature_granulocyte" not in run(photograph, "--merge-immature")[1]


def test_a_table_of_counts_needs_the_name_of_the_smear(run, photograph: Path, tmp_path: Path):
    code, _, err = run(photograph, "--counts", tmp_path / "counts.csv")
    assert code == 2
    assert "--smear" in err
