"""The Evaluation page: combine, judge, look at each error, take along."""

import io
import json
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest

from bloodcell.classes import CLASS_NAMES, title
from bloodcell.data.dataset import Dataset, open_dataset
from bloodcell.ensemble.ensemble import Ensemble, open_ensemble
from bloodcell.evaluation.evaluate import Evaluation, evaluate
from bloodcell.figures import confusion
from bloodcell.ui.compose_form import default_runs
from bloodcell.ui.image_review import clicked_cell
from bloodcell.ui.image_table import (
    chosen_images,
    image_rows,
    metrics_csv,
    pictures,
    predictions_csv,
)
from bloodcell.ui.words import interval, percent
from bloodcell.workspace import Workspace
from tests.pages.opened import open_page, settled, words


@pytest.fixture(scope="module")
def dataset(trained_home: Path) -> Dataset:
    return open_dataset(Workspace(trained_home), "demo")


@pytest.fixture(scope="module")
def ensemble(trained_home: Path) -> Ensemble:
    return open_ensemble(Workspace(trained_home), "first")


@pytest.fixture(scope="module")
def found(ensemble: Ensemble, dataset: Dataset) -> Evaluation:
    """All images of the dataset: with a network this small there are errors among them."""
    return evaluate(ensemble, dataset, "all")


def on_tab(app: AppTest, label: str) -> None:
    # A browser sends the open tab with every click; AppTest has to be told each time.
    app.session_state["evaluation_tab_first"] = label
    settled(app.run())


def test_without_an_ensemble_the_runs_are_offered(demo_home: Path, monkeypatch):
    text = words(open_page(demo_home, "evaluation", monkeypatch))
    assert "No run is finished yet" in text


def test_it_judges_the_test_part_unasked_with_intervals(
    trained_home: Path, ensemble: Ensemble, dataset: Dataset, monkeypatch
):
    app = open_page(trained_home, "evaluation", monkeypatch)
    expected = evaluate(ensemble, dataset, "test")
    shown = {metric.label: (metric.value, metric.delta) for metric in app.metric}
    j = expected.judgement
    assert shown["Accuracy"] == (percent(j.accuracy), interval(j.intervals["accuracy"]))
    assert shown["Recall"] == (percent(j.macro_recall), interval(j.intervals["macro_recall"]))
    assert shown["Images"][0] == str(j.n)
    text = words(app)
    assert "one laboratory" in text
    assert "optimistic" in text
    forerunner = app.dataframe[0].value.iloc[-1]
    assert [f.replace("\N{NO-BREAK SPACE}", " ") for f in forerunner[["Accuracy", "Recall"]]] == [
        "97.74 %",
        "97.74 %",
    ]


def test_images_seen_in_training_are_warned_of(trained_home: Path, monkeypatch):
    app = open_page(trained_home, "evaluation", monkeypatch)
    assert not app.warning
    app.get("button_group")[0].set_value("train")
    settled(app.run())
    assert "128 of these 128 images were seen" in app.warning[0].value


def test_the_two_lists_choose_a_cell_of_the_matrix(trained_home: Path, found, monkeypatch):
    app = open_page(trained_home, "evaluation", monkeypatch)
    app.get("button_group")[0].set_value("all")
    settled(app.run())
    true, predicted = np.argwhere(np.array(found.judgement.confusion_matrix) > 0)[0]
    app.selectbox(key="review_true").set_value(int(true))
    app.selectbox(key="review_predicted").set_value(int(predicted))
    settled(app.run())
    n = found.judgement.confusion_matrix[true][predicted]
    assert f"**{n} images**: {title(int(true))} → {title(int(predicted))}" in words(app)


def test_combining_runs_makes_an_ensemble_and_makes_it_active(home: Path, monkeypatch):
    app = open_page(home, "evaluation", monkeypatch)
    on_tab(app, "Combine runs")
    app.text_input(key="compose_name").set_value("second")
    app.button(key="compose").click()
    on_tab(app, "Combine runs")
    settled(app.run())
    assert (home / "ensembles" / "second" / "ensemble.json").is_file()
    assert app.session_state["active_ensembles"] == "second"


def test_a_name_that_is_taken_is_a_sentence(home: Path, monkeypatch):
    app = open_page(home, "evaluation", monkeypatch)
    on_tab(app, "Combine runs")
    app.text_input(key="compose_name").set_value("first")
    app.button(key="compose").click()
    on_tab(app, "Combine runs")
    assert "The ensemble name 'first' is taken" in app.error[0].value


def test_the_card_and_the_zip_can_be_taken_along(trained_home: Path, monkeypatch):
    app = open_page(trained_home, "evaluation", monkeypatch)
    on_tab(app, "Take along")
    assert "Not a medical device" in words(app)
    assert "## Limits" in words(app)
    assert [b.proto.label for b in app.get("download_button")] == ["first.zip"]


