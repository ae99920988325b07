"""What carries runs out: processes of this machine, or a cluster's scheduler."""

from collections.abc import Callable

from bloodcell.runs.engines.engine import Engine
from bloodcell.runs.engines.local import Local
from bloodcell.runs.engines.ray import Ray
from bloodcell.runs.engines.scheduled import describe_job
from bloodcell.runs.engines.slurm import Slurm
from bloodcell.workspace import Workspace

__all__ = ["ENGINES", "Engine", "Local", "Ray", "Slurm", "describe_job"]

ENGINES: dict[str, Callable[[Workspace], Engine]] = {
    made.name: made for made in (Local, Slurm, Ray)
}
