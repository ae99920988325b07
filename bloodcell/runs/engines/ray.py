"""Runs as jobs of a Ray cluster, submitted to the Jobs API of its head.

Ray decides when and on which node a job begins; the queue hands over at most `slots` runs at a
time. The API is spoken to over HTTP (docs.ray.io, *Ray Jobs REST API*): Ray's own client would wait
for ever for a head that hangs, and whoever submits needs no Ray.

Where the nodes do not see the workspace (`shared` is false), a job is sent what it needs, and what
it writes is fetched at each look: see :mod:`bloodcell.runs.engines.ray_load` and `ray_fetch`.
"""

import contextlib
import os
import re
import secrets
import shlex
import sys
from collections.abc import Collection
from dataclasses import asdict, dataclass, replace
from typing import Any, ClassVar
from urllib.parse import urlsplit

from bloodcell.errors import BadInput, BloodCellError, NotFound, Offline
from bloodcell.files import write_json
from bloodcell.locks import changing
from bloodcell.runs.engines.ray_fetch import fetch_run
from bloodcell.runs.engines.ray_head import CHANGE, HERE, Head
from bloodcell.runs.engines.ray_load import load_of
from bloodcell.runs.engines.ray_packages import send
from bloodcell.runs.engines.ray_words import describe_end, parse_job
from bloodcell.runs.engines.scheduled import (
    EVERY_S,
    MOST_SLOTS,
    Scheduled,
    Seen,
    changed_settings,
    check_line,
    check_numbers,
    read_settings,
)
from bloodcell.runs.launch import ask_to_stop
from bloodcell.runs.process import ROOT
from bloodcell.runs.run import Run
from bloodcell.runs.tracker import LiveTrackers
from bloodcell.workspace import Workspace

__all__ = [
    "Ray",
    "RaySettings",
    "change_ray",
    "check_ray",
    "ray_settings",
]

