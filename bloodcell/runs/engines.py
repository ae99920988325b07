"""What carries runs out. The queue and the page know these two verbs and nothing else.

An engine for a cluster is another class with these methods in `ENGINES`: it submits
``python -m bloodcell resume RUN`` on a machine that sees the run's folder, and the folder tells
the rest.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Protocol

from bloodcell.runs.launch import ask_to_stop, start
from bloodcell.runs.run import Run
from bloodcell.workspace import Workspace

__all__ = ["ENGINES", "Engine", "Local"]


class Engine(Protocol):
    """Carries runs out."""

    name: ClassVar[str]

    def submit(self, run: Run) -> None:
        """Have a queued run carried out, and return at once.

        Until its process speaks up, ``status.json`` says queued, with ``launched`` (seconds since
        1970) and ``engine``.

        Raises:
            BloodCellError: it is being carried out already, or cannot be.
        """

    def cancel(self, run: Run) -> None:
        """Have it end after its current batch with its state saved, or not begin at all."""


@dataclass(frozen=True)
class Local:
    """Each run in a process of its own on this machine."""

    workspace: Workspace
    name: ClassVar[str] = "local"

    def submit(self, run: Run) -> None:
        start(self.workspace, run)

    def cancel(self, run: Run) -> None:
        ask_to_stop(run)


ENGINES: dict[str, Callable[[Workspace], Engine]] = {Local.name: Local}
