"""Which runs refer to a dataset: what to know before it is renamed or deleted."""

from bloodcell.errors import BadInput
from bloodcell.locks import is_locked
from bloodcell.runs.run import ACTIVE, Run
from bloodcell.workspace import Workspace

__all__ = ["require_idle", "runs_on", "uses_text"]

NAMED = 3


def runs_on(workspace: Workspace, dataset: str) -> list[Run]:
    """The runs whose config names this dataset of the workspace, newest first.

    Also those whose config cannot be read: they may.
    """
    names = (dataset, str(workspace.datasets / dataset))
    found = []
    for name in reversed(workspace.names("runs")):
        run = Run(workspace.runs / name)
        try:
            uses = run.config().dataset in names
        except FileNotFoundError:
            # No run, unless something else of one is there.
            uses = run.status_path.exists() or run.checkpoint.exists()
        except (BadInput, OSError):
            uses = True
        if uses:
            found.append(run)
    return found


def uses_text(dataset: str, runs: list[Run]) -> str:
    """What the runs on a dataset lose without it, in one sentence; "" if there are none."""
    if not runs:
        return ""
    names = ", ".join(run.id for run in runs[:NAMED])
    more = f" and {len(runs) - NAMED:,} more" if len(runs) > NAMED else ""
    refer = "1 run refers" if len(runs) == 1 else f"{len(runs):,} runs refer"
    return (
        f"{refer} to {dataset} ({names}{more}): without a dataset of this name a run cannot be "
        "resumed, but what it has learned and measured stays."
    )


def require_idle(dataset: str, runs: list[Run]) -> None:
    """Raise BadInput if one of these runs is at work on the dataset or waits for it."""
    for run in runs:
        try:
            state = run.status()["state"]
        except (BadInput, OSError):
            # What it says of itself is damaged; that somebody holds it is not.
            state = "running" if is_locked(run.lock_path) else "damaged"
        if state in (*ACTIVE, "queued"):
            raise BadInput(
                f"The run {run.id} on {dataset} is {state}: stop it first with "
                f"`python -m bloodcell stop {run.id}`."
            )
