"""What of the machine, the libraries, the workspace and the cluster works, a sentence each."""

import contextlib
import importlib.util
import locale
import os
import platform
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import psutil

from bloodcell.errors import BloodCellError
from bloodcell.files import format_bytes, temporary_beside
from bloodcell.locks import locked
from bloodcell.runs.engines import ENGINES, Engine
from bloodcell.runs.engines.ray import Ray
from bloodcell.runs.engines.slurm import Slurm
from bloodcell.runs.process import gpus
from bloodcell.runs.queue import engaged, settings, slots_of, waiting
from bloodcell.runs.run import damaged_runs, list_runs
from bloodcell.runs.supervisor import is_supervised
from bloodcell.workspace import Workspace

__all__ = ["Finding", "examine"]

LITTLE_DISK, LITTLE_MEMORY = 5e9, 3e9
# Beyond this, a run of another machine may be taken for lost.
CLOCK_S = 30.0
NEEDED = ("tensorflow", "keras", "ai-edge-litert", "streamlit", "numpy", "opencv-python-headless")
OPTIONAL = {
    "submitit": "jobs for Slurm",
    "ray": "a Ray that is started here",
    "optuna": "sweeps with --trials",
    "tensorboard": "`--tracker tensorboard=…`",
    "mlflow-skinny": "`--tracker mlflow=…`",
}
NETWORK = ("nfs", "nfs4", "cifs", "smb3", "lustre", "gpfs", "beegfs", "ceph", "fuse.sshfs")


@dataclass(frozen=True)
class Finding:
    """One sentence.

    Attributes:
        about: machine, encodings, libraries, workspace, queue or cluster.
        level: "ok", "note" (nothing is wrong), "warning" or "error".
        words: what was found and, where something should be done, what.
    """

    about: str
    level: str
    words: str


def examine(workspace: Workspace) -> list[Finding]:
    """Look at everything; nothing is changed but for a file made and removed in the workspace."""
    found: list[Finding] = []
    for look in (_machine, _encodings, _libraries, _place, _contents, _queue, _cluster):
        about = look.__name__.strip("_")
        about = {"place": "workspace", "contents": "workspace"}.get(about, about)
        try:
            found += [Finding(about, level, words) for level, words in look(workspace)]
        # What is examined may be broken in any way; the others are to be told all the same.
        except (BloodCellError, OSError, ValueError) as error:
            found.append(Finding(about, "error", str(error)))
    return found


Told = Iterator[tuple[str, str]]


def _machine(workspace: Workspace) -> Told:
    yield "ok", f"Python {platform.python_version()} on {platform.platform()}."
    memory = psutil.virtual_memory()
    words = (
        f"{os.cpu_count()} cores, {format_bytes(memory.available)} of "
        f"{format_bytes(memory.total)} memory free"
    )
    if memory.available < LITTLE_MEMORY:
        yield "warning", f"{words}: a training takes 2 to 4 GB, so close other programs first."
    else:
        yield "ok", f"{words}."
    cards = gpus()
    if cards:
        named = ", ".join(f"{card.name} ({format_bytes(card.memory_total)})" for card in cards)
        yield "ok", f"Graphics: {named}."
    else:
        yield "note", "No NVIDIA graphics processor is seen: networks are trained on the cores."


def _encodings(workspace: Workspace) -> Told:
    for what, name in (
        ("File names", sys.getfilesystemencoding()),
        ("Texts", locale.getpreferredencoding(False)),
        ("The terminal", sys.stdout.encoding or "ascii"),
    ):
        if name.lower().replace("-", "").replace("_", "") == "utf8":
            yield "ok", f"{what}: UTF-8."
        else:
            yield (
                "warning",
                f"{what}: {name}, in which names like blutbild-größe.png may not fit: set LANG "
                "to a UTF-8 locale, such as C.UTF-8, or PYTHONUTF8=1.",
            )


def _libraries(workspace: Workspace) -> Told:
    there, missing = [], []
    for name in NEEDED:
        try:
            there.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            missing.append(name)
    if there:
        yield "ok", f"{', '.join(there)}."
    if missing:
        yield (
            "error",
            f"{', '.join(missing)} not found: install with `pip install -r requirements.txt`"
            + (" (a trained network works without TensorFlow)." if "keras" in missing else "."),
        )
    for name, what in OPTIONAL.items():
        try:
            yield "ok", f"{name} {version(name)}, for {what}."
        except PackageNotFoundError:
            yield "note", f"{name} is not installed, which only {what} need."


