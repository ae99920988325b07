"""The eight kinds of cell: id, name, colour and one line of cytology each.

The order is alphabetical and is the order of class ids in BloodMNIST. Colours are fixed for
the whole product, distinguishable with the common colour-vision deficiencies (after
Okabe and Ito, "Color Universal Design", 2008, darkened or lightened to keep a contrast of
at least 3:1 on both the light and the dark background).
"""

import re
import unicodedata
from dataclasses import dataclass

__all__ = [
    "CLASSES",
    "CLASS_NAMES",
    "LABELS",
    "LABEL_NAMES",
    "OTHER",
    "OTHER_CLASS",
    "CellClass",
    "class_id",
    "label_id",
    "title",
]


@dataclass(frozen=True)
class CellClass:
    """One kind of blood cell.

    Attributes:
        id: 0 to 7, the label in every file; OTHER for none of the eight.
        name: the key used in files, folders and JSON.
        title: the name as shown to a person.
        colour: ``#rrggbb``.
        cytology: one line on what it looks like under May Grünwald-Giemsa stain.
        aliases: other spellings accepted in folder names and label columns.
    """

    id: int
    name: str
    title: str
    colour: str
    cytology: str
    aliases: tuple[str, ...] = ()


CLASSES: tuple[CellClass, ...] = (
    CellClass(
        0,
        "basophil",
        "Basophil",
        "#7a5cd6",
        "Coarse dark violet granules that often hide a lobed nucleus.",
        ("ba", "baso", "bas", "basophilic_granulocyte"),
    ),
    CellClass(
        1,
        "eosinophil",
        "Eosinophil",
        "#d55e00",
        "Two-lobed nucleus, cytoplasm filled with even orange-red granules.",
        ("eo", "eos", "eosino", "eosinophilic_granulocyte"),
    ),
    CellClass(
        2,
        "erythroblast",
        "Erythroblast",
        "#c24a7a",
        "Small, round, very dense nucleus in a blue-grey to pink cytoplasm: a red cell precursor.",
        (
            "erb",
            "ery",
            "nrbc",
            "normoblast",
            "ebo",
            "nucleated_red_blood_cell",
            "nucleated_rbc",
            "orthochromatic_erythroblast",
            "polychromatic_erythroblast",
            "basophilic_erythroblast",
        ),
    ),
    CellClass(
        3,
        "immature_granulocyte",
        "Immature granulocyte",
        "#8a7a00",
        "Promyelocyte, myelocyte or metamyelocyte: round to kidney-shaped nucleus, fine granules.",
        (
            "ig",
            "imm",
            "immature_granulocytes_metamyelocytes_myelocytes_and_promyelocytes",
            "promyelocyte",
            "myelocyte",
            "metamyelocyte",
            "pmy",
            "pmo",
            "my",
            "myb",
            "mmy",
            "mmz",
        ),
    ),
    CellClass(
        4,
        "lymphocyte",
        "Lymphocyte",
        "#0072b2",
        "Round, dense nucleus that nearly fills the cell; a thin rim of clear blue cytoplasm.",
        (
            "ly",
            "lymph",
            "lympho",
            "lym",
            "lyt",
            "lya",
            "typical_lymphocyte",
            "lymphocyte_typical",
            "atypical_lymphocyte",
            "lymphocyte_atypical",
            "reactive_lymphocyte",
            "lymphocyte_reactive",
            "variant_lymphocyte",
            "large_lymphocyte",
            "small_lymphocyte",
            "large_lymph",
            "small_lymph",
        ),
    ),
    CellClass(
        5,
        "monocyte",
        "Monocyte",
        "#00896b",
        "The largest: folded or kidney-shaped nucleus, grey-blue cytoplasm, often vacuoles.",
        ("mo", "mono", "mon"),
    ),
    CellClass(
        6,
        "neutrophil",
        "Neutrophil",
        "#3f8fcf",
        "Nucleus of two to five lobes or a band, pale pink cytoplasm with very fine granules.",
        (
            "ne",
            "neut",
            "neutro",
            "neu",
            "sne",
            "bne",
            "ngs",
            "ngb",
            "segmented_neutrophil",
            "neutrophil_segmented",
            "seg_neutrophil",
            "neutrophil_seg",
            "band",
            "banded_neutrophil",
            "neutrophil_banded",
            "stab",
            "stab_neutrophil",
            "neutrophilic_granulocyte",
        ),
    ),
    CellClass(
        7,
        "platelet",
        "Platelet",
        "#7d7d86",
        "No nucleus: a small violet granular fragment, far smaller than a red cell.",
        ("pl", "plt", "thrombocyte", "giant_platelet", "large_platelet"),
    ),
)

