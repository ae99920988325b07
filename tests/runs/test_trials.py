"""A sweep: what it may vary, what it learns from, and that it goes on after anything.

No network is trained: a trial's folder is written as its process would have left it.
"""

import json

import pytest

from bloodcell.errors import BadInput, BloodCellError, NameTaken
from bloodcell.files import write_json
from bloodcell.runs.labels import read_labels
from bloodcell.runs.queue import change_settings, waiting
from bloodcell.runs.trials import (
    PRUNED,
    Axis,
    Sweep,
    advance,
    change_sweep,
    importances,
    is_sweeping,
    list_sweeps,
    make_sweep,
    open_sweep,
    parse_space,
    resume_sweep,
    stop_sweep,
    trials_of,
)
from bloodcell.workspace import Workspace

TINY = {"backbone": "tiny", "input_size": 48, "epochs": 4}
SPACE = ("learning-rate=1e-4:1e-2:log", "dropout=0,0.2,0.4")


def write(trial, losses: list[float], state: str = "finished", reason: str = "") -> None:
    record = {
        "loss": 1.0, "accuracy": 0.5, "val_accuracy": 0.5, "val_macro_recall": 0.5,
        "learning_rate": 1e-3, "seconds": 1.0, "images_per_second": 1.0,
    }  # fmt: skip
    lines = [
        json.dumps(record | {"epoch": i, "val_loss": loss}) for i, loss in enumerate(losses, 1)
    ]
    trial.run.metrics_path.write_text("".join(line + "\n" for line in lines))
    write_json(trial.run.status_path, {"state": state, "reason": reason, "pid": None})


def finish(workspace: Workspace, sweep: Sweep) -> None:
    """Let each trial that waits end, better the nearer its rate is to 1e-3."""
    for trial in trials_of(workspace, sweep):
        if trial.state == "waiting":
            rate = trial.values["learning_rate"]
            write(trial, [1 + abs(1e-3 - rate) * 100 + trial.values["dropout"] / 10])


@pytest.mark.parametrize(
    ("text", "axis"),
    [
        ("learning-rate=1e-4:1e-2:log", Axis("learning_rate", (), 1e-4, 1e-2, log=True)),
        ("epochs=2:8", Axis("epochs", (), 2, 8, whole=True)),
        ("epochs=2,8", Axis("epochs", (2, 8), whole=False)),
        ("policy=gentle, strong", Axis("policy", ("gentle", "strong"))),
    ],
)
def test_an_axis_is_a_range_or_choices(text: str, axis: Axis):
    assert parse_space([text]) == (axis,)


@pytest.mark.parametrize(
    "wrong",
    [
        "learning-rate", "colour=red,blue", "dataset=a,b", "split-seed=1,2", "split_by=slide",
        "dropout=0.4:0.1", "dropout=0:0.4:log", "epochs=1.5:3", "epochs=a,b", "seed=1,1",
        "learning-rate=1:2:3",
    ],
)  # fmt: skip
def test_what_is_no_axis_is_refused_and_the_split_is_never_one(wrong: str):
    with pytest.raises(BadInput):
        parse_space([wrong])


def test_a_grid_needs_no_library_and_has_each_combination_once(workspace: Workspace, monkeypatch):
    monkeypatch.setattr("bloodcell.runs.trials._optuna", lambda: 1 / 0)
    space = parse_space(["dropout=0,0.2", "policy=gentle,strong"])
    sweep = make_sweep(workspace, space, "demo", name="grid", **TINY)
    assert (sweep.trials, sweep.grid) == (4, True)
    change_settings(workspace, slots=3)
    assert advance(workspace)
    assert len(waiting(workspace)) == 3, "no more than there are slots, so that later ones learn"
    for trial in trials_of(workspace, sweep):
        write(trial, [1.0])
    assert advance(workspace)
    found = {tuple(trial.values.values()) for trial in trials_of(workspace, sweep)}
    assert found == {(0.0, "gentle"), (0.0, "strong"), (0.2, "gentle"), (0.2, "strong")}
    for trial in trials_of(workspace, sweep):
        write(trial, [1.0])
    assert not advance(workspace)
    assert open_sweep(workspace, "grid").state == "done"


