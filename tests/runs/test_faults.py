"""What can happen to a training, and that nothing is lost by it."""

import contextlib
import json
import os
import random
import resource
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from bloodcell.errors import NoSpace
from bloodcell.runs import execute as module
from bloodcell.runs.execute import execute
from bloodcell.runs.launch import prepare
from bloodcell.runs.lifecycle import extend
from bloodcell.runs.process import find_process, this_process
from bloodcell.runs.queue import cancel, enqueue, waiting
from bloodcell.runs.run import ACTIVE, Run
from bloodcell.runs.supervisor import wake
from bloodcell.training.checkpoint import load_state
from bloodcell.training.config import TrainConfig, make_config
from bloodcell.workspace import Workspace
from tests.runs.conftest import measured, wait_for

REPOSITORY = Path(__file__).parents[2]
KILLS, EPOCHS = 20, 12
# Everything that has a state is on: moving average, momentum, plateau, augmentation.
SHORT = {
    "preset": "bloodcellcnn", "backbone": "tiny", "input_size": 32, "batch_size": 32,
    "policy": "gentle", "early_stopping": 0, "plateau_patience": 2, "ema": 0.9,
}  # fmt: skip


def short(epochs: int) -> TrainConfig:
    return make_config("demo", epochs=epochs, **SHORT)


