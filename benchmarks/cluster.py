"""Whether runs of a cluster that are disturbed end like one that is not: on a real Slurm or Ray.

    python -m benchmarks.cluster --engine slurm [--runs 20]
    python -m benchmarks.cluster --engine ray [--runs 20] [--address http://127.0.0.1:8265]

One undisturbed run of the smallest network on this machine, then copies of it by the queue. All but
the first are disturbed, each once, at a moment of a fixed seed: its process is killed, its job
cancelled from outside, its time limit hit (a minute; Slurm tells jobs of it, and they come back two
minutes later, by themselves), the controller of Slurm stopped for a while, its node drained and the
job put back, its workspace full; of a Ray the process that watches over the job killed, and the
supervisor of the queue. What has stopped, failed or is lost is resumed as the page does it. Prints
what each run said first after it was disturbed, how often it was resumed, and how many have the
metrics of the undisturbed run in all but speed; the exit code is 1 if not all have.

The Slurm is that of ``SLURM_CONF``; it is drained and restarted, so it must be one for tests, on
this machine, as ``.ci/run`` starts it. ``python -m tests.runs.engines.ray_here`` is such a Ray. A
full workspace needs the right to mount a file system in memory.
"""

import argparse
import contextlib
import itertools
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from bloodcell.data.synthetic.demo import make_demo
from bloodcell.errors import BloodCellError, NameTaken
from bloodcell.files import read_json
from bloodcell.runs.engines import ENGINES
from bloodcell.runs.engines.ray import change_ray, ray_settings
from bloodcell.runs.engines.scheduled import read_job
from bloodcell.runs.engines.slurm import change_slurm
from bloodcell.runs.launch import prepare
from bloodcell.runs.lifecycle import duplicate
from bloodcell.runs.queue import enqueue
from bloodcell.runs.run import ACTIVE, Run
from bloodcell.runs.supervisor import is_supervised, wake
from bloodcell.training.config import make_config
from bloodcell.workspace import Workspace

__all__ = ["main"]

EPOCHS = 40
PATIENCE_S = 1500.0
MEGABYTES = 24
# What hits all jobs at once happens once at a time.
ALONE = threading.Lock()
INTERRUPTED = threading.Event()
ENDED = ("stopped", "failed", "lost")
SPEED = ("seconds", "images_per_second")
FULL, LIMIT = "workspace full", "time limit"


# Of a disturbance, and the number of its run.
Place = Callable[[str, int], Workspace]


@dataclass
class Disturbed:
    """A run, what happens to it, and what became of it."""

    workspace: Workspace
    run: Run
    kind: str
    epoch: int
    pause: float
    first: str = ""
    states: list[str] = field(default_factory=list)

    @property
    def job(self) -> str:
        return read_json(self.run.job_path)["job"]


def until(condition: Callable[[], Any], seconds: float = PATIENCE_S) -> Any:
    end = time.monotonic() + seconds
    while not (found := condition()):
        if time.monotonic() > end or INTERRUPTED.is_set():
            raise TimeoutError
        time.sleep(0.1)
    return found


def slurm(*words: str) -> str:
    """What a tool of Slurm prints, as soon as its controller answers."""

    def told() -> list[str]:
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        return [done.stdout] if done.returncode == 0 else []

    return until(told, 60)[0]


def kill(it: Disturbed) -> None:
    os.kill(it.run.status()["pid"], signal.SIGKILL)


def cancel_in_slurm(it: Disturbed) -> None:
    slurm("scancel", it.job)


def restart_controller(it: Disturbed) -> None:
    with ALONE:
        pid_file = re.search(r"SlurmctldPidFile\s*= (\S+)", slurm("scontrol", "show", "config"))
        controller = psutil.Process(int(Path(pid_file[1]).read_text()))
        controller.terminate()
        controller.wait(60)
        time.sleep(it.pause)
        subprocess.run(["slurmctld"], check=True)
        slurm("squeue", "-h")


def drain(it: Disturbed) -> None:
    with ALONE:
        node = slurm("squeue", "-h", "-j", it.job, "-o", "%N").strip()
        change = ("scontrol", "update", f"NodeName={node}")
        slurm(*change, "State=DRAIN", "Reason=benchmark")
        slurm("scontrol", "requeue", it.job)
        time.sleep(it.pause)
        slurm(*change, "State=RESUME")


def fill(it: Disturbed) -> None:
    """Leave no room, and make some a moment after the run has ended of it."""
    ballast = it.workspace.home / "ballast"
    with contextlib.suppress(OSError), ballast.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))
    until(lambda: it.run.status()["state"] not in ACTIVE, 120)
    time.sleep(it.pause)
    ballast.unlink()


