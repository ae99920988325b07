"""What a training will need is worked out from what was measured, or from earlier runs."""

import dataclasses
import json
import threading
from pathlib import Path

import pytest

from bloodcell.augment.policy import find_policy
from bloodcell.errors import BadInput, Stopped
from bloodcell.runs.run import list_runs
from bloodcell.training.config import make_config
from bloodcell.training.estimate import (
    Speed,
    checkpoint_bytes,
    estimate,
    known_speed,
    measure,
    remember_speed,
    speed_key,
)
from bloodcell.ui.training.estimate import measure_here
from bloodcell.workspace import Workspace

SPEED = Speed(50.0, 20.0, 10**9, 12, "measured", "2026-11-23T00:00:00+00:00")
TINY = {"backbone": "tiny", "input_size": 48, "batch_size": 4, "learning_rate": 5e-3}


def test_validation_costs_a_third_of_training_and_the_start_is_counted_once():
    config = make_config("demo", epochs=4)
    found = estimate(config, SPEED, train=1000, validation=300)
    assert found.epoch_s == pytest.approx(1100 / 50)
    assert found.total_s == pytest.approx(20 + 4 * 22)
    assert found.epochs == 4


def test_the_epoch_in_which_the_budget_runs_out_is_finished():
    config = make_config("demo", epochs=100, time_budget=1.0)
    # 22 s an epoch: after the second 44 s are used, after the third 66 s.
    assert estimate(config, SPEED, train=1000, validation=300).epochs == 3


def test_a_real_checkpoint_is_as_large_as_foretold(trained_home: Path):
    (run,) = list_runs(Workspace(trained_home))
    real = (run.checkpoint / "state.npz").stat().st_size
    assert checkpoint_bytes(run.config()) == pytest.approx(real, rel=0.4)


def test_a_remembered_speed_holds_for_the_same_settings_only(demo_copy: Path):
    workspace, config = Workspace(demo_copy), make_config("demo")
    policy = find_policy(workspace, "gentle")
    remember_speed(workspace, speed_key(config, policy), SPEED)
    assert known_speed(workspace, config, policy) == SPEED
    # What has no bearing on speed changes nothing.
    assert known_speed(workspace, dataclasses.replace(config, seed=3, epochs=9), policy) == SPEED
    for change in ({"batch_size": 16}, {"input_size": 64}, {"backbone": "resnet50"}):
        assert known_speed(workspace, dataclasses.replace(config, **change), policy) is None
    assert known_speed(workspace, config, find_policy(workspace, "strong")) is None


def test_a_damaged_memory_is_no_obstacle(demo_copy: Path):
    workspace, config = Workspace(demo_copy), make_config("demo")
    policy = find_policy(workspace, "gentle")
    (workspace.home / "speeds.json").write_text("{", encoding="utf-8")
    assert known_speed(workspace, config, policy) is None
    remember_speed(workspace, speed_key(config, policy), SPEED)
    assert known_speed(workspace, config, policy) == SPEED


def test_a_run_with_the_same_settings_tells_its_speed_and_the_newest_word_counts(home: Path):
    workspace = Workspace(home)
    runs = list_runs(workspace)
    config, policy = runs[0].config(), runs[0].policy()
    found = known_speed(workspace, config, policy, runs)
    assert found.source == runs[0].id
    assert found.images_per_second > 0
    older = dataclasses.replace(SPEED, when="2020-01-01T00:00:00+00:00")
    remember_speed(workspace, speed_key(config, policy), older)
    assert known_speed(workspace, config, policy, runs).source == runs[0].id
    newer = dataclasses.replace(SPEED, when="2999-01-01T00:00:00+00:00")
    remember_speed(workspace, speed_key(config, policy), newer)
    assert known_speed(workspace, config, policy, runs) == newer


def test_a_run_of_another_machine_tells_nothing(home: Path):
    (run,) = list_runs(Workspace(home))
    status = json.loads(run.status_path.read_text(encoding="utf-8"))
    run.status_path.write_text(json.dumps(status | {"host": "elsewhere"}), encoding="utf-8")
    assert known_speed(Workspace(home), run.config(), run.policy(), [run]) is None


def test_one_batch_is_too_little_to_measure(demo_home: Path):
    config = make_config("demo", **{**TINY, "batch_size": 1000})
    with pytest.raises(BadInput, match="128 training images"):
        measure(Workspace(demo_home), config)


@pytest.mark.slow
def test_measuring_in_a_process_of_its_own_leaves_a_speed_and_nothing_else(demo_copy: Path):
    workspace, config = Workspace(demo_copy), make_config("demo", **TINY)
    seen = []
    assert measure_here(workspace, [config], lambda *p: seen.append(p)) == 1
    assert any(total > 1 and done > 0 for done, total, _ in seen)
    speed = known_speed(workspace, config, find_policy(workspace, "gentle"))
    assert speed.images_per_second > 0
    assert speed.memory_bytes > 10**8
    assert speed.batches > 5
    assert sorted(p.name for p in demo_copy.iterdir()) == ["datasets", "speeds.json"]


@pytest.mark.slow
def test_measuring_can_be_stopped(demo_copy: Path):
    asked = threading.Event()

    def stop(done: int, total: int, what: str) -> None:
        if asked.is_set():
            raise Stopped("enough")
        asked.set()

    with pytest.raises(Stopped):
        measure_here(Workspace(demo_copy), [make_config("demo", **TINY)], stop)
    assert not (demo_copy / "speeds.json").exists()
