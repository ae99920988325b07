"""Runs as jobs of a Slurm cluster, submitted by submitit.

Slurm decides when and where a job runs; the queue hands over at most `slots` runs at a time. A job
has the name of its run, so that one that was submitted and not written down is found again.
``job.json`` in the run's folder says what Slurm said of it last; only the supervisor writes it.
What submitit keeps (the script, the log of the job) lies in the run's ``slurm/``.

The tools of Slurm are asked in the way that works without accounting, for all jobs at once.
"""

import contextlib
import getpass
import importlib.util
import re
import shutil
import subprocess
import time
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, ClassVar

from bloodcell.errors import BadInput, BloodCellError, NameTaken, NotFound, Offline
from bloodcell.files import read_json, write_json
from bloodcell.locks import changing
from bloodcell.runs.engines.engine import Engine
from bloodcell.runs.launch import ask_to_stop
from bloodcell.runs.lock import hold
from bloodcell.runs.run import ACTIVE, Run
from bloodcell.workspace import Workspace

__all__ = [
    "MOST_SLOTS",
    "Seen",
    "Slurm",
    "SlurmSettings",
    "change_slurm",
    "describe_end",
    "describe_job",
    "parse_details",
    "parse_squeue",
    "slurm_settings",
    "with_log",
]

MOST_SLOTS = 1000
COMMAND_S = 20.0
EVERY_S = 5.0
LOG_BYTES = 4096
# Jobs that have begun, or may begin; all other states are ends.
WAITING = ("PENDING", "REQUEUED", "REQUEUE_HOLD", "REQUEUE_FED", "SPECIAL_EXIT", "RESV_DEL_HOLD")
RUNNING = (
    "RUNNING", "COMPLETING", "CONFIGURING", "SUSPENDED", "SIGNALING", "STAGE_OUT", "STOPPED",
    "RESIZING",
)  # fmt: skip
_WORD = re.compile(r"[A-Za-z0-9_.,:@+-]{0,100}")


@dataclass(frozen=True)
class SlurmSettings:
    """What a job asks Slurm for.

    Attributes:
        slots: how many runs Slurm is given at a time.
        partition, account, qos: as the cluster calls them; "" for its own choice.
        minutes: of the time limit; a run that needs more goes back and continues.
        memory: gigabytes.
        cpus: cores.
        gpus: graphics processors.
        grace: seconds before the time limit at which a run is told to save its state.
        python: how Python is called on a node, with a container before it if there is one; "" for
            the Python of this process.
        setup: a line of shell before it, such as ``module load cuda``.
    """

    slots: int = 16
    partition: str = ""
    account: str = ""
    qos: str = ""
    minutes: int = 240
    memory: float = 8.0
    cpus: int = 2
    gpus: int = 0
    grace: int = 120
    python: str = ""
    setup: str = ""

    def __post_init__(self):
        for name, low, high in (
            ("slots", 1, MOST_SLOTS),
            ("minutes", 1, 60 * 24 * 60),
            ("memory", 0.1, 100_000),
            ("cpus", 1, 10_000),
            ("gpus", 0, 1000),
            ("grace", 5, 24 * 3600),
        ):
            value = getattr(self, name)
            kinds = (int, float) if name == "memory" else int
            number = isinstance(value, kinds) and not isinstance(value, bool)
            if not number or not low <= value <= high:
                raise BadInput(
                    f"A Slurm job cannot have {value!r} for {name}: expected a number from {low} "
                    f"to {high:,}."
                )
        for name in ("partition", "account", "qos"):
            value = getattr(self, name)
            if not isinstance(value, str) or not _WORD.fullmatch(value):
                raise BadInput(
                    f"{value!r} cannot be the {name} of a Slurm job: expected its name as "
                    "`sinfo` or `sacctmgr` show it."
                )
        for name in ("python", "setup"):
            value = getattr(self, name)
            if not isinstance(value, str) or not value.isprintable():
                raise BadInput(f"{value!r} cannot be the {name} of a Slurm job: expected one line.")


def slurm_settings(workspace: Workspace) -> SlurmSettings:
    """What jobs of this workspace ask for.

    Raises:
        BadInput: ``queue/slurm.json`` is damaged.
    """
    path = workspace.queue / "slurm.json"
    if not path.exists():
        return SlurmSettings()
    found = read_json(path)
    if not isinstance(found, dict):
        raise BadInput(f"{path} holds no settings: delete it to begin with the usual ones again.")
    known = {f.name for f in fields(SlurmSettings)}
    return SlurmSettings(**{k: v for k, v in found.items() if k in known})


