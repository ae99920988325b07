"""Try an ensemble from elsewhere in a process of its own, before this one loads it.

Its networks go to a native parser: what makes that crash, hang or ask for all memory must not take
a server and everyone on it along.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np

from bloodcell.ensemble.bundle import Bundle
from bloodcell.ensemble.ensemble import Ensemble
from bloodcell.errors import BadInput, BloodCellError

__all__ = ["try_apart", "try_here"]

TIME_LIMIT_S = 180
MEMORY_LIMIT = 8 * 2**30


def try_here(content: bytes, called: str) -> None:
    """Load an ensemble whole and let it answer once.

    Args:
        content: the zip.
        called: its file name, for the sentence.

    Raises:
        BadInput: it is damaged, foreign, or of another version.
    """
    ensemble = Ensemble(Bundle(Path(called), content))
    ensemble.seen()
    ensemble.predict(np.full((1, ensemble.size, ensemble.size, 3), 220, np.uint8), tta=False)


def try_apart(content: bytes, called: str) -> None:
    """:func:`try_here`, in another process with limits of time and memory.

    Raises:
        BadInput: as there, or that process came to no good end.
    """
    package = Path(__file__).parents[2]
    paths = os.pathsep.join(filter(None, [str(package), os.environ.get("PYTHONPATH")]))
    try:
        done = subprocess.run(
            [sys.executable, "-m", "bloodcell.ensemble.trial", called],
            input=content,
            capture_output=True,
            timeout=TIME_LIMIT_S,
            env={**os.environ, "PYTHONPATH": paths, "OPENBLAS_NUM_THREADS": "1"},
            check=False,
        )
        verdict = json.loads(done.stdout or b"null")
    except subprocess.TimeoutExpired:
        verdict = {"error": _no_good(called, f"took longer than {TIME_LIMIT_S} seconds")}
    except ValueError:
        verdict = None
    if not isinstance(verdict, dict):
        verdict = {"error": _no_good(called, f"ended the program ({done.returncode})")}
    if "error" in verdict:
        raise BadInput(str(verdict["error"]))


def _no_good(called: str, what: str) -> str:
    return (
        f"{called}: trying its networks {what}, so nothing of it was taken: do not use it unless "
        "you know who made it."
    )


def _limit_memory() -> None:
    try:
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_LIMIT, MEMORY_LIMIT))
    except (ImportError, ValueError, OSError):
        return  # not on this system; the limit of time remains


def main() -> None:
    """Try the zip on standard input, and print what is to be said of it."""
    _limit_memory()
    try:
        try_here(sys.stdin.buffer.read(), sys.argv[1])
    except BloodCellError as error:
        print(json.dumps({"error": str(error)}))
    except MemoryError:
        print(json.dumps({"error": _no_good(sys.argv[1], "needs more memory than is allowed")}))
    else:
        print(json.dumps({"sound": True}))


if __name__ == "__main__":
    main()
