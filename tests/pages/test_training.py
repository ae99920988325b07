"""The Training page: start runs, follow them, manage them."""

import dataclasses
import json
import re
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from bloodcell.locks import locked
from bloodcell.runs.labels import read_labels
from bloodcell.runs.launch import ask_to_stop, prepare
from bloodcell.runs.queue import enqueue, waiting
from bloodcell.runs.run import ACTIVE, Run, list_runs
from bloodcell.runs.sweep import members
from bloodcell.training.config import FIELDS, PRESETS, TrainConfig, make_config
from bloodcell.training.estimate import Speed, remember_speed, speed_key
from bloodcell.workspace import Workspace

Open = Callable[..., AppTest]
TINY = {"backbone": "tiny", "input_size": 48, "batch_size": 8}


def texts(elements) -> str:
    return "\n".join(str(e.value) for e in elements)


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


@pytest.fixture
def held_queue(demo_copy: Path):
    """`demo_copy` with a queue that does not move: the supervisor's lock is held here."""
    workspace = Workspace(demo_copy)
    workspace.queue.mkdir(parents=True)
    with locked(workspace.queue / "supervisor", 0) as free:
        assert free
        yield demo_copy


class TestLaunch:
    def test_without_a_dataset_it_offers_a_demo(self, tmp_path: Path, open_page: Open):
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
        for field in dataclasses.fields(TrainConfig):
            assert FIELDS[field.name]["help"]
            # Folds are launched all at once.
            name = "what" if field.name == "split_fold" else field.name
            assert re.search(rf"\btrain_(fast_)?{name}(_demo)?\b", keys), name

    def test_the_forerunners_recipe_is_one_click(self, demo_home: Path, open_page: Open):
        app = open_page(demo_home, "training")
        app.button_group(key="train_preset").set_value("bloodcellcnn").run()
        assert app.number_input(key="train_bloodcellcnn_epochs").value == 100
        assert app.selectbox(key="train_bloodcellcnn_optimizer").value == "lion"
        assert app.selectbox(key="train_bloodcellcnn_policy").value == "bloodcellcnn"
        rate = PRESETS["bloodcellcnn"]["learning_rate"]
        assert app.number_input(key="train_bloodcellcnn_learning_rate").value == rate

    def test_a_policy_that_an_address_asks_for_is_proposed(self, demo_home: Path, open_page: Open):
        app = open_page(demo_home, "training", policy="strong")
        assert not app.exception
        assert app.selectbox(key="train_fast_policy").value == "strong"
        # And it can be changed.
        app.selectbox(key="train_fast_policy").set_value("none").run()
        assert app.selectbox(key="train_fast_policy").value == "none"

    def test_says_what_was_checked_before_it_starts(self, demo_home: Path, open_page: Open):
        app = open_page(demo_home, "training")
        said = texts(app.markdown)
        assert "128 train, 16 validation, 16 test; 0 images shared between parts" in said
        assert "Few images of" in said
        assert not app.button(key="start").disabled

    def test_refuses_weights_that_are_not_there(self, demo_copy: Path, open_page: Open):
        app = open_page(demo_copy, "training")
        app.button_group(key="train_fast_weights").set_value("file").run()
        assert "No initial weights for" in texts(app.markdown)
        path = app.text_input(key="train_fast_weights_path_mobilenetv2")
        path.set_value("/nowhere/w.h5").run()
        assert "no weights file '/nowhere/w.h5'" in texts(app.markdown)
        assert app.button(key="start").disabled

    def test_refuses_a_split_without_a_class_in_each_part(self, demo_copy: Path, open_page: Open):
        app = open_page(demo_copy, "training")
        app.text_input(key="train_fast_split_shares").set_value("0.9, 0.1, 0").run()
        assert not app.exception
        assert "test part" in texts(app.markdown)
        assert app.button(key="start").disabled

    def test_shares_that_are_no_numbers_are_a_sentence(self, demo_copy: Path, open_page: Open):
        app = open_page(demo_copy, "training")
        app.text_input(key="train_fast_split_shares").set_value("most, some, few").run()
        assert not app.exception
        assert "three numbers" in texts(app.error)

    def test_a_known_speed_becomes_an_estimate_that_says_its_source(
        self, demo_copy: Path, open_page: Open
    ):
        app = open_page(demo_copy, "training")
        assert "not known on this machine" in texts(app.markdown)
        assert app.button(key="measure")
        config = make_config("demo")
        speed = Speed(12.8, 20.0, 1_500_000_000, 12, "measured", "2026-11-23T00:00:00+00:00")
        workspace = Workspace(demo_copy)
        from bloodcell.augment.policy import find_policy

        remember_speed(workspace, speed_key(config, find_policy(workspace, "gentle")), speed)
        app.run()
        # 8 epochs of (128 + 16 / 3) / 12.8 s, and 20 s to begin: 103 s.
        assert "About 2\N{NO-BREAK SPACE}min" in texts(app.markdown)
        assert "measured on this machine over 12 batches on 2026-11-23" in texts(app.caption)
        assert "1.5 GB needed" in texts(app.markdown)

    def test_a_budget_too_short_for_all_epochs_is_said(self, demo_copy: Path, open_page: Open):
        app = open_page(demo_copy, "training")
        workspace, config = Workspace(demo_copy), make_config("demo")
        from bloodcell.augment.policy import find_policy

        speed = Speed(1.0, 20.0, 0, 12, "measured", "2026-11-23T00:00:00+00:00")
        remember_speed(workspace, speed_key(config, find_policy(workspace, "gentle")), speed)
        app.number_input(key="train_fast_time_budget").set_value(5.0).run()
        # An epoch takes 133 s: the third is the one in which 300 s run out.
        assert "after about 3 of 8 epochs" in texts(app.markdown)

    @pytest.mark.parametrize(
        ("what", "fields", "expected"),
        [
            ("ensemble", ("backbone",), {"mobilenetv2", "efficientnetb3", "resnet50"}),
            ("seeds", ("seed",), {0, 1, 2}),
            ("folds", ("split_fold",), {(1, 5), (2, 5), (3, 5), (4, 5), (5, 5)}),
        ],
    )
    def test_a_sweep_is_queued_by_one_click_and_can_be_found_by_its_tag(
        self,
        held_queue: Path,
        open_page: Open,
        monkeypatch: pytest.MonkeyPatch,
        what: str,
        fields: tuple,
        expected: set,
    ):
        monkeypatch.setattr("bloodcell.training.config.has_bfloat16", lambda: True)
        app = open_page(held_queue, "training")
        app.button_group(key="train_what").set_value(what).run()
        # Weights that need no connection.
        if what == "ensemble":
            app.button_group(key="train_fast_weights").set_value("none").run()
        else:
            app.selectbox(key="train_fast_backbone").set_value("tiny").run()
        app.button(key="start").click().run()
        assert not app.exception
        runs = waiting(Workspace(held_queue))
        assert {getattr(r.config(), fields[0]) for r in runs} == expected
        assert len(runs) == len(expected)
        if what == "ensemble":
            # As the command line makes them: each with the preset of its own network.
            by_verb = members("demo", weights="none")
            assert {r.config() for r in runs} == set(by_verb)
            assert "bfloat16" in {c.precision for c in by_verb}
        (tag,) = {read_labels(run).tags for run in runs}
        assert len(tag) == 1
        assert f"{len(runs)} runs waiting" in texts(app.markdown)