def stop_in_ray(it: Disturbed) -> None:
    address = f"{ray_settings(it.workspace).address}/api/jobs/{it.job}/stop"
    urllib.request.urlopen(address, b"", timeout=20).close()


def kill_worker(it: Disturbed) -> None:
    above = psutil.Process(it.run.status()["pid"]).parents()
    next(p for p in above if "JobSupervisor" in " ".join(p.cmdline())).kill()


def supervisors(workspace: Workspace) -> list[psutil.Process]:
    words = [str(workspace.home), "queue", "--supervise"]
    return [p for p in psutil.process_iter(["cmdline"]) if (p.info["cmdline"] or [])[-3:] == words]


def kill_supervisor(it: Disturbed) -> None:
    with ALONE:
        for process in supervisors(it.workspace):
            process.kill()
        time.sleep(it.pause)
        wake(it.workspace)


# A time limit needs nobody to do anything.
KINDS: dict[str, dict[str, Callable[[Disturbed], None] | None]] = {
    "slurm": {
        "kill -9": kill,
        "scancel": cancel_in_slurm,
        LIMIT: None,
        "controller restarted": restart_controller,
        "node drained": drain,
        FULL: fill,
    },
    "ray": {
        "kill -9": kill,
        "job stop": stop_in_ray,
        "worker killed": kill_worker,
        "supervisor killed": kill_supervisor,
        FULL: fill,
    },
}


def has_settled(it: Disturbed) -> bool:
    """Whether its scheduler has said all about its end, or has it wait once more."""
    status = it.run.status()
    if status["state"] == "queued":
        return "once more" in status["reason"] or "waits to go on" in status["reason"]
    return status["state"] not in ACTIVE and read_job(it.run) is None


def sentence(it: Disturbed) -> str:
    status = it.run.status()
    said = re.sub(rf"{re.escape(str(it.run.path))}\S+", "a file of the run", status["reason"])
    return f"{status['state']}: " + re.sub(r"job [\w.-]+( on [\w.-]+)?", "job", said)


def resume(it: Disturbed, engine: str) -> None:
    def queued() -> bool:
        try:
            enqueue(it.workspace, [it.run], engine=engine)
        except NameTaken:
            return False
        return True

    until(queued, 60)
    wake(it.workspace)


def has_come_to(run: Run, epoch: int) -> bool:
    return run.status()["state"] == "running" and len(run.metrics()) >= epoch


def follow(it: Disturbed, engine: str) -> None:
    """Disturb a run at its moment, and resume it until it has finished."""
    run, act = it.run, KINDS[engine].get(it.kind)
    if act is not None:
        until(lambda: has_settled(it) or has_come_to(run, it.epoch))
        if not has_settled(it):
            act(it)
            print(f"{run.id} after epoch {it.epoch}: {it.kind}", file=sys.stderr)
    while True:
        until(lambda: has_settled(it))
        it.first = it.first or sentence(it)
        it.states.append(run.status()["state"])
        print(f"{run.id} ({it.kind}) {sentence(it)}", file=sys.stderr)
        if it.states[-1] == "finished":
            return
        if it.states[-1] in ENDED:
            resume(it, engine)
        until(lambda: not has_settled(it))


def measured(run: Run) -> list[dict[str, Any]]:
    return [{k: v for k, v in m.items() if k not in SPEED} for m in run.metrics()]


def mount_small(folder: Path) -> str:
    """Mount a small file system in memory there; what is against it, or ""."""
    words = ["mount", "-t", "tmpfs", "-o", f"size={MEGABYTES}m", "tmpfs", str(folder)]
    return subprocess.run(words, capture_output=True, text=True, check=False).stderr.strip()


@contextlib.contextmanager
def places(folder: Path, data: Path, engine: str, address: str) -> Iterator[Place]:
    """A function that gives a disturbance its workspace: those that may be full one to each."""
    made: dict[str, Workspace] = {}
    with contextlib.ExitStack() as left:

        def place(kind: str, number: int) -> Workspace:
            name = {FULL: f"full{number}", LIMIT: "limit"}.get(kind, "home")
            if name in made:
                return made[name]
            workspace = Workspace(folder / name)
            workspace.home.mkdir()
            if kind == FULL:
                if problem := mount_small(workspace.home):
                    raise OSError(problem)
                left.callback(subprocess.run, ["umount", "--lazy", workspace.home], check=False)
            shutil.copytree(data, workspace.datasets)
            workspace.queue.mkdir()
            if engine == "ray":
                change_ray(workspace, address=address, cpus=1)
            else:
                times = {"minutes": 1, "grace": 20} if kind == LIMIT else {"minutes": 10}
                change_slurm(workspace, memory=0.5, cpus=1, **times)
            left.callback(leave, workspace, engine)
            made[name] = workspace
            return workspace

        yield place


