"""split, export, rename, delete, restore, trash: what a workspace holds, from a terminal."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bloodcell.augment import Policy, save_policy, step
from bloodcell.cli import app
from bloodcell.data.split_choice import chosen_split
from bloodcell.data.store.dataset import new_dataset, open_dataset
from bloodcell.errors import BadInput
from bloodcell.runs.launch import prepare
from bloodcell.training.config import make_config
from bloodcell.workspace import Workspace

Say = Callable[..., Any]


@pytest.fixture
def say(capsys: pytest.CaptureFixture[str]) -> Say:
    """Run a verb with --json on a workspace; returns the document that it prints."""

    def run(home: Path, *arguments: object) -> Any:
        app(["--home", str(home), *map(str, arguments), "--json"], standalone_mode=False)
        return json.loads(capsys.readouterr().out)

    return run


def test_split_says_how_a_dataset_is_divided_and_keeps_what_is_chosen(demo_copy: Path, say: Say):
    found = say(demo_copy, "split", "demo")
    assert found["parts"] == {"train": 128, "validation": 16, "test": 16}
    assert found["shared_images"] == 0
    say(demo_copy, "split", "demo", "--seed", 4)
    found = say(demo_copy, "split", "demo", "--shares", "0.5,0.25,0.25")
    assert found["parts"] == {"train": 80, "validation": 40, "test": 40}
    dataset = open_dataset(Workspace(demo_copy), "demo")
    assert chosen_split(dataset) == (4, (0.5, 0.25, 0.25))


def test_split_by_patient_keeps_the_choice_and_says_what_it_cost(tmp_path: Path, say: Say):
    cells = np.random.default_rng(0).integers(0, 256, (60, 8, 8, 3), dtype=np.uint8)
    columns = ("laboratory", "patient")
    with new_dataset(Workspace(tmp_path), "d", (8, 8), "x", "none", columns=columns) as writer:
        for i, cell in enumerate(cells):
            origin = {"laboratory": "ns"[i % 2], "patient": f"p{i % 12}"}
            writer.add(cell, i % 2, str(i), origin=origin)
    say(tmp_path, "split", "d", "--by", "patient")
    found = say(tmp_path, "split", "d")
    assert (found["by"], found["shared_groups"]) == ("patient", 0)
    assert sum(found["parts"].values()) == 60
    found = say(tmp_path, "split", "d", "--hold-out", "laboratory=n")
    assert found["parts"]["test"] == 30
    assert any("no eosinophil" in note for note in found["notes"])
    assert say(tmp_path, "split", "d", "--hold-out", "none", "--by", "image")["hold_out"] == ""


@pytest.mark.parametrize("shares", ["much", "1,1,1", "0.5,0.5"])
def test_shares_that_cannot_be_are_one_sentence(demo_copy: Path, say: Say, shares: str):
    with pytest.raises(BadInput, match=r"shares .* cannot"):
        say(demo_copy, "split", "demo", "--shares", shares)


def test_export_writes_what_is_left_after_the_decisions(demo_copy: Path, tmp_path: Path, say: Say):
    open_dataset(Workspace(demo_copy), "demo").curation.exclude([5], "a test")
    target = tmp_path / "out.npz"
    assert say(demo_copy, "export", "demo", target)["n"] == 159
    with np.load(target) as file:
        assert file["images"].shape == (159, 48, 48, 3)
    say(demo_copy, "export", "demo", target, "--parts")
    with np.load(target) as file:
        assert len(file["train_labels"]) + len(file["val_labels"]) + len(file["test_labels"]) == 159


def test_a_dataset_goes_to_the_trash_and_comes_back(demo_copy: Path, say: Say):
    entry = say(demo_copy, "delete", "demo")["entry"]
    assert say(demo_copy, "datasets") == []
    assert [t["entry"] for t in say(demo_copy, "trash")["datasets"]] == [entry]
    say(demo_copy, "restore", "demo", "--name", "back")
    assert [d["name"] for d in say(demo_copy, "datasets")] == ["back"]
    say(demo_copy, "delete", "back")
    assert say(demo_copy, "trash", "--empty")["deleted"] == 1
    assert say(demo_copy, "trash")["datasets"] == []


def test_a_run_and_a_policy_go_by_the_same_words(demo_copy: Path, say: Say):
    workspace = Workspace(demo_copy)
    config = make_config("demo", backbone="tiny", input_size=48)
    runs = [prepare(workspace, config).id for _ in range(2)]
    for name in ("demo", "mine"):
        save_policy(workspace, Policy(name, (step("flip"),)))
    assert say(demo_copy, "delete", runs[0])["kind"] == "run"
    say(demo_copy, "restore", runs[0])
    assert say(demo_copy, "remove", runs[1])["id"] == runs[1]
    assert say(demo_copy, "delete", "mine")["kind"] == "policy"
    with pytest.raises(BadInput, match=r"A dataset and a policy are called 'demo'.*--kind"):
        say(demo_copy, "delete", "demo")
    say(demo_copy, "delete", "demo", "--kind", "policy")
    found = say(demo_copy, "trash")
    assert [r["name"] for r in found["runs"]] == [runs[1]]
    assert {p["name"] for p in found["policies"]} == {"demo", "mine"}
    assert say(demo_copy, "trash", "--empty")["deleted"] == 3
    assert not [p for p in workspace.trash.rglob("*") if p.is_file()]
    assert workspace.names("runs") == [runs[0]]


def test_a_dataset_that_runs_refer_to_is_renamed_only_if_one_insists(home: Path, say: Say):
    (run,) = say(home, "runs")
    for verb in (("rename", "demo", "cells"), ("delete", "demo")):
        with pytest.raises(BadInput, match=rf"1 run refers to demo \({run['id']}\).*--yes"):
            say(home, *verb)
    assert say(home, "rename", "demo", "cells", "--yes")["name"] == "cells"
    # Nothing refers to the new name.
    say(home, "delete", "cells")


def test_a_dataset_that_a_run_waits_for_stays(home: Path, say: Say):
    (run,) = say(home, "runs")
    folder = home / "runs" / run["id"]
    shutil.rmtree(folder / "checkpoint")
    status = json.loads((folder / "status.json").read_text(encoding="utf-8"))
    (folder / "status.json").write_text(json.dumps({**status, "state": "queued"}), encoding="utf-8")
    with pytest.raises(BadInput, match=f"{run['id']} on demo is queued"):
        say(home, "delete", "demo", "--yes")


def test_an_empty_part_is_a_sentence_of_its_own(demo_copy: Path, say: Say):
    say(demo_copy, "split", "demo", "--shares", "0.9,0.1,0")
    with pytest.raises(BadInput, match="The test part of demo is empty"):
        say(demo_copy, "train", "--dataset", "demo", "--backbone", "tiny", "--weights", "none")
