"""A run's folder, and the processes that carry runs out."""

__all__ = [
    "act",
    "batch",
    "carry_out",
    "engines",
    "export",
    "labels",
    "launch",
    "lock",
    "mirror",
    "process",
    "queue",
    "resources",
    "run",
    "supervisor",
    "uses",
    "weights",
]
