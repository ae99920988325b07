"""``evaluate``, ``stress`` and ``ensemble`` on the command line."""

import json
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner

from bloodcell.cli import app
from bloodcell.errors import BadInput
from bloodcell.runs.run import list_runs
from bloodcell.workspace import Workspace


def run(home: Path, *words: str) -> str:
    done = CliRunner().invoke(app, ["--home", str(home), *words], catch_exceptions=False)
    if done.exception:
        raise done.exception
    return done.stdout


def test_the_report_and_the_tables_are_written_and_agree_with_the_document(home, tmp_path):
    report, tables = tmp_path / "out" / "report.html", tmp_path / "tables"
    options = ["--report", str(report), "--tables", str(tables), "--json"]
    found = json.loads(run(home, "evaluate", "first", "--dataset", "demo", *options))
    assert report.read_text(encoding="utf-8").startswith("<!doctype html>")
    metrics = pd.read_csv(tables / "metrics.csv").query("network == 'first'").set_index("metric")
    assert metrics.loc["accuracy", "value"] == pytest.approx(found["accuracy"])
    assert len(pd.read_csv(tables / "images.csv")) == found["n"]


def test_the_second_time_the_document_is_the_same(home: Path):
    words = ("evaluate", "first", "--dataset", "demo", "--json")
    assert run(home, *words) == run(home, *words)


def test_a_study_under_stress_is_printed_and_kept(home: Path):
    words = ("stress", "first", "--dataset", "demo", "--images", "8")
    text = run(home, *words)
    assert "8 images (test) of demo" in text
    assert "Air bubble" in text
    found = json.loads(run(home, *words, "--json"))
    assert found["complete"]
    assert (found["n"], len(found["conditions"])) == (8, 56 * 2)
    low, high = found["mean"]["first"]["interval"]
    assert low <= found["mean"]["first"]["accuracy"] <= high


def test_weights_are_found_where_asked_for(home: Path):
    (only,) = list_runs(Workspace(home))
    words = ("ensemble", only.id, "--name", "found", "--find-weights", "--json")
    found = json.loads(run(home, *words))
    assert [m["weight"] for m in found["members"]] == [1]
    assert found["left_out"] == []


def test_weights_by_hand_and_found_exclude_each_other(home: Path):
    (only,) = list_runs(Workspace(home))
    with pytest.raises(BadInput, match="Both --weight and --find-weights"):
        run(home, "ensemble", only.id, "--name", "x", "--weight", "1", "--find-weights")