GIGABYTE = 2**30
RUNNING = "RUNNING"


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
        shared: the nodes see the workspace under the same path; else files are sent and fetched.
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
    shared: bool = True
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
        for name in ("autoscale", "shared"):
            if not isinstance(value := getattr(self, name), bool):
                raise BadInput(
                    f"A Ray job cannot have {value!r} for {name}: expected true or false."
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
    head = Head(settings.address)
    version = head.ask("api/version")
    there = [node.get("resources_total") or {} for node in head.nodes()]
    name = f"Ray {version['ray_version']}" if isinstance(version, dict) else "Ray"
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
    sent = "" if settings.shared else ", which files are sent to and fetched from"
    nodes = "nodes" if len(there) > 1 else "node"
    return f"{name} at {settings.address} with {len(there)} {nodes}{sent}"


class Ray(Scheduled):
    """Jobs of a Ray cluster, or of a Ray that was started on this machine."""

    name: ClassVar[str] = "ray"
    title: ClassVar[str] = "Ray"
    waiting_states: ClassVar[Collection[str]] = ("PENDING",)
    running_states: ClassVar[Collection[str]] = (RUNNING,)
    cancelled: ClassVar[str] = "STOPPED"
    prepares: ClassVar[bool] = True

    def __init__(self, workspace: Workspace, every_s: float = EVERY_S):
        super().__init__(workspace, every_s)
        # Ray's ids of the nodes that have jobs, and jobs whose nodes went with what they wrote.
        self._nodes: dict[str, str] = {}
        self._gone: set[str] = set()
        self._trackers: dict[str, LiveTrackers] = {}

    @property
    def slots(self) -> int:
        return ray_settings(self.workspace).slots

    @property
    def sends(self) -> bool:
        return not ray_settings(self.workspace).shared

    @property
    def _head(self) -> Head:
        return Head(ray_settings(self.workspace).address)

    def change(self, **changes: Any) -> None:
        change_ray(self.workspace, **changes)

    def check(self) -> str:
        return check_ray(ray_settings(self.workspace))

    def is_job(self, text: str) -> bool:
        return bool(re.fullmatch(r"[\w.-]{1,200}", text))

    def _jobs(self) -> list[dict[str, Any]]:
        head = self._head
        told = head.ask("api/jobs/")
        if not isinstance(told, list) or not all(isinstance(job, dict) for job in told):
            raise Offline(f"What answers at {head.address} has no list of jobs.")
        return told

    def _mark(self, run: Run) -> dict[str, str]:
        """By which a job is known as that of a run of this workspace."""
        return {"bloodcell_run": run.id, "bloodcell_home": str(self.workspace.home)}

    def jobs_of(self, run: Run) -> dict[str, Seen]:
        mark = self._mark(run).items()
        jobs = [job for job in self._jobs() if mark <= (job.get("metadata") or {}).items()]
        return {str(job["submission_id"]): parse_job(job) for job in jobs}

    def prepare(self, run: Run) -> None:
        # Up to gigabytes, the first time: `hand_over` finds that Ray has them.
        if self.sends:
            send(self._head, load_of(self.workspace, run).packages)

    def hand_over(self, run: Run) -> str:
        settings, head = ray_settings(self.workspace), self._head
        python = settings.python or shlex.quote(sys.executable)
        job = f"{run.id}-{secrets.token_hex(3)}"
        # Read by what carries the job out.
        variables = {"RAY_JOB_STOP_WAIT_TIME_S": str(settings.grace)}
        environment: dict[str, Any] = {"env_vars": variables}
        if settings.shared:
            module, words = "job", [str(self.workspace.home), str(run.path.absolute())]
            paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
            variables["PYTHONPATH"] = os.pathsep.join(paths)
        else:
            load = load_of(self.workspace, run)
            send(head, load.packages)
            module, words = "ray_job", [job, load.plan.name]
            environment["working_dir"] = load.program.address
            environment["py_modules"] = [p.address for p in (*load.files, load.plan)]
        command = f"exec {python} -m bloodcell.runs.engines.{module} {shlex.join(words)}"
        asked = {
            "submission_id": job,
            "entrypoint": f"{settings.setup} && {command}" if settings.setup else command,
            "entrypoint_num_cpus": settings.cpus,
            "metadata": self._mark(run),
            "runtime_env": environment,
        }
        asked |= {"entrypoint_num_gpus": settings.gpus} if settings.gpus else {}
        if settings.memory:
            asked["entrypoint_memory"] = int(settings.memory * GIGABYTE)
        if not settings.shared:
            return self._announced(head, run, asked)
        answer = head.ask("api/jobs/", asked)
        if not isinstance(answer, dict) or "submission_id" not in answer:
            raise Offline(f"What answers at {settings.address} takes no jobs: {str(answer)[:100]}.")
        return answer["submission_id"]

    def _announced(self, head: Head, run: Run, asked: dict[str, Any]) -> str:
        """Submit a job that is written down beforehand: nothing but that tells of one that runs."""
        job = asked["submission_id"]
        self.note(run, job)
        try:
            head.ask("api/jobs/", asked)
        except Offline:
            # It may be there all the same; if Ray turns out not to know it, it is given again.
            pass
        except BaseException:
            run.job_path.unlink(missing_ok=True)
            raise
        return job

    def look(self, jobs: Collection[str]) -> dict[str, Seen]:
        told = {str(job.get("submission_id")): job for job in self._jobs()}
        found = {job: told[job] for job in jobs if job in told}
        self._nodes |= {j: str(n) for j, job in found.items() if (n := job.get("driver_node_id"))}
        return {job: parse_job(told) for job, told in found.items()}

    def take_back(self, job: str) -> None:
        head = self._head
        told = head.ask(f"api/jobs/{job}")
        if isinstance(told, dict) and told.get("status") in self.waiting_states:
            self.kill(job)

    def kill(self, job: str) -> None:
        # Ray ends what is left of it after the grace.
        self._head.ask(f"api/jobs/{job}/stop", method="POST")

    def cancel(self, run: Run) -> None:
        if not run.is_away():
            super().cancel(run)
            return
        ask_to_stop(run)
        if job := self.job_of(run):
            # It does not see the request. Where Ray does not hear of it now, it will at a look.
            with contextlib.suppress(BloodCellError):
                self.kill(job)

    def end(self, run: Run) -> None:
        try:
            super().end(run)
        except Offline as error:
            if not run.is_away():
                raise
            raise Offline(
                f"{str(error).rstrip('.')}; if that Ray is gone for good, remove {run.job_path}, "
                "and resume the run from what was fetched last."
            ) from error

    def describe_end(self, run: Run, job: str, seen: Seen, *, began: bool) -> tuple[str, str]:
        state, reason = describe_end(job, seen, began=began)
        if job in self._gone and seen.state != "NODE_FAIL":
            return "lost", (
                f"job {job} has ended, and its node went before its last files were fetched: "
                "resume it from what was"
            )
        return state, reason

    def write(self, run: Run, job: str, seen: Seen) -> bool:
        ended = seen.state not in (*self.waiting_states, *self.running_states)
        try:
            if self._never_began(run, job, seen):
                with contextlib.suppress(BadInput, NotFound):
                    self.note(run, self.hand_over(run))
                    return False
            elif run.is_away():
                self._bring(run, job, seen, ended=ended)
        except (BloodCellError, OSError) as error:
            # Nothing is over before its files are here, or while it can be given again.
            if ended:
                seen = replace(seen, state=RUNNING, reason=f"it has ended, and {error}")
        return super().write(run, job, seen)

    def _never_began(self, run: Run, job: str, seen: Seen) -> bool:
        """Whether Ray lost a job that waited, which is given to it again."""
        if run.stop_path.exists():
            return False
        # It gives up on one that waits for a quarter of an hour; a queue does not.
        if seen.state == "EXPIRED":
            return True
        unknown = not seen.state and job not in self._nodes
        return unknown and run.is_away() and run.status()["state"] == "queued"

    def _bring(self, run: Run, job: str, seen: Seen, *, ended: bool) -> None:
        """Fetch what a job has written on its node, and pass a request to stop on to it."""
        if not ended and run.stop_path.exists():
            self.kill(job)
        if (node := self._nodes.get(job)) is None:
            return
        head = self._head
        try:
            brought = fetch_run(head, node, job, run)
        except Offline:
            if ended and node not in {str(n.get("node_id")) for n in head.nodes()}:
                self._gone.add(job)
                return
            raise
        # On the node there is nothing that shows its metrics elsewhere; what is wrong with that is
        # no reason for a run not to end.
        with contextlib.suppress(BloodCellError, OSError):
            if brought or ended:
                if run.id not in self._trackers:
                    self._trackers[run.id] = LiveTrackers(run, _log)
                self._trackers[run.id].update(run.metrics())
            if ended:
                self._trackers.pop(run.id).close(run.status()["state"])


def _log(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
