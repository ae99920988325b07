"""The lock of a run: who holds it is the only one that may write into its folder."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from bloodcell.errors import NameTaken, NotFound
from bloodcell.files import os_errors_explained
from bloodcell.locks import acquire
from bloodcell.runs.run import Run

__all__ = ["hold"]

DYING_S = 10.0


@contextmanager
def hold(run: Run, *, away: bool = False) -> Iterator[None]:
    """Hold a run for this process; the operating system lets go of it if the process dies.

    Args:
        away: also while a job has it that does not see its folder, as who fetches its files does.

    Raises:
        NameTaken: another process holds it, or such a job has it.
        NotFound: the run is gone.
        ReadOnly: one may not write there.
    """
    end = time.monotonic() + DYING_S
    if not run.path.is_dir():
        raise NotFound(f"{run.path} is not there any more: it was deleted meanwhile.")
    with os_errors_explained(run.lock_path):
        file = run.lock_path.open("a")
    with file:
        while not acquire(file):
            # A killed process may be gone for everyone but the system, which still holds its files.
            if run.status()["state"] != "lost" or time.monotonic() > end:
                raise NameTaken(
                    f"Run {run.id} is being carried out by another process: "
                    f"watch it, or stop it first with `python -m bloodcell stop {run.id}`."
                )
            time.sleep(0.05)
        if not away and run.is_away():
            raise NameTaken(
                f"Run {run.id} is carried out by a cluster, or was and its files are still to be "
                "fetched, which `python -m bloodcell queue --start` does: watch it, or stop it "
                f"first with `python -m bloodcell stop {run.id}`."
            )
        yield
