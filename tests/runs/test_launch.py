"""What is recorded of where a run was made."""

import subprocess
from pathlib import Path

import pytest

from bloodcell.runs.process import ROOT, git_commit


def make_repository(folder: Path, *tracked: str) -> str:
    """A repository with these files in one commit; returns the commit."""
    for name in tracked:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("x")

    def git(*words: str) -> str:
        told = ["git", "-c", "user.name=x", "-c", "user.email=x@x", *words]
        return subprocess.run(told, cwd=folder, check=True, capture_output=True, text=True).stdout

    git("init", "-q")
    git("add", "-f", *tracked)
    git("commit", "-q", "-m", "x")
    return git("rev-parse", "HEAD").strip()


def test_the_commit_is_that_of_the_clone(tmp_path: Path):
    commit = make_repository(tmp_path, "bloodcell/__init__.py")
    assert git_commit(tmp_path) == commit
    assert Path(__file__).parents[2] == ROOT


@pytest.mark.parametrize("tracked", [True, False])
def test_of_a_package_installed_within_somebodys_repository_there_is_none(
    tmp_path: Path, tracked: bool
):
    installed = tmp_path / "env" / "site-packages"
    (installed / "bloodcell").mkdir(parents=True)
    (installed / "bloodcell" / "__init__.py").write_text("x")
    extra = ["env/site-packages/bloodcell/__init__.py"] if tracked else []
    make_repository(tmp_path, "of_theirs.py", *extra)
    assert git_commit(installed) == ""
    # Installed at the top of it.
    (tmp_path / "bloodcell").mkdir()
    (tmp_path / "bloodcell" / "__init__.py").write_text("x")
    assert git_commit(tmp_path) == ""


def test_another_repository_in_the_environment_is_not_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    make_repository(tmp_path, "bloodcell/__init__.py")
    monkeypatch.setenv("GIT_DIR", str(tmp_path / ".git"))
    monkeypatch.setenv("GIT_WORK_TREE", str(tmp_path))
    (tmp_path / "other" / "bloodcell").mkdir(parents=True)
    assert git_commit(tmp_path / "other") == ""
