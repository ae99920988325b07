"""What people call a run: a name to show, tags and a note, in its ``labels.json``."""

import dataclasses
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from bloodcell.errors import BadInput
from bloodcell.files import read_json, write_json
from bloodcell.locks import changing
from bloodcell.runs.remembered import remembered
from bloodcell.runs.run import Run

__all__ = ["Labels", "read_labels", "write_labels"]

LONGEST = {"name": 80, "tag": 40, "note": 10_000}
MOST_TAGS = 20


@dataclasses.dataclass(frozen=True)
class Labels:
    """What people call a run; it may change at any time and says nothing of how it was made.

    Attributes:
        name: shown instead of the id; "" for none. Names need not differ.
        tags: words to find it by, each once, in the order given.
        note: free text.
    """

    name: str = ""
    tags: tuple[str, ...] = ()
    note: str = ""

    def __post_init__(self):
        tags = self.tags if isinstance(self.tags, list | tuple) else (None,)
        for kind, value in (("name", self.name), ("note", self.note), *(("tag", t) for t in tags)):
            if not isinstance(value, str) or len(value) > LONGEST[kind]:
                raise BadInput(
                    f"The {kind} {str(value)[:40]!r} of a run is no text of at most "
                    f"{LONGEST[kind]:,} characters: shorten it."
                )
        clean = tuple(dict.fromkeys(t for t in (" ".join(tag.split()) for tag in tags) if t))
        if len(clean) > MOST_TAGS:
            raise BadInput(f"A run has at most {MOST_TAGS} tags, not {len(clean)}: remove some.")
        object.__setattr__(self, "name", " ".join(self.name.split()))
        object.__setattr__(self, "tags", clean)


def read_labels(run: Run) -> Labels:
    """The labels of a run; none if it has no ``labels.json``.

    Raises:
        BadInput: the file is damaged.
    """
    try:
        return remembered(run.labels_path, _read)
    except FileNotFoundError:
        return Labels()


def _read(path: Path) -> Labels:
    found = read_json(path)
    if not isinstance(found, dict):
        raise BadInput(f"{path} holds no labels: remove it and label the run again.")
    known = {f.name for f in dataclasses.fields(Labels)}
    return Labels(**{k: v for k, v in found.items() if k in known})


def write_labels(
    run: Run,
    *,
    add: Iterable[str] = (),
    drop: Iterable[str] = (),
    since: Labels | None = None,
    **changes: Any,
) -> Labels:
    """Change `name`, `tags` or `note` of a run; what is not given stays.

    Read, changed and written under one lock: of two who change different things nothing is lost.

    Args:
        add, drop: tags.
        since: what the person saw who made the changes: what they left as it was stays as it is
            now, of the tags only the difference counts.

    Raises:
        BadInput: a value that cannot be, or somebody else gave the name or note another value
            since then.
        NotFound: the run is gone.
    """
    with changing(run.labels_path, run.path):
        old = read_labels(run)
        if since is not None:
            new = dataclasses.replace(since, **changes)
            add = [*add, *(t for t in new.tags if t not in since.tags)]
            drop = [*drop, *(t for t in since.tags if t not in new.tags)]
            changes = {
                k: mine for k in ("name", "note") if (mine := getattr(new, k)) != getattr(since, k)
            }
            for key, mine in changes.items():
                if (now := getattr(old, key)) not in (getattr(since, key), mine):
                    raise BadInput(
                        f"Meanwhile somebody else gave run {run.id} the {key} {now[:200]!r}: "
                        "save again to replace it."
                    )
        tags = changes.pop("tags", old.tags)
        gone = set(drop)
        if add or gone:
            tags = [t for t in (*tags, *add) if t not in gone]
        new = dataclasses.replace(old, **changes, tags=tags)
        write_json(run.labels_path, dataclasses.asdict(new), run.path)
    return new
