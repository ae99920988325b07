"""The Evaluation page: create an ensemble, evaluate it, review each error, export."""

import io
import json
import shutil
import subprocess
import sys
import threading
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from bloodcell.classes import CLASS_NAMES, title
from bloodcell.data.store.dataset import Dataset, open_dataset
from bloodcell.ensemble.bundle import zipped
from bloodcell.ensemble.compose import compose
from bloodcell.ensemble.ensemble import Ensemble, open_ensemble
from bloodcell.evaluation.agreement import disagreement
from bloodcell.evaluation.evaluate import Evaluation, evaluate
from bloodcell.evaluation.stress import CONDITIONS, load_study
from bloodcell.figures import confusion
from bloodcell.ui.common.format import interval, percent
from bloodcell.ui.common.similar import _similar_pictures
from bloodcell.ui.evaluation import compose_form
from bloodcell.ui.evaluation.compose_form import choose_default_runs
from bloodcell.ui.evaluation.export import zip_tables
from bloodcell.ui.evaluation.images import (
    ORDERS,
    count_pair,
    draw_tiles,
    list_image_rows,
    read_clicked_cell,
    select_images,
    select_predictions,
)
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


def on_view(app: AppTest, label: str) -> None:
    app.session_state["view"] = label
    settled(app.run())


def on_tab(app: AppTest, label: str) -> None:
    # A browser sends the open tab with every click; AppTest has to be told each time.
    app.session_state["evaluation_tab_first"] = label
    settled(app.run())


def test_without_an_ensemble_the_runs_are_offered(demo_home: Path, monkeypatch):
    text = words(open_page(demo_home, "evaluation", monkeypatch))
    assert "No run is finished yet" in text


