"""The Training page: start a run, watch it, stop it, resume it."""

import dataclasses
import json
import re
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from bloodcell.runs.launch import ask_to_stop, prepare
from bloodcell.runs.run import ACTIVE, Run, list_runs
from bloodcell.training.config import PRESETS, TrainConfig, make_config
from bloodcell.ui.launch_form import explanations
from bloodcell.ui.run_view import duration, recall_table, remaining_seconds
from bloodcell.workspace import Workspace

Open = Callable[..., AppTest]
TINY = {"backbone": "tiny", "input_size": 48, "batch_size": 8}


def texts(elements) -> str:
    return "\n".join(str(e.value) for e in elements)


def button(app: AppTest, key: str):
    return app.button(key=key)


def only_run(home: Path) -> Run:
    (run,) = list_runs(Workspace(home))
    return run


def wait(run: Run, done: Callable[[dict], bool], seconds: float = 120) -> dict:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        status = run.status()
        if done(status):
            return status
        assert status["state"] != "failed", run.log_tail()
        time.sleep(0.2)
    raise AssertionError(f"still {run.status()}: {run.log_tail()}")


class TestForm:
    def test_without_a_dataset_it_offers_to_draw_one(self, tmp_path: Path, open_page: Open):
        app = open_page(tmp_path, "training")
        assert not app.exception
        assert "no dataset to train on" in texts(app.info)
        assert app.button(key="training_demo")

    def test_every_field_of_a_config_has_a_widget_with_an_explanation(
        self, demo_home: Path, open_page: Open
    ):
        app = open_page(demo_home, "training")
        assert not app.exception
        widgets = [*app.selectbox, *app.number_input, *app.text_input, *app.button_group]
        keys = " ".join(w.key for w in widgets if w.key)
        told = explanations()
        for field in dataclasses.fields(TrainConfig):
            assert told[field.name]
            assert re.search(rf"\btrain_(cpu_)?{field.name}(_demo)?\b", keys), field.name

    def test_a_preset_fills_the_form(self, demo_home: Path, open_page: Open):
        app = open_page(demo_home, "training")
        app.button_group(key="train_preset").set_value("bloodcellcnn").run()
        assert app.number_input(key="train_bloodcellcnn_epochs").value == 100
        assert app.selectbox(key="train_bloodcellcnn_optimizer").value == "lion"
        assert app.selectbox(key="train_bloodcellcnn_policy").value == "seed"
        rate = PRESETS["bloodcellcnn"]["learning_rate"]
        assert app.number_input(key="train_bloodcellcnn_learning_rate").value == rate

    def test_says_on_what_it_will_be_trained_before_it_starts(
        self, demo_home: Path, open_page: Open
    ):
        app = open_page(demo_home, "training")
        said = texts(app.success)
        assert "128 train, 16 validation, 16 test" in said
        assert "0 images shared between parts" in said
        assert not button(app, "start").disabled

    def test_refuses_weights_that_are_not_there(self, demo_copy: Path, open_page: Open):
        app = open_page(demo_copy, "training")
        app.button_group(key="train_cpu_weights").set_value("file").run()
        app.text_input(key="train_weights_path").set_value("/nowhere/w.h5").run()
        assert "/nowhere/w.h5" in texts(app.error)
        assert button(app, "start").disabled

    def test_refuses_a_split_without_a_class_in_each_part(self, demo_copy: Path, open_page: Open):
        app = open_page(demo_copy, "training")
        app.text_input(key="train_cpu_split_shares").set_value("0.9, 0.1, 0").run()
        assert not app.exception
        assert "test part" in texts(app.error)
        assert button(app, "start").disabled

    def test_shares_that_are_no_numbers_are_a_sentence(self, demo_copy: Path, open_page: Open):
        app = open_page(demo_copy, "training")
        app.text_input(key="train_cpu_split_shares").set_value("most, some, few").run()
        assert not app.exception
        assert "three numbers" in texts(app.error)