class TestTheRunsToCombine:
    def test_are_the_best_of_each_backbone_on_one_dataset(self):
        def run(name: str, backbone: str, dataset: str, accuracy: float | None) -> dict:
            return {"id": name, "backbone": backbone, "dataset": dataset, "val_accuracy": accuracy}

        summaries = [
            run("e", "tiny", "demo", 0.8),
            run("d", "resnet50", "demo", None),
            run("c", "tiny", "demo", 0.9),
            run("b", "mobilenetv2", "other", 1.0),
            run("a", "resnet50", "demo", 0.7),
        ]
        assert default_runs(summaries) == ["c", "a"]
        assert default_runs([]) == []


class TestTheImagesOfACell:
    def test_every_cell_has_as_many_images_as_it_counts(self, found: Evaluation):
        for true, row in enumerate(found.judgement.confusion_matrix):
            for predicted, count in enumerate(row):
                rows = chosen_images(found, true, predicted)
                assert len(rows) == count
                assert (found.labels[rows] == true).all()
                assert (found.answers.labels[rows] == predicted).all()

    def test_errors_come_first_and_the_surest_of_them_foremost(self, found: Evaluation):
        rows = chosen_images(found, None, None)
        assert sorted(rows) == list(range(len(found.labels)))
        wrong = (found.answers.labels != found.labels)[rows]
        errors = int(wrong.sum())
        assert errors > 0
        assert wrong[:errors].all()
        of_truth = found.answers.probabilities[rows, found.labels[rows]]
        assert (np.diff(of_truth[:errors]) >= 0).all()
        assert list(chosen_images(found, None, None, "errors")) == list(rows[:errors])

    def test_not_recognised_are_those_above_the_threshold(self, found: Evaluation):
        rows = chosen_images(found, None, None, "not recognised")
        assert len(rows) == int((~found.answers.recognised).sum())

    def test_the_tiles_say_what_was_answered(self, found: Evaluation, dataset: Dataset):
        rows = chosen_images(found, None, None)[:3]
        tiles = pictures(found, dataset, rows)
        assert [t.id for t in tiles] == list(rows)
        for tile, row in zip(tiles, rows, strict=True):
            assert title(int(found.labels[row])) in tile.alt
            assert title(int(found.answers.labels[row])).lower() in tile.alt
            assert np.array_equal(tile.image, dataset.images[found.indices[row]])

    def test_a_click_on_any_marker_names_its_cell(self, found: Evaluation):
        marks = confusion(found.judgement.confusion_matrix).data[-1].customdata
        for place, data in enumerate(marks):
            cell = clicked_cell({"points": [{"customdata": list(data)}]})
            assert cell == (place // 8, place % 8)
        assert clicked_cell({"points": []}) is None


class TestTakeAlong:
    def test_the_table_has_a_vote_of_each_member(self, found: Evaluation, dataset: Dataset):
        rows = chosen_images(found, None, None)[:5]
        table = image_rows(found, dataset, rows)
        assert len(table) == 5
        assert list(table["Right"]) == list(found.answers.labels[rows] == found.labels[rows])
        assert table["Votes"].str.contains(r"\d+$").all()

    def test_the_images_csv_agrees_with_the_matrix(self, found: Evaluation, dataset: Dataset):
        table = pd.read_csv(io.StringIO(predictions_csv(found, dataset)), keep_default_na=False)
        counted = pd.crosstab(table["true"], table["predicted"]).reindex(
            index=CLASS_NAMES, columns=CLASS_NAMES, fill_value=0
        )
        assert counted.to_numpy().tolist() == found.judgement.confusion_matrix
        assert sorted(table["index"]) == sorted(found.indices)
        assert set(table["vote_tiny"]) <= set(CLASS_NAMES)

    def test_the_metrics_csv_has_every_interval(self, found: Evaluation):
        table = pd.read_csv(io.StringIO(metrics_csv(found))).set_index("metric")
        document = found.to_json()
        assert set(document["intervals"]) < set(table.index)
        assert table.loc["accuracy", "value"] == pytest.approx(document["accuracy"])
        assert table.loc["accuracy of tiny", "high"] == document["members"][0]["interval"][1]

    def test_the_document_is_that_of_the_command_line(
        self, trained_home: Path, ensemble: Ensemble, dataset: Dataset, tmp_path: Path
    ):
        command = ["-m", "bloodcell", "--home", str(trained_home), "evaluate", "first"]
        done = subprocess.run(
            [sys.executable, *command, "--dataset", "demo", "--json"],
            cwd=tmp_path,
            env={"PYTHONPATH": str(Path(__file__).parents[2]), "PATH": ""},
            capture_output=True,
            text=True,
            check=True,
        )
        expected = json.loads(json.dumps(evaluate(ensemble, dataset, "test").to_json()))
        assert json.loads(done.stdout) == expected

    def test_a_zip_is_made_where_there_is_none(self, home: Path):
        from bloodcell.ui.take_along import zipped

        (home / "ensembles" / "first.zip").unlink()
        with zipfile.ZipFile(io.BytesIO(zipped(home / "ensembles" / "first"))) as packed:
            assert {"ensemble.json", "card.md", "seen.npy"} <= set(packed.namelist())
        assert not (home / "ensembles" / "first.zip").exists()