def _place(workspace: Workspace) -> Told:
    home = workspace.home
    if not home.is_dir():
        yield "note", f"{home} is not there yet: it is made with the first dataset or run."
        return
    free = shutil.disk_usage(home).free
    kind = _file_system(home)
    words = f"{home}: {format_bytes(free)} free" + (f", {kind}" if kind else "")
    if free < LITTLE_DISK:
        yield "warning", f"{words}: a run takes up to 1 GB, so make room."
    else:
        yield "ok", f"{words}."
    probe = temporary_beside(home / "probe")
    try:
        probe.touch()
        skew = probe.stat().st_mtime - time.time()
        yield from _locks(probe)
    except OSError as error:
        yield "warning", f"It can only be read ({error.strerror}): nothing can be trained in it."
        return
    finally:
        with contextlib.suppress(OSError):
            probe.unlink(missing_ok=True)
    if abs(skew) > CLOCK_S:
        yield (
            "warning",
            f"The clock of this machine and that of its file server differ by {abs(skew):.0f} s: "
            "have both follow the same time server.",
        )
    else:
        yield "ok", "Its clock agrees with this machine's."


def _locks(probe: Path) -> Told:
    """Whether another process is kept out while this one holds a lock there."""
    if sys.platform == "win32":
        return
    # Of the standard library alone, so that it takes no time to begin.
    code = (
        "import fcntl, sys\n"
        "try: fcntl.flock(open(sys.argv[1]), fcntl.LOCK_SH | fcntl.LOCK_NB)\n"
        "except OSError: sys.exit(0)\n"
        "sys.exit(3)"
    )
    with locked(probe, 1.0) as got:
        done = subprocess.run(
            [sys.executable, "-S", "-c", code, str(probe)],
            check=False,
            capture_output=True,
            timeout=30,
        )
    if got and done.returncode == 0:
        yield "ok", "Locks keep other processes out."
    else:
        yield (
            "error",
            "Locks keep nobody out on this file system: mount it with them (NFS version 4, or 3 "
            "with lockd; Lustre with -o flock), or a run may be carried out twice.",
        )


def _file_system(path: Path) -> str:
    """The kind of file system where it is one over a network, else ""."""
    mounts = [m for m in psutil.disk_partitions(all=True) if path.is_relative_to(m.mountpoint)]
    kind = max(mounts, key=lambda m: len(m.mountpoint)).fstype if mounts else ""
    return f"a file system over the network ({kind})" if kind in NETWORK else ""


def _contents(workspace: Workspace) -> Told:
    runs = list_runs(workspace)
    counts = {kind: len(workspace.names(kind)) for kind in ("datasets", "ensembles", "policies")}
    named = ", ".join(f"{n} {kind}" for kind, n in counts.items())
    yield "ok", f"{len(runs):,} runs, {named}."
    problems = damaged_runs(workspace)
    for problem in problems[:3]:
        yield "warning", problem
    if len(problems) > 3:
        yield "warning", f"{len(problems) - 3} more runs cannot be read: see `runs`."
    if lost := [run.id for run in runs if run.status()["state"] == "lost"]:
        yield (
            "warning",
            f"{len(lost)} {'runs were' if len(lost) > 1 else 'run was'} ended without a word, the "
            f"newest {lost[0]}: continue with `python -m bloodcell resume {lost[0]}`.",
        )


def _queue(workspace: Workspace) -> Told:
    chosen = settings(workspace)
    slots = slots_of(workspace, chosen.engine)
    busy, waits = engaged(workspace, chosen.engine), waiting(workspace)
    yield (
        "ok",
        f"Runs are carried out by {chosen.engine}: {len(busy)} of {slots} slots taken, "
        f"{len(waits)} waiting.",
    )
    given = [run for make in ENGINES.values() for run in make(workspace).given()]
    if (waits or given) and not is_supervised(workspace):
        yield (
            "warning",
            "No process starts or follows them: do so with `python -m bloodcell queue --start`.",
        )


def _cluster(workspace: Workspace) -> Told:
    chosen = settings(workspace).engine
    yield _slurm(workspace, "error" if chosen == Slurm.name else "note")
    if chosen == Ray.name or (workspace.queue / "ray.json").exists():
        level = "error" if chosen == Ray.name else "note"
        yield _ask(Ray(workspace), level, "Ray would take a job as it is set: {}.")
    else:
        yield (
            "note",
            "Ray: no address is set: `python -m bloodcell queue --engine ray --set "
            "address=http://HEAD:8265` does.",
        )


def _slurm(workspace: Workspace, level: str) -> tuple[str, str]:
    if shutil.which("sbatch") is None:
        return level, "Slurm: its tools (sbatch) are not on this machine."
    if importlib.util.find_spec("submitit") is None:
        return level, (
            "Slurm is here, and the library submitit is missing: "
            "`pip install -r requirements-cluster.txt`."
        )
    return _ask(Slurm(workspace), level, "Slurm would take a job as it is set: {}.")


def _ask(engine: Engine, level: str, words: str) -> tuple[str, str]:
    """What an engine says of a job; `level` if it would not take it."""
    try:
        return "ok", words.format(engine.check())
    except BloodCellError as error:
        return level, str(error)
