"""Runs as jobs of a Ray cluster, submitted to the Jobs API of its head.

Ray decides when and on which node a job begins; the queue hands over at most `slots` runs at a
time. The API is spoken to over HTTP (docs.ray.io, *Ray Jobs REST API*): Ray's own client would wait
for ever for a head that hangs, and whoever submits needs no Ray.
"""

import contextlib
import json
import os
import re
import secrets
import shlex
import signal
import sys
import urllib.error
import urllib.request
from collections.abc import Collection
from dataclasses import asdict, dataclass
from typing import Any, ClassVar
from urllib.parse import urlsplit

from bloodcell.errors import BadInput, NotFound, Offline
from bloodcell.files import write_json
from bloodcell.locks import changing
from bloodcell.runs.engines.scheduled import (
    MOST_SLOTS,
    Scheduled,
    Seen,
    changed_settings,
    check_line,
    check_numbers,
    read_settings,
)
from bloodcell.runs.process import ROOT
from bloodcell.runs.run import Run
from bloodcell.workspace import Workspace

__all__ = [
    "Ray",
    "RaySettings",
    "change_ray",
    "check_ray",
    "describe_end",
    "parse_job",
    "ray_settings",
]

ANSWER_S = 20.0
GIGABYTE = 2**30
# What `ray start --head` gives.
HERE = "http://127.0.0.1:8265"
CHANGE = "`python -m bloodcell queue --engine ray --set KEY=VALUE`"


@dataclass(frozen=True)
class RaySettings:
    """What a job asks Ray for.

    Attributes:
        address: of the head's dashboard, such as ``http://head:8265``.
        slots: how many runs Ray is given at a time.
        cpus: cores.
        gpus: graphics processors.
        memory: gigabytes that Ray sets aside for it; 0 for none.
        grace: seconds that a job has to save its state once it is stopped in Ray.
        autoscale: Ray starts nodes as they are needed, so that what none has is not refused.
        python: how Python is called on a node; "" for the Python of this process.
        setup: a line of shell before it.
    """

    address: str = HERE
    slots: int = 16
    cpus: int = 2
    gpus: int = 0
    memory: float = 0.0
    grace: int = 60
    autoscale: bool = False
    python: str = ""
    setup: str = ""

    def __post_init__(self):
        limits = {
            "slots": (1, MOST_SLOTS),
            "cpus": (1, 10_000),
            "gpus": (0, 1000),
            "memory": (0, 100_000),
            "grace": (5, 3600),
        }
        check_numbers(self, "Ray", limits, ("memory",))
        for name in ("address", "python", "setup"):
            check_line(self, "Ray", name)
        if not isinstance(self.autoscale, bool):
            raise BadInput(
                f"A Ray job cannot have {self.autoscale!r} for autoscale: expected true or false."
            )
        try:
            parts = urlsplit(self.address)
            sound = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        except ValueError:
            sound = False
        if not sound:
            raise BadInput(
                f"{self.address!r} cannot be the address of a Ray: expected that of its head's "
                f"dashboard, such as {HERE}."
            )


def ray_settings(workspace: Workspace) -> RaySettings:
    """What jobs of this workspace ask for.

    Raises:
        BadInput: ``queue/ray.json`` is damaged.
    """
    return read_settings(RaySettings, workspace.queue / "ray.json")


def change_ray(workspace: Workspace, **changes: Any) -> RaySettings:
    """Change what jobs ask for, if Ray could ever grant it.

    Raises:
        BadInput: there is no such setting, or no node has as much.
        Offline: there is no Ray at the address, or it does not answer.
    """
    path = workspace.queue / "ray.json"
    with changing(path):
        new = changed_settings(ray_settings(workspace), "Ray", ("address",), changes)
        check_ray(new)
        write_json(path, asdict(new))
    return new


