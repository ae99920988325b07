"""CutMix and MixUp: an image becomes part of another one of its batch, and so does its label.

A step sees the batch as it was before it: partners are a random permutation of the batch, and
an image whose partner is itself stays as it is.
"""

from collections.abc import Sequence

import cv2
import numpy as np

from bloodcell.augment.canvas import Canvas
from bloodcell.augment.declaration import Augmentation, Cue, Parameters, strength

__all__ = ["AUGMENTATIONS", "cutmix", "mixup"]


def mixup(
    canvases: Sequence[Canvas],
    labels: np.ndarray,
    chosen: np.ndarray,
    p: Parameters,
    rng: np.random.Generator,
) -> None:
    """λ image + (1 − λ) partner, λ from Beta(`alpha`, `alpha`) (Zhang et al. 2018).

    Args:
        canvases: B images; those chosen are changed.
        labels: float32, B×K; the rows of those chosen are changed, in place.
        chosen: bool, B.
    """
    partners, shares = _draw(len(canvases), p, rng)
    before, old = _settled(canvases, chosen, partners), labels.copy()
    for i in np.flatnonzero(chosen) if p["alpha"] > 0 else ():
        j, share = partners[i], float(shares[i])
        canvases[i].put(cv2.addWeighted(before[i], share, before[j], 1 - share, 0))
        labels[i] = share * old[i] + (1 - share) * old[j]


def cutmix(
    canvases: Sequence[Canvas],
    labels: np.ndarray,
    chosen: np.ndarray,
    p: Parameters,
    rng: np.random.Generator,
) -> None:
    """Paste a rectangle of the partner over the same place (Yun et al. 2019).

    The rectangle has the image's proportions, its area is 1 − λ of the image, λ from
    Beta(`alpha`, `alpha`), its centre is anywhere, and what sticks out is cut off. The label is
    mixed by the area that is really covered.

    Args: as for `mixup`.
    """
    partners, shares = _draw(len(canvases), p, rng)
    centres = rng.random((len(canvases), 2))
    before, old = _settled(canvases, chosen, partners), labels.copy()
    for i in np.flatnonzero(chosen) if p["alpha"] > 0 else ():
        high, wide = before[i].shape[:2]
        side = np.sqrt(1 - shares[i])
        top, bottom = _span(centres[i, 0], side, high)
        left, right = _span(centres[i, 1], side, wide)
        pasted = before[i].copy()
        pasted[top:bottom, left:right] = before[partners[i]][top:bottom, left:right]
        canvases[i].put(pasted)
        kept = 1 - (bottom - top) * (right - left) / (high * wide)
        labels[i] = kept * old[i] + (1 - kept) * old[partners[i]]


def _draw(n: int, p: Parameters, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    alpha = p["alpha"]
    return rng.permutation(n), rng.beta(alpha, alpha, n) if alpha > 0 else np.ones(n)


def _span(centre: float, share: float, length: int) -> tuple[int, int]:
    first, last = (centre - share / 2) * length, (centre + share / 2) * length
    return max(0, round(first)), min(length, round(last))


def _settled(
    canvases: Sequence[Canvas], chosen: np.ndarray, partners: np.ndarray
) -> dict[int, np.ndarray]:
    involved = np.union1d(np.flatnonzero(chosen), partners[chosen])
    return {i: canvases[i].settle() for i in involved.tolist()}


AUGMENTATIONS = (
    Augmentation(
        "cutmix",
        "CutMix",
        "mixing",
        "Pastes a rectangle of another cell over this one and mixes the labels by area.",
        "CutMix (Yun et al. 2019); cf. keras_cv.layers.CutMix",
        (
            strength(
                1.0,
                1.0,
                "λ is drawn from Beta(α, α): 1 is uniform, near 0 is all or nothing, 0 is off.",
                key="alpha",
                title="Alpha",
                high=5.0,
            ),
        ),
        cutmix,
        mixes_labels=True,
        cue=Cue(
            "A cell fills the middle: a pasted corner may bring a label but no cell.",
            "lymphocyte",
            "monocyte",
        ),
    ),
    Augmentation(
        "mixup",
        "MixUp",
        "mixing",
        "Lays another cell over this one, half transparent, and mixes the labels alike.",
        "MixUp (Zhang et al. 2018); cf. keras_cv.layers.MixUp",
        (
            strength(
                0.2,
                0.4,
                "λ is drawn from Beta(α, α): near 0 is all or nothing, 0 is off.",
                key="alpha",
                title="Alpha",
                high=5.0,
            ),
        ),
        mixup,
        mixes_labels=True,
    ),
)
