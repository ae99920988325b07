"""One way to say how far a piece of work is, and to be asked to stop."""

import sys
import time
from collections.abc import Callable

__all__ = ["Progress", "silent", "to_stderr"]

# called with (done, total, what); raises Stopped to end the work
Progress = Callable[[int, int, str], None]


def silent(done: int, total: int, what: str) -> None:
    """Say nothing."""


def to_stderr() -> Progress:
    """A progress line on stderr: count, share and remaining time, at most ten a second."""
    started: dict[str, float] = {}
    shown = 0.0

    def show(done: int, total: int, what: str) -> None:
        nonlocal shown
        now = time.monotonic()
        begin = started.setdefault(what, now)
        if done < total and now - shown < (0.1 if sys.stderr.isatty() else 5.0):
            return
        shown = now
        left = (now - begin) / done * (total - done) if done else 0.0
        text = f"{what}: {done:,} of {total:,}"
        if done and done < total:
            text += f", {left:.0f} s left"
        end = "\n" if done >= total or not sys.stderr.isatty() else ""
        print(
            f"\r{text:<72}" if sys.stderr.isatty() else text, end=end, file=sys.stderr, flush=True
        )

    return show
