"""The trash: deleted datasets, runs and policies, until it is emptied.

They lie in ``trash/KIND/`` as ``TIME.NAME``. What is moved there and back is moved whole, and never
into or over something else: of two who try at once, one is told that the other was first.
"""

import contextlib
import os
import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from bloodcell.augment.policy import PRESETS
from bloodcell.errors import BadInput, BloodCellError, NameTaken, NotFound
from bloodcell.files import bytes_of, move, os_errors_explained, temporary_beside, write_json
from bloodcell.runs.lock import hold
from bloodcell.runs.run import ACTIVE, Run
from bloodcell.runs.uses import require_idle, runs_on
from bloodcell.workspace import Workspace

__all__ = [
    "KINDS",
    "Deleted",
    "count_words",
    "delete",
    "empty_trash",
    "find_deleted",
    "list_trash",
    "restore",
]

# In the order in which a name is looked for; each with the word for one of them.
KINDS = {"datasets": "dataset", "runs": "run", "policies": "policy"}
_ENTRY = re.compile(r"(\d{8}T\d{6})Z(?:-\d+)?\.(.+)")
# What versions before 0.2 called a deleted policy; a deleted run kept its name.
_FORMER_POLICY = re.compile(r"(.+)\.[0-9a-f]{8}")


@dataclass(frozen=True)
class Deleted:
    """Something in the trash.

    Attributes:
        kind: a key of KINDS.
        path: where it lies.
        name: what it was called.
        when: when it was deleted.
    """

    kind: str
    path: Path
    name: str
    when: datetime

    @property
    def entry(self) -> str:
        """Its name in the trash, which no other of its kind has."""
        return self.path.name

    @property
    def bytes(self) -> int:
        """What emptying the trash would free."""
        return bytes_of(self.path)


def _path(workspace: Workspace, kind: str, name: str) -> Path:
    """Where `name` of a kind lies in the workspace, or would."""
    return workspace.home / kind / (f"{name}.json" if kind == "policies" else name)


def delete(workspace: Workspace, kind: str, name: str) -> Deleted:
    """Move a dataset, run or policy of the workspace to the trash.

    Raises:
        BadInput: it lies elsewhere, is a preset, or a run is at work on it.
        NotFound: there is none of this name, or no longer.
        NameTaken: it is a run that another process holds.
        ReadOnly: one may not write there.
    """
    if kind == "policies" and name in PRESETS:
        raise BadInput(f"The policy {name!r} is a preset and stays: delete one that was saved.")
    path = _path(workspace, kind, name)
    if path.name not in workspace.names(kind):
        # Raises with the names that there are.
        found = workspace.find(kind, name)
        raise BadInput(
            f"{found} is not in the workspace {workspace.home}, expected the name of a "
            f"{KINDS[kind]} in it: move or remove it yourself."
        )
    if kind == "datasets":
        require_idle(name, runs_on(workspace, name))
    with hold(Run(path)) if kind == "runs" else contextlib.nullcontext():
        if kind == "runs":
            _require_not_at_work(Run(path))
        return _move_to_trash(workspace, kind, path, name)


def _require_not_at_work(run: Run) -> None:
    try:
        status = run.status()
    except (BloodCellError, OSError):
        # A damaged run may go: nobody holds its lock.
        return
    if status["state"] in ACTIVE or (status["state"] == "queued" and "launched" in status):
        raise BadInput(
            f"Run {run.id} is {status['state']}: stop it first with "
            f"`python -m bloodcell stop {run.id}`."
        )


def _move_to_trash(workspace: Workspace, kind: str, path: Path, name: str) -> Deleted:
    now = datetime.now(UTC).replace(microsecond=0)
    stamp, number = now.strftime("%Y%m%dT%H%M%SZ"), 0
    while True:
        entry = f"{stamp}{f'-{number}' if number else ''}.{path.name}"
        target = workspace.trash / kind / entry
        try:
            move(path, target)
            return Deleted(kind, target, name, now)
        except NameTaken:
            number += 1


def list_trash(workspace: Workspace, kind: str | None = None) -> list[Deleted]:
    """What lies in the trash, of one kind or of all, the latest first."""
    found = []
    for each in [kind] if kind else KINDS:
        folder = workspace.trash / each
        for path in folder.iterdir() if folder.is_dir() else ():
            with contextlib.suppress(FileNotFoundError):
                if (entry := _read_entry(each, path)) is not None:
                    found.append(entry)
    return sorted(found, key=lambda d: (d.when, d.entry), reverse=True)


