"""Each run in a process of its own on this machine."""

from typing import ClassVar

from bloodcell.runs.engines.engine import Engine
from bloodcell.runs.launch import ask_to_stop, end_at_once, start
from bloodcell.runs.run import Run

__all__ = ["Local"]


class Local(Engine):
    """Processes of this machine, which say all there is to say themselves."""

    name: ClassVar[str] = "local"
    title: ClassVar[str] = "This machine"

    def submit(self, run: Run) -> None:
        start(self.workspace, run)

    def cancel(self, run: Run) -> None:
        ask_to_stop(run)

    def end(self, run: Run) -> None:
        end_at_once(run)
