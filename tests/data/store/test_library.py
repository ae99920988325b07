"""Rename, throw away, take back, empty the trash."""

from pathlib import Path

import pytest

from bloodcell.data.store.dataset import open_dataset
from bloodcell.data.store.library import (
    empty_trash,
    list_trash,
    rename_dataset,
    restore_dataset,
    throw_away,
)
from bloodcell.errors import BadInput, NameTaken, NotFound
from bloodcell.workspace import Workspace


@pytest.fixture
def workspace(demo_copy: Path) -> Workspace:
    return Workspace(demo_copy)


def test_a_renamed_dataset_is_the_same_under_another_name(workspace: Workspace):
    before = open_dataset(workspace, "demo")
    before.curation.exclude([1], "a test")
    rename_dataset(workspace, "demo", "Cells.2")
    after = open_dataset(workspace, "Cells.2")
    assert workspace.names("datasets") == ["Cells.2"]
    assert after.fingerprint == before.fingerprint
    assert after.curation.fingerprint == before.curation.fingerprint


def test_only_the_letters_case_may_change(workspace: Workspace):
    rename_dataset(workspace, "demo", "Demo")
    assert workspace.names("datasets") == ["Demo"]
    rename_dataset(workspace, "Demo", "demo")
    assert workspace.names("datasets") == ["demo"]
    with pytest.raises(NameTaken):
        rename_dataset(workspace, "demo", "demo")


@pytest.mark.parametrize(
    ("name", "new", "error"),
    [
        ("demo", "other", NameTaken),
        ("demo", "OTHER", NameTaken),
        ("demo", "demo", NameTaken),
        ("demo", "a/b", BadInput),
        ("demo", "", BadInput),
        ("nowhere", "new", NotFound),
        ("..", "new", BadInput),
    ],
)
def test_a_name_that_cannot_be_is_refused(workspace: Workspace, name, new, error):
    (workspace.datasets / "other").mkdir()
    with pytest.raises(error):
        rename_dataset(workspace, name, new)
    assert workspace.names("datasets") == ["demo", "other"]


def test_what_is_thrown_away_can_be_taken_back(workspace: Workspace):
    fingerprint = open_dataset(workspace, "demo").fingerprint
    thrown = throw_away(workspace, "demo")
    assert workspace.names("datasets") == []
    assert [t.name for t in list_trash(workspace)] == ["demo"]
    assert thrown.bytes > 1_000_000
    restore_dataset(workspace, thrown.entry)
    assert open_dataset(workspace, "demo").fingerprint == fingerprint
    assert list_trash(workspace) == []


def test_two_of_one_name_lie_in_the_trash_side_by_side(workspace: Workspace):
    first = throw_away(workspace, "demo")
    (workspace.datasets / "demo").mkdir()
    second = throw_away(workspace, "demo")
    assert first.entry != second.entry
    assert {t.entry for t in list_trash(workspace)} == {first.entry, second.entry}
    restore_dataset(workspace, first.entry, "again")
    assert len(open_dataset(workspace, "again")) > 0


def test_a_name_that_is_in_use_again_asks_for_another(workspace: Workspace):
    throw_away(workspace, "demo")
    (workspace.datasets / "demo").mkdir()
    with pytest.raises(NameTaken, match="another name"):
        restore_dataset(workspace, "demo")
    assert len(list_trash(workspace)) == 1


def test_what_is_not_there_is_a_sentence(workspace: Workspace):
    with pytest.raises(NotFound, match="nowhere"):
        throw_away(workspace, "nowhere")
    with pytest.raises(NotFound, match="nothing"):
        restore_dataset(workspace, "demo")


def test_only_what_is_in_the_workspace_can_be_thrown_away(workspace: Workspace, tmp_path: Path):
    outside = tmp_path / "outside"
    outside.mkdir()
    with pytest.raises(BadInput, match="not in the workspace"):
        throw_away(workspace, str(outside))
    assert outside.is_dir()


def test_an_emptied_trash_is_empty_and_nothing_else_is_gone(workspace: Workspace):
    (workspace.datasets / "other").mkdir()
    throw_away(workspace, "demo")
    (workspace.trash / "datasets" / "notes.txt").write_text("mine", encoding="utf-8")
    assert empty_trash(workspace) == 1
    assert list_trash(workspace) == []
    assert workspace.names("datasets") == ["other"]
    assert [p.name for p in (workspace.trash / "datasets").iterdir()] == ["notes.txt"]
