"""What a job of a cluster does: it carries one run out.

``python -m bloodcell.runs.engines.job HOME RUN`` is a job of Ray; one of Slurm is in `slurm_job`.
"""

import os
import platform
import sys
import time
from collections.abc import Callable
from pathlib import Path

from bloodcell.errors import BloodCellError, NameTaken
from bloodcell.runs.execute import DETACHED, execute
from bloodcell.runs.run import Run
from bloodcell.workspace import Workspace

__all__ = ["carry_out", "main"]

# Who submitted the job, or the process that it had before, may hold the run a moment longer.
PATIENCE_S = 60.0


def carry_out(home: str, path: str, requeue: Callable[[], None] | None = None) -> str:
    """Carry a run out on this node; the state it ended in.

    Args:
        requeue: as :func:`bloodcell.runs.execute.execute` calls it.

    Raises:
        BloodCellError: this node does not see the run, or it cannot go on.
    """
    os.environ[DETACHED] = "1"
    workspace, run = Workspace(Path(home)), Run(Path(path))
    if not run.config_path.is_file():
        raise BloodCellError(
            f"{platform.node()} does not see {run.path}: have the workspace on a file system that "
            "this machine and the nodes see under the same path"
        )
    end = time.monotonic() + PATIENCE_S
    while True:
        try:
            return execute(workspace, run, echo=False, requeue=requeue)
        except NameTaken:
            if time.monotonic() > end:
                raise
            time.sleep(0.5)


def main() -> None:
    """Carry out the run that the command line names."""
    home, path = sys.argv[1:3]
    try:
        carry_out(home, path)
    except BloodCellError as error:
        seen = Run(Path(path)).config_path.is_file()
        send = ", or have files sent: `python -m bloodcell queue --engine ray --set shared=false`"
        sys.exit(f"{error}{'' if seen else send}")


if __name__ == "__main__":
    main()
