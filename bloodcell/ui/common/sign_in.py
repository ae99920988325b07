"""Signing in at a group's server, by Streamlit's own OpenID Connect; off unless it is set up.

It is on where ``.streamlit/secrets.toml`` has a section ``[auth]`` (docs/server.md). Then nothing
is shown or done before a person has signed in, and who launches or stops a run is recorded.
"""

import streamlit as st
from streamlit.errors import StreamlitAPIException

from bloodcell.people import asked_of

__all__ = ["person", "require_sign_in", "show_person"]


def _is_on() -> bool:
    try:
        return "auth" in st.secrets
    # There is no such file.
    except (FileNotFoundError, StreamlitAPIException):
        return False


def person() -> str:
    """Who is signed in; "" for nobody."""
    try:
        if not _is_on() or not st.user.get("is_logged_in"):
            return ""
        return str(st.user.get("email") or st.user.get("name") or st.user.get("sub") or "")
    # In a thread of a job there is no visitor.
    except (AttributeError, RuntimeError, StreamlitAPIException):
        return ""


def require_sign_in() -> None:
    """Show nothing but a button until a person has signed in, where that is set up."""
    asked_of(person)
    if not _is_on() or person():
        return
    st.title("BloodCell Lab", anchor=False)
    st.markdown("Sign in with the account of your group.")
    st.button("Sign in", type="primary", icon=":material/login:", key="sign_in", on_click=st.login)
    st.stop()


def show_person() -> None:
    """Who is signed in and a button to sign out, where that is set up."""
    if name := person():
        st.caption(f":material/person: {name.replace('@', '&#64;')}")
        st.button("Sign out", icon=":material/logout:", key="sign_out", on_click=st.logout)