class TestQueue:
    @pytest.fixture
    def queued(self, held_queue: Path) -> list[Run]:
        workspace = Workspace(held_queue)
        runs = [prepare(workspace, make_config("demo", epochs=1, seed=s, **TINY)) for s in range(3)]
        enqueue(workspace, runs)
        return runs

    def test_the_order_can_be_changed(self, held_queue: Path, queued, open_page: Open):
        app = open_page(held_queue, "training")
        assert not app.exception
        first, second, third = queued
        app.button(key=f"arrow_downward_{first.id}").click().run()
        app.button(key=f"arrow_upward_{third.id}").click().run()
        assert [r.id for r in waiting(Workspace(held_queue))] == [second.id, third.id, first.id]
        assert app.button(key=f"arrow_upward_{second.id}").disabled
        assert app.button(key=f"arrow_downward_{first.id}").disabled

    def test_opening_the_page_starts_nothing_until_it_is_asked_for(
        self, demo_copy: Path, open_page: Open, monkeypatch: pytest.MonkeyPatch
    ):
        started: list[str] = []
        monkeypatch.setattr(
            "bloodcell.runs.supervisor.spawn", lambda _, verb, *more: started.append(verb[-1])
        )
        workspace = Workspace(demo_copy)
        enqueue(workspace, [prepare(workspace, make_config("demo", epochs=1, **TINY))])
        app = open_page(demo_copy, "training")
        assert started == []
        app.button(key="start_queue").click().run()
        assert not app.exception
        assert started == ["--supervise"]

    def test_a_waiting_run_can_be_cancelled_and_started_again(
        self, held_queue: Path, queued, open_page: Open
    ):
        first = queued[0]
        app = open_page(held_queue, "training", run=first.id)
        app.button(key=f"cancel_{first.id}").click().run()
        assert first.status()["state"] == "stopped"
        assert [r.id for r in waiting(Workspace(held_queue))] == [r.id for r in queued[1:]]
        app.button(key="resume_run").click().run()
        assert not app.exception
        assert waiting(Workspace(held_queue))[0].id == first.id

    def test_a_waiting_run_can_be_edited(self, held_queue: Path, queued, open_page: Open):
        run = queued[1]
        app = open_page(held_queue, "training")
        app.button(key=f"edit_{run.id}").click().run()
        assert not app.exception
        app.number_input(key=f"train_edit_{run.id}_epochs").set_value(7)
        app.text_input(key=f"train_edit_{run.id}_name").set_value("longer").run()
        assert app.button(key="start").label == "Save changes"
        app.button(key="start").click().run()
        assert not app.exception
        assert run.config() == dataclasses.replace(queued[0].config(), seed=1, epochs=7)
        assert read_labels(run).name == "longer"
        assert [r.id for r in waiting(Workspace(held_queue))] == [r.id for r in queued]

    def test_a_copy_may_differ_and_the_original_stays(
        self, held_queue: Path, queued, open_page: Open
    ):
        run = queued[0]
        app = open_page(held_queue, "training", run=run.id)
        app.button(key="duplicate_run").click().run()
        app.number_input(key=f"train_duplicate_{run.id}_learning_rate").set_value(0.002).run()
        app.button(key="start").click().run()
        assert not app.exception
        (copy,) = [r for r in list_runs(Workspace(held_queue)) if r not in queued]
        assert copy.config() == dataclasses.replace(run.config(), learning_rate=0.002)
        assert copy.record()["duplicate_of"] == run.id


