"""Runs that wait: their order, and what can be done with them while they do."""

import json
import os
import platform
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st

from bloodcell.errors import BadInput, NameTaken
from bloodcell.runs.lock import hold
from bloodcell.runs.process import this_process
from bloodcell.runs.queue import (
    cancel,
    change_settings,
    edit,
    engaged,
    enqueue,
    move,
    queue_lock,
    read_order,
    settings,
    waiting,
)
from bloodcell.runs.run import Run
from bloodcell.workspace import Workspace


def ids(runs: list[Run]) -> list[str]:
    return [run.id for run in runs]


def say(run: Run, **status) -> None:
    run.status_path.write_text(json.dumps({"state": "queued", "reason": "", **status}))


class TestOrder:
    def test_a_run_that_was_only_made_does_not_wait(self, workspace: Workspace, three: list[Run]):
        assert waiting(workspace) == []

    def test_first_come_first_served(self, workspace: Workspace, three: list[Run]):
        enqueue(workspace, three[:2])
        enqueue(workspace, three[2:])
        assert ids(waiting(workspace)) == ids(three)

    def test_or_before_all_others(self, workspace: Workspace, three: list[Run]):
        enqueue(workspace, three[:2])
        enqueue(workspace, three[2:], first=True)
        assert ids(waiting(workspace)) == ids([three[2], *three[:2]])

    def test_queued_twice_it_waits_once(self, workspace: Workspace, three: list[Run]):
        enqueue(workspace, three)
        enqueue(workspace, three[:1])
        assert ids(waiting(workspace)) == ids([*three[1:], three[0]])

    @given(steps=st.lists(st.tuples(st.integers(0, 2), st.integers(1, 5)), max_size=6))
    @examples(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
    def test_moved_it_has_the_place_asked_for_and_nobody_is_lost(
        self, workspace: Workspace, three: list[Run], steps: list[tuple[int, int]]
    ):
        enqueue(workspace, three)
        for which, place in steps:
            rest = [i for i in ids(waiting(workspace)) if i != three[which].id]
            move(workspace, three[which], place)
            now = ids(waiting(workspace))
            assert now.index(three[which].id) == min(place, 3) - 1
            assert [i for i in now if i != three[which].id] == rest

    def test_only_one_that_waits_can_be_moved(self, workspace: Workspace, three: list[Run]):
        with pytest.raises(BadInput, match="does not wait"):
            move(workspace, three[0], 1)
        enqueue(workspace, three)
        with pytest.raises(BadInput, match="place 0"):
            move(workspace, three[0], 0)

    def test_what_is_gone_or_damaged_leaves_no_gap(self, workspace: Workspace, three: list[Run]):
        enqueue(workspace, three)
        os.rename(three[0].path, workspace.home / "away")
        three[1].status_path.write_text("{")
        assert ids(waiting(workspace)) == [three[2].id]

    def test_a_damaged_order_is_a_sentence(self, workspace: Workspace, three: list[Run]):
        enqueue(workspace, three)
        (workspace.queue / "order.json").write_text('{"a": 1}')
        with pytest.raises(BadInput, match=r"order\.json is no list of runs"):
            waiting(workspace)

    def test_two_that_queue_at_once_lose_nothing(self, workspace: Workspace, three: list[Run]):
        code = (
            "import sys; from pathlib import Path; from bloodcell.runs.queue import enqueue\n"
            "from bloodcell.runs.run import Run; from bloodcell.workspace import Workspace\n"
            "enqueue(Workspace(Path(sys.argv[1])), [Run(Path(sys.argv[2]))])"
        )
        processes = [
            subprocess.Popen(
                [sys.executable, "-c", code, workspace.home, run.path],
                cwd=Path(__file__).parents[2],
            )
            for run in three
        ]
        assert [p.wait() for p in processes] == [0, 0, 0]
        assert sorted(ids(waiting(workspace))) == sorted(ids(three))


class TestWhoMayWait:
    @pytest.mark.parametrize("state", ["stopped", "failed"])
    def test_what_ended_early_may_be_continued(
        self, workspace: Workspace, three: list[Run], state: str
    ):
        say(three[0], state=state, reason="x", launched=0, epoch=1)
        three[0].stop_path.touch()
        enqueue(workspace, three[:1])
        status = three[0].status()
        assert (status["state"], status["reason"], status["epoch"]) == ("queued", "", 1)
        assert not three[0].stop_path.exists()

    def test_what_is_finished_may_not(self, workspace: Workspace, three: list[Run]):
        say(three[1], state="finished")
        with pytest.raises(BadInput, match="is finished: continue it for more epochs"):
            enqueue(workspace, three)
        assert waiting(workspace) == [], "all of them wait, or none"

    def test_what_is_carried_out_may_not(self, workspace: Workspace, three: list[Run]):
        with hold(three[0]), pytest.raises(NameTaken, match="by another process"):
            enqueue(workspace, three[:1])

    def test_what_lies_elsewhere_may_not(
        self, workspace: Workspace, three: list[Run], tmp_path: Path
    ):
        os.rename(three[0].path, tmp_path / three[0].id)
        with pytest.raises(BadInput, match="move the run there"):
            enqueue(workspace, [Run(tmp_path / three[0].id)])


class TestCancel:
    def test_it_waits_no_more_and_can_be_queued_again(self, workspace: Workspace, three: list[Run]):
        enqueue(workspace, three)
        assert cancel(workspace, three[1]) == "stopped"
        assert ids(waiting(workspace)) == ids([three[0], three[2]])
        assert read_order(workspace) == ids([three[0], three[2]])
        enqueue(workspace, [three[1]])
        assert ids(waiting(workspace))[-1] == three[1].id

    def test_one_that_runs_is_asked_to_stop(self, workspace: Workspace, three: list[Run]):
        say(three[0], state="running", **this_process())
        assert cancel(workspace, three[0]) == "stopping"
        assert three[0].stop_path.exists()

    def test_one_from_another_machine_is_asked_by_its_folder_and_no_process_is_touched(
        self, workspace: Workspace, three: list[Run]
    ):
        innocent = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
        say(
            three[0], state="running", host="elsewhere", pid=innocent.pid, heartbeat=time.time(),
            process_started=psutil.Process(innocent.pid).create_time(),
        )  # fmt: skip
        assert cancel(workspace, three[0]) == "stopping"
        assert innocent.poll() is None
        innocent.communicate(b"\n")
        assert innocent.returncode == 0


class TestEdit:
    def test_its_config_changes_and_its_place_does_not(
        self, workspace: Workspace, three: list[Run]
    ):
        enqueue(workspace, three)
        record = three[1].record()
        assert edit(workspace, three[1], epochs=9, backbone="mobilenetv2").epochs == 9
        assert three[1].config().epochs == 9
        assert three[1].config().backbone == "mobilenetv2"
        assert three[1].record()["dataset_fingerprint"] == record["dataset_fingerprint"]
        assert ids(waiting(workspace)) == ids(three)

    def test_the_policy_stays_what_it_was_unless_another_is_named(
        self, workspace: Workspace, three: list[Run]
    ):
        before = three[0].record()["policy"]
        edit(workspace, three[0], epochs=3)
        assert three[0].record()["policy"] == before
        edit(workspace, three[0], policy="none")
        assert three[0].record()["policy"] != before

    @pytest.mark.parametrize(
        ("change", "words"),
        [({"epochs": 0}, "epochs"), ({"epoch": 3}, "no epoch"), ({"dataset": "gone"}, "gone")],
    )
    def test_a_change_that_cannot_be_leaves_all_as_it_was(
        self, workspace: Workspace, three: list[Run], change: dict, words: str
    ):
        before = three[0].config_path.read_bytes()
        with pytest.raises(Exception, match=words):
            edit(workspace, three[0], **change)
        assert three[0].config_path.read_bytes() == before

    def test_not_while_it_is_started(self, workspace: Workspace, three: list[Run]):
        say(three[0], launched=time.time())
        with pytest.raises(BadInput, match="has begun"):
            edit(workspace, three[0], epochs=3)
        say(three[1])
        with hold(three[1]), pytest.raises(NameTaken):
            edit(workspace, three[1], epochs=3)

    def test_not_when_it_has_learned_something(self, workspace: Workspace, three: list[Run]):
        (three[0].checkpoint / "state.npz").write_bytes(b"x")
        with pytest.raises(BadInput, match="duplicate it with changes"):
            edit(workspace, three[0], epochs=3)


class TestPlaces:
    def test_there_is_one_unless_somebody_says_otherwise(self, workspace: Workspace):
        assert settings(workspace).slots == 1
        assert change_settings(workspace, slots=3).slots == 3
        assert settings(workspace).slots == 3

    @pytest.mark.parametrize("slots", [0, -1, 65, 1.5, True, "2"])
    def test_a_number_that_makes_no_sense_is_refused(self, workspace: Workspace, slots):
        with pytest.raises(BadInput, match="1 to 64"):
            change_settings(workspace, slots=slots)

    def test_an_engine_that_is_not_there_is_refused(self, workspace: Workspace):
        with pytest.raises(BadInput, match="expected one of local"):
            change_settings(workspace, engine="cluster")

    def test_taken_by_what_runs_here_or_is_being_started(
        self, workspace: Workspace, three: list[Run]
    ):
        say(three[0], state="running", **this_process())
        say(three[1], launched=time.time(), host=platform.node())
        assert ids(engaged(workspace, "local")) == sorted(ids(three[:2]))

    def test_not_by_what_runs_elsewhere_or_is_lost(self, workspace: Workspace, three: list[Run]):
        say(three[0], state="running", host="elsewhere", pid=1, heartbeat=time.time())
        say(three[1], state="running", **{**this_process(), "process_mark": "another boot:1"})
        say(three[2], launched=time.time() + 3600, host=platform.node())
        assert engaged(workspace, "local") == []


def test_who_holds_the_queue_for_too_long_is_named(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("bloodcell.runs.queue.WAIT_S", 0.1)
    with queue_lock(workspace), pytest.raises(NameTaken, match="repeat in a moment"):
        change_settings(workspace, slots=2)
