"""Carry a policy out on a batch of images.

No global state is read or written, so several threads may work on batches of their own, each
with its own generator: NumPy and OpenCV let go of Python's lock while they compute. OpenCV's
own threads do not help with images this small; a program that augments in several threads keeps
them out of the way with one ``cv2.setNumThreads(1)`` when it starts.
"""

from collections.abc import Callable
from functools import partial

import numpy as np

from bloodcell.augment.canvas import Canvas
from bloodcell.augment.catalogue import CATALOGUE
from bloodcell.augment.policy import Policy

__all__ = ["ENGINES", "Augment", "apply", "augmenter"]

# what carries a policy out: `apply`, or the layers of keras-cv
ENGINES = ("own", "keras-cv")
Augment = Callable[[np.ndarray, np.ndarray, np.random.Generator], tuple[np.ndarray, np.ndarray]]


def augmenter(policy: Policy, engine: str = "own") -> Augment:
    """What carries `policy` out on images, labels and a generator, as `apply` does.

    Args:
        engine: one of `ENGINES`.

    Raises:
        BadInput: keras-cv lacks a step of the policy, or is not installed.
    """
    if engine == "own":
        return partial(apply, policy)
    from bloodcell.augment.keras_cv_engine import keras_cv_augmenter

    return keras_cv_augmenter(policy)


def apply(
    policy: Policy, images: np.ndarray, labels: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Augment a batch; every image gets its own random draws.

    The same generator state gives the same result. Mixing steps (`Augmentation.mixes_labels`)
    make images and labels of pairs within the batch and keep the sum of a row of labels; all
    others leave labels alone.

    Args:
        policy: what to do; see `bloodcell.augment.policy.validate` for what is accepted.
        images: uint8, B×H×W×3, RGB. Not changed.
        labels: float32, B×K, one-hot or soft. Not changed.
        rng: where all randomness comes from; it is advanced.

    Returns:
        New arrays: images, uint8, B×H×W×3, and labels, float32, B×K.

    Raises:
        ValueError: an array has another dtype or shape.
    """
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[3] != 3:
        raise ValueError(f"images: {images.dtype} {images.shape}, expected uint8 (B, H, W, 3)")
    if labels.ndim != 2 or len(labels) != len(images):
        raise ValueError(f"labels: {labels.shape}, expected ({len(images)}, classes)")
    labels = np.array(labels, np.float32)
    canvases = [Canvas(image) for image in np.ascontiguousarray(images)]
    for step in policy.steps:
        augmentation = CATALOGUE[step.key]
        parameters = augmentation.defaults() | step.parameters
        if policy.stains:
            parameters["stains"] = policy.stains
        chosen = rng.random(len(canvases)) < step.probability
        if augmentation.mixes_labels or augmentation.sees_labels:
            augmentation.act(canvases, labels, chosen, parameters, rng)
        else:
            for i in np.flatnonzero(chosen):
                augmentation.act(canvases[i], parameters, rng)
    result = np.empty(images.shape, np.uint8)
    for image, canvas in zip(result, canvases, strict=True):
        image[:] = canvas.settle()
    return result, labels
