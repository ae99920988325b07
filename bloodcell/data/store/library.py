"""The datasets of a workspace: call one something else."""

from pathlib import Path

from bloodcell.errors import BadInput, NameTaken
from bloodcell.files import move
from bloodcell.workspace import Workspace, check_name

__all__ = ["rename_dataset"]


def rename_dataset(workspace: Workspace, name: str, new_name: str) -> Path:
    """Call a dataset something else; runs go on naming it as they did.

    Raises:
        NotFound: there is no such dataset in the workspace, or no longer.
        NameTaken, BadInput: the new name is in use or unusable.
        ReadOnly: one may not write there.
    """
    if name not in workspace.names("datasets"):
        # Raises with the names that there are; a path is no dataset of the workspace.
        found = workspace.find("datasets", name)
        raise BadInput(
            f"{found} is not in the workspace {workspace.home}, expected the name of a dataset in "
            "it: rename that folder yourself."
        )
    path = workspace.datasets / name
    if new_name != name and new_name.lower() == name.lower():
        # Another spelling of the same name is not taken by itself.
        target = workspace.datasets / check_name(new_name, "dataset")
    else:
        target = workspace.new("datasets", new_name)
    try:
        move(path, target)
    except NameTaken as error:
        raise NameTaken(
            f"The dataset name {new_name!r} was taken meanwhile: choose another."
        ) from error
    return target
