"""How a run was trained, in the words that train it again."""

import shlex
from pathlib import Path

import pytest

from bloodcell.runs.execute import execute
from bloodcell.runs.launch import prepare
from bloodcell.runs.recipe import command_of, recipe_of, recipe_text
from bloodcell.runs.run import Run, list_runs
from bloodcell.training.config import TrainConfig
from bloodcell.workspace import Workspace


@pytest.fixture
def finished(trained_home: Path) -> tuple[Workspace, Run]:
    workspace = Workspace(trained_home)
    return workspace, list_runs(workspace)[0]


def test_the_command_makes_the_same_config(finished, capsys: pytest.CaptureFixture[str]):
    from typer.main import get_command

    from bloodcell.cli import app
    from bloodcell.training.config import make_config

    _, run = finished
    words = shlex.split(command_of(run))
    assert words[:4] == ["python", "-m", "bloodcell", "train"]
    verb = get_command(app).commands["train"]
    given = verb.make_context("train", words[4:]).params
    apart = ("dataset", "preset", "members", "folds", "seeds", "tracker", "detach", "as_json")
    for key in (*apart, "sweep", "trials", "sweep_name", "pruning", "engine"):
        given.pop(key)
    config = run.config()
    again = make_config(config.dataset, config.preset, **given)
    assert again.to_json() == {**config.to_json(), "split_shares": again.split_shares}


def test_large_numbers_are_told_whole_and_a_policy_without_its_path(home: Path, tmp_path: Path):
    workspace = Workspace(home)
    (earlier,) = list_runs(workspace)
    policy = tmp_path / "mine.json"
    policy.write_text('{"schema_version": 1, "name": "mine", "steps": []}')
    changes = {"seed": 20260101, "plateau_patience": 7, "policy": str(policy)}
    run = prepare(workspace, TrainConfig(**{**earlier.config().to_json(), **changes}))
    command = command_of(run)
    assert "--seed 20260101" in command
    assert "--plateau-patience 7" in command
    assert "--policy mine.json" in command


def test_a_damaged_earlier_run_ends_the_list(home: Path):
    workspace = Workspace(home)
    (earlier,) = list_runs(workspace)
    config = TrainConfig(**{**earlier.config().to_json(), "weights": earlier.id})
    run = prepare(workspace, config)
    earlier.metrics_path.write_bytes(b"\xff\xfe nothing\n")
    assert [stage["run"] for stage in recipe_of(workspace, run)] == [run.id]


def test_what_a_run_started_from_comes_first_and_no_path_is_told(home: Path):
    workspace = Workspace(home)
    (earlier,) = list_runs(workspace)
    config = TrainConfig(**{**earlier.config().to_json(), "weights": earlier.id, "epochs": 1})
    run = prepare(workspace, config)
    execute(workspace, run, echo=False)
    stages = recipe_of(workspace, run)
    assert [stage["run"] for stage in stages] == [earlier.id, run.id]
    assert len(stages[1]["validation_accuracy"]) == 1
    assert f"--weights {earlier.id}" in stages[1]["command"]
    text = recipe_text([{"name": "tiny", "recipe": stages}])
    assert str(home) not in text
    assert text.index(earlier.id) < text.index(run.id)


def test_a_member_without_a_recipe_has_no_text():
    assert recipe_text([{"name": "tiny"}]) == ""