class TestRuns:
    def test_lists_and_shows_a_finished_run(self, trained_home: Path, open_page: Open):
        run = only_run(trained_home)
        app = open_page(trained_home, "training", run=run.id)
        assert not app.exception
        table = app.dataframe[0].value
        assert table["run"].tolist() == [run.id]
        assert table["state"].tolist() == ["finished"]
        assert table["epochs"].tolist() == ["2 of 2"]
        best = min(run.metrics(), key=lambda m: m["val_loss"])
        assert table["validation accuracy"][0] == pytest.approx(100 * best["val_accuracy"])
        assert app.metric[0].value == f"{best['val_accuracy']:.2%}"
        assert "n = 16" in app.metric[0].delta
        assert "finished" in texts(app.code)

    def test_an_address_with_an_unknown_run_says_so_and_shows_another(
        self, trained_home: Path, open_page: Open
    ):
        app = open_page(trained_home, "training", run="20200101-000000-tiny-0000")
        assert not app.exception
        assert "20200101-000000-tiny-0000" in texts(app.warning)
        assert only_run(trained_home).id in texts(app.markdown)

    def test_a_run_whose_process_is_gone_says_so_and_can_be_resumed(
        self, home: Path, open_page: Open
    ):
        run = only_run(home)
        status = json.loads(run.status_path.read_text(encoding="utf-8"))
        # What a killed process leaves behind: a state that nobody corrects.
        status |= {"state": "running", "process_started": 0.0, "epoch": 1, "batch": 1}
        run.status_path.write_text(json.dumps(status), encoding="utf-8")
        app = open_page(home, "training")
        assert not app.exception
        assert "without a word" in texts(app.error)
        assert button(app, "resume_run").label == "Resume"

    def test_a_queued_run_can_be_started(self, demo_copy: Path, open_page: Open):
        prepare(Workspace(demo_copy), make_config("demo", epochs=1, **TINY))
        app = open_page(demo_copy, "training")
        assert not app.exception
        assert button(app, "resume_run").label == "Start"


@pytest.mark.slow
class TestLife:
    def test_a_run_is_started_stopped_resumed_and_ends_without_the_page(
        self, demo_copy: Path, open_page: Open
    ):
        app = open_page(demo_copy, "training")
        app.selectbox(key="train_cpu_backbone").set_value("tiny").run()
        app.number_input(key="train_cpu_input_size").set_value(48)
        app.number_input(key="train_cpu_epochs").set_value(400)
        app.number_input(key="train_cpu_tiny_batch_size").set_value(8).run()
        button(app, "start").click().run()
        assert not app.exception
        run = only_run(demo_copy)
        try:
            assert app.query_params["run"] in (run.id, [run.id])
            wait(run, lambda s: s["state"] == "running" and s.get("batch", 0) > 0)
            app.run()
            assert "running" in texts(app.markdown)
            button(app, "stop_run").click().run()
            stopped = wait(run, lambda s: s["state"] == "stopped")
            assert stopped["epoch"] < 400
            app.run()
            # The rest is short: the config of a stopped run may be given fewer epochs.
            record = json.loads(run.config_path.read_text(encoding="utf-8"))
            record["config"]["epochs"] = max(1, len(run.metrics()) + 1)
            run.config_path.write_text(json.dumps(record), encoding="utf-8")
            button(app, "resume_run").click().run()
            assert not app.exception
            wait(run, lambda s: s["state"] == "finished")
            app.run()
            assert app.dataframe[0].value["state"].tolist() == ["finished"]
            assert run.litert_path.is_file()
        finally:
            if run.status()["state"] in ACTIVE:
                ask_to_stop(run, wait_s=30)


class TestWords:
    def test_remaining_time_counts_all_batches_that_are_left(self):
        config = make_config("demo", epochs=3, batch_size=10, backbone="tiny")
        status = {"epoch": 2, "batch": 5, "batches": 20, "images_per_second": 50.0}
        assert remaining_seconds(config, status) == pytest.approx((20 + 15) * 10 / 50)
        assert remaining_seconds(config, {"epoch": 1}) is None

    @pytest.mark.parametrize(
        ("seconds", "words"), [(4.4, "4 s"), (600, "10 min"), (3 * 3600 + 300, "3 h 05 min")]
    )
    def test_durations_read_well(self, seconds: float, words: str):
        assert duration(seconds) == words

    def test_recall_has_an_interval_and_n_for_each_class_that_is_there(self):
        matrix = [[0] * 8 for _ in range(8)]
        matrix[0][0], matrix[0][1], matrix[1][1] = 8, 2, 5
        table = recall_table({"val_confusion": matrix})
        assert table["name"].tolist() == ["Basophil", "Eosinophil"]
        assert table["value"].tolist() == [0.8, 1.0]
        assert table["n"].tolist() == [10, 5]
        assert (table["low"] < table["value"]).all()
        assert table["high"][0] > 0.8