CLASS_NAMES: tuple[str, ...] = tuple(c.name for c in CLASSES)

# What a person says is none of the eight. It is never learned as a class and never counts in an
# accuracy. As the last of LABELS it is found by its own id.
OTHER = -1
OTHER_CLASS = CellClass(
    OTHER,
    "other",
    "Other",
    "#4a4a52",
    "None of the eight: a blast, another cell, a smudge. It should be refused.",
    ("others", "none_of_the_eight"),
)
LABELS: tuple[CellClass, ...] = (*CLASSES, OTHER_CLASS)
LABEL_NAMES: tuple[str, ...] = tuple(c.name for c in LABELS)


def _key(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", text.strip().lower()).strip("_")


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


# Words beside a name that say nothing about the kind of cell.
_FILLERS = _set("clas category label type cell image img picture photo crop cropped of the")
_LEADING_NUMBER = re.compile(r"^[\s_.-]*\d+[\s_.:)-]+")
# An abbreviation beside something else is as often no class: a patient MO3, a folder "my cells".
_SHORT = 3
_MOST_WORDS = 12


def _words(text: str) -> list[str]:
    """The words of a name in the singular; none if it has letters beside those of English."""
    plain = unicodedata.normalize("NFKD", text.casefold())
    plain = "".join(c for c in plain if not unicodedata.combining(c))
    if any(c.isalpha() and not c.isascii() for c in plain):
        return []
    return [w.removesuffix("s") if len(w) > _SHORT else w for w in re.findall(r"[a-z]+", plain)]


def _telling(words: list[str]) -> list[str]:
    return [w for w in words if w not in _FILLERS]


_IDS: dict[str, int] = {}
for _c in CLASSES:
    for _spelling in (_c.name, *_c.aliases):
        _IDS["".join(_telling(_words(_spelling)))] = _c.id
        if len(_spelling) < 4:
            _IDS[f"{_spelling}s"] = _c.id


_OTHER_KEYS = frozenset(_key(t) for t in (OTHER_CLASS.name, *OTHER_CLASS.aliases))


def class_id(text: str) -> int | None:
    """The class id (0 to 7) of a name in any usual spelling, or None if it is none of the eight.

    Numbers before it, fillers and a second name of the same class do not matter: ``0_neutrophil``,
    ``Neutrophil Segmented``, ``Erythroblast (NRBC)``. A word that is no name of the class does:
    ``neutrophil or monocyte`` and ``immature monocyte`` are none.
    """
    text = _LEADING_NUMBER.sub("", text)
    every = _words(text)
    words = _telling(every)
    if not 0 < len(words) <= _MOST_WORDS:
        return None
    alone = len(words) == len(every) and not any(c.isdigit() for c in text)
    if not alone and max(map(len, words)) <= _SHORT:
        return None
    # reached[i]: the classes that the first i words can be names of.
    reached: list[set[int]] = [set() for _ in range(len(words) + 1)]
    for end in range(1, len(words) + 1):
        for start in range(end):
            found = _IDS.get("".join(words[start:end]))
            if found is not None and (start == 0 or found in reached[start]):
                reached[end].add(found)
    return next(iter(reached[-1]), None)


def label_id(text: str) -> int | None:
    """Like :func:`class_id`, and OTHER for ``other``."""
    return OTHER if _key(text) in _OTHER_KEYS else class_id(text)


def title(label: int) -> str:
    """The name of label `label` (0 to 7, or OTHER) as shown to a person."""
    return LABELS[label].title
