"""train in batches, queue, edit, duplicate, pack, compare, track: runs from a terminal."""

import json
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from bloodcell.cli import app
from bloodcell.errors import BadInput, ReadOnly
from bloodcell.files import write_json
from bloodcell.locks import locked
from bloodcell.runs.launch import prepare
from bloodcell.runs.queue import enqueue, waiting
from bloodcell.runs.run import list_runs, open_run
from bloodcell.runs.trials import advance
from bloodcell.training.config import make_config
from bloodcell.workspace import Workspace

Say = Callable[..., Any]
TINY = ("--backbone", "tiny", "--input-size", 48, "--epochs", 2)


@pytest.fixture
def say(capsys: pytest.CaptureFixture[str]) -> Say:
    """Run a verb with --json on a workspace; returns the document that it prints."""

    def run(home: Path, *arguments: object) -> Any:
        app(["--home", str(home), *map(str, arguments), "--json"], standalone_mode=False)
        return json.loads(capsys.readouterr().out)

    return run


@pytest.fixture
def idle(demo_copy: Path) -> Iterator[Path]:
    """A workspace in which nothing is started, because this process is the supervisor."""
    with locked(Workspace(demo_copy).queue / "supervisor", 0):
        yield demo_copy


def test_a_batch_waits_in_its_order_and_can_be_put_in_another(idle: Path, say: Say):
    made = say(idle, "train", "--dataset", "demo", *TINY, "--seeds", 3)
    first, second, third = (run["id"] for run in made)
    assert say(idle, "queue")["waiting"] == [first, second, third]
    assert say(idle, "queue", third, "--place", 1)["waiting"] == [third, first, second]
    rows = {row["id"]: row["place"] for row in say(idle, "runs")}
    assert rows == {third: 1, first: 2, second: 3}
    assert say(idle, "stop", first)["state"] == "stopped"
    assert say(idle, "queue")["waiting"] == [third, second]
    assert say(idle, "queue", first)["waiting"] == [third, second, first]
    assert say(idle, "queue", "--slots", 2)["slots"] == 2


def test_members_and_folds_are_queued_too(idle: Path, say: Say):
    made = say(idle, "train", "--dataset", "demo", "--epochs", 1, "--weights", "none", "--members")
    assert [run["backbone"] for run in made] == ["mobilenetv2", "resnet50", "efficientnetb3"]
    made = say(idle, "train", "--dataset", "demo", *TINY, "--folds", 2)
    folds = [open_run(Workspace(idle), run["id"]).config().split_fold for run in made]
    assert folds == [(1, 2), (2, 2)]
    assert len(waiting(Workspace(idle))) == 5


def test_a_split_seed_draws_anew_in_the_shares_chosen_for_the_dataset(idle: Path, say: Say):
    say(idle, "split", "demo", "--seed", 5, "--shares", "0.6,0.2,0.2")
    for given, seed in ((("--split-seed", 3), 3), ((), 5)):
        run = say(idle, "train", "--dataset", "demo", *TINY, *given, "--detach")["id"]
        config = open_run(Workspace(idle), run).config()
        assert (config.split_seed, config.split_shares) == (seed, (0.6, 0.2, 0.2))


def test_detached_it_goes_through_the_queue(idle: Path, say: Say):
    run = say(idle, "train", "--dataset", "demo", *TINY, "--detach")
    assert run["state"] == "queued"
    assert say(idle, "queue")["waiting"] == [run["id"]]


def test_a_run_that_waits_can_be_edited(idle: Path, say: Say):
    run = say(idle, "train", "--dataset", "demo", *TINY, "--detach")["id"]
    found = say(idle, "edit", run, "--set", "epochs=7", "--set", "policy=none")
    assert (found["config"]["epochs"], found["config"]["policy"]) == (7, "none")
    with pytest.raises(BadInput, match="KEY=VALUE"):
        say(idle, "edit", run, "--set", "epochs")
    with pytest.raises(BadInput, match="epochs is 'many'"):
        say(idle, "edit", run, "--set", "epochs=many")


