"""What carries runs out: processes of this machine, or a cluster's scheduler."""

from collections.abc import Callable

from bloodcell.runs.engines.engine import Engine
from bloodcell.runs.engines.local import Local
from bloodcell.runs.engines.slurm import Slurm
from bloodcell.workspace import Workspace

__all__ = ["ENGINES", "Engine", "Local", "Slurm"]

ENGINES: dict[str, Callable[[Workspace], Engine]] = {Local.name: Local, Slurm.name: Slurm}
