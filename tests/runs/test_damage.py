"""A run's folder with damaged files: a sentence, never a traceback, never another answer."""

import hashlib
import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from bloodcell.cli import app
from bloodcell.errors import BadInput, BloodCellError
from bloodcell.evaluation.compare import compare_runs
from bloodcell.files import write_json
from bloodcell.locks import locked
from bloodcell.runs.execute import execute
from bloodcell.runs.labels import read_labels, write_labels
from bloodcell.runs.process import this_process
from bloodcell.runs.queue import read_order, settings, waiting
from bloodcell.runs.recipe import recipe_of
from bloodcell.runs.run import Run, create_run, damaged_runs, list_runs
from bloodcell.runs.uses import require_idle, runs_on
from bloodcell.training.checkpoint import save_state
from bloodcell.training.config import make_config
from bloodcell.workspace import Workspace

RECORD = {
    "policy": {"schema_version": 1, "name": "none", "steps": []}, "dataset_fingerprint": "f",
    "curation_fingerprint": "c", "environment": {"git_commit": "", "cores": 2},
    "trackers": [{"to": "tensorboard", "where": "/tmp/x"}],
}  # fmt: skip
EPOCH = {
    "epoch": 1, "loss": 1.5, "accuracy": 0.5, "macro_recall": 0.5, "val_loss": 1.25,
    "val_calibrated_loss": 1.125, "val_accuracy": 0.75, "val_macro_recall": 0.5,
    "val_recall": [0.75, None, 1, 1, 1, 1, 1, 1],
    "val_confusion": [[3, 1] + [0] * 6] + [[0] * 8] * 7, "learning_rate": 0.001,
    "seconds": 12.5, "images_per_second": 40.0,
}  # fmt: skip
TIMES = 200


def make_run(workspace: Workspace) -> Run:
    """A finished run as its process leaves it, but for the network, which is any bytes."""
    run = create_run(workspace, make_config("demo", backbone="tiny", epochs=2), RECORD)
    history = [EPOCH, {**EPOCH, "epoch": 2, "val_loss": 1.0}]
    run.metrics_path.write_text("".join(json.dumps(r) + "\n" for r in history))
    save_state(run.checkpoint, [], {"epoch": 3, "batch": 0, "history": history})
    rng = np.random.default_rng(0)
    arrays = {}
    for part in ("validation", "test"):
        arrays |= {f"{part}_ids": np.array(["a", "b", "c"]), f"{part}_labels": np.arange(3)}
        arrays[f"{part}_indices"] = np.arange(3)
        arrays[f"{part}_probabilities"] = rng.random((3, 8)).astype(np.float32)
    np.savez(run.predictions_path, **arrays)
    run.litert_path.write_bytes(rng.bytes(2000))
    run.write_checksums()
    write_labels(run, name="first", tags=["a"], note="n")
    write_json(run.status_path, {**run.status(), "state": "finished", "engine": "local"})
    return run


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path / "home")


def flip(content: bytes, rng: random.Random) -> bytes:
    changed = bytearray(content)
    for _ in range(rng.choice((1, 1, 3, 20))):
        changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def cut(content: bytes, rng: random.Random) -> bytes:
    return content[: rng.randrange(len(content))]


def grow(content: bytes, rng: random.Random) -> bytes:
    return content + rng.randbytes(5)


def garble(content: bytes, rng: random.Random) -> bytes:
    """One value of a JSON document (or of one of its lines) is of another kind."""
    odd = ("text", float("nan"), 1e300, 10**400, None, [], {}, -1, True, [[[]]], "\0", 3.5)
    lines = content.decode().splitlines() if content.count(b"\n{") else [content.decode()]
    i = rng.randrange(len(lines))
    document = json.loads(lines[i])
    places: list[tuple[Any, Any]] = [([document], 0)]
    for holder, key in places:
        value = holder[key]
        if isinstance(value, dict | list):
            places += [
                (value, k) for k in (value if isinstance(value, dict) else range(len(value)))
            ]
    holder, key = rng.choice(places)
    root = places[0][0]
    holder[key] = rng.choice(odd)
    lines[i] = json.dumps(root[0])
    return "\n".join([*lines, ""]).encode()


def digits(content: bytes, rng: random.Random) -> bytes:
    return b'{"epoch": ' + b"9" * 200_000 + b"}\n"


def look(workspace: Workspace, run: Run) -> dict[str, Any]:
    """All that the pages and verbs read of a run; a sentence in place of what is refused."""
    found: dict[str, Any] = {}

    def read(name: str, act: Callable[[], Any]) -> None:
        try:
            found[name] = act()
        except BloodCellError as error:
            found[name] = error

    read("runs", lambda: list_runs(workspace))
    read("damaged", lambda: damaged_runs(workspace))
    read("network", lambda: hashlib.sha256(run.read_litert()).hexdigest())
    read("answers", lambda: {k: v.tolist() for k, v in run.predictions().items()})
    read("summary", run.summary)
    read("created", lambda: pd.Timestamp(run.status().get("created") or 0, unit="s"))
    read("labels", lambda: read_labels(run))
    read("policy", run.policy)
    read("compared", lambda: compare_runs([run]))
    read("recipe", lambda: recipe_of(workspace, run))
    read("order", lambda: (read_order(workspace), waiting(workspace), settings(workspace)))
    read("uses", lambda: require_idle("demo", runs_on(workspace, "demo")))
    return found


