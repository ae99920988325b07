"""What a job writes on a node that does not see the workspace comes back whole, or not at all."""

import json
import os
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from bloodcell.errors import BadInput, BloodCellError, NameTaken, NoSpace, Offline
from bloodcell.files import read_json, write_json
from bloodcell.runs.engines import describe_job, ray_job
from bloodcell.runs.engines.ray import Ray, change_ray
from bloodcell.runs.engines.ray_fetch import fetch_run
from bloodcell.runs.engines.ray_head import Head
from bloodcell.runs.engines.ray_job import FILES, OUT, Outbox, folder_of, settle
from bloodcell.runs.execute import execute
from bloodcell.runs.launch import ask_to_stop
from bloodcell.runs.process import this_process
from bloodcell.runs.queue import cancel, end_at_once, enqueue, waiting
from bloodcell.runs.run import Run
from bloodcell.runs.tracker import TRACKERS
from bloodcell.training.checkpoint import best_epoch, load_state, save_arrays, save_state
from bloodcell.trash import delete
from bloodcell.workspace import Workspace
from tests.runs.conftest import wait_for
from tests.runs.engines.fake_head import NODE, FakeHead, fake_head


@pytest.fixture
def head(tmp_path: Path):
    with fake_head(tmp_path / "logs") as made:
        yield made


@pytest.fixture
def engine(workspace: Workspace, head: FakeHead) -> Ray:
    change_ray(workspace, address=head.address, cpus=1, shared=False)
    return Ray(workspace, every_s=0.0)


class Node:
    """The job of a run on its node, as far as files go."""

    def __init__(self, engine: Ray, head: FakeHead, run: Run):
        enqueue(engine.workspace, [run], engine="ray")
        engine.submit(run)
        self.head, self.job = head, engine.job_of(run)
        plan = head.jobs[self.job]["runtime_env"]["py_modules"][-1].removeprefix("gcs://")
        self.place = head.logs / folder_of(self.job)
        _, self.run = settle(self.place, plan, head.unpacked(head.logs / "packages"))
        self.outbox = Outbox(self.run, self.place)
        head.begins(self.job)
        self.says(state="running", epoch=1, batch=3)

    def says(self, **words) -> None:
        status = {k: v for k, v in self.run.status().items() if k != "launched"}
        now = {**this_process(), "host": "elsewhere", "heartbeat": time.time()}
        write_json(self.run.status_path, {**status, **now, **words})
        self.outbox.cut()

    def epoch(self, number: int, best: int) -> None:
        """An epoch's end, as the training writes it."""
        folder = self.run.checkpoint
        if best == number:
            save_arrays(folder / f"best-{best}.npz", [np.full(9, number)], {"epoch": number})
        save_state(folder, [np.full(9, number)], {"epoch": number + 1, "batch": 0, "best": best})
        for old in folder.glob("best-*.npz"):
            if old.name != f"best-{best}.npz":
                old.unlink()
        with self.run.log_path.open("a") as log:
            log.write(f"epoch {number}\n")

    def goes_on(self, number: int) -> None:
        """An epoch ends as the best so far, and the next one begins."""
        self.epoch(number, best=number)
        self.says(epoch=number + 1)

    def ends(self, status: str, **more) -> None:
        self.outbox.close()
        self.head.ends(self.job, status, **more)


@pytest.fixture
def node(engine: Ray, head: FakeHead, three: list[Run]) -> Node:
    return Node(engine, head, three[0])


def test_a_run_is_watched_while_it_goes_on(engine: Ray, node: Node, three: list[Run]):
    run = three[0]
    engine.watch()
    status = run.status()
    assert (status["state"], status["batch"], status["host"]) == ("running", 3, "elsewhere")
    assert "Ray job" in describe_job(run)
    node.goes_on(1)
    engine.watch()
    assert [p.name for p in run.checkpoint.glob("best-*")] == ["best-1.npz"]
    node.goes_on(2)
    engine.watch()
    assert run.status()["epoch"] == 3
    assert run.log_path.read_text() == "epoch 1\nepoch 2\n"
    assert load_state(run.checkpoint)[1] == {"epoch": 3, "batch": 0, "best": 2}
    # What no state refers to any more is gone here too.
    assert [p.name for p in run.checkpoint.glob("best-*")] == ["best-2.npz"]
    assert (run.checkpoint / "previous.npz").exists()


