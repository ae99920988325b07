"""What was decided about the images of a dataset: reversible, with reason and time.

``curation.json`` maps an index to ``{"decision": "exclude" | "relabel" | "keep", "reason": ...,
"time": ..., "label": id if relabelled}``. Nothing is ever deleted from ``images.npy``.
"""

import hashlib
import json
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bloodcell.errors import BadInput
from bloodcell.files import read_json, write_json

__all__ = ["Curation"]

DECISIONS = ("exclude", "relabel", "keep")


class Curation:
    """The decisions of one dataset; each change is written at once."""

    def __init__(self, path: Path):
        self.path = path
        self._decisions: dict[int, dict[str, Any]] = {}
        if path.exists():
            for index, decision in read_json(path).items():
                if not index.isdigit() or decision.get("decision") not in DECISIONS:
                    raise BadInput(
                        f"{path} has the entry {index!r}: {decision!r}, expected an index with a "
                        f"decision of {', '.join(DECISIONS)}: mend or remove that entry."
                    )
                self._decisions[int(index)] = decision

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
        gone = [self._decisions.pop(int(i), None) for i in indices]
        self._save()
        return sum(d is not None for d in gone)

    def _decide(self, indices: Iterable[int], decision: dict[str, Any]) -> int:
        now = datetime.now(UTC).isoformat(timespec="seconds")
        changed = 0
        for index in map(int, indices):
            before = self._decisions.get(index, {})
            changed += any(before.get(k) != decision.get(k) for k in ("decision", "label"))
            self._decisions[index] = {**decision, "time": now}
        self._save()
        return changed

    def _save(self) -> None:
        write_json(self.path, {str(i): d for i, d in sorted(self._decisions.items())})
