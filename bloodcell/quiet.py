"""Keep what C++ libraries say while they load off stderr: it heeds no log level then."""

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["quiet_stderr"]

# Two threads at once would restore each other's silence.
_ONE = threading.Lock()


@contextmanager
def quiet_stderr() -> Iterator[None]:
    """Send everything written to file descriptor 2 in the block to nowhere."""
    with _ONE:
        sys.stderr.flush()
        kept = os.dup(2)
        try:
            with open(os.devnull, "w") as nowhere:
                os.dup2(nowhere.fileno(), 2)
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)
