"""The trash: datasets, runs and policies go there whole and come back whole."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from bloodcell import trash
from bloodcell.augment import Policy, find_policy, policy_names, save_policy, step
from bloodcell.errors import BadInput, BloodCellError, NameTaken, NotFound, ReadOnly
from bloodcell.files import move, write_json
from bloodcell.runs.lock import hold
from bloodcell.runs.process import this_process
from bloodcell.runs.queue import enqueue, waiting
from bloodcell.runs.run import Run, create_run, list_runs, open_run
from bloodcell.training.config import make_config
from bloodcell.trash import KINDS, delete, empty_trash, find_deleted, list_trash, restore
from bloodcell.workspace import Workspace

MINE = Policy("mine.v2", (step("flip"),))
RECORD = {"policy": {"name": "none", "steps": []}, "dataset_fingerprint": "f",
          "curation_fingerprint": "c"}  # fmt: skip


def make_dataset(workspace: Workspace, name: str, text: str = "images") -> None:
    (workspace.datasets / name / "audit").mkdir(parents=True)
    (workspace.datasets / name / "images.npy").write_text(text)


def make_run(workspace: Workspace, dataset: str = "elsewhere") -> Run:
    return create_run(workspace, make_config(dataset, backbone="tiny"), RECORD)


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """A workspace with the dataset "cells", the policy "mine.v2" and a run."""
    home = Workspace(tmp_path / "home")
    make_dataset(home, "cells")
    save_policy(home, MINE)
    make_run(home)
    return home


def name_of(workspace: Workspace, kind: str) -> str:
    (name,) = workspace.names(kind)
    return name.removesuffix(".json")


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(p.relative_to(folder)): p.read_bytes()
        for p in folder.rglob("*")
        if p.is_file() and p.name != "lock"
    }


@pytest.mark.parametrize("kind", KINDS)
class TestEveryKind:
    def test_what_is_deleted_is_gone_and_comes_back_whole(self, workspace: Workspace, kind: str):
        name, before = name_of(workspace, kind), contents(workspace.home)
        deleted = delete(workspace, kind, name)
        assert workspace.names(kind) == []
        assert list_trash(workspace) == list_trash(workspace, kind) == [deleted]
        assert (deleted.kind, deleted.name) == (kind, name)
        assert deleted.path.is_relative_to(workspace.trash)
        assert deleted.bytes > 0
        for called in (deleted.entry, name):
            assert find_deleted(workspace, called) == find_deleted(workspace, called, kind)
        restore(workspace, deleted)
        assert {k: v for k, v in contents(workspace.home).items() if "status" not in k} == {
            k: v for k, v in before.items() if "status" not in k
        }
        assert list_trash(workspace) == []

    def test_what_is_not_there_is_a_sentence(self, workspace: Workspace, kind: str):
        with pytest.raises(NotFound, match="nowhere"):
            delete(workspace, kind, "nowhere")
        with pytest.raises(NotFound, match="there is nothing"):
            find_deleted(workspace, "nowhere", kind)
        with pytest.raises(NotFound):
            find_deleted(workspace, "../datasets/cells", kind)

    def test_only_what_lies_in_the_workspace_is_touched(
        self, workspace: Workspace, tmp_path: Path, kind: str
    ):
        outside = tmp_path / "outside"
        outside.mkdir()
        for name in (str(outside), "..", "."):
            with pytest.raises((BadInput, NotFound)):
                delete(workspace, kind, name)
        assert outside.is_dir()

    def test_of_two_restored_at_once_neither_is_lost(
        self, workspace: Workspace, monkeypatch: pytest.MonkeyPatch, kind: str
    ):
        name = name_of(workspace, kind)
        first = delete(workspace, kind, name)
        target = workspace.home / kind / first.path.name.split(".", 1)[1]

        def late(source: Path, to: Path) -> None:
            # The other one comes back after the name was found free.
            if first.path.is_dir():
                to.mkdir(parents=True)
                (to / "other").write_text("of the other")
            else:
                to.write_text("of the other")
            move(source, to)

        monkeypatch.setattr(trash, "move", late)
        with pytest.raises(NameTaken, match=r"There is a \w+ .* again"):
            restore(workspace, first)
        assert list_trash(workspace) == [first]
        there = [target / "other"] if target.is_dir() else [target]
        assert [p.read_text() for p in there] == ["of the other"]
        assert not (target / first.path.name).exists()

    def test_who_comes_second_is_told_in_a_sentence(
        self, workspace: Workspace, monkeypatch: pytest.MonkeyPatch, kind: str
    ):
        name = name_of(workspace, kind)
        path = workspace.home / kind / workspace.names(kind)[0]

        def gone(source: Path, target: Path) -> None:
            source.rename(workspace.home / "meanwhile")
            move(source, target)

        with monkeypatch.context() as patched:
            patched.setattr(trash, "move", gone)
            with pytest.raises(NotFound, match="not there any more"):
                delete(workspace, kind, name)
        (workspace.home / "meanwhile").rename(path)
        deleted = delete(workspace, kind, name)
        with monkeypatch.context() as patched:
            patched.setattr(trash, "move", gone)
            with pytest.raises(NotFound, match="not there any more"):
                restore(workspace, deleted)

    def test_where_one_may_only_read_nothing_changes(
        self, workspace: Workspace, only_to_be_read: Callable[[Path], None], kind: str
    ):
        gone = delete(workspace, kind, name_of(workspace, kind))
        make_dataset(workspace, "cells2")
        save_policy(workspace, Policy("other", MINE.steps))
        make_run(workspace)
        there = workspace.names(kind)[-1].removesuffix(".json")
        before = contents(workspace.home)
        only_to_be_read(workspace.home)
        for act in (
            lambda: delete(workspace, kind, there),
            lambda: restore(workspace, gone),
            lambda: empty_trash(workspace),
        ):
            with pytest.raises(ReadOnly, match=str(workspace.home)):
                act()
        assert contents(workspace.home) == before


class TestNames:
    def test_one_name_can_be_deleted_twice_and_each_restored(self, workspace: Workspace):
        first = delete(workspace, "datasets", "cells")
        make_dataset(workspace, "cells", "others")
        second = delete(workspace, "datasets", "cells")
        assert first.entry != second.entry
        assert {d.entry for d in list_trash(workspace)} == {first.entry, second.entry}
        restore(workspace, second)
        with pytest.raises(NameTaken, match="another name"):
            restore(workspace, first)
        path = restore(workspace, first, "again")
        assert (path / "images.npy").read_text() == "images"

    def test_a_policy_name_that_is_in_use_again_stays_with_the_new_one(self, workspace: Workspace):
        first = delete(workspace, "policies", "mine.v2")
        other = Policy("mine.v2", (step("hue"),))
        save_policy(workspace, other)
        with pytest.raises(NameTaken, match=r"a policy mine\.v2 .* again"):
            restore(workspace, first)
        assert find_policy(workspace, "mine.v2") == other
        assert first.path.is_file()

    def test_a_preset_stays(self, workspace: Workspace):
        with pytest.raises(BadInput, match="'bloodcellcnn' is a preset"):
            delete(workspace, "policies", "bloodcellcnn")

    def test_a_name_of_several_kinds_asks_which(self, workspace: Workspace):
        save_policy(workspace, Policy("cells", (step("flip"),)))
        delete(workspace, "policies", "cells")
        deleted = delete(workspace, "datasets", "cells")
        with pytest.raises(BadInput, match=r"A dataset and a policy .* --kind"):
            find_deleted(workspace, "cells")
        assert find_deleted(workspace, "cells", "datasets") == deleted

    def test_what_earlier_versions_deleted_comes_back(self, workspace: Workspace):
        run = name_of(workspace, "runs")
        for kind, old in (("runs", run), ("policies", "mine.v2.0123abcd.json")):
            (workspace.trash / kind).mkdir(parents=True)
            # Beside them lies the lock of their changes.
            (path,) = (p for p in (workspace.home / kind).iterdir() if p.name[0] != ".")
            os.rename(path, workspace.trash / kind / old)
        assert sorted(d.name for d in list_trash(workspace)) == sorted([run, "mine.v2"])
        for deleted in list_trash(workspace):
            restore(workspace, deleted)
        assert open_run(workspace, run).config().backbone == "tiny"
        assert "mine.v2" in policy_names(workspace)


class TestRuns:
    def test_one_that_waited_waits_no_more(self, workspace: Workspace):
        runs = [*list_runs(workspace), make_run(workspace)]
        enqueue(workspace, runs)
        deleted = delete(workspace, "runs", runs[0].id)
        assert waiting(workspace) == runs[1:]
        assert Run(restore(workspace, deleted)).status()["state"] == "stopped"
        assert waiting(workspace) == runs[1:]

    def test_one_that_runs_is_not_deleted(self, workspace: Workspace):
        (run,) = list_runs(workspace)
        write_json(run.status_path, {"state": "running", **this_process()})
        with pytest.raises(BadInput, match="stop it first"):
            delete(workspace, "runs", run.id)
        run.status_path.write_text("no JSON")
        with hold(run), pytest.raises(BloodCellError):
            delete(workspace, "runs", run.id)
        assert run.path.is_dir()
        # Damaged, and held by nobody, it may go.
        assert delete(workspace, "runs", run.id).name == run.id

    def test_a_dataset_that_a_run_is_at_work_on_stays(self, workspace: Workspace):
        run = make_run(workspace, "cells")
        write_json(run.status_path, {"state": "running", **this_process()})
        with pytest.raises(BadInput, match=f"{run.id} on cells is running"):
            delete(workspace, "datasets", "cells")


def test_emptied_it_is_empty_of_every_kind_and_nothing_else_is_gone(workspace: Workspace):
    make_dataset(workspace, "other")
    for kind, name in (("datasets", "cells"), ("policies", "mine.v2")):
        delete(workspace, kind, name)
    delete(workspace, "runs", name_of(workspace, "runs"))
    (workspace.trash / "datasets" / "notes.json").write_text("mine", encoding="utf-8")
    assert trash.count_words(list_trash(workspace)) == "1 dataset, 1 run, 1 policy"
    assert len(empty_trash(workspace)) == 3
    assert list_trash(workspace) == empty_trash(workspace) == []
    assert workspace.names("datasets") == ["other"]
    assert list(contents(workspace.trash)) == ["datasets/notes.json"]


def test_who_empties_second_deletes_nothing(workspace: Workspace, monkeypatch: pytest.MonkeyPatch):
    deleted = delete(workspace, "datasets", "cells")
    monkeypatch.setattr(trash, "list_trash", lambda *_: [deleted])
    restore(workspace, deleted)
    assert empty_trash(workspace) == []
    assert workspace.names("datasets") == ["cells"]
