"""Where things lie, and which names they may have."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bloodcell.errors import BadInput, NameTaken, NotFound
from bloodcell.workspace import Workspace, built_in_ensembles, check_name, open_workspace


@pytest.mark.parametrize(
    "name",
    ["", ".", "..", "../x", "a/b", "a\\b", "-rf", ".hidden", "a b", "a\n", "ä", "x" * 65, "con",
     "NUL.txt", "a.", "a\0"],
)  # fmt: skip
def test_names_that_could_mean_something_else_on_disk_are_refused(tmp_path: Path, name: str):
    with pytest.raises(BadInput, match="cannot be the name of a dataset"):
        Workspace(tmp_path).new("datasets", name)


@given(st.text("aZ09._-/\\ :", min_size=1, max_size=12))
def test_a_name_that_is_accepted_is_one_path_part(name: str):
    try:
        check_name(name, "run")
    except BadInput:
        return
    assert Path(name).parts == (name,)


def test_a_name_is_taken_once_whatever_its_case(tmp_path: Path):
    workspace = Workspace(tmp_path)
    workspace.new("datasets", "Demo").mkdir(parents=True)
    with pytest.raises(NameTaken, match="'demo' is taken"):
        workspace.new("datasets", "demo")
    assert workspace.new("ensembles", "demo") == tmp_path / "ensembles" / "demo"


def test_a_stray_file_takes_its_name_too(tmp_path: Path):
    workspace = Workspace(tmp_path)
    (tmp_path / "ensembles").mkdir()
    (tmp_path / "ensembles" / "first").write_text("not a folder")
    with pytest.raises(NameTaken):
        workspace.new("ensembles", "first")


def test_names_lists_what_is_complete(tmp_path: Path):
    workspace = Workspace(tmp_path)
    assert workspace.names("datasets") == []
    for name in ("b", "a", ".a.1-0123abcd-0123abcd.tmp"):
        (tmp_path / "datasets" / name).mkdir(parents=True)
    (tmp_path / "policies").mkdir()
    (tmp_path / "policies" / "mild.json").write_text("{}")
    assert workspace.names("datasets") == ["a", "b"]
    assert workspace.names("policies") == ["mild.json"]


def test_a_thing_is_found_by_name_or_by_path(tmp_path: Path):
    workspace = Workspace(tmp_path / "home")
    inside = tmp_path / "home" / "datasets" / "demo"
    outside = tmp_path / "elsewhere" / "other data"
    inside.mkdir(parents=True)
    outside.mkdir(parents=True)
    assert workspace.find("datasets", "demo") == inside
    assert workspace.find("datasets", str(outside)) == outside


@pytest.mark.parametrize("text", [".", "deeper/..", "./"])
def test_a_thing_found_where_one_stands_has_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str
):
    (tmp_path / "cells" / "deeper").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "cells")
    assert Workspace(tmp_path / "home").find("datasets", text) == tmp_path / "cells"


@pytest.mark.parametrize("name", ["none", "", "a/b", "x" * 5000, "a\0b", "~nobody-here/x"])
def test_what_is_not_there_is_said_with_what_is(tmp_path: Path, name: str):
    workspace = Workspace(tmp_path)
    (tmp_path / "datasets" / "demo").mkdir(parents=True)
    with pytest.raises(NotFound, match="there are demo"):
        workspace.find("datasets", name)
    with pytest.raises(NotFound, match="there is no ensemble yet"):
        workspace.find("ensembles", name)


def test_the_home_is_the_argument_else_the_environment_else_artifacts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    assert open_workspace().home == tmp_path / "artifacts"
    monkeypatch.setenv("BLOODCELL_HOME", str(tmp_path / "env"))
    assert open_workspace().home == tmp_path / "env"
    assert open_workspace("given").home == tmp_path / "given"


class TestTheEnsembleThatComesWithTheProgram:
    @pytest.fixture(autouse=True)
    def built_in(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        folder = tmp_path / "program" / "ensembles"
        (folder / "reference").mkdir(parents=True)
        monkeypatch.setattr("bloodcell.workspace.built_in_ensembles", lambda: folder)
        return folder

    def test_is_found_in_every_workspace(self, tmp_path: Path, built_in: Path):
        workspace = Workspace(tmp_path / "elsewhere")
        assert workspace.names("ensembles") == ["reference"]
        assert workspace.find("ensembles", "reference") == built_in / "reference"
        assert workspace.default_ensemble == "reference"
        assert workspace.names("datasets") == []

    def test_stands_behind_those_of_the_workspace(self, tmp_path: Path, built_in: Path):
        workspace = Workspace(tmp_path / "elsewhere")
        (workspace.ensembles / "mine").mkdir(parents=True)
        assert workspace.names("ensembles") == ["mine", "reference"]
        assert workspace.default_ensemble == "mine"
        own = workspace.new("ensembles", "reference")
        own.mkdir()
        assert workspace.names("ensembles") == ["mine", "reference"]
        assert workspace.find("ensembles", "reference") == own
        assert workspace.default_ensemble == "reference"


def test_a_clone_has_its_reference_ensemble():
    found = built_in_ensembles()
    assert found == Path(__file__).parents[1] / "artifacts" / "ensembles"