def test_only_what_changed_is_fetched(engine: Ray, node: Node, three: list[Run], head: FakeHead):
    run, asked = three[0], Head(head.address)
    node.epoch(1, best=1)
    node.says()
    assert fetch_run(asked, NODE, node.job, run) > 0
    assert fetch_run(asked, NODE, node.job, run) == 0
    state = (node.run.checkpoint / "state.npz").stat().st_size
    node.epoch(2, best=1)
    node.outbox.cut()
    # Of the checkpoint one new state: the one before has another name now.
    log = node.run.log_path.stat().st_size
    assert fetch_run(asked, NODE, node.job, run) == state + log
    assert load_state(run.checkpoint)[1]["epoch"] == 3


def test_what_is_read_of_a_training_is_always_one_moment_of_it(
    engine: Ray, node: Node, three: list[Run], head: FakeHead
):
    run, enough = three[0], threading.Event()

    def train() -> None:
        number = 1
        while not enough.is_set():
            node.epoch(number, best=number)
            number += 1

    training = threading.Thread(target=train, daemon=True)
    training.start()
    looked = 0
    try:
        while looked < 10:
            node.outbox.cut()
            fetch_run(Head(head.address), NODE, node.job, run)
            if (saved := load_state(run.checkpoint)) is not None:
                best = best_epoch(run.checkpoint)
                assert (run.checkpoint / f"best-{saved[1]['best']}.npz").exists(), best
                looked += 1
    finally:
        enough.set()
        training.join()


def test_of_a_file_that_comes_in_part_the_one_before_stays(
    engine: Ray, node: Node, three: list[Run], head: FakeHead
):
    run = three[0]
    node.goes_on(1)
    engine.watch()
    before = {p: p.read_bytes() for p in run.path.rglob("*") if p.is_file()}
    node.goes_on(2)
    head.cuts = 600
    with pytest.raises(Offline):
        fetch_run(Head(head.address), NODE, node.job, run)
    engine.watch()
    after = {p: p.read_bytes() for p in run.path.rglob("*") if p.is_file()}
    assert after.keys() == before.keys()
    assert all(after[p] == before[p] for p in after if p != run.job_path)
    # What is another file than its checksum says is not taken either.
    head.cuts = None
    for path in (node.place / OUT).iterdir():
        path.write_bytes(b"{}")
    with pytest.raises(Offline, match="bytes of"):
        fetch_run(Head(head.address), NODE, node.job, run)
    assert run.status()["epoch"] == 2


@pytest.mark.parametrize(
    "listed",
    [
        "no JSON", "[]", '{"a": 1}', '{"../other": ["%s", 1]}', '{"/etc/passwd": ["%s", 1]}',
        '{"config.json": ["%s", 1]}', '{".hidden": ["%s", 1]}', '{"a": ["../x", 1]}',
    ],
)  # fmt: skip
def test_a_node_does_not_choose_where_is_written(
    engine: Ray, node: Node, three: list[Run], head: FakeHead, listed: str
):
    (node.place / FILES).write_text(listed.replace("%s", "a" * 64))
    with pytest.raises(Offline, match=f"list of files of node {NODE}"):
        fetch_run(Head(head.address), NODE, node.job, three[0])


def test_the_end_is_written_once_the_files_are_here(
    engine: Ray, node: Node, three: list[Run], head: FakeHead, monkeypatch: pytest.MonkeyPatch
):
    run = three[0]
    engine.watch()
    node.epoch(1, best=1)
    (node.run.path / "model.tflite").write_bytes(b"a network")
    node.says(state="finished", reason="all epochs are done")
    node.ends("SUCCEEDED")
    head.cuts = 600
    engine.watch()
    assert engine.given() == [run]
    assert run.is_away()
    assert "it has ended, and" in describe_job(run)
    head.cuts = None
    # Nor with a full disk.
    monkeypatch.setattr(Head, "fetch", lambda *words: (_ for _ in ()).throw(OSError(28, "full")))
    with pytest.raises(NoSpace, match="disk is full"):
        fetch_run(Head(head.address), NODE, node.job, run)
    engine.watch()
    assert run.is_away()
    monkeypatch.undo()
    engine.watch()
    assert run.status()["state"] == "finished"
    assert (run.path / "model.tflite").read_bytes() == b"a network"
    assert engine.given() == []
    assert not run.is_away()


def test_what_was_killed_has_its_last_files_and_is_told_of(
    engine: Ray, node: Node, three: list[Run]
):
    run = three[0]
    engine.watch()
    node.epoch(1, best=1)
    node.ends("FAILED", driver_exit_code=-9, message="killed")
    engine.watch()
    assert run.status()["state"] == "failed"
    assert "ended by signal 9" in run.status()["reason"]
    assert load_state(run.checkpoint)[1]["epoch"] == 2