def change_slurm(workspace: Workspace, **changes: Any) -> SlurmSettings:
    """Change what jobs ask for, if Slurm could ever grant it.

    Raises:
        BadInput: there is no such setting, or Slurm refuses a job with it.
        Offline: there is no Slurm here, or it does not answer.
    """
    known = [f.name for f in fields(SlurmSettings)]
    if unknown := sorted(set(changes) - set(known)):
        raise BadInput(
            f"A Slurm job has no {', '.join(unknown)}: expected some of {', '.join(known)}."
        )
    # Names of accounts may look like numbers.
    words = ("partition", "account", "qos")
    changes = {k: str(v) if k in words else v for k, v in changes.items()}
    path = workspace.queue / "slurm.json"
    with changing(path):
        new = replace(slurm_settings(workspace), **changes)
        check_slurm(new)
        write_json(path, asdict(new))
    return new


def check_slurm(settings: SlurmSettings) -> str:
    """Ask Slurm whether it would take such a job, without submitting one; what it answered.

    Raises:
        BadInput: submitit is missing, or Slurm would never begin such a job.
        Offline: there is no Slurm here, or it does not answer.
    """
    if importlib.util.find_spec("submitit") is None:
        raise BadInput(
            "Jobs for Slurm need the library submitit: install it with "
            "`pip install -r requirements-cluster.txt`."
        )
    words = ["sbatch", "--test-only", "--job-name=check", *_requested(settings)]
    return _ask([*words, "--wrap", "true"]).strip()


def _requested(settings: SlurmSettings) -> list[str]:
    found = [
        f"--time={settings.minutes}",
        f"--mem={max(int(settings.memory * 1024), 1)}M",
        f"--cpus-per-task={settings.cpus}",
    ]
    found += [
        f"--{name}={value}"
        for name in ("partition", "account", "qos")
        if (value := getattr(settings, name))
    ]
    return found + ([f"--gpus-per-node={settings.gpus}"] if settings.gpus else [])


def _ask(words: list[str]) -> str:
    """What a tool of Slurm prints.

    Raises:
        BadInput: it refuses.
        Offline: it is not there, or its controller does not answer.
    """
    if shutil.which(words[0]) is None:
        raise Offline(
            f"There is no {words[0]} on this machine: submit to Slurm from one where its tools "
            "are, such as the login node, or choose `python -m bloodcell queue --engine local`."
        )
    try:
        done = subprocess.run(
            words,
            check=False,
            capture_output=True,
            text=True,
            timeout=COMMAND_S,
            errors="replace",
        )
    except subprocess.TimeoutExpired as error:
        raise Offline(
            f"Slurm does not answer ({words[0]} took more than {COMMAND_S:.0f} s): see whether "
            "its controller runs with `scontrol ping`."
        ) from error
    if done.returncode == 0:
        # With --test-only the answer is on the other stream.
        return done.stdout or done.stderr
    said = " ".join(
        re.sub(r"^\w+: (error: )?|allocation failure: ", "", line).strip()
        for line in done.stderr.splitlines()
    )
    if re.search(r"[Uu]nable to contact|Connection refused|timed out|[Cc]onnect failure", said):
        raise Offline(
            f"Slurm does not answer ({said}): see whether its controller runs with `scontrol ping`."
        )
    raise BadInput(
        f"Slurm refuses ({words[0]}: {said or 'no reason given'}): see `sinfo` for what there is "
        "and change it with `python -m bloodcell queue --engine slurm --set KEY=VALUE`."
    )


@dataclass(frozen=True)
class Seen:
    """What Slurm says of a job.

    Attributes:
        state: Slurm's word, such as PENDING or OUT_OF_MEMORY.
        reason: why it waits, or was ended; "" for none.
        node: where it runs or ran.
        exit_code: as Slurm writes it, code:signal; "" while it is not known.
    """

    state: str
    reason: str = ""
    node: str = ""
    exit_code: str = ""