def check_ray(settings: RaySettings) -> str:
    """Ask Ray whether a node could carry out such a job; what there is, in words.

    Raises:
        BadInput: no node has as much.
        Offline: there is no Ray at the address, or it does not answer.
    """
    version = _ask(settings, "api/version")
    told = _ask(settings, "api/v0/nodes?detail=true&limit=10000")
    try:
        nodes = [n for n in told["data"]["result"]["result"] if n["state"] == "ALIVE"]
        there = [n.get("resources_total") or {} for n in nodes]
        name = f"Ray {version['ray_version']}"
    except (KeyError, TypeError) as error:
        raise Offline(
            f"What answers at {settings.address} is no Ray: give the address of its head's "
            "dashboard with `python -m bloodcell queue --engine ray --set address=http://…:8265`."
        ) from error
    wanted = {
        "CPU": settings.cpus,
        "GPU": settings.gpus,
        "memory": settings.memory * GIGABYTE,
    }
    fits = any(all(has.get(k, 0) >= n for k, n in wanted.items()) for has in there)
    if not fits and not settings.autoscale:
        most = {k: max((has.get(k, 0) for has in there), default=0) for k in wanted}
        raise BadInput(
            f"None of the {len(there)} nodes of the Ray at {settings.address} has {settings.cpus} "
            f"cores, {settings.gpus} GPUs and {settings.memory:g} GB (the most are "
            f"{most['CPU']:g}, {most['GPU']:g} and {most['memory'] / GIGABYTE:.0f} GB): ask for "
            f"less with {CHANGE}, or set autoscale=true where nodes are started as needed."
        )
    return f"{name} at {settings.address} with {len(there)} {'nodes' if len(there) > 1 else 'node'}"


def _ask(settings: RaySettings, path: str, body: Any = None, method: str = "") -> Any:
    """What the head answers, read from JSON; None where it knows no such thing.

    Raises:
        BadInput: it refuses.
        Offline: it does not answer.
    """
    url = f"{settings.address.rstrip('/')}/{path}"
    headers = {"Content-Type": "application/json"}
    if token := os.environ.get("RAY_AUTH_TOKEN"):
        headers["Authorization"] = f"Bearer {token}"
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, headers, method=method or None)
    try:
        with urllib.request.urlopen(request, timeout=ANSWER_S) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:
        said = _last_line(error.read().decode("utf-8", "replace")) or error.reason
        if error.code == 404:
            return None
        if error.code in (401, 403):
            raise BadInput(
                f"Ray at {settings.address} lets nobody in without its token: set RAY_AUTH_TOKEN."
            ) from error
        if error.code < 500:
            raise BadInput(f"Ray refuses ({said}): change it with {CHANGE}.") from error
        raise Offline(f"Ray at {settings.address} has a fault ({said}).") from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        raise Offline(
            f"No Ray answers at {settings.address} ({reason}): start one with `ray start --head`, "
            "or give the address of its head with "
            "`python -m bloodcell queue --engine ray --set address=http://…:8265`."
        ) from error


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1][:200] if lines else ""


