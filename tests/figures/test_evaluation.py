"""Figures of an evaluation: what is drawn is what the tables say."""

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from bloodcell.classes import CLASS_NAMES, CLASSES
from bloodcell.data.store.dataset import Dataset, open_dataset
from bloodcell.ensemble.ensemble import Ensemble, open_ensemble
from bloodcell.evaluation.corruptions import CORRUPTIONS
from bloodcell.evaluation.curves import precision_recall_curves, roc_curves
from bloodcell.evaluation.evaluate import Evaluation, evaluate
from bloodcell.evaluation.review import review_curve
from bloodcell.evaluation.stress import CONDITIONS, Stressed, Study
from bloodcell.figures import (
    confusion_difference,
    corruption_curves,
    external_accuracy,
    members_figure,
    precision_recall_figure,
    review_figure,
    roc_figure,
)
from bloodcell.figures.report import evaluation_report
from bloodcell.workspace import Workspace
from tests.evaluation.simulate import draw


@pytest.fixture(scope="module")
def ensemble(trained_home: Path) -> Ensemble:
    return open_ensemble(Workspace(trained_home), "first")


@pytest.fixture(scope="module")
def demo(trained_home: Path) -> Dataset:
    return open_dataset(Workspace(trained_home), "demo")


@pytest.fixture(scope="module")
def found(ensemble: Ensemble, demo: Dataset) -> Evaluation:
    return evaluate(ensemble, demo, "all")


@pytest.fixture(scope="module")
def study() -> Study:
    rng = np.random.default_rng(0)
    done = tuple(Stressed(c, s, rng.random((2, 40)) < 0.9 - 0.1 * s, 30) for c, s in CONDITIONS)
    return Study("first", "demo", "test", ("first", "tiny"), np.arange(40) % 8, done)


class TestTheDifference:
    def test_is_in_counts_and_its_colour_says_in_whose_favour(self):
        first, second = np.zeros((8, 8), int), np.zeros((8, 8), int)
        first[0, 0], second[0, 0] = 9, 7  # two hits more
        first[0, 1], second[0, 1] = 1, 3  # two errors fewer
        first[4, 5] = 1  # one error more
        fig = confusion_difference(first, second, ("a", "b"))
        text, shades = fig.data[0].text, np.array(fig.data[0].z)
        assert (text[0][0], text[0][1], text[4][5], text[7][7]) == ("+2", "-2", "+1", "")
        assert shades[0][0] > 0 < shades[0][1]
        assert shades[4][5] < 0 == shades[7][7]

    def test_can_be_clicked_like_a_confusion_matrix(self):
        fig = confusion_difference(np.eye(8), np.eye(8), ("a", "b"))
        assert [list(c) for c in fig.data[-1].customdata] == [
            [i, j] for i in range(8) for j in range(8)
        ]


def test_curves_have_a_line_a_class_in_its_colour():
    labels, probabilities, _ = draw(400, 0.1, "mixed", np.random.default_rng(0))
    for fig in (
        roc_figure(roc_curves(labels, probabilities), {"basophil": "AUC 0.9"}),
        precision_recall_figure(precision_recall_curves(labels, probabilities)),
    ):
        assert [line.line.color for line in fig.data] == [c.colour for c in CLASSES]
        # Lines that cover each other are told apart by more than colour.
        assert len({line.line.dash for line in fig.data}) == 8
    assert (
        roc_figure(roc_curves(labels, probabilities), {"basophil": "x"}).data[0].name.endswith("x")
    )


def test_the_review_curve_marks_what_was_chosen():
    labels, probabilities, _ = draw(400, 0.1, "mixed", np.random.default_rng(0))
    fig = review_figure(review_curve(labels, probabilities), 0.1, 0.6, 40)
    assert (fig.data[-1].x[0], fig.data[-1].y[0]) == (0.1, 0.6)
    assert "40 errors" in fig.layout.title.text


