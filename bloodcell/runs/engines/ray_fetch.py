"""Fetch what a job of a Ray has written into the folder of its run, where its node has one of its
own: see :mod:`bloodcell.runs.engines.ray_job`.

All files that have changed are brought first, and only then take the place of the old ones, the
checkpoint before what tells of it: whenever this is interrupted, the folder is one to resume from.
"""

import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from bloodcell.errors import NoSpace, Offline, is_out_of_space
from bloodcell.files import temporary_beside
from bloodcell.runs.engines.ray_head import Head
from bloodcell.runs.engines.ray_job import FILES, OUT, folder_of
from bloodcell.runs.lock import hold
from bloodcell.runs.remembered import remembered
from bloodcell.runs.run import Run

__all__ = ["fetch_run"]

NAME = re.compile(r"(checkpoint/)?[A-Za-z0-9][\w.-]{0,100}")
DIGEST = re.compile(r"[0-9a-f]{64}")
# Of this workspace alone.
OURS = ("config.json", "job.json", "labels.json", "lock", "stop")
# From what is referred to, to what tells of it; all others are in between.
FIRST = ("checkpoint/best-", "checkpoint/")
LAST = ("train.log", "metrics.jsonl", "status.json")


def fetch_run(head: Head, node: str, job: str, run: Run) -> int | None:
    """Bring the folder of a run up to what its job had written a moment ago.

    Args:
        node: Ray's id of the node of the job.

    Returns:
        The bytes that were fetched; None if the job has written nothing yet.

    Raises:
        BadInput: Ray refuses.
        NameTaken: another process holds the run.
        NotFound: it was deleted.
        NoSpace: the files do not fit on the disk.
        Offline: Ray, or the node, does not answer; or it has gone on meanwhile.
    """
    try:
        told = head.read(node, f"{folder_of(job)}/{FILES}")
    except FileNotFoundError:
        return None
    files = _checked(told, node)
    with hold(run, away=True), ExitStack() as temporary:
        here = {name: _digest(run.path / name) for name in files}
        changed = [name for name, (digest, _) in files.items() if here[name] != digest]
        if not changed:
            return 0
        same = {digest: name for name, digest in here.items() if digest}
        fresh, fetched = {}, 0
        for name in sorted(changed, key=_place):
            digest, size = files[name]
            fresh[name] = temporary.enter_context(_temporary(run.path / name))
            if digest in same:
                # The state of before is another file now.
                shutil.copyfile(run.path / same[digest], fresh[name])
            else:
                _bring(head, node, f"{folder_of(job)}/{OUT}/{digest}", fresh[name], files[name])
                fetched += size
        for name, path in fresh.items():
            os.replace(path, run.path / name)
        for old in run.checkpoint.glob("best-*.npz"):
            if f"checkpoint/{old.name}" not in files:
                old.unlink()
    return fetched


def _checked(told: bytes, node: str) -> Mapping[str, tuple[str, int]]:
    """File → (sha256, size), of what a node says that there is."""
    try:
        said = json.loads(told)
        files = {str(name): (str(digest), int(size)) for name, (digest, size) in said.items()}
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        raise Offline(f"The list of files of node {node} is no such list ({error}).") from error
    # Another machine must not choose what is written here.
    for name, (digest, _) in files.items():
        if not NAME.fullmatch(name) or name in OURS or not DIGEST.fullmatch(digest):
            raise Offline(f"The list of files of node {node} has one called {name!r:.100}.")
    return files


def _place(name: str) -> tuple[int, int, str]:
    first = next((i for i, start in enumerate(FIRST) if name.startswith(start)), len(FIRST))
    return first, LAST.index(name) if name in LAST else -1, name


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _digest(path: Path) -> str:
    """The sha256 of a file here; "" if there is none."""
    try:
        return remembered(path, _sha256)
    except OSError:
        return ""


@contextmanager
def _temporary(path: Path) -> Iterator[Path]:
    """A name beside a path for what will take its place."""
    path.parent.mkdir(exist_ok=True)
    temporary = temporary_beside(path)
    try:
        yield temporary
    except OSError as error:
        if is_out_of_space(error):
            raise NoSpace(
                f"{path} could not be fetched because the disk is full: free some space, and it is "
                "tried again."
            ) from error
        raise
    finally:
        temporary.unlink(missing_ok=True)


def _bring(head: Head, node: str, name: str, target: Path, told: tuple[str, int]) -> None:
    try:
        found = head.fetch(node, name, target)
    except FileNotFoundError as error:
        raise Offline(f"Node {node} has replaced {name} meanwhile.") from error
    if found != told:
        raise Offline(f"Of {name} of node {node}, {found[1]:,} bytes of {told[1]:,} came.")
