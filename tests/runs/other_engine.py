"""A second engine, and a supervisor that knows it: its runs do nothing but wait for a file.

``python -m tests.runs.other_engine HOME`` is what ``queue --supervise`` is to the real one.
"""

import platform
import subprocess
import sys
import time
from pathlib import Path
from typing import ClassVar

from bloodcell.files import write_json
from bloodcell.runs.engines import ENGINES, Engine
from bloodcell.runs.run import Run
from bloodcell.runs.supervisor import supervise
from bloodcell.workspace import Workspace

REPOSITORY = Path(__file__).parents[2]


class Waiting(Engine):
    """Carries a run out by waiting until its folder holds a file ``go``."""

    name: ClassVar[str] = "waiting"

    def submit(self, run: Run) -> None:
        # "queued" whatever it was, also if it was lost: it holds its place from now on.
        said = {"state": "queued", "launched": time.time(), "engine": self.name}
        write_json(run.status_path, {**run.status(), **said, "host": platform.node()})
        waits = [sys.executable, "-m", "tests.runs.waits", str(run.path)]
        subprocess.Popen(waits, cwd=REPOSITORY, start_new_session=True)

    def cancel(self, run: Run) -> None:
        run.stop_path.touch()


if __name__ == "__main__":
    ENGINES[Waiting.name] = Waiting
    sys.exit(0 if supervise(Workspace(Path(sys.argv[1])), every_s=0.05) else 3)
