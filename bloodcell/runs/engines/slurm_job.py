"""What a Slurm job does: it carries one run out, and hands it back when its time is over.

Slurm tells a job in advance that its time limit is near or that it is preempted, by a signal. The
run then ends after its current batch with its state saved, waits again, and the job goes back to
Slurm under the same number.
"""

import os
import subprocess
from dataclasses import dataclass

from submitit.helpers import Checkpointable

from bloodcell.errors import BloodCellError
from bloodcell.runs.engines.job import carry_out

__all__ = ["CarryOut", "requeue"]

SCONTROL_S = 30.0


@dataclass
class CarryOut(Checkpointable):
    """The callable of the job; unpickled by submitit on the node."""

    home: str
    run: str

    def __call__(self) -> str:
        return carry_out(self.home, self.run, requeue)


def requeue() -> None:
    """Give this job back to Slurm, to be begun again.

    Raises:
        BloodCellError: Slurm does not take it.
    """
    job = os.environ.get("SLURM_JOB_ID", "")
    try:
        subprocess.run(
            ["scontrol", "requeue", job],
            capture_output=True,
            text=True,
            timeout=SCONTROL_S,
            check=True,
        )
    except (OSError, subprocess.SubprocessError) as error:
        said = getattr(error, "stderr", "") or str(error)
        raise BloodCellError(f"Slurm did not take job {job} back ({said.strip()})") from error
