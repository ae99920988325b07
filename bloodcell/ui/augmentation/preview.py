"""What a policy does to cells: variants, strengths, and what is left of the marks of a class."""

import numpy as np
import streamlit as st

from bloodcell.augment import (
    CATALOGUE,
    Caution,
    Policy,
    Rung,
    Step,
    apply,
    cautions,
    extreme,
    ladder,
)
from bloodcell.classes import CLASS_NAMES, CLASSES, class_id
from bloodcell.data.store.dataset import Dataset
from bloodcell.figures import SHORT_TITLES
from bloodcell.figures.theme import MUTED
from bloodcell.ui.augmentation.cells import OWN, Cells, example
from bloodcell.ui.common.gallery import Picture, gallery

__all__ = [
    "cue_tiles",
    "label_words",
    "ladder_tiles",
    "mixes",
    "one_hot",
    "preview",
    "rungs_of",
    "show_cues",
    "tiles",
    "warn",
]

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


def warn(policy: Policy) -> None:
    """One line if any step goes too far; the examples are shown further down by `show_cues`."""
    found = cautions(policy)
    if found:
        places = ", ".join(str(c.place) for c in found)
        steps = f"Step {places} goes" if len(found) == 1 else f"Steps {places} go"
        st.markdown(
            f":orange[:material/warning: {steps} beyond what is sensible for blood cells: see "
            "below what tells classes apart, and what is left of it.]"
        )


def cue_tiles(caution: Caution, dataset: Dataset | None, seed: int) -> list[Picture]:
    """The class that loses its mark, before and at the ends of the setting, and its double.

    Args:
        dataset: where the cells are taken from, or None for drawn ones.
        seed: which cells are taken.

    Returns:
        No tile where no class suffers in particular.
    """
    if caution.cue is None:
        return []
    changed, beside = class_id(caution.cue.changed), class_id(caution.cue.beside)
    images = np.stack([example(dataset, k, seed) for k in (changed, beside)])
    labels = one_hot(np.array([changed, beside]))
    ends = [extreme(caution.step, images, labels, seed, d)[0][0] for d in (1, -1)]
    if np.array_equal(*ends):
        ends.pop()
    name, other = CLASSES[changed].title, CLASSES[beside].title
    return [
        Picture(0, images[0], f"{name} as it is", caption=name, colour=CLASSES[changed].colour),
        *(
            Picture(
                1 + i,
                image,
                f"{name} at the end of the setting",
                caption="augmented",
                colour=CLASSES[changed].colour,
                marked=True,
            )
            for i, image in enumerate(ends)
        ),
        Picture(9, images[1], f"{other} as it is", caption=other, colour=CLASSES[beside].colour),
    ]


def show_cues(policy: Policy, dataset: Dataset | None, seed: int) -> None:
    """A warning for each step that goes too far, with cells that show why."""
    for caution in cautions(policy):
        st.warning(caution.sentence, icon=":material/warning:")
        if shown := cue_tiles(caution, dataset, seed):
            gallery(shown, key=f"cue_{caution.place}", columns=4, clickable=False)
