"""The runs that a run learns from: one whose best epoch is its start, one that teaches it."""

from pathlib import Path

import numpy as np
import pytest

from bloodcell.data.store.dataset import open_dataset
from bloodcell.errors import BadInput
from bloodcell.files import write_json
from bloodcell.runs.execute import execute
from bloodcell.runs.launch import prepare
from bloodcell.runs.lifecycle import duplicate
from bloodcell.runs.queue import edit
from bloodcell.runs.recipe import command_of, recipe_of
from bloodcell.runs.run import Run, list_runs
from bloodcell.training.checkpoint import best_epoch, load_arrays, load_state
from bloodcell.training.config import InitialWeights, TrainConfig, make_config
from bloodcell.workspace import Workspace


@pytest.fixture
def finished(trained_home: Path) -> tuple[Workspace, Run]:
    workspace = Workspace(trained_home)
    return workspace, list_runs(workspace)[0]


def again(run: Run, **changes) -> TrainConfig:
    return TrainConfig(**{**run.config().to_json(), "weights": run.id, **changes})


def copied(workspace: Workspace, to: Path) -> Workspace:
    import shutil

    shutil.copytree(workspace.home, to)
    return Workspace(to)


def test_a_run_starts_from_the_best_epoch_of_another_at_another_size(finished, tmp_path: Path):
    workspace = copied(finished[0], tmp_path / "home")
    earlier = list_runs(workspace)[0]
    run = prepare(workspace, again(earlier, input_size=32, epochs=1, learning_rate=1e-8))
    assert run.record()["started_from"] == earlier.id
    execute(workspace, run, echo=False)
    best = load_arrays(next(earlier.checkpoint.glob("best-*.npz")))[0]
    trained = load_state(run.checkpoint)[0]
    # With next to no learning rate the kernels are those of the other run still.
    np.testing.assert_allclose(trained[0], best[0], atol=1e-4)


def test_a_run_starts_from_the_mean_of_several(finished, tmp_path: Path):
    workspace = copied(finished[0], tmp_path / "home")
    (first,) = list_runs(workspace)
    second = prepare(workspace, again(first, seed=5, epochs=1))
    execute(workspace, second, echo=False)
    both = f"{first.id}+{second.id}"
    run = prepare(workspace, again(first, weights=both, epochs=1, learning_rate=1e-8))
    assert run.record()["started_from"] == both
    execute(workspace, run, echo=False)
    best = [load_arrays(best_epoch(r.checkpoint))[0][0] for r in (first, second)]
    assert np.abs(best[0] - best[1]).max() > 1e-2
    kernel = load_state(run.checkpoint)[0][0]
    np.testing.assert_allclose(kernel, (best[0] + best[1]) / 2, atol=1e-4)
    stages = [stage["run"] for stage in recipe_of(workspace, run)]
    assert stages == [first.id, second.id, run.id]
    assert f"--weights {both}" in command_of(run)
    # A copy of it starts from the same two.
    assert duplicate(workspace, run).record()["started_from"] == both


@pytest.mark.parametrize(
    ("text", "kind", "sources"),
    [
        ("imagenet", "imagenet", ()),
        ("none", "none", ()),
        ("a.weights.h5", "file", ("a.weights.h5",)),
        ("b+c.h5", "file", ("b+c.h5",)),
        ("/r/best-2.npz", "checkpoints", ("/r/best-2.npz",)),
        ("/r/a b/best-2.npz + /s+t/best-1.npz", "checkpoints",
         ("/r/a b/best-2.npz", "/s+t/best-1.npz")),
        ("one", "runs", ("one",)),
        ("one+two", "runs", ("one", "two")),
        ("one+nobody", "file", ("one+nobody",)),
    ],
)  # fmt: skip
def test_the_text_of_weights_is_read_once_and_said_again(
    tmp_path: Path, text: str, kind: str, sources: tuple[str, ...]
):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    found = InitialWeights.parse(text, tmp_path)
    assert (found.kind, found.sources, found.text) == (kind, sources, text)


def test_of_several_runs_each_must_be_there(finished):
    workspace, run = finished
    with pytest.raises(BadInput, match=r"no weights file .*\+nobody"):
        prepare(workspace, again(run, weights=f"{run.id}+nobody"))


def test_the_path_of_a_run_may_hold_a_plus(finished, tmp_path: Path):
    workspace = copied(finished[0], tmp_path / "a+b")
    (earlier,) = list_runs(workspace)
    path = str(earlier.path)
    assert InitialWeights.parse(path, finished[0].runs) == InitialWeights("runs", (path,))
    run = prepare(workspace, again(earlier, weights=str(earlier.path)))
    assert run.record()["started_from"] == earlier.id


