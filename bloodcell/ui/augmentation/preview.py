"""What a policy does to cells: originals beside augmented ones, and at several strengths."""

import numpy as np

from bloodcell.augment import CATALOGUE, Policy, Rung, Step, apply, ladder
from bloodcell.classes import CLASS_NAMES, CLASSES
from bloodcell.figures import SHORT_TITLES
from bloodcell.figures.theme import MUTED
from bloodcell.ui.augmentation.cells import OWN, Cells
from bloodcell.ui.common.gallery import Picture

__all__ = ["label_words", "ladder_tiles", "mixes", "one_hot", "preview", "rungs_of", "tiles"]

_SHORT = [*(SHORT_TITLES[name] for name in CLASS_NAMES), "yours"]
_TITLES = [*(c.title for c in CLASSES), "your picture"]
_COLOURS = [*(c.colour for c in CLASSES), MUTED]


def one_hot(labels: np.ndarray) -> np.ndarray:
    """Labels, int64, B, as float32, B×9; the last column is for `OWN`."""
    return np.eye(OWN + 1, dtype=np.float32)[labels]


def mixes(policy: Policy) -> bool:
    """Whether any step makes one image out of two."""
    return any(CATALOGUE[s.key].mixes_labels and s.probability > 0 for s in policy.steps)


def preview(
    policy: Policy, cells: Cells, copies: int, seed: int, partners: Cells | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Augment every cell `copies` times.

    Args:
        partners: further cells to be mixed with; they are not among the results.

    Returns:
        Images, uint8, B×copies×H×W×3, and labels, float32, B×copies×9.
    """
    images = np.repeat(cells.images, copies, axis=0)
    labels = np.repeat(cells.labels, copies)
    n = len(images)
    if partners is not None and mixes(policy):
        images = np.concatenate([images, partners.images])
        labels = np.concatenate([labels, partners.labels])
    made, mixed = apply(policy, images, one_hot(labels), np.random.default_rng(seed))
    shape = (len(cells.images), copies)
    return made[:n].reshape(*shape, *made.shape[1:]), mixed[:n].reshape(*shape, -1)


def _mixture(label: np.ndarray) -> list[int]:
    """The classes of a mixed label, the largest first; none if it is pure."""
    parts = [int(k) for k in np.argsort(-label) if label[k] >= 0.005]
    return parts if len(parts) > 1 else []


def _bar(label: np.ndarray) -> tuple[tuple[float, str], ...]:
    return tuple((float(label[k]), _COLOURS[k]) for k in _mixture(label))


def label_words(label: np.ndarray) -> str:
    """ "62 % Eosino, 38 % Lympho" for a mixed label, "" for a pure one (float32, 9)."""
    return ", ".join(f"{label[k]:.0%} {_SHORT[k]}" for k in _mixture(label))


def tiles(
    cells: Cells, made: np.ndarray, labels: np.ndarray, *, small: bool = False
) -> list[Picture]:
    """For each cell the original, then what became of it; a mixed label as a bar and in words.

    Args:
        made, labels: from `preview`.
        small: whether tiles are too small for words below them.
    """
    found: list[Picture] = []
    for row, (image, label, name) in enumerate(
        zip(cells.images, cells.labels, cells.names, strict=True)
    ):
        badge = _SHORT[label] if small else "original"
        words = f"Original: {_TITLES[label]}, {name}"
        found.append(Picture(len(found), image, words, badge=badge, marked=True))
        for picture, mixed in zip(made[row], labels[row], strict=True):
            words = label_words(mixed)
            found.append(
                Picture(
                    len(found),
                    picture,
                    f"Augmented: {words or _TITLES[int(mixed.argmax())]}",
                    caption="" if small else words,
                    bar=_bar(mixed),
                )
            )
    return found


def rungs_of(step: Step, cells: Cells, partners: Cells, seed: int) -> list[list[Rung]]:
    """The ladders of a step: one for several cells, for one cell towards both ends.

    The first `len(cells.images)` images of a rung are the cells.
    """
    images = np.concatenate([cells.images, partners.images[:8]])
    labels = one_hot(np.concatenate([cells.labels, partners.labels[:8]]))
    up = ladder(step, images, labels, seed)
    if len(cells.images) > 1:
        return [up]
    down = ladder(step, images, labels, seed, direction=-1)
    alike = all(np.array_equal(a.images[0], b.images[0]) for a, b in zip(up, down, strict=True))
    return [up] if alike else [up, down]


def _value(step: Step, rung: Rung) -> str:
    """The strength of a rung, as short as can be: its value, or its share of several values."""
    moved = [p for p in CATALOGUE[step.key].parameters if p.strength and step.parameters[p.key]]
    if any(p.kind == "switch" for p in moved) or not moved:
        return "on" if rung.share else "off"
    if len(moved) > 1:
        return f"× {rung.share:g}"
    return f"{rung.parameters[moved[0].key]:.3g}{'°' if moved[0].unit == '°' else ''}"


def ladder_tiles(step: Step, cells: Cells, ladders: list[list[Rung]]) -> list[Picture]:
    """A row for each ladder and cell; a tile says its strength, and where it goes too far."""
    found: list[Picture] = []
    for rungs in ladders:
        for i, label in enumerate(cells.labels):
            for rung in rungs:
                value, set_now = _value(step, rung), rung.share == 1
                words = f"{_TITLES[label]} at {value}{', the setting' if set_now else ''}"
                found.append(
                    Picture(
                        len(found),
                        rung.images[i],
                        words if rung.sensible else f"{words}: beyond what is sensible",
                        badge=_SHORT[label] if rung.share == 0 and len(cells.labels) > 1 else "",
                        caption=value,
                        note="" if rung.sensible else "too far",
                        bar=_bar(rung.labels[i]),
                        marked=set_now,
                    )
                )
    return found