def test_looking_starts_nothing_and_says_who_would(
    demo_copy: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    started: list[str] = []
    monkeypatch.setattr(
        "bloodcell.runs.supervisor.spawn", lambda _, verb, *more: started.append(verb[-1]) or 4711
    )
    workspace = Workspace(demo_copy)
    run = prepare(workspace, make_config("demo", backbone="tiny", input_size=48, epochs=2))
    enqueue(workspace, [run])
    for look in (["runs"], ["queue"], ["queue", "--slots", "2"], ["queue", run.id, "--place", "1"]):
        app(["--home", str(demo_copy), *look], standalone_mode=False)
        assert "queue --start" in capsys.readouterr().err
        assert started == []
    app(["--home", str(demo_copy), "queue", "--start"], standalone_mode=False)
    assert "process 4711 starts what waits" in capsys.readouterr().err
    assert started == ["--supervise"]
    with locked(workspace.queue / "supervisor", 0):
        app(["--home", str(demo_copy), "runs"], standalone_mode=False)
        assert capsys.readouterr().err == ""


def test_labels_are_listed_with_the_runs(home: Path, say: Say):
    (run,) = list_runs(Workspace(home))
    say(home, "edit", run.id, "--name", "first try", "--tag", "a", "--tag", "b", "--note", "why")
    (row,) = say(home, "runs")
    assert (row["name"], row["tags"], row["note"]) == ("first try", ["a", "b"], "why")
    say(home, "edit", run.id, "--untag", "a")
    (row,) = say(home, "runs")
    assert (row["name"], row["tags"]) == ("first try", ["b"])


def test_a_copy_waits_with_its_changes(home: Path, say: Say):
    (run,) = list_runs(Workspace(home))
    with locked(Workspace(home).queue / "supervisor", 0):
        copy = say(home, "duplicate", run.id, "--set", "seed=3")
        assert say(home, "queue")["waiting"] == [copy["id"]]
    assert open_run(Workspace(home), copy["id"]).config().seed == 3


def test_a_finished_run_can_be_asked_for_more_epochs(home: Path, say: Say):
    (run,) = list_runs(Workspace(home))
    with locked(Workspace(home).queue / "supervisor", 0):
        found = say(home, "resume", run.id, "--epochs", 5, "--detach")
        assert (found["state"], found["epochs"], found["epoch"]) == ("queued", 5, 2)
        with pytest.raises(BadInput, match="go with --epochs"):
            say(home, "resume", run.id, "--early-stopping", 3)


def test_removed_and_back(home: Path, say: Say):
    (run,) = list_runs(Workspace(home))
    say(home, "remove", run.id)
    assert say(home, "runs") == []
    say(home, "remove", run.id, "--undo")
    assert [row["id"] for row in say(home, "runs")] == [run.id]


def test_packed_it_can_be_taken_along(home: Path, tmp_path: Path, say: Say):
    (run,) = list_runs(Workspace(home))
    found = say(home, "pack", run.id, tmp_path / "run.zip", "--no-checkpoint")
    assert found["bytes"] == (tmp_path / "run.zip").stat().st_size
    with zipfile.ZipFile(tmp_path / "run.zip") as packed:
        assert f"{run.id}/model.tflite" in packed.namelist()


def test_two_runs_are_compared_in_words_and_in_json(
    home: Path, say: Say, capsys: pytest.CaptureFixture[str]
):
    (run,) = list_runs(Workspace(home))
    found = say(home, "compare", run.id, run.path)
    assert [row["scores"]["test"]["n"] for row in found["runs"]] == [16, 16]
    assert found["paired"]["difference"]["verdict"] == "no measurable difference"
    app(["--home", str(home), "compare", run.id, str(run.path)], standalone_mode=False)
    text = capsys.readouterr().out
    assert "n = 16" in text
    assert "no measurable difference (McNemar, p = 1)" in text


def test_a_mirror_of_another_name_is_refused(home: Path, say: Say):
    (run,) = list_runs(Workspace(home))
    with pytest.raises(BadInput, match="is no tracker"):
        say(home, "track", run.id, "--to", "paper")


def test_where_one_may_only_read_every_verb_on_runs_is_one_sentence(
    demo_copy: Path, only_to_be_read: Callable[[Path], None]
):
    workspace = Workspace(demo_copy)
    config = make_config("demo", backbone="tiny", input_size=48, epochs=2)
    waits, stopped = (prepare(workspace, config) for _ in range(2))
    write_json(stopped.status_path, {**stopped.status(), "state": "stopped"})
    enqueue(workspace, [waits])
    only_to_be_read(demo_copy)
    for verb in (
        ("stop", waits.id),
        ("resume", stopped.id),
        ("resume", stopped.id, "--detach"),
        ("queue", stopped.id),
        ("queue", waits.id, "--place", "1"),
        ("queue", "--slots", "2"),
        ("queue", "--start"),
        ("edit", waits.id, "--name", "x"),
        ("edit", waits.id, "--set", "epochs=3"),
        ("duplicate", waits.id),
        ("delete", waits.id),
        ("train", "--dataset", "demo", "--backbone", "tiny", "--detach"),
    ):
        with pytest.raises(ReadOnly, match=str(demo_copy)) as caught:
            app(["--home", str(demo_copy), *verb], standalone_mode=False)
        assert "\n" not in str(caught.value)
    for verb in (("runs",), ("queue",), ("trash",)):
        app(["--home", str(demo_copy), *verb], standalone_mode=False)


def test_a_sweep_is_begun_listed_stopped_and_resumed(
    idle: Path, say: Say, capsys: pytest.CaptureFixture[str]
):
    made = say(
        idle, "train", "--dataset", "demo", *TINY, "--sweep", "dropout=0,0.2",
        "--sweep", "policy=gentle,strong", "--sweep-name", "first",
    )  # fmt: skip
    assert made == {"name": "first", "trials": 4, "state": "active", "grid": True}
    assert advance(Workspace(idle))
    (row,) = say(idle, "sweeps")
    assert (row["made"], row["complete"], row["best"]) == (1, 0, None)
    assert say(idle, "sweeps", "first", "--stop")["state"] == "stopped"
    assert say(idle, "queue")["waiting"] == []
    told = say(idle, "sweeps", "first", "--resume")
    assert told["trials"][0]["values"] == {"dropout": 0.0, "policy": "gentle"}
    assert say(idle, "queue")["waiting"] == [told["trials"][0]["id"]]
    app(["--home", str(idle), "sweeps", "first"], standalone_mode=False)
    assert "first: active, 1 of 4 trials." in capsys.readouterr().out


@pytest.mark.parametrize(
    "words",
    [
        ("train", "--dataset", "demo", *TINY, "--sweep", "seed=1,2", "--members"),
        ("train", "--dataset", "demo", *TINY, "--trials", 3),
        ("train", "--dataset", "demo", *TINY, "--sweep", "dropout=0:5", "--trials", 3),
        ("train", "--dataset", "demo", *TINY, "--engine", "nowhere"),
        ("queue", "--engine", "nowhere"),
        ("queue", "--set", "partition=gpu"),
        ("queue", "--engine", "slurm", "--set", "colour=red"),
    ],
)
def test_a_sweep_or_an_engine_that_cannot_be_leaves_everything_as_it_was(
    idle: Path, say: Say, words: tuple
):
    with pytest.raises(BadInput):
        say(idle, *words)
    assert list_runs(Workspace(idle)) == []
    assert say(idle, "sweeps") == []
    assert say(idle, "queue")["engine"] == "local"
