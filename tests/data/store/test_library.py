"""A dataset is called something else."""

from pathlib import Path

import pytest

from bloodcell.data.store.dataset import open_dataset
from bloodcell.data.store.library import rename_dataset
from bloodcell.errors import BadInput, NameTaken, NotFound, ReadOnly
from bloodcell.files import move
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


def test_a_name_that_is_taken_meanwhile_is_a_sentence(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
):
    def late(source: Path, target: Path) -> None:
        target.mkdir()
        (target / "images.npy").write_text("of another")
        move(source, target)

    monkeypatch.setattr("bloodcell.data.store.library.move", late)
    with pytest.raises(NameTaken, match="taken meanwhile"):
        rename_dataset(workspace, "demo", "cells")
    assert workspace.names("datasets") == ["cells", "demo"]
    assert not (workspace.datasets / "cells" / "demo").exists()


def test_where_one_may_only_read_a_dataset_keeps_its_name(workspace: Workspace, only_to_be_read):
    only_to_be_read(workspace.home)
    with pytest.raises(ReadOnly, match="demo cannot be changed"):
        rename_dataset(workspace, "demo", "cells")
    assert workspace.names("datasets") == ["demo"]
