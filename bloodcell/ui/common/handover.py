"""Photographs that one page passes to another."""

import streamlit as st

from bloodcell.data.readers.inputs import File

__all__ = ["hand_over", "handed_over"]

KEY = "handed_over"


def hand_over(files: list[File]) -> None:
    """Leave photographs for the page that is opened next."""
    st.session_state[KEY] = list(files)


def handed_over() -> list[File] | None:
    """What another page left, once; None where it left nothing."""
    return st.session_state.pop(KEY, None)
