"""What the Jobs API of Ray tells, and what a person reads of it in the run."""

import pytest

from bloodcell.errors import BadInput
from bloodcell.runs.engines.ray import RaySettings
from bloodcell.runs.engines.ray_words import describe_end, parse_job
from bloodcell.runs.engines.scheduled import Seen

FAILED = "Job entrypoint command failed with exit code {}, last available logs:\n{}"


@pytest.mark.parametrize(
    ("told", "seen"),
    [
        (
            {"status": "PENDING", "message": "Job has not started yet. It may be waiting."},
            Seen("PENDING", "It may be waiting."),
        ),
        (
            {"status": "RUNNING", "driver_agent_http_address": "http://10.0.0.7:52365"},
            Seen("RUNNING", "", "10.0.0.7"),
        ),
        # As a node tells it whose agent is still starting.
        (
            {"status": "RUNNING", "driver_agent_http_address": "http://10.0.0.7:-1"},
            Seen("RUNNING", "", "10.0.0.7"),
        ),
        (
            {"status": "FAILED", "driver_exit_code": -9, "message": FAILED.format(-9, "epoch 3")},
            Seen("FAILED", "epoch 3", "", "0:9"),
        ),
        (
            {"status": "FAILED", "driver_exit_code": 1, "message": FAILED.format(1, "a\nno b\n")},
            Seen("FAILED", "no b", "", "1:0"),
        ),
        (
            {
                "status": "FAILED",
                "error_type": "JOB_SUPERVISOR_ACTOR_DIED",
                "message": "Job supervisor actor died: Task was killed due to the node running "
                "low on memory (OOM).",
            },
            Seen("OUT_OF_MEMORY"),
        ),
        (
            {
                "status": "FAILED",
                "error_type": "JOB_SUPERVISOR_ACTOR_DIED",
                "message": "Job supervisor actor died: The actor died because its node has died.",
            },
            Seen("NODE_FAIL"),
        ),
        # Killed by hand: what Ray thinks of first is not what it knows.
        (
            {
                "status": "FAILED",
                "error_type": "JOB_SUPERVISOR_ACTOR_DIED",
                "message": "Job supervisor actor died: The actor is dead because its worker "
                "process has died. Worker exit type: SYSTEM_ERROR Worker exit detail: Worker "
                "unexpectedly exits with a connection error code 2. End of file. Some common "
                "causes include: (1) the process was killed by the OOM killer due to high memory "
                "usage, (2) ray stop --force was called, or (3) the worker crashed unexpectedly.",
            },
            Seen("WORKER_FAIL"),
        ),
        (
            {"status": "FAILED", "error_type": "JOB_SUPERVISOR_ACTOR_START_TIMEOUT"},
            Seen("EXPIRED"),
        ),
        ({}, Seen("")),
    ],
)
def test_a_job_of_the_list(told: dict, seen: Seen):
    assert parse_job(told) == seen


@pytest.mark.parametrize(
    ("seen", "began", "state", "words"),
    [
        (Seen("STOPPED"), False, "stopped", "stopped in Ray before it began: queue it again"),
        (Seen("STOPPED"), True, "stopped", "last saved state"),
        (Seen("OUT_OF_MEMORY"), True, "failed", "memory was short"),
        (Seen("NODE_FAIL", node="n3"), True, "failed", "on n3 was lost with its node"),
        (Seen("WORKER_FAIL"), True, "failed", "lost with the process of Ray"),
        (Seen("FAILED", exit_code="0:9"), True, "failed", "ended by signal 9, as the system"),
        (Seen("FAILED", exit_code="143:0"), True, "failed", "ended by signal 15:"),
        (Seen("FAILED", "no b", exit_code="1:0"), True, "failed", "exit code 1 (no b)"),
        (Seen("SUCCEEDED"), True, "lost", "without a word"),
        (Seen(""), True, "lost", "does not know"),
        (Seen("PARKED"), True, "failed", "PARKED"),
    ],
)
def test_each_end_has_its_sentence(seen: Seen, began: bool, state: str, words: str):
    found, sentence = describe_end("a-1", seen, began=began)
    assert found == state
    assert words in sentence
    assert "job a-1" in sentence


@pytest.mark.parametrize(
    "wrong",
    [
        {"cpus": 0}, {"gpus": 0.5}, {"memory": "8"}, {"slots": True}, {"grace": 1},
        {"autoscale": "yes"}, {"shared": 0}, {"setup": "a\nb"}, {"address": "ray://head:10001"},
        {"address": "head:8265"}, {"address": "file:///etc/passwd"}, {"address": 5},
        {"address": "http://head:99999"},
    ],
)  # fmt: skip
def test_settings_are_refused_by_name_before_ray_is_asked(wrong: dict):
    with pytest.raises(BadInput, match=next(iter(wrong))):
        RaySettings(**wrong)