def parse_job(told: dict[str, Any]) -> Seen:
    """Read what the Jobs API tells of a job.

    A job that failed is told apart as EXPIRED (it waited too long for Ray), NODE_FAIL (Ray lost
    what carried it), OUT_OF_MEMORY or FAILED.
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
    if re.search(r"exceeded memory limit|oom[-_ ]kill|out of memory|\bOOM\b", message, re.I):
        return Seen("OUT_OF_MEMORY", "", node, exit_code)
    if kind == "JOB_SUPERVISOR_ACTOR_START_TIMEOUT":
        return Seen("EXPIRED", "", node)
    if kind in ("JOB_SUPERVISOR_ACTOR_DIED", "JOB_SUPERVISOR_ACTOR_UNKNOWN_FAILURE"):
        return Seen("NODE_FAIL", "", node)
    return Seen("FAILED", _last_line(message), node, exit_code)


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
        "SUCCEEDED": ("lost", f"{where} ended without a word: {saved}"),
    }
    return ends.get(seen.state, ("failed", f"{where} ended in Ray as {seen.state}: {saved}"))


class Ray(Scheduled):
    """Jobs of a Ray cluster, or of a Ray that was started on this machine."""

    name: ClassVar[str] = "ray"
    title: ClassVar[str] = "Ray"
    waiting_states: ClassVar[Collection[str]] = ("PENDING",)
    running_states: ClassVar[Collection[str]] = ("RUNNING",)
    cancelled: ClassVar[str] = "STOPPED"

    @property
    def slots(self) -> int:
        return ray_settings(self.workspace).slots

    def change(self, **changes: Any) -> None:
        change_ray(self.workspace, **changes)

    def check(self) -> str:
        return check_ray(ray_settings(self.workspace))

    def is_job(self, text: str) -> bool:
        return bool(re.fullmatch(r"[\w.-]{1,200}", text))

    def _jobs(self) -> list[dict[str, Any]]:
        settings = ray_settings(self.workspace)
        told = _ask(settings, "api/jobs/")
        if not isinstance(told, list) or not all(isinstance(job, dict) for job in told):
            raise Offline(f"What answers at {settings.address} has no list of jobs.")
        return told

    def _mark(self, run: Run) -> dict[str, str]:
        """By which a job is known as that of a run of this workspace."""
        return {"bloodcell_run": run.id, "bloodcell_home": str(self.workspace.home)}

    def jobs_of(self, run: Run) -> dict[str, Seen]:
        mark = self._mark(run).items()
        jobs = [job for job in self._jobs() if mark <= (job.get("metadata") or {}).items()]
        return {str(job["submission_id"]): parse_job(job) for job in jobs}

    def hand_over(self, run: Run) -> str:
        settings = ray_settings(self.workspace)
        words = [str(self.workspace.home), str(run.path.absolute())]
        python = settings.python or shlex.quote(sys.executable)
        command = f"exec {python} -m bloodcell.runs.engines.job {shlex.join(words)}"
        paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
        job = {
            "submission_id": f"{run.id}-{secrets.token_hex(3)}",
            "entrypoint": f"{settings.setup} && {command}" if settings.setup else command,
            "entrypoint_num_cpus": settings.cpus,
            "metadata": self._mark(run),
            "runtime_env": {
                "env_vars": {
                    "PYTHONPATH": os.pathsep.join(paths),
                    # Read by what carries the job out.
                    "RAY_JOB_STOP_WAIT_TIME_S": str(settings.grace),
                }
            },
        }
        job |= {"entrypoint_num_gpus": settings.gpus} if settings.gpus else {}
        if settings.memory:
            job["entrypoint_memory"] = int(settings.memory * GIGABYTE)
        answer = _ask(settings, "api/jobs/", job)
        if not isinstance(answer, dict) or "submission_id" not in answer:
            raise Offline(f"What answers at {settings.address} takes no jobs: {str(answer)[:100]}.")
        return answer["submission_id"]

    def look(self, jobs: Collection[str]) -> dict[str, Seen]:
        told = {str(job.get("submission_id")): job for job in self._jobs()}
        return {job: parse_job(told[job]) for job in jobs if job in told}

    def take_back(self, job: str) -> None:
        settings = ray_settings(self.workspace)
        told = _ask(settings, f"api/jobs/{job}")
        if isinstance(told, dict) and told.get("status") in self.waiting_states:
            _ask(settings, f"api/jobs/{job}/stop", method="POST")

    def kill(self, job: str) -> None:
        # Ray ends what is left of it after the grace.
        _ask(ray_settings(self.workspace), f"api/jobs/{job}/stop", method="POST")

    def describe_end(self, run: Run, job: str, seen: Seen, *, began: bool) -> tuple[str, str]:
        return describe_end(job, seen, began=began)

    def write(self, run: Run, job: str, seen: Seen) -> bool:
        if seen.state == "EXPIRED" and not run.stop_path.exists():
            # Ray gives up on a job that waits for a quarter of an hour; a queue does not.
            with contextlib.suppress(BadInput, NotFound):
                self.note(run, self.hand_over(run))
                return False
        return super().write(run, job, seen)