class TestRuns:
    def test_lists_and_shows_a_finished_run(self, trained_home: Path, open_page: Open):
        run = only_run(trained_home)
        app = open_page(trained_home, "training", run=run.id)
        assert not app.exception
        table = app.dataframe[0].value
        assert table["id"].tolist() == [run.id]
        assert table["state"].tolist() == ["finished"]
        assert table["epochs"].tolist() == ["2 of 2"]
        best = min(run.metrics(), key=lambda m: m["val_loss"])
        assert table["val accuracy"][0] == pytest.approx(100 * best["val_accuracy"])
        assert (
            app.metric[0].value.replace("\N{NO-BREAK SPACE}", "") == f"{best['val_accuracy']:.2%}"
        )
        assert "n = 16" in app.metric[0].delta
        assert "finished" in texts(app.code)

    def test_the_confusions_of_any_epoch_can_be_seen(self, trained_home: Path, open_page: Open):
        run = only_run(trained_home)
        app = open_page(trained_home, "training", run=run.id)
        for epoch, record in enumerate(run.metrics(), 1):
            app.selectbox(key=f"confusions_of_{run.id}").set_value(epoch).run()
            assert not app.exception
            wrong = 16 - sum(record["val_confusion"][k][k] for k in range(8))
            assert f"{wrong} of 16 cells" in texts(app.markdown)

    def test_an_address_with_an_unknown_run_says_so_and_shows_another(
        self, trained_home: Path, open_page: Open
    ):
        app = open_page(trained_home, "training", run="20200101-000000-tiny-0000")
        assert not app.exception
        assert "20200101-000000-tiny-0000" in texts(app.warning)
        assert only_run(trained_home).id in texts(app.markdown)

    def test_a_run_that_cannot_be_read_is_named_beside_the_others(
        self, home: Path, open_page: Open
    ):
        run = only_run(home)
        broken = shutil.copytree(run.path, run.path.with_name("20200101-000000-tiny-0000"))
        (broken / "metrics.jsonl").write_text("{}\n", encoding="utf-8")
        app = open_page(home, "training")
        assert not app.exception
        assert app.dataframe[0].value["id"].tolist() == [run.id]
        assert f"{broken / 'metrics.jsonl'} has no record of epoch 1" in texts(app.text)

    def test_an_address_names_a_run_and_no_path(
        self, trained_home: Path, tmp_path: Path, open_page: Open
    ):
        run = only_run(trained_home)
        outside = shutil.copytree(run.path, tmp_path / "outside")
        (outside / "labels.json").write_text('{"name": "of somebody else"}', encoding="utf-8")
        said = []
        for path in (outside, tmp_path / "nowhere", f"../runs/{run.id}"):
            app = open_page(trained_home, "training", run=str(path))
            assert not app.exception
            assert "of somebody else" not in texts(app.markdown)
            said.append(texts(app.warning).replace(repr(str(path)), "X"))
        assert set(said) == {"There is no run X in this workspace."}

    def test_a_run_whose_process_is_gone_says_so_and_can_be_resumed(
        self, home: Path, open_page: Open
    ):
        run = only_run(home)
        status = json.loads(run.status_path.read_text(encoding="utf-8"))
        # What a killed process leaves behind: a state that nobody corrects.
        status |= {"state": "running", "process_started": 0.0, "process_mark": ""}
        run.status_path.write_text(json.dumps(status), encoding="utf-8")
        app = open_page(home, "training")
        assert not app.exception
        assert "without a word" in texts(app.error)
        assert app.button(key="resume_run").label == "Resume"


