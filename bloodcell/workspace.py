"""The one place that knows where things lie on disk."""

import os
import re
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from bloodcell.errors import BadInput, NameTaken, NotFound

__all__ = ["REFERENCE", "Workspace", "built_in_ensembles", "check_name", "open_workspace"]

# The ensemble that comes with the program.
REFERENCE = "reference"

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


@cache
def built_in_ensembles() -> Path | None:
    """The folder with the ensemble that comes with the program, None where it came without.

    In a clone that is ``artifacts/ensembles``; an installed package has it among its data files.
    """
    clone = Path(__file__).parents[1] / "artifacts" / "ensembles"
    found = [clone / REFERENCE]
    try:
        files = distribution("bloodcell-lab").files or []
        found += [Path(f.locate()).parent.resolve() for f in files if f.name == "ensemble.json"]
    except PackageNotFoundError:
        pass
    there = [path for path in found if (path / "ensemble.json").is_file()]
    return there[0].parent if there else None


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
    def verifications(self) -> Path:
        return self.home / "verifications"

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
        """Names of the folders and JSON files of a `kind` ("datasets", "policies", ...), sorted.

        The ensemble that comes with the program is one of every workspace's, but for one that has
        an ensemble of that name itself.
        """
        own = self._own_names(kind)
        if kind == "ensembles" and REFERENCE not in own and built_in_ensembles() is not None:
            return sorted([*own, REFERENCE])
        return own

    def _own_names(self, kind: str) -> list[str]:
        folder = self.home / kind
        if not folder.is_dir():
            return []
        return sorted(
            p.name
            for p in folder.iterdir()
            if not p.name.startswith(".") and (p.is_dir() or p.suffix == ".json")
        )

    @property
    def default_ensemble(self) -> str | None:
        """The ensemble to begin with: one of the workspace's own, else what comes with the program.

        Of its own the one named "reference", else the first.
        """
        own = self._own_names("ensembles")
        if own:
            return REFERENCE if REFERENCE in own else own[0]
        return REFERENCE if built_in_ensembles() is not None else None

    def new(self, kind: str, name: str) -> Path:
        """The path at which `name` of `kind` may be made.

        Raises:
            BadInput: the name is unusable.
            NameTaken: there is one already.
        """
        what = kind.removesuffix("s")
        path = self.home / kind / check_name(name, what)
        # A case-insensitive disk would take "Demo" and "demo" for one.
        taken = {n.lower() for n in self._own_names(kind)}
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
        built_in = built_in_ensembles() if kind == "ensembles" else None
        if built_in is not None and name_or_path == REFERENCE:
            return built_in / REFERENCE
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
