"""What networks see in cells as they might look elsewhere, and in synthetic pictures of none.

A detector learns from it.
"""

from dataclasses import replace

import numpy as np

from bloodcell.augment.apply import apply
from bloodcell.augment.policy import NO_STAINS, Policy, step
from bloodcell.augment.stain_transfer import Stains
from bloodcell.data.synthetic.out_of_distribution import (
    HARD,
    OUT_OF_DISTRIBUTION,
    make_out_of_distribution,
)
from bloodcell.ensemble.ensemble import BATCH, run_members
from bloodcell.models.litert import LiteModel
from bloodcell.progress import Progress, silent

__all__ = ["expose"]

# Milder than what networks are trained with: a detector that has to accept a cell that is cut,
# posterised or blurred accepts a half-blended one too.
OTHER_LAMPS = Policy(
    "other lamps",
    (
        step("flip"),
        step("quarter_turn"),
        step("zoom", amount=0.3),
        step("translation", amount=0.06),
        step("stain", 0.5, amount=0.3, shift=0.05),
        step("gain_gamma", gain=0.2, gamma=0.5),
        step("hue", angle=20.0),
        step("saturation", amount=0.5),
        step("resize", 0.5, amount=0.6),
        step("jpeg", 0.3, loss=60),
    ),
)
# The same cells as other laboratories would show them; the step before would only repeat it.
OTHER_STAINS = Policy(
    "other stains",
    (step("stain_transfer"), *(s for s in OTHER_LAMPS.steps if s.key != "stain")),
)
# And as other cameras would: coarser, out of focus, sharpened, noisy or more compressed.
OTHER_CAMERAS = Policy(
    "other cameras",
    (
        *(s for s in OTHER_STAINS.steps if s.key not in ("resize", "jpeg")),
        step("resize", 0.6, amount=0.74, blocks=0.25),
        step("defocus", 0.3, radius=0.03),
        step("sharpening", 0.2, radius=0.012),
        step("gaussian_noise", 0.3, sigma=8.0),
        step("jpeg", 0.5, loss=80),
    ),
)
PER_KIND = 400
# Of those that are hardest to tell.
PER_HARD_KIND = 2000


def expose(
    models: list[LiteModel],
    cells: np.ndarray,
    stains: Stains = NO_STAINS,
    seed: int = 0,
    progress: Progress = silent,
) -> tuple[list[list[np.ndarray]], list[np.ndarray]]:
    """Novelty features of cells as they might look elsewhere, and of no cells made from them.

    Args:
        models: m networks.
        cells: uint8, n×S×S×3, training cells.
        stains: of the laboratories that they are shown in; empty: those built in.

    Returns:
        Under other lamps, in other stains and by other cameras, m arrays n×(C+T) each of the same
        cells; m arrays of what is none; float32.
    """
    usual, hard = min(PER_KIND, max(2, len(cells) // 4)), min(PER_HARD_KIND, len(cells))
    per_kind = {kind: hard if kind in HARD else usual for kind in OUT_OF_DISTRIBUTION}
    nothing = np.zeros((len(cells), 8), np.float32)
    rng = np.random.default_rng([seed, 1])
    elsewhere = [replace(policy, stains=stains) for policy in (OTHER_STAINS, OTHER_CAMERAS)]
    shown = [OTHER_LAMPS, *elsewhere]
    done, total = 0, len(shown) * len(cells) + sum(per_kind.values())
    varied, out_of_distribution = [], []
    for policy in shown:
        found = []
        for start in range(0, len(cells), BATCH):
            batch = slice(start, start + BATCH)
            images, _ = apply(policy, cells[batch], nothing[batch], rng)
            found.append(run_members(models, images, False).novelty_features)
            done += len(images)
            progress(done, total, "out-of-distribution images")
        varied.append(_joined(found))
    for kind, count in per_kind.items():
        for start in range(0, count, BATCH):
            images = make_out_of_distribution(kind, cells, min(BATCH, count - start), seed + start)
            out_of_distribution.append(run_members(models, images, False).novelty_features)
            done += len(images)
            progress(done, total, "out-of-distribution images")
    return varied, _joined(out_of_distribution)


def _joined(batches: list[list[np.ndarray]]) -> list[np.ndarray]:
    return [np.concatenate(found) for found in zip(*batches, strict=True)]
