"""The one place that knows where things lie on disk."""

import os
import re
from dataclasses import dataclass
from pathlib import Path

from bloodcell.errors import BadInput, NameTaken, NotFound

__all__ = ["Workspace", "check_name", "open_workspace"]

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
# Windows cannot hold files of these names; a workspace should survive a copy to one.
_RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)


def check_name(name: str, what: str) -> str:
    """Return `name` if it can be the name of a dataset, policy, run or ensemble.

    Raises:
        BadInput: it is empty, too long, or holds anything but letters, digits, ``. _ -``.
    """
    if not _NAME.fullmatch(name) or _RESERVED.fullmatch(name) or name.endswith("."):
        raise BadInput(
            f"{name!r} cannot be the name of a {what}: expected 1 to 64 letters, digits, dots, "
            "dashes or underscores that begin with a letter or digit, so choose another name."
        )
    return name


@dataclass(frozen=True)
class Workspace:
    """A folder with ``datasets/ policies/ runs/ ensembles/`` in it."""

    home: Path

    @property
    def datasets(self) -> Path:
        return self.home / "datasets"

    @property
    def policies(self) -> Path:
        return self.home / "policies"

    @property
    def runs(self) -> Path:
        return self.home / "runs"

    @property
    def ensembles(self) -> Path:
        return self.home / "ensembles"

    @property
    def trash(self) -> Path:
        return self.home / "trash"

    @property
    def queue(self) -> Path:
        return self.home / "queue"

    @property
    def exports(self) -> Path:
        return self.home / "exports"

    @property
    def downloads(self) -> Path:
        return self.home / "downloads"

    def names(self, kind: str) -> list[str]:
        """Names of the folders and JSON files of a `kind` ("datasets", "policies", ...), sorted."""
        folder = self.home / kind
        if not folder.is_dir():
            return []
        return sorted(
            p.name
            for p in folder.iterdir()
            if not p.name.startswith(".") and (p.is_dir() or p.suffix == ".json")
        )

    def new(self, kind: str, name: str) -> Path:
        """The path at which `name` of `kind` may be made.

        Raises:
            BadInput: the name is unusable.
            NameTaken: there is one already.
        """
        what = kind.removesuffix("s")
        path = self.home / kind / check_name(name, what)
        # A case-insensitive disk would take "Demo" and "demo" for one.
        taken = {n.lower() for n in self.names(kind)}
        if name.lower() in taken or os.path.lexists(path):
            raise NameTaken(
                f"The {what} name {name!r} is taken in {self.home / kind}: "
                "choose another name or delete the old one first."
            )
        return path

    def find(self, kind: str, name_or_path: str) -> Path:
        """The path of `name_or_path`: a name in the workspace or a path anywhere.

        Raises:
            NotFound: neither exists.
        """
        what = kind.removesuffix("s")
        if _NAME.fullmatch(name_or_path) and (self.home / kind / name_or_path).exists():
            return self.home / kind / name_or_path
        path = Path(os.path.expanduser(name_or_path))
        # os.path, unlike Path, also takes a name too long for the disk for one that is not there.
        if name_or_path and os.path.exists(path):
            # "." and ".." have no name of their own.
            return path if path.name not in ("", "..") else Path(os.path.abspath(path))
        known = self.names(kind)
        there = f"there are {', '.join(known[:8])}" if known else f"there is no {what} yet"
        raise NotFound(
            f"No {what} {name_or_path!r} in {self.home / kind} and no such path: "
            f"{there}, so check the name or give a path."
        )


def open_workspace(home: str | os.PathLike | None = None) -> Workspace:
    """The workspace at `home`, else at ``$BLOODCELL_HOME``, else ``artifacts/``."""
    chosen = home or os.environ.get("BLOODCELL_HOME") or "artifacts"
    return Workspace(Path(chosen).expanduser().absolute())