def test_it_evaluates_the_test_part_unasked_with_intervals(
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
    on_view(app, "Members")
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
    assert "128 of these 128 images were used" in app.warning[0].value


def test_the_two_lists_choose_a_cell_of_the_matrix(trained_home: Path, found, monkeypatch):
    app = open_page(trained_home, "evaluation", monkeypatch)
    app.get("button_group")[0].set_value("all")
    settled(app.run())
    true, predicted = np.argwhere(np.array(found.judgement.confusion_matrix) > 0)[0]
    app.selectbox(key="review_true").set_value(int(true))
    app.selectbox(key="review_predicted").set_value(int(predicted))
    settled(app.run())
    n = found.judgement.confusion_matrix[true][predicted]
    count = "1 image" if n == 1 else f"{n} images"
    assert f"**{count}**: {title(int(true))} → {title(int(predicted))}" in words(app)


@pytest.mark.parametrize(
    ("view", "text"),
    [
        ("Class pair", "Correct, but closest to the boundary"),
        ("Per class", "Each class is listed with its AUC"),
        ("Calibration", "split conformal prediction"),
        ("Images", "16 images"),
        ("All metrics", "1,000 simulated test sets"),
    ],
)
def test_each_view_opens_from_its_link(home: Path, monkeypatch, view: str, text: str):
    app = open_page(home, "evaluation", monkeypatch)
    on_view(app, view)
    assert text in words(app)
    assert not app.error


def test_the_threshold_says_how_many_cells_a_person_reviews(
    trained_home: Path, ensemble: Ensemble, dataset: Dataset, monkeypatch
):
    app = open_page(trained_home, "evaluation", monkeypatch)
    on_view(app, "Calibration")
    app.slider(key="review_threshold").set_value(99.9)
    settled(app.run())
    answers = evaluate(ensemble, dataset, "test").answers
    sent = (answers.probabilities.max(1) < 0.999) | ~answers.recognised
    shown = {metric.label: metric.value for metric in app.metric}
    assert shown["Reviewed"] == percent(sent.mean())


def test_a_second_opening_reads_what_was_kept(home: Path, monkeypatch):
    shutil.rmtree(home / "datasets" / "demo" / "evaluations", ignore_errors=True)
    st.cache_resource.clear()  # what earlier tests evaluated is in the memory of this process
    open_page(home, "evaluation", monkeypatch)
    (kept,) = (home / "datasets" / "demo" / "evaluations").glob("*.npz")
    before = kept.stat().st_mtime_ns
    st.cache_resource.clear()
    app = open_page(home, "evaluation", monkeypatch)
    assert app.metric
    assert kept.stat().st_mtime_ns == before


def test_a_robustness_study_is_started_and_kept(home: Path, ensemble: Ensemble, monkeypatch):
    app = open_page(home, "evaluation", monkeypatch)
    on_tab(app, "Robustness")
    app.button(key="robustness_start").click()
    on_tab(app, "Robustness")
    for _ in range(100):
        if "Stop" not in {b.label for b in app.button}:
            break
        settled(app.run())
    on_tab(app, "Robustness")
    demo = open_dataset(Workspace(home), "demo")
    assert load_study(ensemble.description, demo).complete
    assert len(app.dataframe[0].value) == 2
    assert not any(b.label.startswith(("Start", "Resume")) for b in app.button)
    assert len(CONDITIONS) == 56


def test_a_new_ensemble_becomes_the_active_one(home: Path, monkeypatch):
    app = open_page(home, "evaluation", monkeypatch)
    on_tab(app, "New ensemble")
    app.text_input(key="compose_name").set_value("second")
    app.button(key="compose").click()
    on_tab(app, "New ensemble")
    settled(app.run())
    assert (home / "ensembles" / "second" / "ensemble.json").is_file()
    assert app.session_state["active_ensembles"] == "second"


def test_a_second_click_does_not_create_it_twice(home: Path, monkeypatch):
    going, calls = threading.Event(), []

    def slow(*arguments, **more):
        calls.append(arguments)
        going.wait(60)
        return compose(*arguments, **more)

    monkeypatch.setattr(compose_form, "compose", slow)
    app = open_page(home, "evaluation", monkeypatch)
    on_tab(app, "New ensemble")
    app.text_input(key="compose_name").set_value("second")
    button = app.button(key="compose")
    for _ in range(2):
        app.session_state["evaluation_tab_first"] = "New ensemble"
        button.click().run()
        assert app.button(key="compose").disabled
    going.set()
    on_tab(app, "New ensemble")
    settled(app.run())
    assert len(calls) == 1
    assert app.session_state["active_ensembles"] == "second"


def test_a_name_that_is_taken_is_a_sentence(home: Path, monkeypatch):
    app = open_page(home, "evaluation", monkeypatch)
    on_tab(app, "New ensemble")
    app.text_input(key="compose_name").set_value("first")
    app.button(key="compose").click()
    on_tab(app, "New ensemble")
    assert "The ensemble name 'first' is taken" in app.error[0].value


def test_the_card_and_the_zip_can_be_downloaded(trained_home: Path, monkeypatch):
    app = open_page(trained_home, "evaluation", monkeypatch)
    on_tab(app, "Export")
    assert "Not a medical device" in words(app)
    assert "## Limits" in words(app)
    assert "Checklist, after CLAIM" in words(app)
    assert [b.proto.label for b in app.get("download_button")] == [
        "Report (HTML)",
        "All tables (CSV)",
        "Metrics (JSON)",
        "Model card with checklist",
        "first.zip",
    ]


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
        assert choose_default_runs(summaries) == ["c", "a"]
        assert choose_default_runs([]) == []


class TestTheImagesOfACell:
    def test_every_cell_has_as_many_images_as_it_counts(self, found: Evaluation):
        for true, row in enumerate(found.judgement.confusion_matrix):
            for predicted, count in enumerate(row):
                rows = select_images(found, true, predicted)
                assert len(rows) == count
                assert (found.labels[rows] == true).all()
                assert (found.answers.labels[rows] == predicted).all()

    def test_errors_come_first_and_the_surest_of_them_foremost(self, found: Evaluation):
        rows = select_images(found, None, None)
        assert sorted(rows) == list(range(len(found.labels)))
        wrong = (found.answers.labels != found.labels)[rows]
        errors = int(wrong.sum())
        assert errors > 0
        assert wrong[:errors].all()
        of_truth = found.answers.probabilities[rows, found.labels[rows]]
        assert (np.diff(of_truth[:errors]) >= 0).all()
        assert list(select_images(found, None, None, "errors")) == list(rows[:errors])

    def test_the_orders_and_the_pair_are_what_they_say(self, found: Evaluation):
        unsure = found.answers.probabilities.max(1)[
            select_images(found, None, None, order=ORDERS[1])
        ]
        assert (np.diff(unsure) >= 0).all()
        apart = disagreement(found.answers.members)
        rows = select_images(found, None, None, order=ORDERS[2])
        assert (np.diff(apart[rows]) <= 0).all()
        strange = found.answers.novelty[select_images(found, None, None, order=ORDERS[3])]
        assert (np.diff(strange) <= 0).all()
        for row in select_images(found, None, None, pair=(3, 6)):
            assert {found.labels[row], found.answers.labels[row]} <= {3, 6}
        assert len(select_images(found, None, None, "members disagree")) == 0

    def test_of_a_member_are_by_its_own_answers(self, found: Evaluation):
        said, probabilities = select_predictions(found, 1)
        assert np.array_equal(probabilities, found.answers.members[0])
        rows = select_images(found, 2, None, "errors", network=1)
        assert set(rows) == set(np.flatnonzero((found.labels == 2) & (said != 2)))

    def test_the_pair_is_counted_both_ways(self, found: Evaluation):
        table = count_pair(found, (3, 6))
        matrix = found.judgement.confusion_matrix
        assert table["Model"].tolist() == ["first", "tiny"]
        assert table.iloc[0, 1] == f"{matrix[3][6]} of 20"
        assert table.iloc[0, 3] == f"{matrix[6][3]} of 20"

    def test_similar_cells_have_their_class(self, ensemble: Ensemble, dataset: Dataset):
        tiles = _similar_pictures(np.asarray(dataset.images[0]), dataset, ensemble)
        assert len(tiles) == 6
        for tile in tiles:
            assert tile.caption == title(int(dataset.labels[tile.id]))

    def test_not_recognised_are_those_above_the_threshold(self, found: Evaluation):
        rows = select_images(found, None, None, "not recognised")
        assert len(rows) == int((~found.answers.recognised).sum())

    def test_the_tiles_say_what_was_answered(self, found: Evaluation, dataset: Dataset):
        rows = select_images(found, None, None)[:3]
        tiles = draw_tiles(found, dataset, rows)
        assert [t.id for t in tiles] == list(rows)
        for tile, row in zip(tiles, rows, strict=True):
            assert title(int(found.labels[row])) in tile.alt
            assert title(int(found.answers.labels[row])).lower() in tile.alt
            assert np.array_equal(tile.image, dataset.images[found.indices[row]])

    def test_a_click_on_any_marker_names_its_cell(self, found: Evaluation):
        marks = confusion(found.judgement.confusion_matrix).data[-1].customdata
        for place, data in enumerate(marks):
            cell = read_clicked_cell({"points": [{"customdata": list(data)}]})
            assert cell == (place // 8, place % 8)
        assert read_clicked_cell({"points": []}) is None


class TestExport:
    def test_the_table_has_a_vote_of_each_member(self, found: Evaluation, dataset: Dataset):
        rows = select_images(found, None, None)[:5]
        table = list_image_rows(found, dataset, rows)
        assert len(table) == 5
        assert list(table["Correct"]) == list(found.answers.labels[rows] == found.labels[rows])
        assert table["Votes"].str.contains(r"\d+$").all()

    def test_every_table_is_a_csv_and_agrees_with_the_document(
        self, found: Evaluation, ensemble: Ensemble, dataset: Dataset
    ):
        with zipfile.ZipFile(
            io.BytesIO(zip_tables(found, dataset, ensemble.description))
        ) as packed:
            tables = {
                name.removesuffix(".csv"): pd.read_csv(packed.open(name), keep_default_na=False)
                for name in packed.namelist()
            }
        images = tables["images"]
        counted = pd.crosstab(images["true"], images["predicted"]).reindex(
            index=CLASS_NAMES, columns=CLASS_NAMES, fill_value=0
        )
        assert counted.to_numpy().tolist() == found.judgement.confusion_matrix
        assert set(images["vote_tiny"]) <= set(CLASS_NAMES)
        document = found.to_json()
        own = tables["metrics"].query("network == 'first'").set_index("metric")
        assert set(own.index) == set(document["intervals"])
        for name, (low, high) in document["intervals"].items():
            assert float(own.loc[name, "value"]) == pytest.approx(document[name])
            assert (float(own.loc[name, "low"]), float(own.loc[name, "high"])) == (low, high)
        wanted = {"confusion", "classes", "members", "agreement", "reliability", "review", "roc"}
        assert wanted | {"prediction_sets", "precision_recall", "confusion-tiny"} <= set(tables)

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
        (home / "ensembles" / "first.zip").unlink()
        with zipfile.ZipFile(io.BytesIO(zipped(home / "ensembles" / "first"))) as packed:
            assert {"ensemble.json", "card.md", "seen.npy"} <= set(packed.namelist())
        assert not (home / "ensembles" / "first.zip").exists()
