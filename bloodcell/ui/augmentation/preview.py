"""A policy applied to cells: variants, strengths, and its effect on what distinguishes classes."""

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
from bloodcell.augment.stain_transfer import BUILT_IN
from bloodcell.classes import CLASS_NAMES, CLASSES, class_id
from bloodcell.data.store.dataset import Dataset
from bloodcell.figures import SHORT_TITLES
from bloodcell.figures.theme import MUTED
from bloodcell.ui.augmentation.cells import OWN, Cells, find_example
from bloodcell.ui.common.gallery import Picture, gallery

__all__ = [
    "augment_cells",
    "compute_strengths",
    "describe_label",
    "draw_cue",
    "draw_in_laboratories",
    "draw_strengths",
    "draw_variants",
    "mixes_images",
    "one_hot",
    "repeat_cells",
    "show_cues",
    "show_warning",
    "split_variants",
]

_SHORT = [*(SHORT_TITLES[name] for name in CLASS_NAMES), "upload"]
_TITLES = [*(c.title for c in CLASSES), "Uploaded image"]
_COLOURS = [*(c.colour for c in CLASSES), MUTED]
# Of the steps that are too strong, so many are shown with cells at once.
UNFOLDED = 2


def one_hot(labels: np.ndarray) -> np.ndarray:
    """Labels, int64, B, as float32, B×9; the last column is for `OWN`."""
    return np.eye(OWN + 1, dtype=np.float32)[labels]


def mixes_images(policy: Policy) -> bool:
    """Whether any step mixes two images."""
    return any(CATALOGUE[s.key].mixes_labels and s.probability > 0 for s in policy.steps)


