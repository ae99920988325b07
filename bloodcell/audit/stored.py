"""The last audit of a dataset, kept beside it, and what of it still holds.

``DATASET/audit.json`` is :class:`bloodcell.audit.finding.Audit` as JSON. It names the dataset
and the curation that it was made for. Decisions taken since then leave the rest of it valid:
findings about images that were decided on drop out.
"""

from collections.abc import Callable, Iterable
from dataclasses import replace
from itertools import groupby
from pathlib import Path

from bloodcell.audit.copies import find_copies
from bloodcell.audit.finding import Audit, Finding, checked_kinds
from bloodcell.audit.run import audit
from bloodcell.data.store.dataset import Dataset
from bloodcell.ensemble.ensemble import Ensemble
from bloodcell.errors import BadInput
from bloodcell.files import check_checksum, read_json, unless_read_only, with_checksum, write_json
from bloodcell.progress import Progress, silent

__all__ = [
    "audit_path",
    "exclude_findings",
    "known_findings",
    "load_audit",
    "open_findings",
    "save_audit",
]

COPIES = ("exact_duplicate", "conflicting_label")


def audit_path(dataset: Dataset) -> Path:
    return dataset.path / "audit.json"


def save_audit(dataset: Dataset, found: Audit) -> None:
    """Keep an audit beside its dataset, unless that may only be read.

    Raises:
        NoSpace: the disk is full.
        NotFound: the dataset was deleted or renamed meanwhile.
    """
    with unless_read_only():
        write_json(audit_path(dataset), with_checksum(found.to_json()), dataset.path)


def load_audit(dataset: Dataset) -> Audit | None:
    """The last audit of these images, or None if there is none that can be read."""
    try:
        held = read_json(audit_path(dataset))
        check_checksum(held, str(audit_path(dataset)))
        found = Audit.from_json(held)
        sound = found.dataset == dataset.fingerprint
        sound = sound and all(0 <= f.index < len(dataset) for f in found.findings)
    except (OSError, BadInput, KeyError, TypeError, ValueError, AttributeError):
        # It can be made again at any time: a damaged one is as good as none.
        return None
    return found if sound else None


def open_findings(dataset: Dataset, found: Audit) -> list[Finding]:
    """The findings of an audit on which nothing was decided since it was made.

    Exact copies are looked up anew. Where the picture of a group that was to stay is gone, the
    first of the others stays in its place, unless one was confirmed by hand.
    """
    curation = dataset.curation
    gone, confirmed = set(curation.excluded()), set(curation.confirmed())
    now = curation.relabelled()
    decided = gone | confirmed | {i for i in now if found.labelled.get(i) != now[i]}
    known = {f.index: f for f in found.findings}
    fresh = []
    for f in find_copies(dataset):
        before = known.get(f.index, f)
        fresh.append(replace(f, neighbours=before.neighbours, looks_like=before.looks_like))
    shift = 1 + max((f.group for f in fresh), default=-1)
    rest: list[Finding] = []
    for group, members in groupby(found.findings, key=lambda f: f.group):
        rows = [f for f in members if f.kind not in COPIES]
        used = [f for f in rows if f.index not in gone]
        left = [f for f in used if f.index not in decided]
        if left and left[0].kind == "near_duplicate":
            if len(used) < 2:
                continue
            one_stays = any(f.suggested == "review" for f in rows)
            stays = any(f.suggested == "review" or f.index in confirmed for f in used)
            if one_stays and not stays:
                left[0] = replace(left[0], suggested="review")
        rest += [replace(f, group=group + shift) for f in left]
    return fresh + rest


def known_findings(dataset: Dataset) -> list[Finding]:
    """What is known without work: exact copies, and what the last audit found beyond them."""
    found = load_audit(dataset)
    return find_copies(dataset) if found is None else open_findings(dataset, found)


def _covers(dataset: Dataset, found: Audit, kinds: tuple[str, ...]) -> bool:
    """Whether every image in use was looked at, for every kind, under the label it has now."""
    if not set(kinds) <= {*found.kinds, *COPIES}:
        return False
    if not set(found.left_out) <= set(dataset.curation.excluded()):
        return False
    now = dataset.curation.relabelled()
    return all(now.get(i) == label for i, label in found.labelled.items())


def _is_meant(finding: Finding, above: float) -> bool:
    if above > 0 and finding.kind in ("outlier", "suspect_label"):
        return finding.score >= above
    return finding.suggested == "exclude" and finding.score >= above


def exclude_findings(
    dataset: Dataset,
    kinds: Iterable[str],
    *,
    above: float = 0.0,
    ensemble: Callable[[], Ensemble | None] = lambda: None,
    progress: Progress = silent,
) -> dict[str, int]:
    """Exclude what an audit suggests to exclude; returns kind → images newly excluded.

    The last audit is used where it covers the images in use; exact copies need none. Where one
    is needed, it is made and kept.

    Args:
        kinds: of KINDS. An image found under two of them counts for the first.
        above: with more than 0, all findings of at least this score, suggested or not, but for
            the picture of a group of copies that is to stay.
        ensemble: opens the one whose features are used, if an audit must be made.
        progress: likewise.

    Raises:
        BadInput: unknown kind; nothing is excluded.
        Stopped: by `progress`; nothing is excluded.
    """
    wanted = checked_kinds(kinds)
    if set(wanted) <= set(COPIES):
        findings = find_copies(dataset)
    else:
        last = load_audit(dataset)
        if last is None or not _covers(dataset, last, wanted):
            last = audit(dataset, ensemble=ensemble(), progress=progress)
            save_audit(dataset, last)
        findings = open_findings(dataset, last)
    excluded = {}
    for kind in wanted:
        rows = [f.index for f in findings if f.kind == kind and _is_meant(f, above)]
        excluded[kind] = dataset.curation.exclude(rows, kind)
    return excluded
