"""What the queue, the verbs and the page know of an engine, whichever it is.

An engine for another cluster is one more class with these methods in `ENGINES`: it has
:func:`bloodcell.runs.execute.execute` called on a machine that sees the run's folder, or keeps that
folder up to what was written elsewhere, and the folder tells the rest.
"""

from typing import Any, ClassVar

from bloodcell.errors import BadInput
from bloodcell.runs.run import Run
from bloodcell.workspace import Workspace

__all__ = ["Engine"]


class Engine:
    """Carries runs out."""

    name: ClassVar[str]
    title: ClassVar[str]
    """As people call it."""
    prepares: ClassVar[bool] = False
    """Whether :meth:`prepare` does anything."""

    def __init__(self, workspace: Workspace):
        self.workspace = workspace

    @property
    def slots(self) -> int | None:
        """How many runs it is given at a time; None: as many as the queue has slots."""
        return None

    def change(self, **changes: Any) -> None:
        """Change what its runs ask for, if that could ever be granted.

        Raises:
            BadInput: there is no such setting, or it is refused.
            Offline: what carries runs out does not answer.
        """
        if changes:
            raise BadInput(
                f"--set is of jobs of a cluster, and the engine is {self.name}: give --engine "
                "slurm or ray with it, or change the config of a run with `edit`."
            )

    def check(self) -> str:
        """Whether it would take a run of this workspace as it is set: what it answered.

        Raises: as :meth:`change`.
        """
        return ""

    def prepare(self, run: Run) -> None:
        """Do for a run that :meth:`submit` will be called of what takes longer than a moment.

        Raises: as :meth:`submit`.
        """

    def submit(self, run: Run) -> None:
        """Have a queued run carried out, and return at once.

        Until its process speaks up, ``status.json`` says queued, with ``launched`` (seconds since
        1970) and ``engine``.

        Raises:
            BloodCellError: it cannot be carried out.
            NameTaken: it is being carried out, or what did it before is still ending; it waits on.
            Offline: what carries it out does not answer; the run waits on.
        """
        raise NotImplementedError

    def cancel(self, run: Run) -> None:
        """Have it end after its current batch with its state saved, or not begin at all."""
        raise NotImplementedError

    def end(self, run: Run) -> None:
        """End a run that does not answer; what it did since its last saved state is gone."""
        raise NotImplementedError

    def given(self) -> list[Run]:
        """The runs that were handed over and have to be asked after: see :meth:`watch`."""
        return []

    def watch(self) -> None:
        """Write into the folders of :meth:`given` what they cannot say; called every second."""
