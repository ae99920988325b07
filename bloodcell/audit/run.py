"""What is wrong with a dataset: copies, near copies, outliers, doubtful labels, ranked.

    python -m bloodcell audit DATASET [--ensemble E] [--kinds KIND,…]

The result is kept as ``DATASET/audit.json`` (see :mod:`bloodcell.audit.stored`).
"""

import time
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime
from itertools import groupby

import numpy as np

from bloodcell.audit.copies import MANY, find_copies
from bloodcell.audit.distinct import Distinct
from bloodcell.audit.features import (
    Features,
    image_statistics,
    in_threads,
    model_features,
    thumbnails,
)
from bloodcell.audit.finding import KINDS, Audit, Finding, checked_kinds
from bloodcell.audit.foreign import foreign_evidence
from bloodcell.audit.labels import Doubts, doubtful_labels
from bloodcell.audit.look_alikes import look_alikes
from bloodcell.audit.near import near_pairs
from bloodcell.audit.outliers import Outliers, find_outliers
from bloodcell.classes import CLASS_NAMES, OTHER, title
from bloodcell.data.store.dataset import Dataset
from bloodcell.ensemble.ensemble import Ensemble
from bloodcell.progress import Progress, silent

__all__ = ["audit"]

# A label is suggested to be excluded, not only to be looked at, from this lead on.
CLEAR_LEAD = 0.9


def _near_findings(distinct: Distinct, names: np.ndarray) -> list[Finding]:
    near = np.flatnonzero(np.isin(distinct.rows, list(distinct.score)))
    found = []
    for group in np.unique(distinct.group[near]):
        members = near[distinct.group[near] == group]
        rows, labels = distinct.rows[members], sorted(set(distinct.labels[members]))
        agreed = len(labels) == 1 and not distinct.contested[members].any()
        why = f"{len(rows)} pictures that differ only by coding, a small shift, a flip or a turn"
        if not agreed:
            why += f", as {', '.join(title(c).lower() for c in labels)}"
        every = [(m, index) for m in members for index in distinct.copies(int(m))]
        for place, (member, row) in enumerate(every):
            # The same picture again and again under several labels is no cell.
            gone = place > 0 if agreed else len(rows) >= MANY
            found.append(
                Finding(
                    "near_duplicate",
                    int(row),
                    str(names[row]),
                    int(group),
                    round(distinct.score[int(distinct.rows[member])], 4),
                    "exclude" if gone else "review",
                    why,
                )
            )
    return found


def _outlier_findings(outliers: Outliers, distinct: Distinct, names: np.ndarray) -> list[Finding]:
    return [
        Finding(
            "outlier",
            int(index),
            str(names[index]),
            number,
            round(float(outliers.scores[i]), 4),
            "exclude" if outliers.faulty[i] else "review",
            outliers.why[int(i)],
        )
        for number, i in enumerate(outliers.listed)
        for index in distinct.copies(int(i))
    ]


def _label_findings(
    doubts: Doubts, distinct: Distinct, positions: np.ndarray, names: np.ndarray
) -> list[Finding]:
    return [
        Finding(
            "suspect_label",
            int(index),
            str(names[index]),
            number,
            round(float((1 + lead) / 2), 4),
            "exclude" if sure and lead >= CLEAR_LEAD else "review",
            f"looks like {title(int(rival)).lower()}",
            CLASS_NAMES[int(rival)],
        )
        for number, (row, rival, lead, sure) in enumerate(
            zip(doubts.rows, doubts.looks_like, doubts.lead, doubts.sure, strict=True)
        )
        for index in distinct.copies(int(positions[row]))
    ]


def _ranked(findings: list[Finding]) -> tuple[Finding, ...]:
    """By kind, the surest group first; groups get numbers that no other kind has."""
    groups = [
        list(rows) for _, rows in groupby(findings, key=lambda f: (KINDS.index(f.kind), f.group))
    ]
    groups.sort(key=lambda g: (KINDS.index(g[0].kind), -max(f.score for f in g)))
    return tuple(replace(f, group=number) for number, group in enumerate(groups) for f in group)


def _with_look_alikes(
    findings: list[Finding], features: Features, distinct: Distinct, doubted: np.ndarray
) -> tuple[list[Finding], dict[str, tuple[int, ...]]]:
    """The findings with neighbours and the class they look like; typical images of each class.

    Args:
        doubted: bool: the distinct images that are no example of their label.
    """
    if not findings:
        asked = np.zeros(0, np.int64)
    else:
        asked = np.unique(distinct.positions(np.array([f.index for f in findings])))
    alike = look_alikes(
        features.values, distinct.rows, distinct.labels, distinct.group, ~doubted, asked
    )

    def indices(positions: list[int]) -> tuple[int, ...]:
        return tuple(int(i) for i in distinct.rows[positions])

    found = []
    for f in findings:
        position = int(distinct.positions(np.array([f.index]))[0])
        like = alike.classes.get(position)
        found.append(
            replace(
                f,
                neighbours=indices(alike.neighbours.get(position, [])),
                looks_like=f.looks_like or (None if like is None else CLASS_NAMES[like]),
            )
        )
    typical = {CLASS_NAMES[c]: indices(rows) for c, rows in alike.typical.items()}
    return found, typical


