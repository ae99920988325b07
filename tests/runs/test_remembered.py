"""A long list of runs is not read again, and what has changed always is."""

import json
import os
import time
from pathlib import Path

import pytest

from bloodcell.errors import BadInput
from bloodcell.runs.labels import read_labels
from bloodcell.runs.remembered import remembered
from bloodcell.runs.run import Run, list_runs
from bloodcell.workspace import Workspace


def age(folder: Path) -> None:
    """As if nothing had been written for an hour."""
    then = time.time() - 3600
    for path in folder.rglob("*"):
        os.utime(path, (then, then))


def test_a_list_of_runs_that_have_not_changed_opens_no_file(
    workspace: Workspace, three: list[Run], monkeypatch: pytest.MonkeyPatch
):
    age(workspace.runs)
    rows = [run.summary() for run in list_runs(workspace)]
    with monkeypatch.context() as blind:
        for name in ("read_bytes", "read_text", "open"):
            blind.setattr(Path, name, lambda *args, **how: pytest.fail("it was read"))
        again = list_runs(workspace)
        assert [run.summary() for run in again] == rows
        assert [read_labels(run).name for run in again] == ["", "", ""]
    three[0].labels_path.write_text('{"name": "first"}')
    status = {**three[0].status(), "state": "stopped"}
    three[0].status_path.write_text(json.dumps(status))
    assert read_labels(three[0]).name == "first"
    assert three[0].status()["state"] == "stopped"


def test_what_was_written_just_now_is_read_each_time(tmp_path: Path):
    """Two changes within one tick of the clock and of one size cannot be told apart by it."""
    path = tmp_path / "file"
    path.write_text("one")
    assert remembered(path, Path.read_text) == "one"
    found = path.stat()
    path.write_text("two")
    os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns))
    assert remembered(path, Path.read_text) == "two"


def test_what_cannot_be_read_is_tried_again_and_what_is_gone_is_not_there(
    workspace: Workspace, three: list[Run]
):
    run = three[0]
    run.metrics_path.write_text("damaged\n")
    age(run.path)
    for _ in range(2):
        with pytest.raises(BadInput, match="no record of epoch 1"):
            run.outline()
    run.metrics_path.unlink()
    assert run.outline().losses == ()


def test_whoever_changes_what_was_read_changes_it_for_nobody_else(three: list[Run]):
    age(three[0].path)
    three[0].record()["config"] = {}
    three[0].status()["state"] = "failed"
    assert three[0].record()["config"]
    assert three[0].status()["state"] == "queued"
