"""Take an ensemble's zip from elsewhere into the workspace."""

from pathlib import Path

from bloodcell.ensemble.bundle import MAX_FILE_BYTES, Bundle, new_ensemble, write_zip
from bloodcell.ensemble.trial import try_apart
from bloodcell.errors import BadInput, NameTaken
from bloodcell.files import new_folder, replacing, write_json
from bloodcell.workspace import Workspace

__all__ = ["import_ensemble"]


def import_ensemble(
    workspace: Workspace,
    content: bytes,
    called: str,
    name: str | None = None,
    *,
    numbered: bool = False,
) -> Path:
    """Check an ensemble and unpack it as one of the workspace; returns its folder.

    It is loaded whole before anything is written, in a process of its own, and only the files that
    it names with their checksums are taken.

    Args:
        content: the zip.
        called: its file name, for the sentence.
        name: in the workspace; None: as it calls itself.
        numbered: if there is one of that name, add -2, -3, ... to it.

    Raises:
        BadInput: it is damaged, foreign, or of another version.
        NameTaken: there is an ensemble of that name.
    """
    if len(content) > MAX_FILE_BYTES:
        raise BadInput(
            f"{called} has {len(content) / 2**20:,.0f} MiB, expected at most "
            f"{MAX_FILE_BYTES // 2**20} MiB: copy its folder into {workspace.ensembles} instead."
        )
    bundle = Bundle(Path(called), content)
    try_apart(content, called)
    name = name or bundle.description.name
    path, packed = _place(workspace, name, numbered)
    with replacing(packed) as zipped, new_folder(path) as folder:
        for file in bundle.description.files:
            target = folder / file
            data = bundle.read_checked(file)
            target.parent.mkdir(exist_ok=True)
            target.write_bytes(data)
        write_json(folder / "ensemble.json", bundle.description.changed(name=path.name).to_json())
        write_zip(folder, zipped)
    return path


def _place(workspace: Workspace, name: str, numbered: bool) -> tuple[Path, Path]:
    wanted, count = name, 2
    while True:
        try:
            return new_ensemble(workspace, wanted)
        except NameTaken:
            if not numbered:
                raise
        wanted, count = f"{name}-{count}", count + 1
