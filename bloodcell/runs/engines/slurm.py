"""Runs as jobs of a Slurm cluster, submitted by submitit.

Slurm decides when and where a job runs; the queue hands over at most `slots` runs at a time. A job
has the name of its run. What submitit keeps (the script, the log of the job) lies in the run's
``slurm/``. The tools of Slurm are asked in the way that works without accounting.
"""

import contextlib
import getpass
import importlib.util
import re
import shutil
import subprocess
from collections.abc import Collection
from dataclasses import asdict, dataclass, replace
from typing import Any, ClassVar

from bloodcell.errors import BadInput, Offline
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
from bloodcell.runs.run import Run
from bloodcell.workspace import Workspace

__all__ = [
    "Slurm",
    "SlurmSettings",
    "change_slurm",
    "describe_end",
    "parse_details",
    "parse_squeue",
    "slurm_settings",
    "with_log",
]

COMMAND_S = 20.0
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
        limits = {
            "slots": (1, MOST_SLOTS),
            "minutes": (1, 60 * 24 * 60),
            "memory": (0.1, 100_000),
            "cpus": (1, 10_000),
            "gpus": (0, 1000),
            "grace": (5, 24 * 3600),
        }
        check_numbers(self, "Slurm", limits, ("memory",))
        for name in ("partition", "account", "qos"):
            value = getattr(self, name)
            if not isinstance(value, str) or not _WORD.fullmatch(value):
                raise BadInput(
                    f"{value!r} cannot be the {name} of a Slurm job: expected its name as "
                    "`sinfo` or `sacctmgr` show it."
                )
        check_line(self, "Slurm", "python")
        check_line(self, "Slurm", "setup")


def slurm_settings(workspace: Workspace) -> SlurmSettings:
    """What jobs of this workspace ask for.

    Raises:
        BadInput: ``queue/slurm.json`` is damaged.
    """
    return read_settings(SlurmSettings, workspace.queue / "slurm.json")


def change_slurm(workspace: Workspace, **changes: Any) -> SlurmSettings:
    """Change what jobs ask for, if Slurm could ever grant it.

    Raises:
        BadInput: there is no such setting, or Slurm refuses a job with it.
        Offline: there is no Slurm here, or it does not answer.
    """
    path = workspace.queue / "slurm.json"
    with changing(path):
        new = changed_settings(
            slurm_settings(workspace), "Slurm", ("partition", "account", "qos"), changes
        )
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
    _raise_if_offline(said)
    raise BadInput(
        f"Slurm refuses ({words[0]}: {said or 'no reason given'}): see `sinfo` for what there is "
        "and change it with `python -m bloodcell queue --engine slurm --set KEY=VALUE`."
    )


def _raise_if_offline(said: str) -> None:
    if re.search(r"[Uu]nable to contact|Connection refused|timed out|[Cc]onnect failure", said):
        raise Offline(
            f"Slurm does not answer ({said}): see whether its controller runs with `scontrol ping`."
        )


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


class Slurm(Scheduled):
    """Jobs of a Slurm cluster."""

    name: ClassVar[str] = "slurm"
    title: ClassVar[str] = "Slurm"
    waiting_states: ClassVar[Collection[str]] = WAITING
    running_states: ClassVar[Collection[str]] = RUNNING
    cancelled: ClassVar[str] = "CANCELLED"

    @property
    def slots(self) -> int:
        return slurm_settings(self.workspace).slots

    def change(self, **changes: Any) -> None:
        change_slurm(self.workspace, **changes)

    def check(self) -> str:
        return check_slurm(slurm_settings(self.workspace)).removeprefix("sbatch: ").strip()

    def check_again(self) -> None:
        try:
            self.check()
        except BadInput as error:
            # There were such nodes when this was chosen. It is said also while all are drained, or
            # have not spoken up since the controller began; a job waits, and says for what.
            if "node configuration is not available" not in str(error):
                raise

    def is_job(self, text: str) -> bool:
        return bool(re.fullmatch(r"\d+(_\d+)?", text))

    def jobs_of(self, run: Run) -> dict[str, Seen]:
        return parse_squeue(_squeue(f"--name={run.id}", f"--user={getpass.getuser()}"))

    def hand_over(self, run: Run) -> str:
        return _submit(self.workspace, run, slurm_settings(self.workspace))

    def look(self, jobs: Collection[str]) -> dict[str, Seen]:
        told = parse_squeue(_squeue(f"--jobs={','.join(jobs)}"))
        for job in jobs:
            if job not in told or told[job].state not in (*WAITING, *RUNNING):
                details = _details(job)
                told[job] = details if details.state else told.get(job, details)
        return told

    def take_back(self, job: str) -> None:
        _ask(["scancel", "--state=PENDING", job])

    def kill(self, job: str) -> None:
        _ask(["scancel", "--signal=KILL", "--full", job])

    def describe_end(self, run: Run, job: str, seen: Seen, *, began: bool) -> tuple[str, str]:
        # Where the disk is full, only a line in the run's own log may have found room.
        said = run.log_tail(1).partition(" failed: ")[2]
        seen = with_log(seen, _log_of(run, job) or said)
        return describe_end(job, seen, slurm_settings(self.workspace), began=began)


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
    """Submit a job for a run; its number.

    Raises:
        BadInput: Slurm refuses it.
        Offline: its controller does not answer.
    """
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
        # Stopped since it was asked whether it would take the job.
        _raise_if_offline(said)
        raise BadInput(f"Slurm refuses the job of run {run.id} ({said}).") from error