def _read_entry(kind: str, path: Path) -> Deleted | None:
    """An entry of the trash; None for what is none."""
    if path.name.startswith(".") or (kind == "policies") != (path.suffix == ".json"):
        return None
    name = path.stem if kind == "policies" else path.name
    if match := _ENTRY.fullmatch(name):
        when = datetime.strptime(match[1], "%Y%m%dT%H%M%S").replace(tzinfo=UTC)
        return Deleted(kind, path, match[2], when)
    when = datetime.fromtimestamp(path.lstat().st_mtime, UTC)
    if kind == "policies" and (match := _FORMER_POLICY.fullmatch(name)):
        return Deleted(kind, path, match[1], when)
    return Deleted(kind, path, name, when) if kind == "runs" and path.is_dir() else None


def find_deleted(workspace: Workspace, entry: str, kind: str | None = None) -> Deleted:
    """Something in the trash.

    Args:
        entry: its entry, or the name it had: the latest of that name.

    Raises:
        NotFound: there is nothing like it.
        BadInput: without a kind, several kinds have it.
    """
    trash = list_trash(workspace, kind)
    # An entry is one thing; a name may be that of several.
    found = [d for d in trash if d.entry == entry] or [d for d in trash if d.name == entry]
    if not found:
        what = KINDS[kind] if kind else "dataset, run or policy"
        there = ", ".join(d.name for d in trash[:8]) or "nothing"
        raise NotFound(
            f"No deleted {what} {entry!r} in {workspace.trash}, there is {there}: check the name."
        )
    kinds = [KINDS[k] for k in KINDS if any(d.kind == k for d in found)]
    if len(kinds) > 1:
        raise BadInput(
            f"A {' and a '.join(kinds)} in the trash are called {entry!r}: say which with --kind."
        )
    return found[0]


def restore(workspace: Workspace, deleted: Deleted, new_name: str | None = None) -> Path:
    """Take something back from the trash; returns its path. A run that waited is stopped now.

    Args:
        new_name: what to call it now, which a dataset alone may be given; None: as before.

    Raises:
        NotFound: it is no longer there.
        NameTaken, BadInput: the name is in use or unusable.
        ReadOnly: one may not write there.
    """
    kind, name = deleted.kind, new_name or deleted.name
    if new_name and kind != "datasets":
        raise BadInput(f"A {KINDS[kind]} keeps its name, {deleted.name}: restore it without one.")
    if kind == "policies":
        target = _path(workspace, kind, name)
        taken = target.name.lower() in (n.lower() for n in workspace.names(kind))
    else:
        try:
            target, taken = workspace.new(kind, name), False
        except NameTaken:
            taken = True
    if not taken:
        try:
            move(deleted.path, target)
        except NameTaken:
            taken = True
    if taken:
        raise NameTaken(
            f"There is a {KINDS[kind]} {name} in {workspace.home / kind} again: "
            + (
                "give another name to restore under."
                if kind == "datasets"
                else "rename or delete that one first."
            )
        )
    if kind == "runs":
        with contextlib.suppress(BloodCellError, OSError):
            status = Run(target).status()
            if status["state"] == "queued":
                stopped = {**status, "state": "stopped", "reason": "it was deleted"}
                write_json(Run(target).status_path, stopped, target)
    return target


def count_words(items: Sequence[Deleted]) -> str:
    """How many of each kind, as "2 datasets, 1 run"."""
    counts = {kind: sum(d.kind == kind for d in items) for kind in KINDS}
    return ", ".join(f"{n:,} {k if n > 1 else KINDS[k]}" for k, n in counts.items() if n)


def empty_trash(workspace: Workspace) -> list[Deleted]:
    """Delete what lies in the trash for good; returns what that was.

    Raises:
        ReadOnly: one may not write there.
    """
    emptied = []
    for deleted in list_trash(workspace):
        # Taken out of everyone's sight first: nobody restores half of it.
        going = temporary_beside(deleted.path)
        with contextlib.suppress(NotFound), os_errors_explained(deleted.path):
            os.rename(deleted.path, going)
            emptied.append(deleted)
            if going.is_dir() and not going.is_symlink():
                shutil.rmtree(going)
            else:
                going.unlink()
    return emptied
