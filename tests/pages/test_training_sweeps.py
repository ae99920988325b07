"""The Training page: a sweep is begun, seen, stopped and continued; where runs are carried out."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from bloodcell.files import write_json
from bloodcell.locks import locked
from bloodcell.runs.queue import settings, waiting
from bloodcell.runs.run import list_runs
from bloodcell.runs.trials import advance, list_sweeps, make_sweep, parse_space, trials_of
from bloodcell.workspace import Workspace
from tests.pages.opened import words

Open = Callable[..., AppTest]


@pytest.fixture
def held(demo_copy: Path) -> Iterator[Workspace]:
    """A workspace in which nothing is started, because this process is the supervisor."""
    with locked(Workspace(demo_copy).queue / "supervisor", 0):
        yield Workspace(demo_copy)


def ends(run, loss: float) -> None:
    record = {
        "epoch": 1, "loss": 1.0, "accuracy": 0.5, "val_accuracy": 0.5, "val_macro_recall": 0.5,
        "learning_rate": 1e-3, "seconds": 1.0, "images_per_second": 1.0, "val_loss": loss,
    }  # fmt: skip
    run.metrics_path.write_text(json.dumps(record) + "\n")
    write_json(run.status_path, {"state": "finished", "reason": "", "pid": None})


def test_a_sweep_is_begun_with_the_form_around_it(held: Workspace, open_page: Open):
    app = open_page(held.home, "training")
    app.selectbox(key="train_fast_backbone").set_value("tiny").run()
    app.button_group(key="train_what").set_value("sweep").run()
    app.text_area(key="train_axes").set_value("split-seed=1,2").run()
    app.button(key="start").click().run()
    assert "cannot vary split-seed" in words(app)
    app.text_area(key="train_axes").set_value("dropout=0:0.4\n\npolicy=gentle,strong").run()
    app.number_input(key="train_trials").set_value(5).run()
    app.button(key="start").click().run()
    assert not app.exception
    (sweep,) = list_sweeps(held)
    (run,) = waiting(held)
    assert (sweep.trials, sweep.grid) == (5, False)
    assert run.record()["sweep"]["name"] == sweep.name
    assert run.config().backbone == "tiny"


def test_its_trials_are_shown_and_it_is_stopped_and_continued(held: Workspace, open_page: Open):
    space = parse_space(["dropout=0,0.2", "policy=gentle,strong"])
    sweep = make_sweep(held, space, "demo", name="first", backbone="tiny", input_size=48)
    for loss in (1.5, 1.25):
        assert advance(held)
        ends(waiting(held)[0], loss)
    assert advance(held)
    app = open_page(held.home, "training", training_view="Compare")
    assert "2 of 4 trials ended, grid" in words(app)
    table = app.dataframe[0].value
    assert list(table["loss"])[:2] == [1.25, 1.5]
    assert list(table["policy"])[:2] == ["strong", "gentle"]
    app.button(key="stop_sweep").click().run()
    assert list_sweeps(held)[0].state == "stopped"
    assert waiting(held) == []
    app.button(key="resume_sweep").click().run()
    assert not app.exception
    assert list_sweeps(held)[0].state == "active"
    assert waiting(held) == [trials_of(held, sweep)[2].run]


def test_where_runs_go_is_offered_only_where_there_is_a_choice(
    held: Workspace, open_page: Open, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("shutil.which", lambda name, **how: None)
    app = open_page(held.home, "training")
    assert "set_engine" not in [b.key for b in app.button]
    monkeypatch.setattr("shutil.which", lambda name, **how: f"/usr/bin/{name}")
    asked = []
    monkeypatch.setattr("bloodcell.runs.engines.slurm.check_slurm", asked.append)
    app.run()
    app.button_group(key="engine").set_value("slurm").run()
    app.text_input(key="slurm_partition").set_value("gpu").run()
    app.number_input(key="slurm_gpus").set_value(1).run()
    app.button(key="set_engine").click().run()
    assert not app.exception
    assert settings(held).engine == "slurm"
    assert (asked[-1].partition, asked[-1].gpus) == ("gpu", 1)
    # How Python is called there is a command, and whoever sees the page must not set one.
    assert not [w.key for w in app.text_input if "python" in (w.key or "")]
    assert list_runs(held) == []


def test_where_ray_is_and_how_its_jobs_begin_is_not_changed_by_the_page(
    held: Workspace, open_page: Open, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("shutil.which", lambda name, **how: None)
    write_json(held.queue / "ray.json", {"address": "http://head:8265", "python": "python3"})
    asked = []
    monkeypatch.setattr("bloodcell.runs.engines.ray.check_ray", asked.append)
    app = open_page(held.home, "training")
    app.button_group(key="engine").set_value("ray").run()
    assert "The Ray at http://head:8265" in words(app)
    app.number_input(key="ray_cpus").set_value(3).run()
    app.checkbox(key="ray_shared").uncheck().run()
    app.button(key="set_engine").click().run()
    assert not app.exception
    assert settings(held).engine == "ray"
    now = asked[-1]
    assert (now.address, now.python, now.cpus) == ("http://head:8265", "python3", 3)
    assert not now.shared
    assert not [w.key for w in app.text_input if (w.key or "").startswith("ray_")]
