"""A run's process that does nothing: ``python -m tests.runs.waits RUN`` waits for a file ``go``.

It imports as little as it can, because many are started.
"""

import sys
import time
from pathlib import Path

from bloodcell.files import read_json, write_json
from bloodcell.locks import locked
from bloodcell.runs.process import this_process


def wait(run: Path) -> None:
    with locked(run / "lock", 5) as got:
        assert got, f"{run} is carried out by another process"
        status = {**read_json(run / "status.json"), "state": "running", **this_process()}
        status.pop("launched", None)
        write_json(run / "status.json", status)
        with (run / "train.log").open("a") as log:
            log.write(f"began at {time.monotonic()}\n")
        while not (run / "go").exists() and not (run / "stop").exists():
            time.sleep(0.02)
        with (run / "train.log").open("a") as log:
            log.write(f"ended at {time.monotonic()}\n")
        write_json(run / "status.json", {**status, "state": "finished"})


if __name__ == "__main__":
    wait(Path(sys.argv[1]))
