"""The command line: the verbs of the pages, for scripts and clusters.

    python -m bloodcell demo --name demo
    python -m bloodcell augment gentle --dataset demo --out grid.png
    python -m bloodcell train --dataset demo --backbone tiny --epochs 3
    python -m bloodcell runs
    python -m bloodcell ensemble RUN --name first
    python -m bloodcell evaluate first --dataset demo
    python -m bloodcell classify first cell.jpg
    python -m bloodcell count slide/ --ensemble first

With ``--json`` a verb prints one JSON document on stdout and nothing else there; progress goes
to stderr. Exit code 0: done; 2: wrong input, with one line on stderr; 1: a failure of the program.
"""

import io
import sys
from typing import Annotated

import typer

from bloodcell import __version__
from bloodcell.errors import BadInput, BloodCellError, describe_refusal
from bloodcell.verbs import (
    agreement,
    augment,
    classify,
    data,
    doctor,
    ensembles,
    library,
    queue,
    runs,
    smear,
)
from bloodcell.workspace import open_workspace

__all__ = ["app", "main"]

app = typer.Typer(
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Train and judge neural networks that tell eight kinds of blood cell apart.",
    epilog="For research use only. Not a medical device.",
)

for _verbs in (data, augment, library, runs, queue, ensembles, classify, smear, agreement, doctor):
    app.add_typer(_verbs.app)

# Typer brings its own copy of click along in some versions; this is its ClickException in all.
_WrongUsage = typer.BadParameter.__mro__[2]


def _version(asked: bool) -> None:
    if asked:
        print(__version__)
        raise typer.Exit


@app.callback()
def options(
    context: typer.Context,
    home: Annotated[
        str | None,
        typer.Option(help="The workspace. Default: $BLOODCELL_HOME, else artifacts/."),
    ] = None,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print it.")
    ] = False,
) -> None:
    context.obj = open_workspace(home)
    if context.obj.home.is_file():
        raise BadInput(
            f"{context.obj.home} is a file, expected the folder of a workspace: choose another "
            "with --home or $BLOODCELL_HOME."
        )


def main() -> None:
    """Run the command line and exit with its code."""
    for stream in (sys.stdout, sys.stderr):
        # A name or sign that the system's encoding lacks must not end the work.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        code = app(sys.argv[1:] or ["--help"], standalone_mode=False)
    except BloodCellError as error:
        # One line, whatever a library's message in it looks like.
        print("error:", *map(str.strip, str(error).splitlines()), file=sys.stderr)
        sys.exit(2)
    except _WrongUsage as error:
        usage = error.ctx.command_path if getattr(error, "ctx", None) else "python -m bloodcell"
        message = " ".join(error.format_message().split())
        print(f"error: {message} (see `{usage} --help`)", file=sys.stderr)
        sys.exit(2)
    except (typer.Abort, KeyboardInterrupt):
        print("stopped", file=sys.stderr)
        sys.exit(130)
    except BrokenPipeError:
        sys.exit(0)
    except OSError as error:
        if not (sentence := describe_refusal(error)):
            raise
        print("error:", sentence, file=sys.stderr)
        sys.exit(2)
    sys.exit(code or 0)