def same_state(a: Run, b: Run) -> None:
    """The last states on disk are equal: weights, optimizer, moving average, random generators."""
    (of_a, place_a), (of_b, place_b) = load_state(a.checkpoint), load_state(b.checkpoint)
    assert (place_a["epoch"], place_a["batch"]) == (place_b["epoch"], place_b["batch"])
    for one, other in zip(of_a, of_b, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.fixture
def carry_out_elsewhere(workspace: Workspace) -> Iterator[Callable[[Run], int]]:
    """Carries a run out in a process of its own, made at once; returns its pid."""
    nursery = subprocess.Popen(
        [sys.executable, "-m", "tests.runs.nursery", workspace.home],
        cwd=REPOSITORY,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert nursery.stdout.readline() == "ready\n"

    def begin(run: Run) -> int:
        nursery.stdin.write(f"{run.path}\n")
        nursery.stdin.flush()
        return int(nursery.stdout.readline())

    yield begin
    # It leads a session of its own, so this ends it and its children and nobody else.
    os.killpg(nursery.pid, signal.SIGKILL)
    nursery.communicate()


@pytest.mark.nightly
def test_killed_twenty_times_at_random_moments_it_ends_as_if_nothing_had_been(
    workspace: Workspace, carry_out_elsewhere: Callable[[Run], int]
):
    chance = random.Random(5)
    undisturbed = prepare(workspace, short(EPOCHS))
    carry_out_elsewhere(undisturbed)
    wait_for(lambda: undisturbed.status()["state"] == "finished")
    kills, run, done = 0, prepare(workspace, short(EPOCHS)), 0
    while True:
        pid = carry_out_elsewhere(run)
        if kills == KILLS:
            wait_for(lambda r=run: r.status()["state"] == "finished")
        elif kills % 4:
            # Most are killed when they train: between batches, in a checkpoint or a line, judging.
            wait_for(lambda r=run, n=done: n == EPOCHS or len(r.metrics()) > n)
            time.sleep(chance.uniform(0, min(0.5, 1.2 * run.metrics()[-1]["seconds"])))
        else:
            # One in four before it has spoken up, or while it builds the network.
            time.sleep(chance.uniform(0, 1))
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        wait_for(lambda p=pid: not psutil.pid_exists(p))
        epochs = [r["epoch"] for r in run.metrics()]
        assert epochs == list(range(1, len(epochs) + 1)), "a line is lost or doubled"
        assert len(epochs) >= done
        done = len(epochs)
        if run.status()["state"] != "finished":
            assert run.status()["state"] in ("lost", "queued")
            kills += 1
            continue
        assert measured(run) == measured(undisturbed)
        lines = run.metrics_path.read_text().splitlines()
        assert [json.loads(line)["epoch"] for line in lines] == list(range(1, EPOCHS + 1))
        same_state(run, undisturbed)
        with np.load(run.predictions_path) as a, np.load(undisturbed.predictions_path) as b:
            for key in a.files:
                np.testing.assert_array_equal(a[key], b[key])
        assert not list(run.checkpoint.glob(".*")), "half files are still there"
        if kills == KILLS:
            break
        run, done = prepare(workspace, short(EPOCHS)), 0


@pytest.fixture(scope="module")
def whole(demo_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A finished run of six epochs. Do not change it."""
    home = Path(shutil.copytree(demo_home, tmp_path_factory.mktemp("whole") / "home"))
    run = prepare(Workspace(home), short(6))
    assert execute(Workspace(home), run, echo=False) == "finished"
    return run


class Halfway(module.RunWriter):
    """Asks for a stop when three epochs are done."""

    def epoch(self, history: list[dict[str, Any]]) -> None:
        super().epoch(history)
        if len(history) == 3:
            self.reason = "half of it is done"


@pytest.mark.parametrize("how", ["stopped and resumed", "finished and continued"])
def test_six_epochs_are_three_and_three_more(
    workspace: Workspace, whole: Run, monkeypatch: pytest.MonkeyPatch, how: str
):
    run = prepare(workspace, short(6 if how == "stopped and resumed" else 3))
    if how == "stopped and resumed":
        with monkeypatch.context() as patched:
            patched.setattr(module, "RunWriter", Halfway)
            assert execute(workspace, run, echo=False) == "stopped"
    else:
        assert execute(workspace, run, echo=False) == "finished"
        extend(workspace, run, 6)
    assert len(run.metrics()) == 3
    assert execute(workspace, run, echo=False) == "finished"
    assert measured(run) == measured(whole)
    same_state(run, whole)
    with np.load(run.predictions_path) as a, np.load(whole.predictions_path) as b:
        np.testing.assert_array_equal(a["test_probabilities"], b["test_probabilities"])


@pytest.fixture(scope="module")
def done(demo_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A finished run of four epochs. Do not change it."""
    home = Path(shutil.copytree(demo_home, tmp_path_factory.mktemp("done") / "home"))
    run = prepare(Workspace(home), short(4))
    assert execute(Workspace(home), run, echo=False) == "finished"
    return run


class TestCheckpoint:
    @pytest.fixture
    def stopped(self, done: Run, tmp_path: Path) -> tuple[Workspace, Run]:
        """A copy of it, as if its process had been killed before its end."""
        home = Path(shutil.copytree(done.path.parents[1], tmp_path / "copy"))
        run = Run(home / "runs" / done.id)
        for path in (run.keras_path, run.litert_path, run.predictions_path):
            path.unlink()
        status = json.loads(run.status_path.read_text())
        run.status_path.write_text(json.dumps({**status, "state": "running"}))
        return Workspace(home), run

    @pytest.mark.parametrize("left", [0, 1000, 0.5, 0.999])
    def test_cut_short_the_one_before_it_is_used(
        self, stopped: tuple[Workspace, Run], done: Run, left: float
    ):
        workspace, run = stopped
        state = run.checkpoint / "state.npz"
        content = state.read_bytes()
        state.write_bytes(content[: int(left * len(content)) if left < 1 else int(left)])
        assert execute(workspace, run, echo=False) == "finished"
        assert "continued at epoch 4" in run.log_tail()
        assert measured(run) == measured(done)
        same_state(run, done)

    def test_a_disk_that_fills_up_in_the_middle_keeps_the_one_before(
        self, done: Run, workspace: Workspace
    ):
        """Room for the network at the first epoch's end, but not for a longer history."""
        run = prepare(workspace, short(4))
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        room = (done.checkpoint / "previous.npz").stat().st_size - 1
        resource.setrlimit(resource.RLIMIT_FSIZE, (room, before[1]))
        try:
            with pytest.raises(NoSpace, match="disk is full"):
                execute(workspace, run, echo=False)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        assert run.status()["state"] == "failed"
        assert "disk is full" in run.status()["reason"]
        lost_at = len(run.metrics())
        assert 1 <= lost_at < 4
        assert load_state(run.checkpoint)[1]["epoch"] == lost_at + 1
        assert execute(workspace, run, echo=False) == "finished"
        assert measured(run) == measured(done)


class TestClockSetBack:
    """Nobody can set the clock of the machine for a test: what it leaves behind is written."""

    @pytest.mark.skipif(sys.platform != "linux", reason="the proof of life is that of Linux")
    def test_a_process_that_works_is_not_lost(self, three: list[Run]):
        # psutil's time of creation moves with the clock.
        said = this_process()
        said["process_started"] += 3600
        three[0].status_path.write_text(
            json.dumps({"state": "running", **said, "heartbeat": time.time() + 3600})
        )
        assert three[0].status()["state"] == "running"
        assert find_process(said).pid == os.getpid()

    def test_a_process_that_never_began_is_not_waited_for_until_the_clock_is_there(
        self, three: list[Run]
    ):
        launched = {"state": "queued", "launched": time.time() + 3600}
        three[0].status_path.write_text(json.dumps(launched))
        assert three[0].status()["state"] == "lost"

    def test_a_heartbeat_from_the_future_on_another_machine_is_none(self, three: list[Run]):
        said = {"state": "running", "host": "elsewhere", "pid": 1, "heartbeat": time.time() + 3600}
        three[0].status_path.write_text(json.dumps(said))
        os.utime(three[0].status_path, (time.time() - 3600,) * 2)
        assert three[0].status()["state"] == "lost"

    def test_the_order_of_the_queue_knows_no_time(self, workspace: Workspace, three: list[Run]):
        enqueue(workspace, three)
        for i, run in enumerate(three):
            status = json.loads(run.status_path.read_text())
            run.status_path.write_text(json.dumps({**status, "created": -i}))
            os.utime(run.path, (i * 1000, 0))
        assert waiting(workspace) == three


SERVER = """
import streamlit as st
from pathlib import Path
from bloodcell.runs.queue import enqueue, waiting
from bloodcell.runs.run import list_runs
from bloodcell.runs.supervisor import wake
from bloodcell.workspace import Workspace

workspace = Workspace(Path({home!r}))
runs = [run for run in list_runs(workspace) if run.status()["state"] == "queued"]
if not waiting(workspace) and len(runs) == 2:
    enqueue(workspace, sorted(runs, key=lambda run: run.id))
    wake(workspace)
st.write("queued")
"""


def visit(port: int) -> None:
    """Open a page of a Streamlit server as a browser does: by a session on its WebSocket."""
    client = pytest.importorskip("websockets.sync.client", reason="Streamlit brings it along")
    from streamlit.proto.BackMsg_pb2 import BackMsg
    from streamlit.proto.ClientState_pb2 import ClientState

    address = f"ws://127.0.0.1:{port}/_stcore/stream"
    with client.connect(address, subprotocols=["streamlit"]) as session:
        session.send(BackMsg(rerun_script=ClientState()).SerializeToString())
        with contextlib.suppress(TimeoutError):
            while True:
                session.recv(timeout=5)


@pytest.mark.nightly
def test_a_killed_server_and_a_killed_supervisor_do_not_concern_the_runs(
    workspace: Workspace, tmp_path: Path
):
    """Two runs are queued from a page; then server and supervisor are killed."""
    first, second = sorted((prepare(workspace, short(e)) for e in (900, 900)), key=lambda r: r.id)
    script = tmp_path / "page.py"
    script.write_text(SERVER.format(home=str(workspace.home)))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = subprocess.Popen(
        [sys.executable, "-m", "streamlit", "run", script, "--server.headless", "true",
         "--server.port", str(port), "--server.address", "127.0.0.1"],
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    try:
        wait_for(lambda: _answers(port))
        visit(port)
        wait_for(lambda: len(first.metrics()) >= 1)
        assert waiting(workspace) == [second]
        # The whole session of the server: nothing that it started may hang on it.
        os.killpg(server.pid, signal.SIGKILL)
        server.wait()
        supervisor = _supervisor(workspace)
        supervisor.kill()
        psutil.wait_procs([supervisor])
        done = len(first.metrics())
        wait_for(lambda: len(first.metrics()) >= done + 2)
        assert first.status()["state"] == "running"
        # Nobody looks at the page any more: the end of the first run makes the second begin.
        cancel(workspace, first)
        wait_for(lambda: first.status()["state"] == "stopped")
        wait_for(lambda: second.status()["state"] == "running")
        assert wake(workspace) is None
        assert waiting(workspace) == []
        # The supervisor ends when nobody waits; the run goes on without it.
        wait_for(lambda: _supervisor(workspace) is None)
        wait_for(lambda: len(second.metrics()) >= 1)
    finally:
        if server.poll() is None:
            os.killpg(server.pid, signal.SIGKILL)
            server.wait()
        for run in (second, first):
            cancel(workspace, run)
        wait_for(lambda: not {first.status()["state"], second.status()["state"]} & set(ACTIVE))


def _answers(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


def _supervisor(workspace: Workspace) -> psutil.Process | None:
    wanted = ["--home", str(workspace.home), "queue", "--supervise"]
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.cmdline()[-4:] == wanted and process.status() != psutil.STATUS_ZOMBIE:
                return process
    return None
