"""What was decided about the images of a dataset: reversible, with reason and time.

``curation.json`` maps an index to ``{"decision": "exclude" | "relabel" | "keep", "reason": ...,
"time": ..., "label": id if relabelled}``. Nothing is ever deleted from ``images.npy``.
"""

import hashlib
import json
import re
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bloodcell.classes import CLASSES
from bloodcell.errors import BadInput
from bloodcell.files import read_json, write_json

__all__ = ["Curation"]

DECISIONS = ("exclude", "relabel", "keep")


class Curation:
    """The decisions of one dataset; each change is written at once.

    Args:
        path: of ``curation.json``; it need not exist.
        n: images in the dataset.

    Raises:
        BadInput: the file holds something else than decisions about these images.
    """

    def __init__(self, path: Path, n: int):
        self.path = path
        self._n = n
        self._decisions = self._read()

    def _read(self) -> dict[int, dict[str, Any]]:
        if not self.path.exists():
            return {}
        found = read_json(self.path)
        if not isinstance(found, dict):
            raise BadInput(
                f"{self.path} holds {type(found).__name__} where index → decision was expected: "
                "restore it from a copy or remove it."
            )
        for index, decision in found.items():
            if not self._is_sound(index, decision):
                raise BadInput(
                    f"{self.path} has the entry {index!r}: {decision!r}, expected an index from 0 "
                    f"to {self._n - 1} with a decision of {', '.join(DECISIONS)} (relabel with a "
                    f"label from 0 to {len(CLASSES) - 1}): mend or remove that entry."
                )
        return {int(index): decision for index, decision in found.items()}

    def _is_sound(self, index: str, decision: Any) -> bool:
        if not re.fullmatch(r"[0-9]{1,9}", index) or int(index) >= self._n:
            return False
        if not isinstance(decision, dict) or decision.get("decision") not in DECISIONS:
            return False
        label = decision.get("label")
        return decision["decision"] != "relabel" or (
            type(label) is int and 0 <= label < len(CLASSES)
        )

    def __len__(self) -> int:
        return len(self._decisions)

    @property
    def decisions(self) -> dict[int, dict[str, Any]]:
        """A copy of index → decision."""
        return {i: dict(d) for i, d in sorted(self._decisions.items())}

    @property
    def fingerprint(self) -> str:
        """Hex digest of what was excluded or relabelled (not of why or when)."""
        core = [(i, "exclude") for i in sorted(self.excluded())]
        core += [(i, label) for i, label in sorted(self.relabelled().items())]
        return hashlib.sha256(json.dumps(core).encode()).hexdigest()

    def excluded(self) -> list[int]:
        return [i for i, d in self._decisions.items() if d["decision"] == "exclude"]

    def relabelled(self) -> dict[int, int]:
        return {i: d["label"] for i, d in self._decisions.items() if d["decision"] == "relabel"}

    def exclude(self, indices: Iterable[int], reason: str) -> int:
        """Exclude images; returns how many were not excluded before."""
        return self._decide(indices, {"decision": "exclude", "reason": reason})

    def relabel(self, indices: Iterable[int], label: int, reason: str) -> int:
        """Give images another label (0 to 7); returns how many changed."""
        return self._decide(indices, {"decision": "relabel", "label": int(label), "reason": reason})

    def undo(self, indices: Iterable[int]) -> int:
        """Forget the decisions about these images; returns how many there were."""
        wanted = self._checked(indices)
        self._decisions = self._read()
        gone = [self._decisions.pop(i, None) for i in wanted]
        self._save()
        return sum(d is not None for d in gone)

    def _checked(self, indices: Iterable[int]) -> list[int]:
        found = [int(i) for i in indices]
        for i in found:
            if not 0 <= i < self._n:
                raise BadInput(
                    f"There is no image {i} in {self.path.parent.name}: "
                    f"expected an index from 0 to {self._n - 1}."
                )
        return found

    def _decide(self, indices: Iterable[int], decision: dict[str, Any]) -> int:
        wanted = self._checked(indices)
        if decision["decision"] == "relabel" and not 0 <= decision["label"] < len(CLASSES):
            raise BadInput(
                f"There is no class {decision['label']}: expected 0 to {len(CLASSES) - 1}."
            )
        # A page, another page and the command line may all have this dataset open.
        self._decisions = self._read()
        now = datetime.now(UTC).isoformat(timespec="seconds")
        changed = 0
        for index in wanted:
            before = self._decisions.get(index, {})
            changed += any(before.get(k) != decision.get(k) for k in ("decision", "label"))
            self._decisions[index] = {**decision, "time": now}
        self._save()
        return changed

    def _save(self) -> None:
        write_json(self.path, {str(i): d for i, d in sorted(self._decisions.items())})