def test_damaged_files_are_refused_in_a_sentence_and_change_no_answer(workspace: Workspace):
    rng = random.Random(1)
    run = make_run(workspace)
    write_json(workspace.queue / "order.json", [run.id])
    write_json(workspace.queue / "settings.json", {"slots": 1, "engine": "local"})
    whole = look(workspace, run)
    assert not [k for k, v in whole.items() if isinstance(v, Exception)]
    paths = sorted(
        p
        for p in [*run.path.iterdir(), *workspace.queue.iterdir()]
        if p.suffix in (".json", ".jsonl", ".npz", ".tflite") and not p.name.startswith(".")
    )
    assert len(paths) == 9
    refused = 0
    for _time in range(TIMES):
        path = rng.choice(paths)
        content = path.read_bytes()
        ways = [flip, cut, grow]
        if path.suffix in (".json", ".jsonl"):
            ways += [garble, garble, digits]
        path.write_bytes(rng.choice(ways)(content, rng))
        found = look(workspace, run)
        for name in ("network", "answers"):
            assert isinstance(found[name], BloodCellError) or found[name] == whole[name]
        sentences = [str(v) for v in found.values() if isinstance(v, BloodCellError)]
        assert all(len(s) < 1000 for s in sentences)
        refused += bool(sentences)
        path.write_bytes(content)
    assert refused > TIMES / 2
    assert look(workspace, run) == whole


@pytest.mark.parametrize(
    "line",
    ["nonsense", "NaN", "5", "{}", "[]", "null", '"epoch"', '{"epoch": 1}',
     json.dumps({**EPOCH, "val_accuracy": float("nan")}),
     json.dumps({**EPOCH, "val_accuracy": 0.8}),
     json.dumps({**EPOCH, "epoch": 3})],
)  # fmt: skip
def test_a_line_that_is_no_record_is_named_and_written_anew_by_resume(
    workspace: Workspace, line: str, capsys: pytest.CaptureFixture[str]
):
    run = make_run(workspace)
    before = run.metrics_path.read_text()
    run.metrics_path.write_text(before.splitlines()[0] + "\n" + line + "\n")
    assert list_runs(workspace) == []
    app(["--home", str(workspace.home), "runs", "--json"], standalone_mode=False)
    told = capsys.readouterr()
    assert json.loads(told.out) == []
    assert "in line 2" in told.err
    assert execute(workspace, run, echo=False) == "finished"
    assert run.metrics_path.read_text() == before


@pytest.mark.parametrize("name", ["config.json", "metrics.jsonl", "status.json"])
def test_a_damaged_run_still_guards_its_dataset(workspace: Workspace, name: str):
    run = make_run(workspace)
    assert runs_on(workspace, "demo") == [run]
    require_idle("demo", [run])
    if name != "status.json":
        write_json(run.status_path, {"state": "running", **this_process()})
    (run.path / name).write_text("{}")
    assert runs_on(workspace, "demo") == [run]
    with locked(run.lock_path, 0), pytest.raises(BadInput, match=f"{run.id} on demo is running"):
        require_idle("demo", runs_on(workspace, "demo"))


def test_a_network_is_held_against_its_checksum(workspace: Workspace):
    run = make_run(workspace)
    content = run.litert_path.read_bytes()
    assert run.read_litert() == content
    run.litert_path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(BadInput, match=r"model\.tflite is damaged \(its checksum"):
        run.read_litert()
    # Of a run of an earlier version nothing is known.
    (run.path / "checksums.json").unlink()
    assert run.read_litert() != content


def test_a_record_of_an_earlier_version_is_one(workspace: Workspace):
    run = make_run(workspace)
    later = ("macro_recall", "val_calibrated_loss", "val_confusion")
    record = {k: v for k, v in EPOCH.items() if k not in later}
    run.metrics_path.write_text(json.dumps(record) + "\n")
    assert run.metrics() == [record]
    assert run.summary()["val_accuracy"] == 0.75


def test_labels_that_cannot_be_read_hide_no_run(
    workspace: Workspace, capsys: pytest.CaptureFixture[str]
):
    run = make_run(workspace)
    run.labels_path.write_text("{")
    app(["--home", str(workspace.home), "runs", "--json"], standalone_mode=False)
    told = capsys.readouterr()
    assert [row["id"] for row in json.loads(told.out)] == [run.id]
    assert "labels.json is not readable" in told.err
