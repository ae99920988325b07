"""What Slurm prints, and what a person reads of it in the run."""

from pathlib import Path

import pytest

from bloodcell.errors import BadInput, NoSpace, Offline
from bloodcell.files import read_json, write_json
from bloodcell.runs.engines.scheduled import Seen
from bloodcell.runs.engines.slurm import (
    Slurm,
    SlurmSettings,
    describe_end,
    parse_details,
    parse_squeue,
    slurm_settings,
    with_log,
)
from bloodcell.runs.run import Run
from bloodcell.workspace import Workspace


def test_a_list_of_jobs():
    told = (
        "12|PENDING|Resources|\n"
        "13|RUNNING|None|node[1-2]\n"
        "14_3|PENDING|(Nodes required for job are DOWN)|\n"
        "slurm_load_jobs error\n"
    )
    assert parse_squeue(told) == {
        "12": Seen("PENDING", "Resources", ""),
        "13": Seen("RUNNING", "", "node[1-2]"),
        "14_3": Seen("PENDING", "(Nodes required for job are DOWN)", ""),
    }


def test_one_job_that_has_ended():
    told = (
        "JobId=6 JobName=run UserId=lab(1000) JobState=FAILED Reason=NonZeroExitCode "
        "Dependency=(null) Requeue=1 ExitCode=0:9 ReqNodeList=(null) ExcNodeList=(null) "
        "NodeList=n1 BatchHost=n1"
    )
    assert parse_details(told) == Seen("FAILED", "NonZeroExitCode", "n1", "0:9")


@pytest.mark.parametrize(
    ("seen", "began", "state", "words"),
    [
        (Seen("CANCELLED"), False, "stopped", "cancelled in Slurm before it began"),
        (Seen("CANCELLED"), True, "stopped", "last saved state"),
        (Seen("OUT_OF_MEMORY"), True, "failed", "memory=16"),
        (Seen("TIMEOUT"), True, "failed", "time limit of 240 minutes"),
        (Seen("NODE_FAIL", node="n3"), True, "failed", "on n3 was lost with its node"),
        (Seen("PREEMPTED"), True, "stopped", "make room"),
        (Seen("FAILED", exit_code="0:9"), True, "failed", "ended by signal 9"),
        (Seen("FAILED", exit_code="137:0"), True, "failed", "ended by signal 9"),
        (Seen("FAILED", exit_code="1:0"), True, "failed", "exit code 1"),
        (Seen("COMPLETED"), True, "lost", "without a word"),
        (Seen(""), True, "lost", "does not know"),
        (Seen("LAUNCH_FAILED"), False, "failed", "LAUNCH_FAILED"),
    ],
)
def test_each_end_has_its_sentence(seen: Seen, began: bool, state: str, words: str):
    found, sentence = describe_end("12", seen, SlurmSettings(), began=began)
    assert found == state
    assert words in sentence
    assert "job 12" in sentence


@pytest.mark.parametrize(
    ("log", "state", "reason"),
    [
        (
            "slurmstepd-n1: error: StepId=169.0 exceeded memory limit (504762368 > 213909504)\n"
            "srun: error: n1: task 0: Killed\n",
            "OUT_OF_MEMORY",
            "",
        ),
        ("slurmstepd: error: Detected 1 oom_kill event in StepId=3.0.\n", "OUT_OF_MEMORY", ""),
        (
            "Traceback (most recent call last):\nModuleNotFoundError: No module named 'submitit'\n"
            "srun: error: n1: task 0: Exited with exit code 1\n",
            "FAILED",
            "ModuleNotFoundError: No module named 'submitit'",
        ),
        ("", "FAILED", ""),
    ],
)
def test_what_the_log_of_a_job_says_more(log: str, state: str, reason: str):
    found = with_log(Seen("FAILED", "NonZeroExitCode", exit_code="1:0"), log)
    assert (found.state, found.reason if state == "FAILED" else "") == (state, reason)
    assert with_log(Seen("CANCELLED"), log) == Seen("CANCELLED")
    assert reason in describe_end("1", found, SlurmSettings(), began=False)[1]


@pytest.mark.parametrize(
    "wrong",
    [
        {"minutes": 0}, {"cpus": 1.5}, {"memory": "8"}, {"gpus": -1}, {"slots": True},
        {"partition": "a b"}, {"account": "x;rm"}, {"setup": "a\nb"},
    ],
)  # fmt: skip
def test_settings_are_refused_by_name_before_slurm_is_asked(wrong: dict):
    with pytest.raises(BadInput, match=next(iter(wrong))):
        SlurmSettings(**wrong)


def test_settings_of_a_later_version_are_read_as_far_as_they_are_known(tmp_path):
    workspace = Workspace(tmp_path)
    assert slurm_settings(workspace) == SlurmSettings()
    write_json(workspace.queue / "slurm.json", {"cpus": 4, "colour": "red"})
    assert slurm_settings(workspace).cpus == 4
    (workspace.queue / "slurm.json").write_text("[]")
    with pytest.raises(BadInput, match="no settings"):
        slurm_settings(workspace)


def test_where_the_workspace_is_full_the_end_is_told_once_there_is_room(
    workspace: Workspace, three: list[Run], monkeypatch: pytest.MonkeyPatch
):
    run = three[0]
    said = {"state": "running", "engine": "slurm", "pid": None}
    write_json(run.status_path, {**run.status(), **said})
    write_json(run.job_path, {"engine": "slurm", "job": "12", "ended": None})
    # Neither its status nor the log of its job had room.
    run.log_path.write_text("2026-11-30T09:00:00+00:00 failed: next.npz: the disk is full\n")
    ended = Seen("FAILED", "NonZeroExitCode", exit_code="1:0")

    def full(path: Path, *given) -> None:
        raise NoSpace(f"{path} could not be written because the disk is full")

    with monkeypatch.context() as now:
        now.setattr("bloodcell.runs.engines.scheduled.write_json", full)
        assert not Slurm(workspace).write(run, "12", ended)
    assert Slurm(workspace).write(run, "12", ended)
    status = run.status()
    assert (status["state"], "the disk is full" in status["reason"]) == ("failed", True)
    assert read_json(run.job_path)["ended"]


def test_a_controller_that_goes_between_question_and_submission_refuses_nothing(
    workspace: Workspace, three: list[Run], monkeypatch: pytest.MonkeyPatch
):
    submitit = pytest.importorskip("submitit")

    def submit(*given) -> None:
        raise submitit.core.utils.FailedJobError(said)

    monkeypatch.setattr(submitit.SlurmExecutor, "__init__", lambda *given, **more: None)
    monkeypatch.setattr(submitit.SlurmExecutor, "update_parameters", lambda *given, **more: None)
    monkeypatch.setattr(submitit.SlurmExecutor, "submit", submit)
    said = "sbatch: error: Batch job submission failed: Unable to contact slurm controller"
    with pytest.raises(Offline, match="does not answer"):
        Slurm(workspace).hand_over(three[0])
    said = "sbatch: error: Batch job submission failed: Invalid qos"
    with pytest.raises(BadInput, match="Invalid qos"):
        Slurm(workspace).hand_over(three[0])
