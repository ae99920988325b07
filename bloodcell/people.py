"""Who is at work, where that is known: the person signed in at a group's server.

What a person does is recorded where it happens, with this name. On a machine of one's own nobody
signs in, and nothing is recorded.
"""

from collections.abc import Callable

__all__ = ["asked_of", "who"]

MOST = 200
_ask: list[Callable[[], str]] = []


def asked_of(ask: Callable[[], str]) -> None:
    """Have `ask` tell who acts in the present thread; "" where nobody is known."""
    _ask[:] = [ask]


def who() -> str:
    """Name or address of the person who acts, in one line; "" where it is not known."""
    return " ".join(_ask[0]().split())[:MOST] if _ask else ""