def test_robustness_has_a_small_figure_for_each_corruption_from_clean_to_5(study: Study):
    fig = corruption_curves(study.table(), CORRUPTIONS)
    assert [a.text for a in fig.layout.annotations] == list(CORRUPTIONS.values())
    assert len(fig.data) == 11 * 2
    assert all(list(line.x) == [0, 1, 2, 3, 4, 5] for line in fig.data)
    assert sum(bool(line.showlegend) for line in fig.data) == 2


def test_a_study_that_has_only_begun_shows_what_is_there(study: Study):
    begun = Study("first", "demo", "test", study.networks, study.labels, study.done[:3])
    fig = corruption_curves(begun.table(), CORRUPTIONS)
    assert [a.text for a in fig.layout.annotations] == ["Pixelated"]
    assert list(fig.data[0].x) == [0, 1, 2]


def test_home_and_away_has_both_for_each_network():
    rows = [
        {"network": n, "dataset": d, "accuracy": a, "low": a - 0.1, "high": a + 0.1, "n": 9}
        for n in ("e", "m")
        for d, a in (("home", 0.9), ("away", 0.4))
    ]
    fig = external_accuracy(pd.DataFrame(rows), ("home", "away"))
    assert [(bar.name, list(bar.x)) for bar in fig.data] == [
        ("home", [0.9, 0.9]),
        ("away", [0.4, 0.4]),
    ]


def test_the_published_figures_are_lines(found: Evaluation):
    fig = members_figure(found)
    lines = {line.name: {x for x in line.x if x is not None} for line in fig.data[1:]}
    assert {0.9774} in lines.values()
    assert {0.965, 0.952, 0.945} in lines.values()
    assert list(fig.data[0].x) == [found.judgement.accuracy, found.members[0][1].accuracy]


@pytest.fixture(scope="module")
def text(found: Evaluation, demo: Dataset, ensemble: Ensemble, study: Study) -> str:
    """The report."""
    return evaluation_report(found, demo, ensemble.description, study)


class TestTheReport:
    def test_loads_nothing_from_anywhere(self, text: str):
        own = text.partition("</style>")[0] + text.partition("</head>")[2]
        assert not re.search(r"(src|href)=|url\(|https?://|@import", own)
        assert text.count("<!doctype html>") == 1
        assert text.count("Plotly.newPlot(element") == 1

    def test_has_every_number_with_its_interval(self, text: str, found: Evaluation):
        j = found.judgement
        low, high = j.intervals["macro_f1"]
        assert f"{100 * j.macro_f1:.2f} %" in text
        assert f"{100 * low:.2f} to {100 * high:.2f} %" in text
        for heading in ("Metrics per class", "Review by a person", "Robustness", "CLAIM"):
            assert heading in text

    def test_its_figures_are_readable_json(self, text: str):
        figures = re.findall(r'<script type="application/json" id="([\w-]+)">(.*?)</script>', text)
        names = [name for name, _ in figures]
        assert {"confusion", "members", "roc", "reliability", "review", "robustness"} <= set(names)
        for _, content in figures:
            assert json.loads(content.replace("<\\/", "</"))["data"]

    def test_a_name_cannot_be_code(self, found: Evaluation, demo: Dataset, ensemble: Ensemble):
        from dataclasses import replace

        evil = "</script><img src=x onerror=alert(1)>"
        shown = evaluation_report(replace(found, ensemble=evil), demo, ensemble.description)
        body = shown.split("</head>")[1]
        assert "<img" not in body

    def test_errors_are_listed_by_name(self, text: str, found: Evaluation, demo: Dataset):
        wrong = np.flatnonzero(found.answers.labels != found.labels)
        assert len(wrong)
        names = demo.items["name"].to_numpy(dtype=str)
        assert all(names[found.indices[i]] in text for i in wrong[:200])
        assert CLASS_NAMES[int(found.labels[wrong[0]])] in text
