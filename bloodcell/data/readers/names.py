"""What the names of folders and arrays say of the images in them: class, part, or only origin.

A name is understood where it is well known and cannot mean anything else. What is left over is
said by the person who imports: ``--map FOLDER=class``.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from bloodcell.classes import CLASS_NAMES, LABEL_NAMES, LABELS, label_id
from bloodcell.data.imaging.decode import printable
from bloodcell.data.store.dataset import PARTS
from bloodcell.errors import BadInput

__all__ = [
    "SKIP",
    "NameMap",
    "UnknownNames",
    "is_no_photograph",
    "is_origin",
    "named_like_part",
    "part_of",
    "unknown_names",
]

SKIP = "skip"


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


_PART_WORDS = {
    "train": PARTS[0],
    "training": PARTS[0],
    "trn": PARTS[0],
    "val": PARTS[1],
    "valid": PARTS[1],
    "validation": PARTS[1],
    "validate": PARTS[1],
    "validating": PARTS[1],
    "dev": PARTS[1],
    "devel": PARTS[1],
    "development": PARTS[1],
    "test": PARTS[2],
    "tests": PARTS[2],
    "testing": PARTS[2],
    "tst": PARTS[2],
    "holdout": PARTS[2],
    "heldout": PARTS[2],
}
# Named like parts, but which one they are is anybody's guess.
_PART_LIKE = frozenset(["eval", "evaluation", "trainval", "traintest", "valtest"])
_PART_FILLERS = _set(
    "set data dataset images image imgs img pics split part subset folder cells cell crops "
    "crop cropped simple raw final new"
)
_GLUED = re.compile(
    r"^(train|training|test|testing|val|valid|validation|dev)(set|data|images?|[a-z])$"
)
# Folders below a class that say whose cells they are, not which.
_ORIGIN_WORDS = _set(
    "patient patients pat pt p subject subj donor case cases sample samples specimen slide "
    "slides smear smears s scan film field fields fov batch b session visit day date lab "
    "laboratory site center centre hospital clinic cohort group acquisition run series plate "
    "well tile id no nr num scanner microscope camera reader rater annotator expert male "
    "female control controls normal healthy images image imgs img photos pictures cells crops "
    "cropped original originals raw"
)
_NO_PHOTOGRAPHS = _set(
    "mask masks gt annotation annotations segmentation segmentations contour contours overlay "
    "overlays heatmap heatmaps saliency gradcam"
)
# Abbreviations of public sets that are none of the eight; what they stand for, for the sentence.
_KNOWN_OTHERS = {
    "abe": "abnormal eosinophils",
    "art": "artefacts",
    "bla": "blasts",
    "fgc": "faggot cells",
    "hac": "hairy cells",
    "ksc": "smudge cells",
    "lyi": "immature lymphocytes",
    "mob": "monoblasts",
    "myo": "myeloblasts",
    "nif": "cells nobody could identify",
    "oth": "other cells",
    "peb": "proerythroblasts",
    "plm": "plasma cells",
    "pmb": "bilobed promyelocytes",
}


def _words(name: str) -> list[str]:
    """Words and numbers of a name, also of TestB or train2017."""
    apart = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name)
    return re.findall(r"[a-z]+|\d+", apart.lower())


def part_of(name: str) -> str | None:
    """The part (one of PARTS) that a folder or the prefix of a key is named for, or None.

    Understood are Train, Training, valid, dev, Test-A, TestB, test_set, train2017 and the like;
    not what holds another word, such as "blood test".
    """
    words = [_GLUED.sub(r"\1", w) for w in _words(name)]
    if words[:2] in (["held", "out"], ["hold", "out"]):
        words[:2] = ["holdout"]
    telling = [w for w in words if len(w) > 1 and not w.isdigit() and w not in _PART_FILLERS]
    return _PART_WORDS.get(telling[0]) if len(telling) == 1 else None


def named_like_part(name: str) -> str | None:
    """The part that a name such as WBC_train seems to mean, "" for one of several, else None."""
    words = _words(name)
    parts = {_PART_WORDS[w] for w in words if w in _PART_WORDS}
    if set(words) & _PART_LIKE or len(parts) > 1:
        return ""
    at_an_end = words and (words[0] in _PART_WORDS or words[-1] in _PART_WORDS)
    return next(iter(parts)) if parts and at_an_end else None


def is_origin(name: str) -> bool:
    """Whether a folder below a class only says where its cells come from: patient_1, S12, 2021."""
    words = _words(name)
    telling = [w for w in words if len(w) > 2 and not w.isdigit()]
    if any(w in _ORIGIN_WORDS for w in words):
        return all(w in _ORIGIN_WORDS for w in telling)
    # A code: at most two letters at a time beside numbers, or a single letter.
    return bool(words) and not telling and (any(map(str.isdigit, words)) or len(name) == 1)


def is_no_photograph(name: str) -> bool:
    """Whether a folder is named for drawings that belong to photographs: masks, overlays."""
    return any(word in _NO_PHOTOGRAPHS for word in _words(name))


class UnknownNames(BadInput):
    """Folders or class names that are none of the eight; `names`: each with its images."""

    def __init__(self, message: str, names: Mapping[str, int]):
        super().__init__(message)
        self.names = dict(names)


def unknown_names(source: str, names: Mapping[str, int], what: str, example: str) -> UnknownNames:
    """The error for names that must be mapped.

    Args:
        names: each with the number of its images.
        what: what they are, in the plural: "folders", "classes".
        example: of a file or place, for the sentence.
    """
    ranked = sorted(names, key=lambda name: -names[name])
    shown = ", ".join(_explained(name) for name in ranked[:8])
    more = f" and {len(ranked) - 8} more" if len(ranked) > 8 else ""
    first = printable(ranked[0].rsplit("/", 1)[-1], 40)
    return UnknownNames(
        f"{printable(source)} has {what} that are none of the eight: {shown}{more} (for example "
        f"{printable(example)}), expected {', '.join(CLASS_NAMES)}, or other: say for each what it "
        f"holds, as in --map '{first}=other', or leave it out with --map '{first}={SKIP}'.",
        names,
    )


def _explained(name: str) -> str:
    words = _words(name.rsplit("/", 1)[-1])
    meant = _KNOWN_OTHERS.get(words[0]) if len(words) == 1 else None
    return f"{printable(name)!r}" + (f" ({meant} in public sets)" if meant else "")


@dataclass(frozen=True)
class NameMap:
    """What a person says that names mean.

    Attributes:
        chosen: parts of a path in lower case, which may hold ``*`` → a class of the eight,
            "other", a part, or SKIP.
    """

    chosen: Mapping[tuple[str, ...], str] = field(default_factory=dict)

    @staticmethod
    def parse(entries: Iterable[str]) -> "NameMap":
        """From texts such as ``blast=skip``, ``train/SNE=neutrophil`` or ``Set2=test``.

        Raises:
            BadInput: one is none of these.
        """
        chosen = {}
        for entry in entries:
            name, sign, meant = entry.rpartition("=")
            key = tuple(p.strip().casefold() for p in name.strip().strip("/").split("/"))
            value = _value(meant)
            if not sign or not all(key) or value is None:
                raise BadInput(
                    f"--map {printable(entry)!r} cannot be used: expected FOLDER=VALUE with one of "
                    f"{', '.join(LABEL_NAMES)}, {SKIP}, {', '.join(PARTS)}."
                )
            if chosen.setdefault(key, value) != value:
                raise BadInput(
                    f"--map says two things of {printable(name)!r}, {chosen[key]} and {value}: "
                    "choose one of them."
                )
        return NameMap(chosen)

    def match(self, folders: Sequence[str]) -> dict[tuple[str, ...], str]:
        """The entries that fit a chain of folders or its beginnings, the deepest last."""
        lowered = [f.casefold() for f in folders]
        found = {}
        for end in range(1, len(lowered) + 1):
            for key, value in self.chosen.items():
                here = lowered[max(0, end - len(key)) : end]
                if tuple(here) == key or (
                    len(here) == len(key) and all(map(fnmatchcase, here, key))
                ):
                    found.pop(key, None)
                    found[key] = value
        return found

    def require_used(self, used: Iterable[tuple[str, ...]], source: str) -> None:
        """Raise BadInput if an entry fitted nothing: a slip would go unnoticed."""
        left = [key for key in self.chosen if key not in set(used)]
        if left:
            raise BadInput(
                f"{printable(source)} has no folder or class {'/'.join(left[0])!r} of which --map "
                "says something: check how it is spelled."
            )


def _value(text: str) -> str | None:
    text = text.strip()
    if text.casefold() in (SKIP, *PARTS):
        return text.casefold()
    label = label_id(text)
    return LABELS[label].name if label is not None else part_of(text)
