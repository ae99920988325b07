"""The app on a port, on the workspace that it is told.

``python -m tests.browser.server PORT [OPTIONS]``, with options of Streamlit.

A server is dear (it imports TensorFlow and builds networks), a workspace is not: every line on
its standard input is the home of a workspace that it shows from now on, and is answered by the
same line. What the server prints goes to its standard error.
"""

import os
import signal
import sys
import threading

import bloodcell.workspace


def follow() -> None:
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)

    def read() -> None:
        for line in sys.stdin:
            os.environ["BLOODCELL_HOME"] = line.rstrip("\n")
            answers.write(line)
        os.kill(os.getpid(), signal.SIGTERM)  # whoever started it is gone

    threading.Thread(target=read, daemon=True).start()


if __name__ == "__main__":
    from streamlit.web.cli import main

    follow()
    # As in every other test: a workspace has the ensembles that the test gave it, and no other.
    bloodcell.workspace.built_in_ensembles = lambda: None
    main(["run", "app.py", "--server.port", *sys.argv[1:]])
