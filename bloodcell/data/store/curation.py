"""What was decided about the images of a dataset: reversible, with reason and time.

``curation.json`` maps an index to ``{"decision": "exclude" | "relabel" | "keep", "reason": ...,
"time": ..., "batch": number}``, with ``"label"`` where it is another than was brought in, and
``"before"``: the decision that this one replaced, and ``"by"``: who decided, where somebody is
signed in. Decisions taken together have one batch number. Nothing is ever deleted from
``images.npy``.
"""

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bloodcell.classes import CLASSES, OTHER
from bloodcell.errors import BadInput
from bloodcell.files import read_json, write_json
from bloodcell.locks import changing
from bloodcell.people import who

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
                    f"label from 0 to {len(CLASSES) - 1}, or {OTHER}): mend or remove that entry."
                )
        return {int(index): decision for index, decision in found.items()}

    def _is_sound(self, index: str, decision: Any) -> bool:
        if not re.fullmatch(r"[0-9]{1,9}", index) or int(index) >= self._n:
            return False
        if not isinstance(decision, dict) or decision.get("decision") not in DECISIONS:
            return False
        before = decision.get("before")
        if type(decision.get("batch", 0)) is not int or not isinstance(decision.get("by", ""), str):
            return False
        if before is not None and not self._is_sound(index, before):
            return False
        if "label" not in decision:
            return decision["decision"] != "relabel"
        label = decision["label"]
        sound = type(label) is int and OTHER <= label < len(CLASSES)
        return decision["decision"] != "exclude" and sound

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

    def confirmed(self) -> list[int]:
        """Images that somebody looked at and decided to keep as they are."""
        return [i for i, d in self._decisions.items() if d["decision"] == "keep"]

    def excluded(self) -> list[int]:
        return [i for i, d in self._decisions.items() if d["decision"] == "exclude"]

    def relabelled(self) -> dict[int, int]:
        return {i: d["label"] for i, d in self._decisions.items() if "label" in d}

    def exclude(self, indices: Iterable[int], reason: str) -> int:
        """Exclude images; returns how many were not excluded before."""
        return self._decide(indices, {"decision": "exclude", "reason": reason})

    def relabel(self, indices: Iterable[int], label: int, reason: str) -> int:
        """Give images another label (0 to 7, or OTHER); returns how many changed."""
        return self._decide(indices, {"decision": "relabel", "label": int(label), "reason": reason})

    def keep(self, indices: Iterable[int], reason: str) -> int:
        """Keep images as they are, relabelled or not; returns how many decisions changed."""
        return self._decide(indices, {"decision": "keep", "reason": reason})

    def decide(self, decisions: Mapping[int, Mapping[str, Any]]) -> int:
        """Take different decisions at once, as one batch.

        Args:
            decisions: index → {"decision": one of exclude, relabel, keep; "reason": why;
                "label": 0 to 7 or OTHER where it is another than was imported, not with exclude;
                "time": ISO 8601, now by default; "by": who decided, by default whoever is
                signed in}.

        Returns:
            How many images are treated differently from before.

        Raises:
            BadInput: an index or a label that there is not; nothing is decided.
        """
        self._checked(decisions)
        for decision in decisions.values():
            if not OTHER <= decision.get("label", 0) < len(CLASSES):
                raise BadInput(
                    f"There is no class {decision['label']}: expected 0 to {len(CLASSES) - 1}, "
                    f"or {OTHER} for none of them."
                )
        with self._changing():
            return self._add(decisions)

    def _add(self, decisions: Mapping[int, Mapping[str, Any]]) -> int:
        now = datetime.now(UTC).isoformat(timespec="seconds")
        by = {"by": name} if (name := who()) else {}
        batch = self.last_batch + 1
        changed = 0
        for index, decision in sorted(decisions.items()):
            before = self._decisions.get(index)
            entry = {"time": now, **by, **decision, "batch": batch}
            if decision["decision"] == "keep" and before is not None and "label" in before:
                entry = {"label": before["label"], **entry}
            same = before is not None and all(
                before.get(k) == entry.get(k) for k in ("decision", "label")
            )
            changed += not same
            self._decisions[index] = entry if before is None else {**entry, "before": before}
        return changed

    def undo(self, indices: Iterable[int]) -> int:
        """Forget the decisions about these images; returns how many there were."""
        wanted = self._checked(indices)
        with self._changing():
            gone = [self._decisions.pop(i, None) for i in wanted]
        return sum(d is not None for d in gone)

    @property
    def last_batch(self) -> int:
        """Number of the latest decisions, 0 if there are none."""
        return max((d.get("batch", 0) for d in self._decisions.values()), default=0)

    def in_last_batch(self) -> list[int]:
        """The images that the latest decisions were about."""
        last = self.last_batch
        return [i for i, d in self._decisions.items() if d.get("batch", 0) == last]

    @property
    def last_step(self) -> str:
        """Hex digest of the latest decisions: their number alone is given again after an undo."""
        step = [(i, self._decisions[i]) for i in sorted(self.in_last_batch())]
        return hashlib.sha256(json.dumps(step, sort_keys=True).encode()).hexdigest()

    def undo_last(self, expected: str | None = None) -> int:
        """Take back the latest decisions as one: what they replaced holds again.

        Args:
            expected: the `last_step` that was looked at, or None to take back whatever is last.

        Returns:
            How many decisions that were.

        Raises:
            BadInput: another step was taken meanwhile; nothing is taken back.
        """
        with self._changing():
            if expected is not None and self.last_step != expected:
                raise BadInput(
                    f"Other decisions about {self.path.parent.name} were taken or taken back "
                    "meanwhile, so nothing was undone: look at them, then undo what you mean."
                )
            gone = self.in_last_batch()
            for index in gone:
                before = self._decisions.pop(index).get("before")
                if before is not None:
                    self._decisions[index] = before
        return len(gone)

    @contextmanager
    def _changing(self) -> Iterator[None]:
        """A block that changes what the file says now; it is written at a good end.

        A page, another page and the command line may all have this dataset open.

        Raises:
            NameTaken: another process does not let go of it.
            NotFound: the dataset is not there any more.
        """
        with changing(self.path, self.path.parent):
            self._decisions = self._read()
            yield
            self._save()

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
        return self.decide({int(i): decision for i in indices})

    def _save(self) -> None:
        decisions = {str(i): d for i, d in sorted(self._decisions.items())}
        write_json(self.path, decisions, self.path.parent)
