"""The datasets of a workspace: rename one, throw one away, take it back.

What is thrown away lies in ``trash/datasets/`` until the trash is emptied.
"""

import re
import shutil
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from bloodcell.errors import BadInput, NameTaken, NotFound
from bloodcell.workspace import Workspace

__all__ = [
    "Thrown",
    "empty_trash",
    "list_trash",
    "rename_dataset",
    "restore_dataset",
    "throw_away",
]

_ENTRY = re.compile(r"(\d{8}T\d{6})Z(?:-\d+)?\.(.+)")


@dataclass(frozen=True)
class Thrown:
    """A dataset in the trash.

    Attributes:
        path: where it lies.
        name: what it was called.
        when: time at which it was thrown away.
    """

    path: Path
    name: str
    when: datetime

    @property
    def entry(self) -> str:
        """Its name in the trash, which no other has."""
        return self.path.name

    @property
    def bytes(self) -> int:
        """What emptying the trash would free."""
        return sum(p.stat().st_size for p in self.path.rglob("*") if p.is_file())


def _existing(workspace: Workspace, name: str) -> Path:
    if name not in workspace.names("datasets"):
        # Raises with the names that there are; a path is no dataset of the workspace.
        found = workspace.find("datasets", name)
        raise BadInput(
            f"{found} is not in the workspace {workspace.home}, expected the name of a dataset in "
            "it: move or remove that folder yourself."
        )
    return workspace.datasets / name


def rename_dataset(workspace: Workspace, name: str, new_name: str) -> Path:
    """Call a dataset something else; runs go on naming it as they did.

    Raises:
        NotFound: there is no such dataset in the workspace.
        NameTaken, BadInput: the new name is in use or unusable.
    """
    path = _existing(workspace, name)
    if new_name != name and new_name.lower() == name.lower():
        # Another spelling of the same name is not taken by itself.
        target = workspace.datasets / new_name
    else:
        target = workspace.new("datasets", new_name)
    path.rename(target)
    return target


def _trash(workspace: Workspace) -> Path:
    return workspace.trash / "datasets"


def throw_away(workspace: Workspace, name: str) -> Thrown:
    """Move a dataset to the trash.

    Raises:
        NotFound: there is no such dataset in the workspace.
    """
    path = _existing(workspace, name)
    folder = _trash(workspace)
    folder.mkdir(parents=True, exist_ok=True)
    now = datetime.now(UTC).replace(microsecond=0)
    stamp = now.strftime("%Y%m%dT%H%M%SZ")
    entries = (f"{stamp}{f'-{i}' if i else ''}.{name}" for i in range(1000))
    target = folder / next(e for e in entries if not (folder / e).exists())
    shutil.move(path, target)
    return Thrown(target, name, now)


def list_trash(workspace: Workspace) -> list[Thrown]:
    """What lies in the trash, the latest first."""
    found = []
    folder = _trash(workspace)
    for path in folder.iterdir() if folder.is_dir() else ():
        if match := _ENTRY.fullmatch(path.name):
            when = datetime.strptime(match[1], "%Y%m%dT%H%M%S").replace(tzinfo=UTC)
            found.append(Thrown(path, match[2], when))
    return sorted(found, key=lambda t: t.entry, reverse=True)


def restore_dataset(workspace: Workspace, entry: str, new_name: str | None = None) -> Path:
    """Take a dataset back from the trash; returns its path.

    Args:
        entry: its entry in the trash, or the name it had: the latest of that name.
        new_name: what to call it now; None: as before.

    Raises:
        NotFound: there is nothing like it in the trash.
        NameTaken, BadInput: the name is in use or unusable.
    """
    trash = list_trash(workspace)
    found = next((t for t in trash if entry in (t.entry, t.name)), None)
    if found is None:
        there = ", ".join(t.name for t in trash[:8]) or "nothing"
        raise NotFound(
            f"No dataset {entry!r} in {_trash(workspace)}, there is {there}: check the name."
        )
    try:
        target = workspace.new("datasets", new_name or found.name)
    except NameTaken as error:
        raise NameTaken(
            f"There is a dataset {new_name or found.name} in {workspace.datasets} again: give "
            "another name to restore under."
        ) from error
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.move(found.path, target)
    return target


def empty_trash(workspace: Workspace) -> int:
    """Delete what lies in the trash for good; returns how many datasets."""
    trash = list_trash(workspace)
    for thrown in trash:
        if thrown.path.is_symlink():
            thrown.path.unlink()
        else:
            shutil.rmtree(thrown.path)
    return len(trash)
