"""The errors this package raises on purpose.

BloodCellError               the person can do something about it: one sentence, exit code 2
├── BadInput                 a file or value that cannot be used as given
│   └── ReadOnly             a place that may only be read
├── NotFound                 a dataset, run or ensemble of that name does not exist
├── NameTaken                a name that is in use already
├── NoSpace                  the disk is full
├── Offline                  something must be downloaded and cannot be reached
└── Stopped                  the person asked for a stop

Every message is one sentence that names the file and the value found, what was expected,
and what to do. Anything else that is raised is a failure of the program (exit code 1).
"""

import errno

__all__ = [
    "BadInput",
    "BloodCellError",
    "NameTaken",
    "NoSpace",
    "NotFound",
    "Offline",
    "ReadOnly",
    "Stopped",
    "describe_refusal",
    "is_out_of_space",
    "is_read_only",
]


class BloodCellError(Exception):
    """Base of every error whose message is meant for the person at the screen."""


class BadInput(BloodCellError):
    """A file or a value cannot be used as given."""


class ReadOnly(BadInput):
    """Something was to be written where one may only read."""


class NotFound(BloodCellError):
    """A dataset, run, ensemble or file does not exist."""


class NameTaken(BloodCellError):
    """A name is in use already."""


class NoSpace(BloodCellError):
    """The disk is too full for what was asked."""


class Offline(BloodCellError):
    """Something must be downloaded and its server cannot be reached."""


class Stopped(BloodCellError):
    """The person asked for a stop before the work was done."""


def is_out_of_space(error: OSError) -> bool:
    """Whether an OSError says that the disk, the quota or the file size limit is used up."""
    return error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def is_read_only(error: OSError) -> bool:
    """Whether an OSError says that one may not write there."""
    return error.errno in (errno.EACCES, errno.EPERM, errno.EROFS)


def describe_refusal(error: OSError) -> str:
    """What the system refused about a file, as a sentence; "" for what is a fault of the program.

    The last net beneath the verbs and the pages: what is written in many places may meet a folder
    that may only be read, a full disk, or somebody who deletes or renames it meanwhile.
    """
    if error.filename is None:
        return ""
    if isinstance(error, FileNotFoundError):
        return (
            f"{error.filename} is not there any more: it was deleted or renamed meanwhile, so open "
            "it by its present name."
        )
    if is_read_only(error):
        return (
            f"{error.filename} cannot be changed ({error.strerror}): choose a place that may be "
            "written to (the workspace is that of --home or $BLOODCELL_HOME)."
        )
    if is_out_of_space(error):
        return f"{error.filename} could not be written because the disk is full: free some space."
    return ""