def test_it_learns_from_the_validation_losses_and_is_the_same_after_every_kill(
    workspace: Workspace,
):
    sweep = make_sweep(workspace, parse_space(SPACE), "demo", trials=8, name="s", **TINY)
    while advance(workspace):
        finish(workspace, sweep)
    trials = trials_of(workspace, open_sweep(workspace, "s"))
    assert [t.number for t in trials] == list(range(8))
    assert all(read_labels(t.run).tags == ("s",) for t in trials)
    # All that it goes by are the folders: from the first six, the next one is the same again.
    again = make_sweep(workspace, parse_space(SPACE), "demo", trials=8, name="t", **TINY)
    for trial in trials[:6]:
        record = trial.run.record()
        write_json(trial.run.config_path, {**record, "sweep": {**record["sweep"], "name": "t"}})
    advance(workspace)
    assert trials_of(workspace, again)[6].values == trials[6].values
    # No importance can be told of what has hardly been tried.
    assert importances(sweep, trials[:2]) == {}
    assert set(importances(sweep, trials)) <= {"learning_rate", "dropout"}


def test_a_trial_that_is_worse_than_the_median_is_stopped(workspace: Workspace, monkeypatch):
    monkeypatch.setattr("bloodcell.runs.run.is_alive", lambda status: True)
    sweep = make_sweep(workspace, parse_space(SPACE), "demo", trials=9, name="s", **TINY)
    for _ in range(4):
        advance(workspace)
        for trial in trials_of(workspace, sweep):
            if trial.state == "waiting":
                write(trial, [1.0, 0.9, 0.8, 0.7])
    advance(workspace)
    last = trials_of(workspace, sweep)[-1]
    write(last, [3.0, 2.9], "running")
    advance(workspace)
    asked = last.run.stop_path.read_text()
    assert asked.startswith(PRUNED)
    assert "after epoch 2" in asked
    write(last, [3.0, 2.9], "stopped", asked)
    assert trials_of(workspace, sweep)[last.number].state == "pruned"
    advance(workspace)
    # Of two trials with good losses none is stopped.
    good = trials_of(workspace, sweep)[-1]
    good.run.stop_path.unlink(missing_ok=True)
    write(good, [0.5, 0.4], "running")
    advance(workspace)
    assert not good.run.stop_path.exists()


def test_stopped_it_makes_nothing_and_resumed_it_continues_its_trials(workspace: Workspace):
    sweep = make_sweep(workspace, parse_space(SPACE), "demo", trials=5, name="s", **TINY)
    advance(workspace)
    stop_sweep(workspace, sweep)
    assert waiting(workspace) == []
    assert not advance(workspace)
    assert not is_sweeping(workspace)
    (trial,) = trials_of(workspace, sweep)
    assert trial.state == "stopped"
    resume_sweep(workspace, sweep)
    assert waiting(workspace) == [trial.run]
    assert is_sweeping(workspace)
    # Made, but killed before it was queued: it is queued by the next one.
    (workspace.queue / "order.json").write_text("[]")
    assert advance(workspace)
    assert waiting(workspace) == [trial.run]


def test_a_sweep_whose_first_trials_all_fail_says_why_and_ends(workspace: Workspace):
    sweep = make_sweep(workspace, parse_space(SPACE), "demo", trials=9, name="s", **TINY)
    for _ in range(3):
        assert advance(workspace)
        for trial in trials_of(workspace, sweep):
            write(trial, [], "failed", "there is no such weights file")
    assert not advance(workspace)
    assert "no such weights file" in open_sweep(workspace, "s").reason


def test_what_cannot_be_begun_leaves_nothing(workspace: Workspace):
    for wrong in (
        {"axes": parse_space(SPACE)},
        {"axes": parse_space(SPACE), "trials": 0},
        {"axes": parse_space(["dropout=0:5"]), "trials": 3},
        {"axes": parse_space(["policy=gentle,nosuch"])},
        {"axes": parse_space(["seed=1,2"]), "name": "../x"},
    ):
        with pytest.raises(BloodCellError):
            make_sweep(workspace, dataset="demo", **{"name": "s", **wrong}, **TINY)
    assert list_sweeps(workspace) == []
    make_sweep(workspace, parse_space(["seed=1,2"]), "demo", name="s", **TINY)
    with pytest.raises(NameTaken):
        make_sweep(workspace, parse_space(["seed=1,2"]), "demo", name="s", **TINY)
    (workspace.home / "sweeps" / "bad.json").write_text('{"axes": 3}')
    assert [sweep.name for sweep in list_sweeps(workspace)] == ["s"]
    advance(workspace)
    assert change_sweep(workspace, "s", trials=50).trials == 2, "a grid ends with its combinations"