def audit(
    dataset: Dataset,
    *,
    ensemble: Ensemble | None = None,
    kinds: Iterable[str] = KINDS,
    progress: Progress = silent,
) -> Audit:
    """Look for what is wrong with the images that are not excluded.

    Exact copies are judged first and then counted once. Doubtful labels are looked for among
    the images that are cells: neither copies under several labels nor faulty pictures.

    Args:
        ensemble: gives the features for doubtful labels where those agree with the labels more
            often than image statistics do.
        kinds: what to look for, of KINDS.
        progress: told how far each step is; may raise Stopped.

    Raises:
        BadInput: unknown kind.
        Stopped: by `progress`; features that were finished are kept for the next time.
    """
    from threadpoolctl import threadpool_limits

    # Sums of many numbers come out differently with another number of threads.
    with threadpool_limits(1):
        return _audit(dataset, ensemble, checked_kinds(kinds), progress)


def _audit(
    dataset: Dataset, ensemble: Ensemble | None, wanted: tuple[str, ...], progress: Progress
) -> Audit:
    begun = time.monotonic()
    labels, names = dataset.labels, dataset.items["name"].to_numpy()
    findings = find_copies(dataset)
    source, notes, typical = "hashes of pixels", [], {}
    distinct = Distinct(dataset, labels)
    rows = distinct.rows
    if len(rows) and set(wanted) & {"near_duplicate", "suspect_label"}:
        small = thumbnails(dataset, progress)
        distinct.join(near_pairs(dataset.images, small, rows, progress))
        findings += _near_findings(distinct, names)
    if len(rows) and set(wanted) & {"outlier", "suspect_label"}:
        features, qualities = image_statistics(dataset, progress)
        values = features.values[rows]

        def evidence(strange: np.ndarray) -> np.ndarray:
            return foreign_evidence(values, dataset.images, rows, strange, in_threads, progress)

        outliers = find_outliers(values, qualities[rows], evidence, progress)
        # What is none of the eight is no outlier for that, and no example of a class.
        eight = distinct.labels != OTHER
        outliers = replace(outliers, listed=outliers.listed[eight[outliers.listed]])
        findings += _outlier_findings(outliers, distinct, names)
        doubted = distinct.contested | ~eight
        doubted[outliers.listed] = True
        if "suspect_label" in wanted:
            cells = np.flatnonzero(~outliers.faulty & ~distinct.contested & eight)
            features, doubts, notes = _doubts(
                dataset, ensemble, features, distinct, cells, progress
            )
            findings += _label_findings(doubts, distinct, cells, names)
            doubted[cells[doubts.rows]] = True
        source = features.source
        findings = [f for f in findings if f.kind in wanted]
        findings, typical = _with_look_alikes(findings, features, distinct, doubted)
    return Audit(
        _ranked([f for f in findings if f.kind in wanted]),
        wanted,
        int(dataset.kept.sum()),
        source,
        typical,
        tuple(notes),
        dataset.fingerprint,
        dataset.curation.fingerprint,
        tuple(sorted(dataset.curation.excluded())),
        dataset.curation.relabelled(),
        datetime.now(UTC).isoformat(timespec="seconds"),
        round(time.monotonic() - begun, 1),
    )


def _doubts(
    dataset: Dataset,
    ensemble: Ensemble | None,
    features: Features,
    distinct: Distinct,
    cells: np.ndarray,
    progress: Progress,
) -> tuple[Features, Doubts, list[str]]:
    """The features that agree with the labels more often, what they doubt, and notes on both."""

    def by(found: Features) -> Doubts:
        return doubtful_labels(
            found.values,
            distinct.labels[cells],
            distinct.group[cells],
            progress,
            distinct.rows[cells],
        )

    doubts, notes = by(features), []
    if ensemble is not None:
        learnt = model_features(dataset, ensemble, progress)
        other = by(learnt)
        # A network that was hardly trained tells cells apart worse than their colours do.
        if other.accuracy > doubts.accuracy:
            features, doubts = learnt, other
            notes += _acquaintance(dataset, ensemble, distinct.rows)
        else:
            notes.append(
                f"The features of {learnt.source} agree with the labels less often than "
                "plain image statistics do, so these were used."
            )
    return features, doubts, notes + _on_labels(doubts)


def _acquaintance(dataset: Dataset, ensemble: Ensemble, rows: np.ndarray) -> list[str]:
    share = float(np.isin(dataset.hashes[rows], ensemble.seen()).mean())
    if share < 0.01:
        return []
    return [
        f"The ensemble {ensemble.name} saw {100 * share:.0f} % of these images in training or "
        "validation: where their labels were wrong then, it has partly learnt them, and this "
        "audit finds fewer of them than it would with an ensemble from other data."
    ]


def _on_labels(doubts: Doubts) -> list[str]:
    notes = []
    if doubts.unjudged:
        few = ", ".join(title(c).lower() for c in doubts.unjudged)
        notes.append(f"Too few images to judge the labels of: {few}.")
    if np.isfinite(doubts.accuracy):
        notes.append(
            f"Cross-validation on these features agrees with {100 * doubts.accuracy:.1f} % of the "
            "labels: the lower this is, the more of the doubtful labels are right after all."
        )
    return notes
