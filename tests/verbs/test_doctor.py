"""doctor: one screen on what works here and what does not."""

import json
import time
from pathlib import Path

import pytest

from bloodcell.cli import app
from bloodcell.files import write_json
from bloodcell.runs.doctor import examine
from bloodcell.runs.launch import prepare
from bloodcell.runs.queue import enqueue
from bloodcell.training.config import make_config
from bloodcell.workspace import Workspace


@pytest.fixture(autouse=True)
def without_slurm(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("PATH", str(tmp_path))


def said(workspace: Workspace) -> str:
    return "\n".join(f"{f.about}, {f.level}: {f.words}" for f in examine(workspace))


def test_a_sound_workspace_is_told_in_sentences_and_left_as_it_was(
    demo_copy: Path, capsys: pytest.CaptureFixture[str]
):
    before = sorted(demo_copy.rglob("*"))
    app(["--home", str(demo_copy), "doctor", "--json"], standalone_mode=False)
    found = json.loads(capsys.readouterr().out)
    assert sorted(demo_copy.rglob("*")) == before
    assert {f["about"] for f in found} == {
        "machine", "encodings", "libraries", "workspace", "queue", "cluster"
    }  # fmt: skip
    assert not [f for f in found if f["level"] in ("warning", "error") and f["about"] != "machine"]
    assert all(f["words"].endswith(".") for f in found)
    app(["--home", str(demo_copy), "doctor"], standalone_mode=False)
    assert "Locks keep other processes out." in capsys.readouterr().out


def test_what_is_wrong_is_named_with_what_to_do(demo_copy: Path, monkeypatch: pytest.MonkeyPatch):
    workspace = Workspace(demo_copy)
    config = make_config("demo", backbone="tiny", input_size=48)
    damaged, lost, waits = (prepare(workspace, config) for _ in range(3))
    damaged.config_path.write_text("{")
    long_ago = {"state": "queued", "launched": time.time() - 9999, "reason": ""}
    write_json(lost.status_path, long_ago)
    enqueue(workspace, [waits])
    told = said(workspace)
    assert "queue, warning: No process starts or follows them" in told
    assert f"resume {lost.id}" in told
    assert f"workspace, warning: {damaged.config_path}" in told
    # An engine that is chosen and not there is an error; one that is only possible is a note.
    assert "cluster, note: Slurm: its tools (sbatch) are not" in told
    write_json(workspace.queue / "settings.json", {"slots": 1, "engine": "slurm"})
    assert "cluster, error: Slurm: its tools (sbatch) are not" in said(workspace)
    write_json(workspace.queue / "settings.json", {"slots": 1, "engine": "ray"})
    write_json(workspace.queue / "ray.json", {"address": "http://127.0.0.1:9"})
    assert "cluster, error: No Ray answers at http://127.0.0.1:9" in said(workspace)
    write_json(workspace.queue / "settings.json", [])
    told = said(workspace)
    assert "queue, error: " in told
    assert "machine, ok: Python" in told


def test_a_workspace_that_is_not_there_yet_is_not_made(tmp_path: Path):
    assert "is not there yet" in said(Workspace(tmp_path / "new"))
    assert not (tmp_path / "new").exists()


def test_locks_that_keep_nobody_out_are_an_error(demo_copy: Path, monkeypatch: pytest.MonkeyPatch):
    """As on a network file system that is mounted without them."""
    monkeypatch.setattr("bloodcell.locks.acquire", lambda file, **how: True)
    assert "workspace, error: Locks keep nobody out" in said(Workspace(demo_copy))