def parse_squeue(told: str) -> dict[str, Seen]:
    """Read lines of ``id|state|reason|node`` as `squeue` prints them."""
    found = {}
    for line in told.splitlines():
        parts = [p.strip() for p in line.split("|")]
        if len(parts) == 4 and parts[0]:
            reason = "" if parts[2] in ("None", "(null)") else parts[2]
            found[parts[0]] = Seen(parts[1], reason, parts[3])
    return found


def parse_details(told: str) -> Seen:
    """Read the one line of ``scontrol show job -o``."""
    pairs = dict(re.findall(r"(?:^|\s)(JobState|Reason|NodeList|ExitCode)=(\S*)", told))
    reason, node = pairs.get("Reason", ""), pairs.get("NodeList", "")
    return Seen(
        pairs.get("JobState", ""),
        "" if reason in ("None", "(null)") else reason,
        "" if node == "(null)" else node,
        pairs.get("ExitCode", ""),
    )


def describe_end(job: str, seen: Seen, settings: SlurmSettings, *, began: bool) -> tuple[str, str]:
    """The state of a run whose job has ended without its process saying so, and why.

    Args:
        job: its number.
        began: whether its process ever spoke up.
    """
    where = f"job {job}" + (f" on {seen.node}" if seen.node else "")
    saved = "resume it from its last saved state" if began else "queue it again"
    change = "with `python -m bloodcell queue --engine slurm --set"
    code, _, signal = seen.exit_code.partition(":")
    room = ("stopped", f"{where} had to make room in Slurm ({seen.state}): {saved}")
    node = ("failed", f"{where} was lost with its node ({seen.state}): {saved}")
    ends = {
        "": ("lost", f"Slurm does not know {where} any more: {saved}"),
        "BOOT_FAIL": node,
        "CANCELLED": (
            "stopped",
            f"{where} was cancelled in Slurm{'' if began else ' before it began'}: {saved}",
        ),
        "COMPLETED": ("lost", f"{where} ended without a word: {saved}"),
        "DEADLINE": room,
        "NODE_FAIL": node,
        "OUT_OF_MEMORY": (
            "failed",
            f"{where} needed more memory than the {settings.memory:g} GB it was given: give more "
            f"{change} memory={2 * settings.memory:g}`, then {saved}",
        ),
        "PREEMPTED": room,
        "REVOKED": room,
        "TIMEOUT": (
            "failed",
            f"{where} reached its time limit of {settings.minutes} minutes before its state was "
            f"saved: give a longer grace {change} grace={2 * settings.grace}`, then {saved}",
        ),
    }
    if code.isdigit() and int(code) > 128:
        # As a shell, and srun, say it of their children.
        signal = str(int(code) - 128)
    if seen.state == "FAILED" and signal not in ("", "0"):
        return "failed", f"{where} was ended by signal {signal}: {saved}"
    if seen.state == "FAILED":
        said = f" ({seen.reason})" if seen.reason else ""
        return "failed", f"{where} ended with exit code {code or '?'}{said}: see its slurm/ folder"
    return ends.get(seen.state, ("failed", f"{where} ended in Slurm as {seen.state}: {saved}"))


def with_log(seen: Seen, log: str) -> Seen:
    """What Slurm says of a job that failed, with what its log says more.

    Args:
        log: the end of what the job wrote to stderr. Where a step is killed for its memory, and the
            script around it ends with its code, only the log has the reason.
    """
    if seen.state != "FAILED":
        return seen
    if re.search(r"exceeded (job )?memory limit|oom[-_ ]kill|out of memory", log, re.IGNORECASE):
        return replace(seen, state="OUT_OF_MEMORY")
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    lines = [line for line in lines if not line.startswith(("srun:", "slurmstepd"))]
    return replace(seen, reason=lines[-1][:200] if lines else "")


def _log_of(run: Run, job: str) -> str:
    try:
        with (run.path / "slurm" / f"{job}_0_log.err").open("rb") as file:
            file.seek(0, 2)
            file.seek(max(0, file.tell() - LOG_BYTES))
            return file.read().decode("utf-8", "replace")
    except OSError:
        return ""


def describe_job(run: Run) -> str:
    """Where a run is at Slurm, as far as that was seen; "" if it is not there."""
    job = _job_of(run)
    if job is None:
        return ""
    state, reason, node = (str(job.get(key) or "") for key in ("state", "reason", "node"))
    where = f" on {node}" if node else ""
    why = f" ({reason})" if reason else ""
    words = "waits" if state in WAITING else state.lower().replace("_", " ")
    return f"Slurm job {job['job']}: {words}{where}{why}"