def leave(workspace: Workspace, engine: str) -> None:
    """End what is left of a workspace: nothing, but where something went wrong."""
    with contextlib.suppress(TimeoutError):
        until(lambda: not is_supervised(workspace), 30)
    for process in supervisors(workspace):
        process.kill()
    its = ENGINES[engine](workspace)
    for run in its.given():
        with contextlib.suppress(BloodCellError):
            its.kill(its.job_of(run))


def undisturbed(workspace: Workspace) -> Run:
    """A run that this machine has carried out, on drawn cells."""
    make_demo(workspace, "demo", per_class=20, size=48)
    config = make_config(
        "demo", backbone="tiny", input_size=48, epochs=EPOCHS, batch_size=4, learning_rate=5e-3
    )
    run = prepare(workspace, config)
    enqueue(workspace, [run], engine="local")
    wake(workspace)
    until(lambda: run.status()["state"] in ("finished", "failed", "lost"))
    until(lambda: not is_supervised(workspace))
    assert run.status()["state"] == "finished", run.status()["reason"]
    return run


def deal(quiet: Run, kinds: list[str], n: int, place: Place, seed: int) -> list[Disturbed]:
    """Copies of a run, the disturbances dealt round among all but the first."""
    rng, found = np.random.default_rng(seed), []
    for number, kind in enumerate(["none", *itertools.islice(itertools.cycle(kinds), n - 1)]):
        workspace = place(kind, number)
        epoch, pause = int(rng.integers(0, 2 * EPOCHS // 3)), float(rng.uniform(3, 10))
        found.append(Disturbed(workspace, duplicate(workspace, quiet), kind, epoch, pause))
    return found


def main(arguments: Sequence[str] | None = None) -> None:
    """Disturb the runs, print the table."""
    parser = argparse.ArgumentParser("python -m benchmarks.cluster", description=__doc__)
    parser.add_argument("--engine", choices=sorted(KINDS), required=True)
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--address", default="http://127.0.0.1:8265", help="of the Ray")
    given = parser.parse_args(arguments)
    began, kinds = time.monotonic(), list(KINDS[given.engine])
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        alone = Workspace(Path(name) / "alone")
        quiet = undisturbed(alone)
        with places(Path(name), alone.datasets, given.engine, given.address) as place:
            try:
                place(FULL, 0)
            except OSError as error:
                print(f"{FULL}: skipped, as nothing can be mounted here ({error})")
                kinds.remove(FULL)
            runs = deal(quiet, kinds, given.runs, place, given.seed)
            for it in runs:
                resume(it, given.engine)
            with ThreadPoolExecutor(len(runs)) as pool:
                done = [pool.submit(follow, it, given.engine) for it in runs]
                try:
                    wait(done)
                except BaseException:
                    INTERRUPTED.set()
                    raise
            for it, each in zip(runs, done, strict=True):
                if error := each.exception():
                    it.first += f" [{error!r}; now {sentence(it)}]"
            same = {it.run.id: measured(it.run) == measured(quiet) for it in runs}
        print_table(runs, same)
    print(
        f"\n{given.engine}: {sum(same.values())} of {len(runs)} runs end with the metrics of the "
        f"undisturbed run, {EPOCHS} epochs; {(time.monotonic() - began) / 60:.0f} minutes."
    )
    sys.exit(not all(same.values()))


def print_table(runs: list[Disturbed], same: dict[str, bool]) -> None:
    """A row to each disturbance."""
    print("| disturbance | runs | what the run said first | came back | resumed | equal |")
    print("|---|---|---|---|---|---|")
    for kind in dict.fromkeys(it.kind for it in runs):
        its = [it for it in runs if it.kind == kind]
        said = "; ".join(f"{n} × {text}" for text, n in Counter(it.first for it in its).items())
        back = sum(it.states.count("queued") for it in its)
        resumed = sum(state in ENDED for it in its for state in it.states)
        equal = sum(same[it.run.id] for it in its)
        print(f"| {kind} | {len(its)} | {said} | {back} | {resumed} | {equal} of {len(its)} |")


if __name__ == "__main__":
    main()
