"""What a run needs goes to a Ray as zips that are named by their content, in pieces it can take."""

import json
import os
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest

from bloodcell.data.store.dataset import open_dataset
from bloodcell.errors import BadInput, Offline
from bloodcell.files import write_json
from bloodcell.runs.engines import ray_packages
from bloodcell.runs.engines.ray_head import Head
from bloodcell.runs.engines.ray_job import settle
from bloodcell.runs.engines.ray_load import load_of
from bloodcell.runs.engines.ray_packages import cut, plan_of, put_together, send
from bloodcell.runs.launch import prepare
from bloodcell.runs.run import Run, list_runs
from bloodcell.training.config import make_config
from bloodcell.workspace import Workspace
from tests.runs.engines.fake_head import LIMIT, FakeHead, fake_head


@pytest.fixture
def head(tmp_path: Path):
    with fake_head(tmp_path / "logs") as made:
        yield made


def zipped(package: ray_packages.Package) -> bytes:
    package.write(file := BytesIO())
    return file.getvalue()


def test_the_largest_piece_is_less_than_a_head_takes():
    assert ray_packages.PIECE < 0.9 * LIMIT


def test_large_files_are_cut_and_put_together_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, head: FakeHead
):
    monkeypatch.setattr(ray_packages, "PIECE", 1000)
    large = os.urandom(3500)
    (tmp_path / "large").write_bytes(large)
    (tmp_path / "empty").touch()
    small = {f"folder/{i}": bytes([i]) * 400 for i in range(5)}
    files = {"large": tmp_path / "large", "empty": tmp_path / "empty", **small}
    packages = cut(files)
    # Four of the large one, and three that hold two of the small ones at most.
    assert len(packages) == 7
    assert all(sum(p.length for p in package.pieces) <= 1000 for package in packages)
    send(Head(head.address), packages)
    put_together(plan_of(packages), head.unpacked(tmp_path / "node"), tmp_path / "home")
    for target, content in {"large": large, "empty": b"", **small}.items():
        assert (tmp_path / "home" / target).read_bytes() == content


def test_a_package_is_the_same_whenever_its_files_are(tmp_path: Path):
    first, second = tmp_path / "first", tmp_path / "second"
    for path, when in ((first, 1e9), (second, 1.5e9)):
        path.write_bytes(b"the same")
        os.utime(path, (when, when))
    (one,), (other,) = cut({"a": first}), cut({"a": second})
    assert one.name == other.name
    assert zipped(one) == zipped(other)
    assert cut({"b": first})[0].name != one.name
    second.write_bytes(b"not this")
    assert cut({"a": second})[0].name != one.name


def test_a_file_that_changes_while_it_is_sent_is_not_sent_under_the_name_of_another(
    tmp_path: Path,
):
    (tmp_path / "a").write_bytes(b"before")
    (package,) = cut({"a": tmp_path / "a"})
    assert package.name
    (tmp_path / "a").write_bytes(b"after!")
    with pytest.raises(BadInput, match="was changed while it was sent"):
        zipped(package)


def test_nothing_is_sent_twice(workspace: Workspace, three: list[Run], head: FakeHead):
    load = load_of(workspace, three[0])
    sent = send(Head(head.address), load.packages)
    assert sent == sum(map(len, head.packages.values()))
    before = set(head.packages)
    assert send(Head(head.address), load.packages) == 0
    # Another run has a folder and a plan of its own; a decision more is of the dataset.
    send(Head(head.address), load_of(workspace, three[1]).packages)
    assert len(set(head.packages) - before) == 2
    before = set(head.packages)
    dataset = open_dataset(workspace, "demo")
    dataset.curation.exclude([0], "blurred")
    send(Head(head.address), load_of(workspace, three[1]).packages)
    images = dataset.images.nbytes
    new = set(head.packages) - before
    assert len(new) == 2
    assert sum(len(head.packages[name]) for name in new) < images


def test_a_head_that_goes_away_is_told_of(workspace: Workspace, three: list[Run]):
    with pytest.raises(Offline, match="No Ray answers"):
        send(Head("http://127.0.0.1:9"), load_of(workspace, three[0]).packages)


