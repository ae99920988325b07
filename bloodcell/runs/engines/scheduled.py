"""What the engines of clusters share: a scheduler decides when and where a run's job begins.

``job.json`` in the run's folder says what the scheduler said of the job last; only the supervisor
writes it. A job carries the id of its run, so that one that was submitted and not written down is
found again. All jobs are asked after at once.
"""

import contextlib
import time
from collections.abc import Collection
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, ClassVar, Protocol, TypeVar

from bloodcell.errors import BadInput, BloodCellError, NameTaken, NoSpace, NotFound, Offline
from bloodcell.files import read_json, write_json
from bloodcell.runs.engines.engine import Engine
from bloodcell.runs.launch import ask_to_stop
from bloodcell.runs.lock import hold
from bloodcell.runs.run import ACTIVE, Run
from bloodcell.workspace import Workspace

__all__ = [
    "EVERY_S",
    "MOST_SLOTS",
    "Scheduled",
    "Seen",
    "changed_settings",
    "check_line",
    "check_numbers",
    "describe_job",
    "read_settings",
]

MOST_SLOTS = 1000
EVERY_S = 5.0


class Settings(Protocol):
    """What jobs ask for: a frozen dataclass that checks itself."""

    __dataclass_fields__: ClassVar[dict[str, Any]]


Asked = TypeVar("Asked", bound=Settings)


def read_settings(kind: type[Asked], path: Path) -> Asked:
    """What jobs of a workspace ask for; what a later version has added is left out.

    Raises:
        BadInput: the file is damaged.
    """
    if not path.exists():
        return kind()
    found = read_json(path)
    if not isinstance(found, dict):
        raise BadInput(f"{path} holds no settings: delete it to begin with the usual ones again.")
    known = {f.name for f in fields(kind)}
    return kind(**{k: v for k, v in found.items() if k in known})


def changed_settings(now: Asked, title: str, words: Collection[str], changes: dict) -> Asked:
    """Settings with changes.

    Args:
        title: of the scheduler.
        words: the settings that are texts also where they look like numbers.

    Raises:
        BadInput: there is no such setting, or its value cannot be.
    """
    known = [f.name for f in fields(now)]
    if unknown := sorted(set(changes) - set(known)):
        raise BadInput(
            f"A {title} job has no {', '.join(unknown)}: expected some of {', '.join(known)}."
        )
    return replace(now, **{k: str(v) if k in words else v for k, v in changes.items()})


def check_numbers(
    settings: Settings, title: str, limits: dict[str, tuple[float, float]], parts: Collection[str]
) -> None:
    """Raise BadInput if a number is not within its limits.

    Args:
        parts: those that need not be whole.
    """
    for name, (low, high) in limits.items():
        value = getattr(settings, name)
        number = isinstance(value, (int, float) if name in parts else int)
        if isinstance(value, bool) or not number or not low <= value <= high:
            raise BadInput(
                f"A {title} job cannot have {value!r} for {name}: expected a number from {low} "
                f"to {high:,}."
            )


def check_line(settings: Settings, title: str, name: str) -> None:
    """Raise BadInput if a setting is no text of one line."""
    value = getattr(settings, name)
    if not isinstance(value, str) or not value.isprintable():
        raise BadInput(f"{value!r} cannot be the {name} of a {title} job: expected one line.")


@dataclass(frozen=True)
class Seen:
    """What a scheduler says of a job.

    Attributes:
        state: its own word, such as PENDING or OUT_OF_MEMORY; "" if it does not know the job.
        reason: why it waits, or was ended; "" for none.
        node: where it runs or ran.
        exit_code: code:signal; "" while it is not known.
    """

    state: str
    reason: str = ""
    node: str = ""
    exit_code: str = ""


def describe_job(run: Run) -> str:
    """Where a run is at its cluster, as far as that was seen; "" if it is not there."""
    job = read_job(run)
    if job is None:
        return ""
    state, reason, node = (str(job.get(key) or "") for key in ("state", "reason", "node"))
    where = f" on {node}" if node else ""
    why = f" ({reason})" if reason else ""
    words = "waits" if not node and state not in ("RUNNING", "COMPLETING") else state.lower()
    title = str(job.get("engine", "")).capitalize()
    return f"{title} job {job['job']}: {words.replace('_', ' ')}{where}{why}"