def test_a_node_that_is_gone_costs_what_was_not_fetched(
    engine: Ray, node: Node, three: list[Run], head: FakeHead
):
    run = three[0]
    node.goes_on(1)
    engine.watch()
    node.epoch(2, best=2)
    node.says(state="finished")
    node.ends("SUCCEEDED")
    head.alive = False
    engine.watch()
    status = run.status()
    assert status["state"] == "lost"
    assert "its node went before its last files were fetched" in status["reason"]
    assert load_state(run.checkpoint)[1]["epoch"] == 2


def test_a_person_stops_what_does_not_see_the_request(
    engine: Ray, node: Node, three: list[Run], head: FakeHead, workspace: Workspace
):
    run = three[0]
    engine.watch()
    cancel(workspace, run)
    assert run.status()["state"] == "stopping"
    assert head.stopped == [node.job]
    # Ray did not hear of it: it is told again, also of what a sweep stops.
    head.stopped.clear()
    ask_to_stop(run, reason="a hopeless trial")
    engine.watch()
    assert head.stopped == [node.job]
    node.epoch(1, best=1)
    node.says(state="stopped", reason="the process received SIGTERM", signal="SIGTERM")
    node.ends("STOPPED")
    engine.watch()
    status = run.status()
    assert (status["state"], status["reason"]) == ("stopped", "a hopeless trial")
    assert "signal" not in status
    assert not run.stop_path.exists()


def test_stopped_from_outside_is_told_apart(engine: Ray, node: Node, three: list[Run]):
    node.says(state="stopped", reason="the process received SIGTERM", signal="SIGTERM")
    node.ends("STOPPED")
    engine.watch()
    assert "was cancelled in Ray; its state was saved" in three[0].status()["reason"]


def test_one_that_waits_is_stopped_at_once(
    engine: Ray, three: list[Run], head: FakeHead, workspace: Workspace
):
    run = three[0]
    enqueue(workspace, [run], engine="ray")
    engine.submit(run)
    job = engine.job_of(run)
    cancel(workspace, run)
    assert "before it began" in run.status()["reason"]
    assert job in head.stopped
    head.ends(job, "STOPPED")
    engine.watch()
    assert "before it began" in run.status()["reason"]
    assert engine.given() == []


def test_nobody_takes_it_for_dead_while_nothing_is_heard_of_it(
    engine: Ray, node: Node, three: list[Run], workspace: Workspace
):
    run = three[0]
    node.says(heartbeat=time.time() - 9e4)
    engine.watch()
    os.utime(run.status_path, (1e9, 1e9))
    assert run.status()["state"] == "running"
    with pytest.raises(NameTaken, match="queue --start"):
        execute(workspace, run)
    with pytest.raises(NameTaken):
        enqueue(workspace, [run])
    with pytest.raises(NameTaken, match="stop it first"):
        delete(workspace, "runs", run.id)
    # The next supervisor goes on where this one was.
    later = Ray(workspace, every_s=0.0)
    node.says(state="finished", reason="done")
    node.ends("SUCCEEDED")
    later.watch()
    assert run.status()["state"] == "finished"
    assert delete(workspace, "runs", run.id)


def test_one_that_ray_gave_up_on_is_given_again_once_ray_answers(
    engine: Ray, three: list[Run], head: FakeHead, workspace: Workspace
):
    run = three[0]
    enqueue(workspace, [run], engine="ray")
    engine.submit(run)
    job = engine.job_of(run)
    head.ends(job, "FAILED", error_type="JOB_SUPERVISOR_ACTOR_START_TIMEOUT")
    # Packages are gone too, and cannot be sent just now.
    head.packages.clear()
    head.full = True
    engine.watch()
    assert run.status()["state"] == "queued"
    assert engine.given() == [run]
    head.full = False
    engine.watch()
    assert engine.job_of(run) != job
    assert engine.job_of(run) in head.jobs


def test_a_ray_that_is_gone_for_good_holds_no_run_for_ever(
    engine: Ray, node: Node, three: list[Run], workspace: Workspace
):
    run = three[0]
    engine.watch()
    kept = read_json(workspace.queue / "ray.json")
    write_json(workspace.queue / "ray.json", kept | {"address": "http://127.0.0.1:9"})
    assert cancel(workspace, run) == "stopping"
    with pytest.raises(Offline, match=f"gone for good, remove {run.job_path}"):
        end_at_once(workspace, run)
    run.job_path.unlink()
    os.utime(run.status_path, (1e9, 1e9))
    write_json(run.status_path, {**run.status(), "heartbeat": 0.0})
    os.utime(run.status_path, (1e9, 1e9))
    assert run.status()["state"] == "lost"
    enqueue(workspace, [run], engine="local")
    assert waiting(workspace) == [run]