def test_a_list_of_runs_may_be_longer_than_a_path(finished):
    workspace, run = finished
    many = InitialWeights("runs", (run.id,) * 30)
    assert InitialWeights.parse(many.text, workspace.runs) == many
    assert InitialWeights.parse("x" * 5000, workspace.runs).kind == "file"
    with pytest.raises(BadInput, match="no weights file"):
        prepare(workspace, again(run, weights="x" * 5000))


@pytest.mark.parametrize("change", [{"split_seed": 1}, {"split_shares": (0.6, 0.2, 0.2)}])
def test_a_run_with_other_parts_is_no_start(finished, change: dict):
    workspace, run = finished
    with pytest.raises(BadInput, match="other parts of the data"):
        prepare(workspace, again(run, **change))


def test_a_run_before_a_decision_is_no_start(finished, tmp_path: Path):
    workspace = copied(finished[0], tmp_path / "home")
    run = list_runs(workspace)[0]
    dataset = open_dataset(workspace, "demo")
    dataset.curation.exclude([3], "blurred")
    with pytest.raises(BadInput, match="other parts of the data"):
        prepare(workspace, again(run))


def test_a_run_of_another_backbone_is_no_start(finished):
    workspace, run = finished
    with pytest.raises(BadInput, match="a mobilenetv2 cannot start from it"):
        prepare(workspace, make_config("demo", backbone="mobilenetv2", weights=run.id))


def test_a_run_that_is_at_work_is_no_start(finished, tmp_path: Path):
    workspace = copied(finished[0], tmp_path / "home")
    earlier = list_runs(workspace)[0]
    write_json(earlier.status_path, {**earlier.status(), "state": "queued"})
    with pytest.raises(BadInput, match="is queued: wait for its end"):
        prepare(workspace, again(earlier))


def test_edited_to_another_start_a_run_forgets_the_first(finished, tmp_path: Path):
    workspace = copied(finished[0], tmp_path / "home")
    earlier = list_runs(workspace)[0]
    run = prepare(workspace, again(earlier, teacher=earlier.id))
    edit(workspace, run, weights="none", teacher="")
    assert edit(workspace, run, epochs=2).weights == "none"
    assert not {"started_from", "taught_by"} & set(run.record())


def test_a_start_whose_run_found_a_better_epoch_meanwhile_is_that_epoch(finished, tmp_path: Path):
    workspace = copied(finished[0], tmp_path / "home")
    earlier = list_runs(workspace)[0]
    run = prepare(workspace, again(earlier, epochs=1))
    best = best_epoch(earlier.checkpoint)
    best.rename(best.with_name("best-900.npz"))
    assert execute(workspace, run, echo=False) == "finished"


class TestTeacher:
    def test_it_is_recorded_and_a_training_with_it_continues_exactly(
        self, finished, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ):
        workspace = copied(finished[0], tmp_path / "home")
        teacher = list_runs(workspace)[0]
        config = again(teacher, weights="none", teacher=teacher.id, epochs=2, input_size=32)
        whole, halved = (prepare(workspace, config) for _ in range(2))
        assert whole.record()["taught_by"] == teacher.id
        execute(workspace, whole, echo=False)
        count = iter(range(1000))
        with monkeypatch.context() as patched:
            reason = property(lambda _: "as told" if next(count) > 4 else None, lambda *_: None)
            patched.setattr("bloodcell.runs.execute.RunWriter.reason", reason, raising=False)
            execute(workspace, halved, echo=False)
        assert halved.status()["state"] == "stopped"
        execute(workspace, halved, echo=False)
        assert [m["loss"] for m in halved.metrics()] == [m["loss"] for m in whole.metrics()]

    def test_a_run_that_has_not_finished_is_none(self, finished, tmp_path: Path):
        workspace = copied(finished[0], tmp_path / "home")
        earlier = list_runs(workspace)[0]
        waiting = prepare(workspace, again(earlier))
        with pytest.raises(BadInput, match="only a finished run can teach"):
            prepare(workspace, again(earlier, teacher=waiting.id))

    def test_nor_is_one_that_was_trained_on_other_parts(self, finished):
        workspace, run = finished
        with pytest.raises(BadInput, match="other parts of the data"):
            prepare(workspace, again(run, weights="none", teacher=run.id, split_seed=1))
