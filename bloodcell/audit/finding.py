"""A finding of an audit, and the audit as a whole, as values and as JSON."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from typing import Any

from bloodcell.errors import BadInput

__all__ = ["KINDS", "KIND_TITLES", "Audit", "Finding", "checked_kinds"]

KIND_TITLES = {
    "exact_duplicate": "Exact duplicates",
    "conflicting_label": "Conflicting labels",
    "near_duplicate": "Near duplicates",
    "outlier": "Outliers",
    "suspect_label": "Suspect labels",
}
KINDS = tuple(KIND_TITLES)


@dataclass(frozen=True)
class Finding:
    """A doubt about one image.

    Attributes:
        kind: one of KINDS.
        index, name: of the image.
        group: number shared by the images that are copies of each other.
        score: 0 to 1, higher is more certain.
        suggested: "exclude" or "review".
        why: the reason in words.
        looks_like: the class that the image looks like; None where that was not looked for.
        neighbours: indices of the images most like it, the nearest first.
    """

    kind: str
    index: int
    name: str
    group: int
    score: float
    suggested: str
    why: str = ""
    looks_like: str | None = None
    neighbours: tuple[int, ...] = ()

    def to_json(self) -> dict[str, Any]:
        return asdict(self) | {"neighbours": list(self.neighbours)}

    @staticmethod
    def from_json(value: dict[str, Any]) -> "Finding":
        return Finding(**value | {"neighbours": tuple(int(i) for i in value["neighbours"])})


@dataclass(frozen=True)
class Audit:
    """What an audit found, and what it was made from.

    Attributes:
        findings: ordered by kind, then the most certain first; a group stays together.
        kinds: what was looked for.
        n: images looked at, those that were not excluded.
        source: where the features for doubtful labels came from, in words.
        typical: class → indices of its most typical images.
        notes: what a reader of the findings should know about them.
        dataset: fingerprint of the dataset.
        curation: fingerprint of the curation.
        left_out: indices that were excluded when it was made.
        labelled: index → label for the images that were relabelled when it was made.
        created: time of its end, ISO 8601.
        seconds: it took.
    """

    findings: tuple[Finding, ...]
    kinds: tuple[str, ...]
    n: int
    source: str
    typical: dict[str, tuple[int, ...]]
    notes: tuple[str, ...]
    dataset: str
    curation: str
    left_out: tuple[int, ...]
    labelled: dict[int, int]
    created: str
    seconds: float

    def to_json(self) -> dict[str, Any]:
        found = {f.name: getattr(self, f.name) for f in fields(self)}
        return found | {
            "findings": [f.to_json() for f in self.findings],
            "kinds": list(self.kinds),
            "typical": {name: list(rows) for name, rows in self.typical.items()},
            "notes": list(self.notes),
            "left_out": list(self.left_out),
            "labelled": {str(i): label for i, label in self.labelled.items()},
        }

    @staticmethod
    def from_json(value: dict[str, Any]) -> "Audit":
        """The inverse of :meth:`to_json`; raises KeyError, TypeError or ValueError if it is not."""
        found = {f.name: value[f.name] for f in fields(Audit)}
        return Audit(
            **found
            | {
                "findings": tuple(Finding.from_json(f) for f in found["findings"]),
                "kinds": tuple(found["kinds"]),
                "typical": {c: tuple(map(int, rows)) for c, rows in found["typical"].items()},
                "notes": tuple(found["notes"]),
                "left_out": tuple(int(i) for i in found["left_out"]),
                "labelled": {int(i): int(label) for i, label in found["labelled"].items()},
            }
        )


def checked_kinds(kinds: Iterable[str]) -> tuple[str, ...]:
    """The distinct kinds, in the order of KINDS.

    Raises:
        BadInput: there is no such kind.
    """
    wanted = list(kinds)
    for kind in wanted:
        if kind not in KINDS:
            raise BadInput(f"There is no finding {kind!r}: expected one of {', '.join(KINDS)}.")
    return tuple(kind for kind in KINDS if kind in wanted)
