"""Drop zones that outlive the session in which something was dropped.

When a server restarts, or a connection is cut for minutes, the browser still lists its files and
the new session has none of them: Streamlit then hands out a `DeletedFile` for each. A page must
take files from here only: it gets those that are there, and the visitor is told of the others.
"""

from collections.abc import Callable
from typing import Any

import streamlit as st

__all__ = ["drop_zone", "dropped"]


def _split(value: Any) -> tuple[list[Any], int]:
    """(files that are there, how many are gone) of the value of a drop zone."""
    files = value if isinstance(value, list) else [value] if value is not None else []
    there = [file for file in files if hasattr(file, "getvalue")]
    return there, len(files) - len(there)


def dropped(key: str) -> list[Any]:
    """The files in the drop zone `key` that are there, for a callback."""
    return _split(st.session_state.get(key))[0]


def drop_zone(
    label: str, *, key: str, on_change: Callable[..., None] | None = None, args: tuple = (), **how
) -> list[Any]:
    """Draw a drop zone; returns the files in it that are there.

    Where files are gone it says so in one sentence, and `on_change` is not called unless others
    are there: what was taken over before stays.

    Args:
        on_change: called with `args` when something was dropped or removed; it takes the files
            from :func:`dropped`.
        how: as for ``st.file_uploader``.
    """

    def changed() -> None:
        there, gone = _split(st.session_state.get(key))
        if on_change is not None and (there or not gone):
            on_change(*args)

    st.file_uploader(label, key=key, on_change=changed, **how)
    # What the call returns leaves out the files that are gone.
    there, gone = _split(st.session_state.get(key))
    if gone:
        files = "This file is" if gone == 1 else f"These {gone:,} files are"
        again = "drop it" if gone == 1 else "drop them"
        st.warning(
            f"{files} no longer on the server, because it restarted or the connection was "
            f"interrupted: {again} again.",
            icon=":material/upload_file:",
        )
    return there
