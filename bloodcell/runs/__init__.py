"""A run's folder, and the processes that carry runs out."""

__all__ = [
    "carry_out",
    "launch",
    "run",
    "uses",
]
