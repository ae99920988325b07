"""Members, weights, calibration, novelty; the bundle on disk; answers for images."""

__all__ = [
    "bundle",
    "card",
    "classify",
    "compose",
    "ensemble",
    "novelty",
    "schema",
]
