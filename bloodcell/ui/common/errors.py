"""What goes wrong on a page, as one sentence for the person in front of it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import streamlit as st

from bloodcell.errors import BloodCellError, describe_refusal
from bloodcell.ui.common.format import no_pictures

__all__ = ["attempt", "show_errors", "show_problem"]


def _sentence(error: BloodCellError | OSError) -> str:
    """The sentence for the person; a failure of the program is raised again, for the log."""
    sentence = str(error) if isinstance(error, BloodCellError) else describe_refusal(error)
    if not sentence:
        raise error
    return sentence


@contextmanager
def show_errors() -> Iterator[None]:
    """Show an error made for the person as its sentence; anything else goes to the log."""
    try:
        yield
    except (BloodCellError, OSError) as error:
        st.error(no_pictures(_sentence(error)), icon=":material/error:")


def attempt(problem: str, act: Callable, *arguments: Any) -> bool:
    """Carry an act out as a callback; what goes wrong is kept for :func:`show_problem`.

    Returns:
        Whether it went well.
    """
    try:
        act(*arguments)
    except (BloodCellError, OSError) as error:
        st.session_state[problem] = _sentence(error)
        return False
    return True


def show_problem(problem: str) -> None:
    """Say once what went wrong in :func:`attempt`."""
    if said := st.session_state.pop(problem, None):
        st.error(no_pictures(said), icon=":material/error:")