def read_job(run: Run, engine: str | None = None) -> dict[str, Any] | None:
    """The job of a run that has not ended as far as is known.

    Args:
        engine: None for whichever has it.
    """
    try:
        found = read_json(run.job_path)
    except (OSError, BadInput):
        return None
    if not isinstance(found, dict) or found.get("ended") is not None:
        return None
    if not isinstance(found.get("job"), str) or not isinstance(found.get("engine"), str):
        return None
    return found if engine in (None, found["engine"]) else None


class Scheduled(Engine):
    """Jobs of a cluster that sees this workspace under the same path, or is sent what it needs.

    An engine says what `waiting_states`, `running_states` and `cancelled` its scheduler has; all
    other states are ends.
    """

    waiting_states: ClassVar[Collection[str]]
    running_states: ClassVar[Collection[str]]
    cancelled: ClassVar[str]

    def __init__(self, workspace: Workspace, every_s: float = EVERY_S):
        super().__init__(workspace)
        self.every_s = every_s
        self._asked = 0.0
        self._given: dict[str, Run] | None = None
        self._missed: dict[str, int] = {}

    @property
    def sends(self) -> bool:
        """Whether nodes see no run's folder: then files are sent to them, and fetched back."""
        return False

    def check_again(self) -> None:
        """Ask, before a job is submitted, whether the scheduler would take it.

        Raises:
            BadInput, Offline: as for :meth:`check`.
        """
        self.check()

    def jobs_of(self, run: Run) -> dict[str, Seen]:
        """The jobs that the scheduler has for a run now, by their ids."""
        raise NotImplementedError

    def hand_over(self, run: Run) -> str:
        """Give the scheduler a job for a run; its id."""
        raise NotImplementedError

    def look(self, jobs: Collection[str]) -> dict[str, Seen]:
        """What the scheduler says of jobs; those that it does not know may be missing."""
        raise NotImplementedError

    def take_back(self, job: str) -> None:
        """Cancel a job if it has not begun."""
        raise NotImplementedError

    def kill(self, job: str) -> None:
        """End a job at once."""
        raise NotImplementedError

    def describe_end(self, run: Run, job: str, seen: Seen, *, began: bool) -> tuple[str, str]:
        """The state of a run whose job has ended without its process saying so, and why."""
        raise NotImplementedError

    def submit(self, run: Run) -> None:
        self.check_again()
        there = self.jobs_of(run)
        if ending := [job for job, seen in there.items() if seen.state in self.running_states]:
            # It may be about to begin once more.
            raise NameTaken(
                f"{self.title} job {ending[0]} of run {run.id} is still ending: wait for it."
            )
        with hold(run):
            run.stop_path.unlink(missing_ok=True)
            status = run.status()
            if status["state"] != "finished":
                status |= {"state": "queued", "reason": "", "pid": None, "launched": time.time()}
                write_json(run.status_path, {**status, "engine": self.name, "host": ""})
        waits = [job for job, seen in there.items() if seen.state in self.waiting_states]
        # Let go of the run before: the job may begin at once.
        try:
            self.note(run, waits[0] if waits else self.hand_over(run))
        except BloodCellError:
            with hold(run):
                gone = ("launched", "engine", "host")
                status = {k: v for k, v in run.status().items() if k not in gone}
                write_json(run.status_path, status)
            raise
        self._open()[run.id] = run

    def note(self, run: Run, job: str) -> None:
        """Write down the job that a run was given."""
        said = {"engine": self.name, "job": job, "submitted": time.time(), "ended": None}
        said |= {"sent": True} if self.sends else {}
        write_json(run.job_path, said | asdict(Seen("PENDING")), run.path)

    def cancel(self, run: Run) -> None:
        ask_to_stop(run)
        if job := self.job_of(run):
            # Only a job that waits: one that runs finds the request and saves its state.
            with contextlib.suppress(BadInput):
                self.take_back(job)

    def end(self, run: Run) -> None:
        if (job := self.job_of(run)) and run.status()["state"] in ACTIVE:
            self.kill(job)

    def given(self) -> list[Run]:
        return list(self._open().values())

    def job_of(self, run: Run) -> str | None:
        """The id of the job of a run that has not ended as far as is known."""
        job = read_job(run, self.name)
        return job["job"] if job and self.is_job(job["job"]) else None

    def is_job(self, text: str) -> bool:
        """Whether this is how the scheduler calls its jobs."""
        raise NotImplementedError

    def _open(self) -> dict[str, Run]:
        if self._given is None:
            runs = [Run(self.workspace.runs / n) for n in self.workspace.names("runs")]
            self._given = {run.id: run for run in runs if self.job_of(run)}
        return self._given

    def watch(self) -> None:
        runs = self._open()
        if runs and time.monotonic() - self._asked >= self.every_s:
            self._asked = time.monotonic()
            # One that does not answer now is asked again: the jobs go on without us.
            with contextlib.suppress(Offline):
                self._look(runs)

    def _look(self, runs: dict[str, Run]) -> None:
        jobs = {run_id: job for run_id, run in runs.items() if (job := self.job_of(run))}
        for run_id in set(runs) - set(jobs):
            del runs[run_id]
        told = self.look(jobs.values()) if jobs else {}
        for run_id, job in jobs.items():
            seen = told.get(job, Seen(""))
            if not seen.state and self._missed.setdefault(run_id, 0) < 1:
                # Once more: it may be between two lists.
                self._missed[run_id] += 1
                continue
            self._missed.pop(run_id, None)
            if self.write(runs[run_id], job, seen):
                del runs[run_id]

    def write(self, run: Run, job: str, seen: Seen) -> bool:
        """Write down what was seen; True if that was the end of the job."""
        ended = seen.state not in (*self.waiting_states, *self.running_states)
        try:
            if ended:
                self._write_end(run, job, seen)
            elif seen.state in self.waiting_states:
                self._wait_again(run, job)
        except (NameTaken, NoSpace):
            # Its process still writes, or nobody can: at the next look.
            return False
        except (NotFound, BadInput, OSError):
            # A run that was deleted or damaged meanwhile.
            return True
        before = read_job(run, self.name) or {}
        now = {**before, **asdict(seen), "ended": time.time() if ended else None}
        if now != before:
            with contextlib.suppress(BloodCellError):
                write_json(run.job_path, now, run.path)
        return ended

    def _write_end(self, run: Run, job: str, seen: Seen) -> None:
        with hold(run, away=True):
            status = run.status()
            by_signal = status.get("signal") and status["state"] == "stopped"
            begins = status["state"] == "queued" and "launched" in status
            silent = begins or status["state"] in (*ACTIVE, "lost")
            if by_signal and seen.state == self.cancelled:
                cancelled = f"job {job} was cancelled in {self.title}; its state was saved before"
                # What does not see the request is told to stop by its scheduler.
                asked = run.stop_asked()
                kept = {k: v for k, v in status.items() if k != "signal" or not asked}
                write_json(run.status_path, {**kept, "reason": asked or cancelled})
            elif silent and status.get("engine") == self.name:
                began = run.metrics_path.exists() or any(run.checkpoint.glob("*.npz"))
                state, reason = self.describe_end(run, job, seen, began=began or not begins)
                ended = {k: v for k, v in status.items() if k != "launched"}
                ended |= {"state": state, "reason": reason, "ended": time.time()}
                write_json(run.status_path, ended)
            run.stop_path.unlink(missing_ok=True)

    def _wait_again(self, run: Run, job: str) -> None:
        """What was put back to begin once more waits, whatever its process said at its end."""
        status = run.status()
        if status.get("engine") != self.name or run.stop_path.exists():
            return
        if status["state"] in ("stopped", "lost") and (
            status["state"] == "lost" or status.get("signal")
        ):
            with hold(run):
                again = {"state": "queued", "launched": time.time(), "pid": None, "host": ""}
                reason = f"{self.title} begins job {job} once more"
                write_json(run.status_path, {**run.status(), **again, "reason": reason})