class Slurm(Engine):
    """Jobs of a cluster that sees this workspace under the same path."""

    name: ClassVar[str] = "slurm"

    def __init__(self, workspace: Workspace, every_s: float = EVERY_S):
        super().__init__(workspace)
        self.every_s = every_s
        self._asked = 0.0
        self._given: dict[str, Run] | None = None
        self._missed: dict[str, int] = {}

    @property
    def slots(self) -> int:
        return slurm_settings(self.workspace).slots

    def check(self) -> str:
        """Whether Slurm would take a job of this workspace: what it answered."""
        return check_slurm(slurm_settings(self.workspace))

    def submit(self, run: Run) -> None:
        settings = slurm_settings(self.workspace)
        check_slurm(settings)
        there = parse_squeue(_squeue(f"--name={run.id}", f"--user={getpass.getuser()}"))
        if ending := [job for job, seen in there.items() if seen.state in RUNNING]:
            # Slurm may be about to begin it once more.
            raise NameTaken(f"Slurm job {ending[0]} of run {run.id} is still ending: wait for it.")
        with hold(run):
            run.stop_path.unlink(missing_ok=True)
            status = run.status()
            if status["state"] != "finished":
                status |= {"state": "queued", "reason": "", "pid": None, "launched": time.time()}
                write_json(run.status_path, {**status, "engine": self.name, "host": ""})
        waits = [job for job, seen in there.items() if seen.state in WAITING]
        # Let go of the run before: the job may begin at once.
        try:
            job = waits[0] if waits else _submit(self.workspace, run, settings)
        except BloodCellError:
            with hold(run):
                gone = ("launched", "engine", "host")
                status = {k: v for k, v in run.status().items() if k not in gone}
                write_json(run.status_path, status)
            raise
        said = {"engine": self.name, "job": job, "submitted": time.time(), "ended": None}
        write_json(run.job_path, said | asdict(Seen("PENDING")), run.path)
        self._open()[run.id] = run

    def cancel(self, run: Run) -> None:
        ask_to_stop(run)
        if job := _job_of(run):
            # Only a job that waits: one that runs finds the request and saves its state.
            with contextlib.suppress(BadInput):
                _ask(["scancel", "--state=PENDING", job["job"]])

    def end(self, run: Run) -> None:
        if (job := _job_of(run)) and run.status()["state"] in ACTIVE:
            _ask(["scancel", "--signal=KILL", "--full", job["job"]])

    def given(self) -> list[Run]:
        return list(self._open().values())

    def _open(self) -> dict[str, Run]:
        if self._given is None:
            runs = [Run(self.workspace.runs / n) for n in self.workspace.names("runs")]
            self._given = {run.id: run for run in runs if _job_of(run)}
        return self._given

    def watch(self) -> None:
        runs = self._open()
        if runs and time.monotonic() - self._asked >= self.every_s:
            self._asked = time.monotonic()
            # One that does not answer now is asked again: the jobs go on without us.
            with contextlib.suppress(Offline):
                self._look(runs)

    def _look(self, runs: dict[str, Run]) -> None:
        jobs = {run_id: job["job"] for run_id, run in runs.items() if (job := _job_of(run))}
        for run_id in set(runs) - set(jobs):
            del runs[run_id]
        told = parse_squeue(_squeue(f"--jobs={','.join(jobs.values())}")) if jobs else {}
        for run_id, job in jobs.items():
            seen = told.get(job) or _details(job)
            if not seen.state and self._missed.setdefault(run_id, 0) < 1:
                # Once more: it may be between two lists.
                self._missed[run_id] += 1
                continue
            self._missed.pop(run_id, None)
            if seen.state not in (*WAITING, *RUNNING):
                seen = (told.get(job) and _details(job)) or seen
            if self._write(runs[run_id], job, seen):
                del runs[run_id]

    def _write(self, run: Run, job: str, seen: Seen) -> bool:
        """Write down what was seen; True if that was the end of the job."""
        ended = seen.state not in (*WAITING, *RUNNING)
        try:
            if ended:
                self._write_end(run, job, seen)
            elif seen.state in WAITING:
                _wait_again(run, job)
        except NameTaken:
            # Its process still writes: at the next look.
            return False
        except (NotFound, BadInput, OSError):
            # A run that was deleted or damaged meanwhile.
            return True
        before = _job_of(run) or {}
        now = {**before, **asdict(seen), "ended": time.time() if ended else None}
        if now != before:
            with contextlib.suppress(BloodCellError):
                write_json(run.job_path, now, run.path)
        return ended

    def _write_end(self, run: Run, job: str, seen: Seen) -> None:
        with hold(run):
            status = run.status()
            by_signal = status.get("signal") and status["state"] == "stopped"
            begins = status["state"] == "queued" and "launched" in status
            silent = begins or status["state"] in (*ACTIVE, "lost")
            if by_signal and seen.state == "CANCELLED":
                reason = f"job {job} was cancelled in Slurm; its state was saved before"
                write_json(run.status_path, {**status, "reason": reason})
            elif silent and status.get("engine") == self.name:
                seen = with_log(seen, _log_of(run, job))
                began = run.metrics_path.exists() or any(run.checkpoint.glob("*.npz"))
                state, reason = describe_end(
                    job, seen, slurm_settings(self.workspace), began=began or not begins
                )
                ended = {k: v for k, v in status.items() if k != "launched"}
                ended |= {"state": state, "reason": reason, "ended": time.time()}
                write_json(run.status_path, ended)


