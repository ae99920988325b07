"""Config → fit: one loop that can be stopped after any batch and continued exactly."""

__all__ = [
    "checkpoint",
    "config",
    "fit",
    "schedule",
    "step",
]
