"""Drop zones that outlive the session in which something was dropped.

When a server restarts, or a connection is cut for minutes, the browser still shows its page and
lists its files. The new session has none of the old ones: Streamlit then hands out a `DeletedFile`
for each. Of one that is dropped now it calls no callback, since it has never drawn the zone. A page
must take files from here only: it gets those that are there, `on_change` is called for them, and
the visitor is told of the others.
"""

from collections.abc import Callable
from typing import Any

import streamlit as st

__all__ = ["drop_round", "drop_zone", "dropped", "empty_zone"]

TAKEN = "taken_{}"
ROUND = "round_{}"
# More drops than a visitor makes; a number in an address may be anything.
MOST_DIGITS = 6


def _split(value: Any) -> tuple[list[Any], int]:
    """(files that are there, how many are gone) of the value of a drop zone."""
    files = value if isinstance(value, list) else [value] if value is not None else []
    there = [file for file in files if hasattr(file, "getvalue")]
    return there, len(files) - len(there)


def dropped(key: str) -> list[Any]:
    """The files in the drop zone `key` that are there, for a callback."""
    return _split(st.session_state.get(key))[0]


def drop_round(zone: str) -> int:
    """A number for the key of a drop zone: when it changes, the zone is empty again.

    The address has it too, so that the page that a lost session left open finds its zone again.
    """
    asked = st.query_params.get(zone, "")
    before = int(asked) if asked.isdecimal() and len(asked) <= MOST_DIGITS else 0
    turn = st.session_state.setdefault(ROUND.format(zone), before)
    if turn and asked != str(turn):
        st.query_params[zone] = str(turn)
    return turn


def empty_zone(zone: str) -> None:
    """Begin a new round of the zones whose keys have the number of `zone`."""
    st.session_state[ROUND.format(zone)] = drop_round(zone) + 1
    drop_round(zone)


def _ids(files: list[Any]) -> tuple[str, ...]:
    return tuple(file.file_id for file in files)


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
        before = st.session_state.get(TAKEN.format(key), ())
        st.session_state[TAKEN.format(key)] = _ids(there)
        # A browser tells of a zone that is new and empty as of one that was emptied.
        if on_change is not None and _ids(there) != before and (there or not gone):
            on_change(*args)

    st.file_uploader(label, key=key, on_change=changed, **how)
    # What the call returns leaves out the files that are gone.
    there, gone = _split(st.session_state.get(key))
    if there and on_change is not None and TAKEN.format(key) not in st.session_state:
        changed()
        st.rerun()
    if gone:
        files = "This file is" if gone == 1 else f"These {gone:,} files are"
        again = "drop it" if gone == 1 else "drop them"
        st.warning(
            f"{files} no longer on the server, because it restarted or the connection was "
            f"interrupted: {again} again.",
            icon=":material/upload_file:",
        )
    return there