def _wait_again(run: Run, job: str) -> None:
    """What Slurm has put back to begin once more waits, whatever its process said at its end."""
    status = run.status()
    if status.get("engine") != Slurm.name or run.stop_path.exists():
        return
    if status["state"] in ("stopped", "lost") and (
        status["state"] == "lost" or status.get("signal")
    ):
        with hold(run):
            again = {"state": "queued", "launched": time.time(), "pid": None, "host": ""}
            reason = f"Slurm begins job {job} once more"
            write_json(run.status_path, {**run.status(), **again, "reason": reason})


def _job_of(run: Run) -> dict[str, Any] | None:
    """The job of a run that has not ended as far as is known."""
    try:
        found = read_json(run.job_path)
    except (OSError, BadInput):
        return None
    sound = isinstance(found, dict) and found.get("engine") == Slurm.name
    if not sound or found.get("ended") is not None:
        return None
    return found if re.fullmatch(r"\d+(_\d+)?", str(found.get("job", ""))) else None


def _squeue(*which: str) -> str:
    try:
        return _ask(["squeue", "-h", "-a", "-t", "all", "-o", "%i|%T|%r|%N", *which])
    except BadInput as error:
        # It does not say which of the jobs it has forgotten.
        if "Invalid job id" in str(error):
            return ""
        raise


def _details(job: str) -> Seen:
    """What is known of one job that has ended; no state where Slurm has forgotten it."""
    with contextlib.suppress(BadInput):
        return parse_details(_ask(["scontrol", "show", "job", "-o", job]))
    with contextlib.suppress(BadInput):
        told = _ask(["sacct", "-n", "-P", "-X", "-j", job, "-o", "State,ExitCode,NodeList"])
        parts = told.strip().split("|")
        if len(parts) == 3:
            # "CANCELLED by 1000"
            return Seen(parts[0].split(" ")[0], "", parts[2], parts[1])
    return Seen("")


def _submit(workspace: Workspace, run: Run, settings: SlurmSettings) -> str:
    """Submit a job for a run; its number."""
    import submitit
    from submitit.core.utils import FailedJobError

    from bloodcell.runs.engines.slurm_job import CarryOut

    more = {k: v for k in ("partition", "account", "qos") if (v := getattr(settings, k))}
    more |= {"gpus_per_node": settings.gpus} if settings.gpus else {}
    more |= {"setup": [settings.setup]} if settings.setup else {}
    executor = submitit.SlurmExecutor(run.path / "slurm", python=settings.python or None)
    executor.update_parameters(
        job_name=run.id,
        time=settings.minutes,
        mem=f"{max(int(settings.memory * 1024), 1)}M",
        cpus_per_task=settings.cpus,
        signal_delay_s=settings.grace,
        additional_parameters={"requeue": True},
        **more,
    )
    try:
        return executor.submit(CarryOut(str(workspace.home), str(run.path.absolute()))).job_id
    except FailedJobError as error:
        said = " ".join(str(error).split())
        raise BadInput(f"Slurm refuses the job of run {run.id} ({said}).") from error