def test_a_job_is_known_from_the_moment_that_ray_may_have_it(
    engine: Ray,
    three: list[Run],
    head: FakeHead,
    workspace: Workspace,
    monkeypatch: pytest.MonkeyPatch,
):
    run, refused, _ = three
    known, ask = [], Head.ask

    def asked(self: Head, path: str, body=None, method=None):
        if body is not None:
            known.append(run.is_away() and engine.job_of(run) == body["submission_id"])
        return ask(self, path, body, method)

    monkeypatch.setattr(Head, "ask", asked)
    head.refuses = 503
    enqueue(workspace, [run], engine="ray")
    engine.submit(run)
    job = engine.job_of(run)
    assert head.jobs == {}
    assert known == [True]
    # It turns out not to be there: it is given once more, with all it needs.
    head.refuses = None
    head.packages.clear()
    engine.watch()
    engine.watch()
    assert engine.job_of(run) != job
    assert [engine.job_of(run)] == list(head.jobs)
    assert head.packages
    # What Ray does not take at all is not given.
    head.refuses = 400
    enqueue(workspace, [refused], engine="ray")
    with pytest.raises(BadInput, match="Ray refuses"):
        engine.submit(refused)
    assert engine.given() == [run]
    assert refused in waiting(workspace)
    assert not refused.is_away()


def test_its_trackers_are_fed_from_here(
    engine: Ray, head: FakeHead, three: list[Run], monkeypatch: pytest.MonkeyPatch
):
    told = []

    class Shown:
        def __init__(self, run: Run, where: str):
            told.append(where)

        def add(self, records) -> None:
            told.append([r["epoch"] for r in records])

        def close(self, state: str) -> None:
            told.append(state)

    monkeypatch.setitem(TRACKERS, "t", Shown)
    run = three[0]
    write_json(run.config_path, {**run.record(), "trackers": [{"to": "t", "where": "/here"}]})
    node = Node(engine, head, run)
    line = {
        "epoch": 1, "loss": 1.0, "val_loss": 1.0, "accuracy": 0.5, "val_accuracy": 0.5,
        "val_macro_recall": 0.5, "learning_rate": 1e-3, "seconds": 1.0, "images_per_second": 9.0,
    }  # fmt: skip
    node.run.metrics_path.write_text(json.dumps(line) + "\n")
    node.says(epoch=2)
    engine.watch()
    assert told == ["/here", [1]]
    node.says(state="finished")
    node.ends("SUCCEEDED")
    engine.watch()
    assert told[-1] == "finished"


def test_the_next_job_removes_what_nobody_will_ask_for(tmp_path: Path):
    jobs = tmp_path / "bloodcell"
    old, young = jobs / "old", jobs / "young"
    used, unused = jobs / "datasets" / "used", jobs / "datasets" / "unused"
    for folder in (old, young, used, unused):
        folder.mkdir(parents=True)
    for folder in (old, unused):
        os.utime(folder, (1e9, 1e9))
    ray_job._sweep(jobs)
    assert sorted(p.name for p in jobs.glob("*")) == ["datasets", "young"]
    assert [p.name for p in (jobs / "datasets").iterdir()] == ["used"]


def test_what_a_file_was_stays_a_moment_for_whoever_asks(
    engine: Ray, node: Node, monkeypatch: pytest.MonkeyPatch
):
    node.epoch(1, best=1)
    node.outbox.cut()
    (before,) = {d for n, (d, _) in read_json(node.place / FILES).items() if "best" in n}
    node.epoch(2, best=2)
    node.outbox.cut()
    assert (node.place / OUT / before).exists()
    monkeypatch.setattr(ray_job, "LEFT_S", 0.0)
    time.sleep(0.01)
    node.says(batch=9)
    assert not (node.place / OUT / before).exists()
    wanted = {digest for digest, _ in read_json(node.place / FILES).values()}
    assert wanted <= {p.name for p in (node.place / OUT).iterdir()}


def test_a_job_whose_packages_are_not_to_be_found_says_so(tmp_path: Path):
    with pytest.raises(BloodCellError, match="did not unpack the package '_ray_pkg_a"):
        settle(tmp_path / "job", "_ray_pkg_a.zip", {})


def test_the_outbox_ends_with_the_last_state(engine: Ray, node: Node, three: list[Run]):
    thread = threading.Thread(target=node.outbox.keep_cutting, daemon=True)
    thread.start()
    node.epoch(1, best=1)
    wait_for(lambda: "checkpoint/state.npz" in read_json(node.place / FILES), 10)
    node.epoch(2, best=2)
    node.outbox.close()
    thread.join(5)
    assert not thread.is_alive()
    assert "checkpoint/best-2.npz" in read_json(node.place / FILES)
