"""Members, weights, calibration, novelty; the bundle on disk; answers for images."""
