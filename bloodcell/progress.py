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
    """A progress line on stderr: count, share and remaining time, at most ten a second
    (one in five seconds where stderr is no terminal); nothing for what takes under a second."""
    started: dict[str, float] = {}
    shown = 0.0
    live = sys.stderr.isatty()

    def show(done: int, total: int, what: str) -> None:
        nonlocal shown
        now = time.monotonic()
        begin = started.setdefault(what, now)
        if now - begin < 1.0 or (done < total and now - shown < (0.1 if live else 5.0)):
            return
        shown = now
        text = f"{what}: {done:,} of {total:,}"
        if 0 < done < total:
            text += f", {(now - begin) / done * (total - done):.0f} s left"
        if live:
            print(f"\r{text:<72}", end="\n" if done >= total else "", file=sys.stderr, flush=True)
        else:
            print(text, file=sys.stderr, flush=True)

    return show
