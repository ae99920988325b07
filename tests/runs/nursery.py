"""Many processes for runs, without the seconds that each would need to load TensorFlow.

``python -m tests.runs.nursery HOME`` loads it once; then each line on its standard input, the
path of a run, makes a child that carries this run out, and its pid is printed.
"""

import os
import signal
import sys
from pathlib import Path

from bloodcell.models import export
from bloodcell.models.classifier import load_tensorflow
from bloodcell.runs.execute import execute
from bloodcell.runs.run import Run
from bloodcell.workspace import Workspace


def main(home: Path) -> None:
    load_tensorflow()
    assert export
    # Dead children vanish at once instead of staying as zombies.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    print("ready", flush=True)
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            execute(Workspace(home), Run(Path(line.strip())), echo=False)
            os._exit(0)
        print(pid, flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