def augment_cells(
    policy: Policy, cells: Cells, copies: int, seed: int, partners: Cells | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Augment every cell `copies` times.

    Args:
        partners: further cells to be mixed with; they are not among the results.

    Returns:
        Images, uint8, B×copies×H×W×3, and labels, float32, B×copies×9.
    """
    images, labels = repeat_cells(policy, cells, copies, partners)
    made, mixed = apply(policy, images, one_hot(labels), np.random.default_rng(seed))
    return split_variants(made, mixed, cells, copies)


def repeat_cells(
    policy: Policy, cells: Cells, copies: int, partners: Cells | None
) -> tuple[np.ndarray, np.ndarray]:
    """Every cell `copies` times, then the partners if the policy mixes images.

    Returns:
        Images, uint8, B×H×W×3, and labels, int64, B.
    """
    images, labels = np.repeat(cells.images, copies, axis=0), np.repeat(cells.labels, copies)
    if partners is not None and mixes_images(policy):
        images = np.concatenate([images, partners.images])
        labels = np.concatenate([labels, partners.labels])
    return images, labels


def split_variants(
    made: np.ndarray, labels: np.ndarray, cells: Cells, copies: int
) -> tuple[np.ndarray, np.ndarray]:
    """What an engine made of `repeat_cells`, by cell and without the partners."""
    shape, n = (len(cells.images), copies), len(cells.images) * copies
    return made[:n].reshape(*shape, *made.shape[1:]), labels[:n].reshape(*shape, -1)


def _mixed_classes(label: np.ndarray) -> list[int]:
    """The classes of a mixed label, the largest first; none if it is pure."""
    parts = [int(k) for k in np.argsort(-label) if label[k] >= 0.005]
    return parts if len(parts) > 1 else []


def _label_bar(label: np.ndarray) -> tuple[tuple[float, str], ...]:
    return tuple((float(label[k]), _COLOURS[k]) for k in _mixed_classes(label))


def describe_label(label: np.ndarray) -> str:
    """ "62 % Eosino, 38 % Lympho" for a mixed label, "" for a pure one (float32, 9)."""
    return ", ".join(f"{label[k]:.0%} {_SHORT[k]}" for k in _mixed_classes(label))


def draw_variants(
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
            words = describe_label(mixed)
            found.append(
                Picture(
                    len(found),
                    picture,
                    f"Augmented: {words or _TITLES[int(mixed.argmax())]}",
                    caption="" if small else words,
                    bar=_label_bar(mixed),
                )
            )
    return found


def draw_in_laboratories(policy: Policy, cells: Cells) -> tuple[list[Picture], int]:
    """Each cell as it is and as it would look in each laboratory; tiles, and how many in a row.

    Args:
        policy: its stains are used, else those built in.
    """
    stains = policy.stains or BUILT_IN
    found: list[Picture] = []
    for image, label in zip(cells.images, cells.labels, strict=True):
        what = _TITLES[label]
        found.append(Picture(len(found), image, f"{what}, as it is", caption="as it is"))
        for k, name in enumerate(stains.names):
            words = f"This {what.lower()} as it would look in {name}"
            shown = stains.carried(image, k)
            found.append(Picture(len(found), shown, words, caption=f"in {name}"))
    return found, len(stains) + 1


def compute_strengths(step: Step, cells: Cells, partners: Cells, seed: int) -> list[list[Rung]]:
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


def _format_strength(step: Step, rung: Rung) -> str:
    """The strength of a rung, as short as can be: its value, or its share of several values."""
    moved = [p for p in CATALOGUE[step.key].parameters if p.strength and step.parameters[p.key]]
    if any(p.kind == "switch" for p in moved) or not moved:
        return "on" if rung.share else "off"
    if len(moved) > 1:
        return f"× {rung.share:g}"
    return f"{rung.parameters[moved[0].key]:.3g}{'°' if moved[0].unit == '°' else ''}"


def draw_strengths(step: Step, cells: Cells, ladders: list[list[Rung]]) -> list[Picture]:
    """Tiles, a row for each direction and cell, with their strength and where it is too strong."""
    found: list[Picture] = []
    for rungs in ladders:
        for i, label in enumerate(cells.labels):
            for rung in rungs:
                value, set_now = _format_strength(step, rung), rung.share == 1
                words = f"{_TITLES[label]} at {value}{' (current setting)' if set_now else ''}"
                found.append(
                    Picture(
                        len(found),
                        rung.images[i],
                        words if rung.sensible else f"{words}: above the recommended maximum",
                        badge=_SHORT[label] if rung.share == 0 and len(cells.labels) > 1 else "",
                        caption=value,
                        note="" if rung.sensible else "too strong",
                        bar=_label_bar(rung.labels[i]),
                        marked=set_now,
                    )
                )
    return found


def show_warning(policy: Policy) -> None:
    """Show a line if any step is too strong; `show_cues` shows examples further down."""
    found = cautions(policy)
    if found:
        places = ", ".join(str(c.place) for c in found)
        steps = f"Step {places} exceeds" if len(found) == 1 else f"Steps {places} exceed"
        st.markdown(
            f":orange[:material/warning: {steps} the recommended range for blood cells: see below "
            "how this affects the features that distinguish classes.]"
        )


def draw_cue(caution: Caution, dataset: Dataset | None, seed: int) -> list[Picture]:
    """Tiles of the class at risk, before and at the limits of the setting, and of its look-alike.

    Args:
        dataset: where the cells are taken from, or None for synthetic ones.
        seed: which cells are taken.

    Returns:
        No tile where no class suffers in particular.
    """
    if caution.cue is None:
        return []
    changed, beside = class_id(caution.cue.changed), class_id(caution.cue.beside)
    images = np.stack([find_example(dataset, k, seed) for k in (changed, beside)])
    labels = one_hot(np.array([changed, beside]))
    ends = [extreme(caution.step, images, labels, seed, d)[0][0] for d in (1, -1)]
    if np.array_equal(*ends):
        ends.pop()
    name, other = CLASSES[changed].title, CLASSES[beside].title
    return [
        Picture(0, images[0], f"{name}, original", caption=name, colour=CLASSES[changed].colour),
        *(
            Picture(
                1 + i,
                image,
                f"{name}, augmented at the limit of the setting",
                caption="augmented",
                colour=CLASSES[changed].colour,
                marked=True,
            )
            for i, image in enumerate(ends)
        ),
        Picture(9, images[1], f"{other}, original", caption=other, colour=CLASSES[beside].colour),
    ]


def show_cues(policy: Policy, dataset: Dataset | None, seed: int) -> None:
    """Show a warning for each step that is too strong, with cells that show why."""
    found = cautions(policy)
    for caution in found[:UNFOLDED]:
        _show_cue(caution, dataset, seed)
    if more := found[UNFOLDED:]:
        steps = "1 more step" if len(more) == 1 else f"{len(more)} more steps"
        with st.expander(f"{steps} beyond the recommended range", icon=":material/warning:"):
            for caution in more:
                _show_cue(caution, dataset, seed)


def _show_cue(caution: Caution, dataset: Dataset | None, seed: int) -> None:
    st.warning(caution.sentence, icon=":material/warning:")
    if shown := draw_cue(caution, dataset, seed):
        gallery(shown, key=f"cue_{caution.place}", columns=4, clickable=False)