@pytest.mark.slow
class TestLife:
    def test_a_run_is_started_stopped_resumed_and_ends_without_the_page(
        self, demo_copy: Path, open_page: Open
    ):
        app = open_page(demo_copy, "training")
        app.selectbox(key="train_fast_backbone").set_value("tiny").run()
        app.number_input(key="train_fast_input_size").set_value(48)
        app.number_input(key="train_fast_epochs").set_value(400).run()
        app.button(key="start").click().run()
        assert not app.exception
        run = only_run(demo_copy)
        try:
            assert app.query_params["run"] in (run.id, [run.id])
            wait(run, lambda s: s["state"] == "running" and s.get("batch", 0) > 0)
            app.run()
            assert "running" in texts(app.markdown)
            assert any(metric.label == "CPU" for metric in app.metric)
            app.button(key="stop_run").click().run()
            stopped = wait(run, lambda s: s["state"] == "stopped")
            assert stopped["epoch"] < 400
            app.run()
            # The rest is short: the config of a stopped run may be given fewer epochs.
            record = json.loads(run.config_path.read_text(encoding="utf-8"))
            record["config"]["epochs"] = max(1, len(run.metrics()) + 1)
            run.config_path.write_text(json.dumps(record), encoding="utf-8")
            app.button(key="resume_run").click().run()
            assert not app.exception
            wait(run, lambda s: s["state"] == "finished")
            app.run()
            assert app.dataframe[0].value["state"].tolist() == ["finished"]
            assert run.litert_path.is_file()
        finally:
            if run.status()["state"] in ACTIVE:
                ask_to_stop(run, wait_s=30)
