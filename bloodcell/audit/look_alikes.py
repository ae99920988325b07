"""What an image looks like: its nearest neighbours, their class, and typical examples of each."""

from dataclasses import dataclass

import numpy as np

from bloodcell.audit.reduce import CHUNK, standardised
from bloodcell.classes import CLASSES

__all__ = ["LookAlikes", "look_alikes"]

VOTERS = 10
SHOWN = 4
TYPICAL = 6


@dataclass(frozen=True)
class LookAlikes:
    """What some of n images look like.

    Attributes:
        neighbours: position → positions of the most similar others, the nearest first.
        classes: position → the class that most of its nearest ones have.
        typical: class → positions of its most typical images.
    """

    neighbours: dict[int, list[int]]
    classes: dict[int, int]
    typical: dict[int, list[int]]


def look_alikes(
    features: np.ndarray,
    rows: np.ndarray,
    labels: np.ndarray,
    groups: np.ndarray,
    sound: np.ndarray,
    asked: np.ndarray,
) -> LookAlikes:
    """Find what images look like by the cosine of the angle between standardised features.

    Args:
        features: float, N×C, may be memory-mapped: it is read in chunks, twice.
        rows: int, n: the rows of `features` meant.
        labels: int64, n.
        groups: int64, n: images of one group are copies and not neighbours of each other.
        sound: bool, n: those that may be shown as an example of their label.
        asked: int: the positions (0 to n - 1) to be compared with the sound ones.
    """
    of = standardised(features)
    width = features.shape[1]

    def directions(part: np.ndarray) -> np.ndarray:
        found = of(features[rows[part]])
        return found / np.maximum(np.linalg.norm(found, axis=1, keepdims=True), 1e-6)

    queries = directions(asked) if len(asked) else np.zeros((0, width), np.float32)
    usable = np.flatnonzero(sound)
    middle = np.zeros((len(CLASSES), width))
    best = np.full((len(asked), VOTERS), -np.inf)
    who = np.full((len(asked), VOTERS), -1)
    for start in range(0, len(usable), CHUNK):
        part = usable[start : start + CHUNK]
        points = directions(part)
        np.add.at(middle, labels[part], points)
        alike = queries @ points.T
        alike[groups[asked][:, None] == groups[part][None, :]] = -np.inf
        both = np.concatenate([best, alike], axis=1)
        names = np.concatenate([who, np.broadcast_to(part, alike.shape)], axis=1)
        order = np.argsort(-both, axis=1, kind="stable")[:, :VOTERS]
        best, who = np.take_along_axis(both, order, 1), np.take_along_axis(names, order, 1)

    nearness = np.full(len(rows), -np.inf)
    middle /= np.maximum(np.linalg.norm(middle, axis=1, keepdims=True), 1e-9)
    for start in range(0, len(usable), CHUNK):
        part = usable[start : start + CHUNK]
        nearness[part] = (directions(part) * middle[labels[part]]).sum(1)
    typical = {}
    for label in np.unique(labels[usable]):
        own = usable[labels[usable] == label]
        typical[int(label)] = own[np.argsort(-nearness[own], kind="stable")][:TYPICAL].tolist()

    neighbours, classes = {}, {}
    for place, position in enumerate(asked):
        found = who[place][np.isfinite(best[place])]
        neighbours[int(position)] = found[:SHOWN].tolist()
        if len(found):
            votes = np.bincount(labels[found], minlength=len(CLASSES)).astype(float)
            # A tie goes to the class of the nearest.
            votes[labels[found[0]]] += 0.5
            classes[int(position)] = int(votes.argmax())
    return LookAlikes(neighbours, classes, typical)
