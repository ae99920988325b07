"""Backbones with their head, their export to LiteRT, and the LiteRT runtime."""

__all__ = [
    "classifier",
    "export",
    "litert",
]
