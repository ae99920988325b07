"""What the arrays of an ``.npz`` are for, by their keys: images, labels, parts.

Understood are ``images`` and ``labels``, and for parts MedMNIST's ``train_images`` and
``train_labels``, also as ``valid_images``, ``x_test``, ``dev_y`` or ``Test-A/images``.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from bloodcell.data.imaging.decode import printable
from bloodcell.data.readers.names import SKIP, NameMap, part_of
from bloodcell.data.store.dataset import PARTS
from bloodcell.errors import BadInput

__all__ = ["PairKeys", "choose_keys", "names_classes", "names_parts"]

_ROLES = {
    "images": {"images", "image", "imgs", "img", "x", "data"},
    "labels": {"labels", "label", "y", "targets", "target"},
}
_CLASS_WORDS = frozenset(
    ["name", "names", "classes", "class", "categories", "category", "legend", "vocabulary"]
)
_PART_KEYS = frozenset(["split", "splits", "part", "parts", "subset", "subsets", "set"])


@dataclass(frozen=True)
class PairKeys:
    """The keys of some images and their labels, and the part that they are of, or ""."""

    images: str
    labels: str
    part: str


def names_classes(key: str) -> bool:
    """Whether a key says that its array names the classes: class_names, categories."""
    return bool(_CLASS_WORDS & set(re.findall(r"[a-z]+", key.lower())))


def names_parts(key: str) -> bool:
    """Whether a key says that its array names the part of each image."""
    return key.lower().strip("_") in _PART_KEYS


def _role(key: str) -> tuple[str, str] | None:
    """(images or labels, the rest of the key) for a key that holds one of these words."""
    apart = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", key)
    words = [w for w in re.split(r"[^A-Za-z0-9]+", apart) if w]
    for role, called in _ROLES.items():
        for at in (len(words) - 1, 0):
            if words and words[at].lower() in called:
                rest = words[:at] + words[at + 1 :]
                # One letter alone may be anything.
                if rest or words[at].lower() in _ROLES:
                    return role, "_".join(rest)
    return None


def choose_keys(
    keys: Iterable[str], source: str, names: NameMap, parts: bool = True
) -> tuple[list[PairKeys], list[str], set[tuple[str, ...]]]:
    """Which arrays to import.

    Args:
        keys: of all arrays.
        source: of the file, for errors.
        names: what a person says of parts, as ``extra=test``.
        parts: whether to keep parts.

    Returns:
        The pairs by part; keys that are not used; the entries of `names` that fitted.

    Raises:
        BadInput: a pair is incomplete or of no known part, or there is none.
    """
    found: dict[str, dict[str, str]] = {}
    for key in sorted(keys):
        role = _role(key)
        if role is not None:
            group = found.setdefault(role[1].lower(), {})
            if role[0] in group:
                raise BadInput(
                    f"{printable(source)} has {group[role[0]]} and {key} for the same "
                    f"{role[0]}: keep one of them."
                )
            group[role[0]] = key
    pairs, used = [], set()
    missing, strange = [], []
    for rest, group in found.items():
        said = names.match([rest]) if rest else {}
        used |= set(said)
        value = next(reversed(said.values()), None) or ("" if not rest else part_of(rest))
        if value == SKIP:
            continue
        if value is None or value not in ("", *PARTS):
            if len(group) == 2:
                strange.append(rest)
            continue
        if len(group) < 2:
            missing.append(_counterpart(*next(iter(group.items()))))
            continue
        pairs.append((rest, PairKeys(group["images"], group["labels"], value)))
    shown = ", ".join(printable(k) for k in sorted(keys)[:12]) or "none"
    if missing or not (pairs or strange):
        lacks = " and no ".join(missing or ["images and labels"])
        raise BadInput(
            f"{printable(source)} has no {lacks} (its keys: {shown}), expected images and labels, "
            "or train_images, train_labels, val_images, val_labels, test_images and test_labels: "
            "save it with these names."
        )
    if strange:
        raise BadInput(
            f"{printable(source)} has images and labels of {printable(strange[0])!r} (its keys: "
            f"{shown}), which is none of train, validation and test: say which with --map "
            f"'{printable(strange[0])}=test', or leave them out with '={SKIP}'."
        )
    if len(pairs) > 1 and any(not pair.part for _, pair in pairs):
        raise BadInput(
            f"{printable(source)} has images of parts and images of none (its keys: {shown}), "
            "expected one of the two: leave out what is there twice, or name the part."
        )
    order = ("", *PARTS)
    chosen = [pair for _, pair in sorted(pairs, key=lambda p: (order.index(p[1].part), p[0]))]
    taken = {key for pair in chosen for key in (pair.images, pair.labels)}
    if not parts:
        chosen = [PairKeys(pair.images, pair.labels, "") for pair in chosen]
    return chosen, [key for key in sorted(keys) if key not in taken], used


def _counterpart(role: str, key: str) -> str:
    """What the key of the labels to some images is called, or the other way round."""
    pairs = [("images", "labels"), ("image", "label"), ("imgs", "labels"), ("x", "y"), ("X", "y")]
    for images, labels in pairs:
        here, there = (images, labels) if role == "images" else (labels, images)
        if re.search(rf"(?<![A-Za-z]){here}(?![A-Za-z])", key.replace("_", "-")):
            return re.sub(
                rf"(?<![A-Za-z]){here}(?![A-Za-z])", there, key.replace("_", "-")
            ).replace("-", "_")
    return "labels" if role == "images" else "images"
