"""Delete a saved policy, and take that back."""

import os
import uuid
from pathlib import Path

from bloodcell.augment.policy import PRESETS
from bloodcell.errors import BadInput, NameTaken, NotFound
from bloodcell.workspace import Workspace

__all__ = ["delete_policy", "restore_policy"]


def delete_policy(workspace: Workspace, name: str) -> Path:
    """Move the policy `name` to ``trash/policies/``.

    Returns:
        Where it is now, for `restore_policy`.

    Raises:
        BadInput: the name is a preset's.
        NotFound: no policy of that name is saved.
    """
    if name in PRESETS:
        raise BadInput(f"The policy {name!r} is a preset and stays: delete one that was saved.")
    if f"{name}.json" not in workspace.names("policies"):
        raise NotFound(f"No policy {name!r} in {workspace.policies}: check the name.")
    folder = workspace.trash / "policies"
    folder.mkdir(parents=True, exist_ok=True)
    # a name may be deleted, given again and deleted again
    deleted = folder / f"{name}.{uuid.uuid4().hex[:8]}.json"
    os.replace(workspace.policies / f"{name}.json", deleted)
    return deleted


def restore_policy(workspace: Workspace, deleted: Path) -> str:
    """Put a deleted policy back.

    Args:
        deleted: what `delete_policy` returned.

    Returns:
        Its name.

    Raises:
        NameTaken: another policy has its name by now; both are kept.
        NotFound: it is no longer there.
    """
    name = deleted.name.removesuffix(".json").rpartition(".")[0]
    if not deleted.is_file():
        raise NotFound(f"{deleted} is not there any more: the policy cannot be put back.")
    if f"{name}.json".lower() in (n.lower() for n in workspace.names("policies")):
        raise NameTaken(
            f"The policy name {name!r} is taken again in {workspace.policies}: save that one under "
            "another name and delete it first."
        )
    workspace.policies.mkdir(parents=True, exist_ok=True)
    os.replace(deleted, workspace.policies / f"{name}.json")
    return name
