"""The tables of ``python -m benchmarks.reference``: every figure with its interval."""

from pathlib import Path

import numpy as np

from benchmarks.reference import (
    accuracy_rows,
    cost,
    goal_row,
    home_goals,
    laboratory_rows,
    novelty_of_kinds,
    out_of_distribution_rows,
    refusal_rows,
    stress_rows,
    table,
)
from bloodcell.data.store.dataset import open_dataset
from bloodcell.data.synthetic.out_of_distribution import OUT_OF_DISTRIBUTION
from bloodcell.ensemble.ensemble import open_ensemble
from bloodcell.evaluation.corruptions import CORRUPTIONS
from bloodcell.evaluation.evaluate import evaluate
from bloodcell.evaluation.stress import study
from bloodcell.workspace import Workspace


def test_tables_hold_the_figures_of_an_evaluation_and_a_study(trained_home: Path):
    workspace = Workspace(trained_home)
    ensemble, dataset = open_ensemble(workspace, "first"), open_dataset(workspace, "demo")
    found = evaluate(ensemble, dataset)
    first, member = accuracy_rows(found)
    assert first[:2] == ["first", str(found.judgement.n)]
    low, high = found.judgement.intervals["accuracy"]
    value = found.judgement.accuracy
    assert first[2] == f"{100 * value:.2f} [{100 * low:.2f}, {100 * high:.2f}]"
    assert member[0] == "tiny"
    everywhere = np.ones(len(found.labels), bool)
    goal, ece, unsure = home_goals(found, everywhere)
    assert goal[:3] == ["home: accuracy", "≥ 99.2", f"{100 * value:.2f}"]
    assert (goal[3] == "reached") == (100 * value >= 99.2)
    assert ece[1] == "≤ 1"
    wrong = (found.answers.labels != found.labels).sum()
    assert f"of {wrong} errors" in unsure[0]

    names = np.where(np.arange(len(found.labels)) % 3 == 0, "north", "south")
    north, south = laboratory_rows(found, names)
    assert [north[0], south[0]] == ["north", "south"]
    assert int(north[1]) + int(south[1]) == found.judgement.n
    answer, once = cost(ensemble, np.ascontiguousarray(dataset.images[:16]))
    assert answer > 0 < once

    rows = stress_rows(study(ensemble, dataset, images=8))
    assert [row[0] for row in rows] == [*CORRUPTIONS, "mean"]
    assert all(len(row) == 3 for row in rows)

    cells = np.ascontiguousarray(dataset.images[:20])
    kinds = novelty_of_kinds(ensemble, cells, 5)
    rows = out_of_distribution_rows(kinds, ensemble.description.novelty.threshold)
    assert [row[0].replace(" ", "_") for row in rows] == list(OUT_OF_DISTRIBUTION)
    assert {row[1] for row in rows} == {"5"}
    curve = refusal_rows({"home": np.array([0.5, 1.1])}, {"none": np.array([0.7, 3.0])}, 1.0)
    assert ["1.00 (its own)", "50.0", "50.0"] in curve
    assert curve[-1] == ["2.00", "100.0", "50.0"]
    assert goal_row("x", 98.7, 99)[1:] == ["≥ 99", "98.70", "0.30 missing"]
    assert goal_row("x", 99.0, 99)[3] == "reached"
    assert goal_row("x", 0.9, 1, most=True)[1:] == ["≤ 1", "0.90", "reached"]
    assert table("T", ["a", "b"], [["1", "2"]]) == "### T\n\n| a | b |\n| --- | --- |\n| 1 | 2 |\n"
