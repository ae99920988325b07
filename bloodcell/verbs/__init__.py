"""The verbs of the command line, a module for each kind of thing they act on."""

__all__ = [
    "augment",
    "classify",
    "data",
    "ensembles",
    "library",
    "options",
    "queue",
    "runs",
    "smear",
]
