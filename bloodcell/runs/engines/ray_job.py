"""What a job of a Ray does on a node that does not see the workspace.

``python -m bloodcell.runs.engines.ray_job JOB PLAN`` puts a workspace of its own together, from the
packages that Ray has unpacked, and carries the run out there. It lies beneath the logs of the node
(``logs/bloodcell/JOB``), since the head gives files from there to whoever asks for them. Beside it
``files.json`` says what the run's folder holds, and ``out/`` has these files by their checksums:
what was read of it is a state that was there at one moment.
"""

import contextlib
import hashlib
import os
import shutil
import signal
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path

from bloodcell.errors import BloodCellError, NameTaken, NoSpace
from bloodcell.files import new_folder, read_json, write_json
from bloodcell.runs.engines.job import carry_out
from bloodcell.runs.engines.ray_load import PLAN
from bloodcell.runs.engines.ray_packages import put_together
from bloodcell.runs.run import Run

__all__ = ["FILES", "OUT", "Outbox", "folder_of", "main", "settle"]

FILES = "files.json"
OUT = "out"
EVERY_S = 1.0
# Whoever reads an old list may still ask for what it says.
LEFT_S = 60.0
FORGOTTEN_S = 7 * 24 * 3600.0
# Files that grow, where all others are replaced by new ones.
GROW = ("metrics.jsonl", "train.log")
# What only this machine reads of a run's folder.
KEPT = ("config.json", "lock", "stop")

Mark = tuple[str, int, int, int]


def folder_of(job: str) -> str:
    """Where a job's folder lies beneath the logs of its node."""
    return f"bloodcell/{job}"


def _logs() -> Path:
    """The folder of this node's logs."""
    with contextlib.suppress(OSError):
        # Of Ray, the output of a job is a file there.
        log = Path(os.readlink("/proc/self/fd/1"))
        if log.name.startswith("job-driver-") and log.parent.is_dir():
            return log.parent
    return Path(os.environ.get("RAY_TMPDIR") or "/tmp") / "ray" / "session_latest" / "logs"


def _unpacked() -> Mapping[str, Path]:
    """Where Ray has unpacked each package."""
    paths = [Path(text) for text in os.environ.get("PYTHONPATH", "").split(os.pathsep) if text]
    return {f"{path.name}.zip": path for path in paths}


def settle(place: Path, plan: str, folders: Mapping[str, Path]) -> tuple[Path, Run]:
    """Make the workspace of a job.

    Args:
        place: the folder of the job.
        plan: the package that says what the others become.
        folders: where each package was unpacked.

    Returns:
        The workspace, and the run in it.

    Raises:
        BloodCellError: a package is not there.
    """
    home = place / "home"
    try:
        said = read_json(folders[plan] / PLAN)
        # Many jobs train on the same images.
        digest = hashlib.sha256(repr(sorted(said["dataset_files"].items())).encode()).hexdigest()
        shared = place.parent / "datasets" / digest[:32]
        if not shared.is_dir():
            with contextlib.suppress(NameTaken), new_folder(shared) as folder:
                put_together(said["dataset_files"], folders, folder)
        put_together(said["files"], folders, home)
    except KeyError as error:
        raise BloodCellError(
            f"Ray did not unpack the package {error} where this Python looks for it (PYTHONPATH): "
            "have the settings python and setup leave the environment as it is"
        ) from error
    (home / said["dataset"]).parent.mkdir(parents=True)
    (home / said["dataset"]).symlink_to(shared)
    return home, Run(home / said["run"])


def _sweep(folder: Path) -> None:
    """Remove what earlier jobs left, once nobody will ask for it any more."""
    jobs = (path for path in folder.glob("*") if path.name != "datasets")
    for old in (*jobs, *folder.glob("datasets/*")):
        with contextlib.suppress(OSError):
            if time.time() - old.stat().st_mtime > FORGOTTEN_S:
                shutil.rmtree(old, ignore_errors=True)


class Outbox:
    """The files of a run, for whoever fetches them."""

    def __init__(self, run: Run, place: Path):
        self.run, self.place = run, place
        self.out = place / OUT
        self.out.mkdir(parents=True, exist_ok=True)
        self._known: dict[Mark, str] = {}
        self._cutting = threading.Lock()
        self._ended = threading.Event()

    def keep_cutting(self) -> None:
        while not self._ended.wait(EVERY_S):
            # A full disk may have room again the next time.
            with contextlib.suppress(OSError, NoSpace):
                self.cut()

    def close(self) -> None:
        """Have the last state lie there."""
        self._ended.set()
        self.cut()

    def cut(self) -> None:
        """Have the present state lie there."""
        with self._cutting:
            known = self._state()
            if known != self._known:
                said = {mark[0]: [digest, mark[2]] for mark, digest in known.items()}
                write_json(self.place / FILES, said, self.place)
                self._known = known
                self._forget()

    def _state(self) -> dict[Mark, str]:
        """The sha256 of each file, all of one moment."""
        while True:
            marks = self._marks()
            try:
                known = {mark: self._known.get(mark) or self._put_out(mark) for mark in marks}
            except FileNotFoundError:
                continue
            # Else a file was replaced meanwhile, and might not fit the others.
            if self._marks() == marks:
                return known

    def _marks(self) -> list[Mark]:
        """What the folder holds, by what changes if it does: name, inode, size, time."""
        found = []
        for path in (*self.run.path.iterdir(), *self.run.checkpoint.glob("*")):
            if path.name.startswith(".") or path.name in KEPT or not path.is_file():
                continue
            with contextlib.suppress(FileNotFoundError):
                told = path.stat()
                name = path.relative_to(self.run.path).as_posix()
                found.append((name, told.st_ino, told.st_size, told.st_mtime_ns))
        return sorted(found)

    def _put_out(self, mark: Mark) -> str:
        """Keep a file by its sha256, whatever takes its place."""
        name, _, size, _ = mark
        fresh = self.out / f".{threading.get_ident()}"
        fresh.unlink(missing_ok=True)
        if name in GROW:
            with (self.run.path / name).open("rb") as file:
                fresh.write_bytes(file.read(size))
        else:
            os.link(self.run.path / name, fresh)
        with fresh.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        os.replace(fresh, self.out / digest)
        # A link over another one to the same file is left as it is.
        fresh.unlink(missing_ok=True)
        return digest

    def _forget(self) -> None:
        for dataset in self.run.path.parents[1].glob("datasets/*"):
            # Still in use, for the next job that looks what is not.
            os.utime(dataset)
        wanted = set(self._known.values())
        for path in self.out.iterdir():
            told = path.stat()
            # The clock of a file tells when its last other name went.
            if (
                path.name not in wanted
                and told.st_nlink == 1
                and time.time() - told.st_ctime > LEFT_S
            ):
                path.unlink()


def main() -> None:
    """Carry out the run of a plan."""
    job, plan = sys.argv[1:3]
    logs = _logs()
    place = logs / folder_of(job)
    try:
        if not logs.is_dir():
            raise BloodCellError(
                f"{logs} is not the folder of Ray's logs: have the settings python and setup leave "
                "the output of a job as it is, or set RAY_TMPDIR there"
            )
        _sweep(place.parent)
        home, run = settle(place, plan, _unpacked())
        # What it learns from is named relative to it.
        os.chdir(home)
        if (home / "keras").is_dir():
            os.environ["KERAS_HOME"] = str(home / "keras")
        outbox = Outbox(run, place)
        threading.Thread(target=outbox.keep_cutting, daemon=True).start()
        try:
            carry_out(str(home), str(run.path))
        finally:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            outbox.close()
    except BloodCellError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