def settled(workspace: Workspace, run: Run, head: FakeHead, node: Path) -> tuple[Path, Run]:
    """The workspace that a job makes on its node."""
    load = load_of(workspace, run)
    send(Head(head.address), load.packages)
    return settle(node / "bloodcell" / "job", load.plan.name, head.unpacked(node / "packages"))


def test_the_node_has_the_same_dataset_and_run(
    workspace: Workspace, three: list[Run], head: FakeHead, tmp_path: Path
):
    run = three[0]
    (run.checkpoint / "state.npz").write_bytes(b"state")
    (run.path / "train.log").write_text("a line\n")
    home, there = settled(workspace, run, head, tmp_path)
    assert there.id == run.id
    assert (there.checkpoint / "state.npz").read_bytes() == b"state"
    assert there.log_path.read_text() == "a line\n"
    assert replace(there.config(), dataset="demo") == run.config()
    assert there.record()["policy"] == run.record()["policy"]
    found = open_dataset(Workspace(home), str(home / there.config().dataset))
    here = open_dataset(workspace, "demo")
    assert found.fingerprint == here.fingerprint
    assert np.array_equal(found.images, here.images)
    # The program is complete: nothing else of ours is on a node.
    program = tmp_path / "packages" / load_of(workspace, run).program.name
    assert (program / "bloodcell" / "cli.py").exists()


def test_what_a_run_learns_from_is_sent_too(home: Path, head: FakeHead, tmp_path: Path):
    workspace = Workspace(home)
    (first,) = list_runs(workspace)
    words = {"backbone": "tiny", "input_size": 48, "epochs": 2}
    run = prepare(workspace, make_config("demo", weights=first.id, teacher=first.id, **words))
    place, there = settled(workspace, run, head, tmp_path)
    best = Path(run.config().weights)
    config = there.config()
    assert (place / config.weights).read_bytes() == best.read_bytes()
    assert (place / config.teacher).read_bytes() == first.keras_path.read_bytes()
    # Once it has a state of its own, it needs the other run's no more.
    (run.checkpoint / "state.npz").touch()
    assert not [t for t in targets(workspace, run) if t.startswith("needs/0")]
    # A member of an ensemble.
    run = prepare(workspace, make_config("demo", weights="first/tiny", **words))
    assert [t for t in targets(workspace, run) if t.endswith(".tflite")] == ["needs/0/tiny.tflite"]


def targets(workspace: Workspace, run: Run) -> list[str]:
    return list(plan_of(load_of(workspace, run).packages))


def test_weights_that_keras_has_here_need_not_be_downloaded_there(
    workspace: Workspace, three: list[Run], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    name = "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_96_no_top.h5"
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / name).write_bytes(b"weights")
    run = three[0]
    config = {**run.config().to_json(), "backbone": "mobilenetv2", "weights": "imagenet"}
    write_json(run.config_path, {**run.record(), "config": config})
    assert f"keras/models/{name}" in targets(workspace, run)


def test_a_run_whose_start_is_gone_is_refused_by_its_name(home: Path):
    workspace = Workspace(home)
    (first,) = list_runs(workspace)
    words = {"backbone": "tiny", "input_size": 48, "epochs": 2}
    run = prepare(workspace, make_config("demo", weights=first.id, **words))
    for path in first.checkpoint.glob("best-*"):
        path.unlink()
    with pytest.raises(BadInput, match=r"best-.*which run .* needs, is not there"):
        load_of(workspace, run)


def test_what_shows_its_metrics_elsewhere_is_not_of_the_node(
    workspace: Workspace, three: list[Run]
):
    run = three[0]
    record = run.record() | {"trackers": [{"to": "tensorboard", "where": "/here"}]}
    write_json(run.config_path, record)
    pieces = [p for package in load_of(workspace, run).files for p in package.pieces]
    (config,) = (p.source for p in pieces if p.target.endswith("config.json"))
    assert "trackers" not in json.loads(config)
