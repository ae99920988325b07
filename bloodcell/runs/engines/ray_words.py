"""What Ray says of a job, and what a person reads of it in the run."""

import re
import signal
from typing import Any
from urllib.parse import urlsplit

from bloodcell.runs.engines.ray_head import last_line
from bloodcell.runs.engines.scheduled import Seen

__all__ = ["describe_end", "parse_job"]


def parse_job(told: dict[str, Any]) -> Seen:
    """Read what the Jobs API tells of a job.

    A job that failed is told apart as EXPIRED (it waited too long for Ray), NODE_FAIL or
    WORKER_FAIL (Ray lost what carried it), OUT_OF_MEMORY or FAILED.
    """
    state, message = str(told.get("status") or ""), str(told.get("message") or "")
    kind, code = str(told.get("error_type") or ""), told.get("driver_exit_code")
    agent = urlsplit(str(told.get("driver_agent_http_address") or ""))
    node = agent.netloc.rpartition(":")[0]
    if state == "PENDING":
        return Seen(state, message.removeprefix("Job has not started yet.").strip()[:200])
    if state != "FAILED":
        return Seen(state, "", node)
    exit_code = "" if code is None else f"0:{-code}" if code < 0 else f"{code}:0"
    # What follows is a list of what it might have been, lack of memory among it.
    known = re.split(r"Some common causes|There are some potential root causes", message)[0]
    if re.search(r"exceeded memory limit|oom[-_ ]kill|out of memory|\bOOM\b", known, re.I):
        return Seen("OUT_OF_MEMORY", "", node, exit_code)
    if kind == "JOB_SUPERVISOR_ACTOR_START_TIMEOUT":
        return Seen("EXPIRED", "", node)
    if kind in ("JOB_SUPERVISOR_ACTOR_DIED", "JOB_SUPERVISOR_ACTOR_UNKNOWN_FAILURE"):
        state = "WORKER_FAIL" if "its worker process has died" in known else "NODE_FAIL"
        return Seen(state, "", node)
    return Seen("FAILED", last_line(message), node, exit_code)


def describe_end(job: str, seen: Seen, *, began: bool) -> tuple[str, str]:
    """The state of a run whose job has ended without its process saying so, and why.

    Args:
        job: its id.
        began: whether its process ever spoke up.
    """
    where = f"job {job}" + (f" on {seen.node}" if seen.node else "")
    saved = "resume it from its last saved state" if began else "queue it again"
    code, _, number = seen.exit_code.partition(":")
    if code.isdigit() and int(code) > 128:
        # As a shell says it of its children.
        number = str(int(code) - 128)
    if seen.state == "FAILED" and number not in ("", "0"):
        why = ""
        if int(number) == signal.SIGKILL:
            why = ", as the system does where memory is short"
        return "failed", f"{where} was ended by signal {number}{why}: {saved}"
    said = f" ({seen.reason})" if seen.reason else ""
    before = "" if began else " before it began"
    ends = {
        "": ("lost", f"Ray does not know {where} any more: {saved}"),
        "EXPIRED": ("stopped", f"{where} found no free node in time: {saved}"),
        "FAILED": ("failed", f"{where} ended with exit code {code or '?'}{said}"),
        "NODE_FAIL": ("failed", f"{where} was lost with its node: {saved}"),
        "OUT_OF_MEMORY": (
            "failed",
            f"{where} was ended as memory was short: have Ray set more aside with "
            f"`python -m bloodcell queue --engine ray --set memory=8`, then {saved}",
        ),
        "STOPPED": ("stopped", f"{where} was stopped in Ray{before}: {saved}"),
        "WORKER_FAIL": (
            "failed",
            f"{where} was lost with the process of Ray that watched over it: {saved}",
        ),
        "SUCCEEDED": ("lost", f"{where} ended without a word: {saved}"),
    }
    return ends.get(seen.state, ("failed", f"{where} ended in Ray as {seen.state}: {saved}"))
