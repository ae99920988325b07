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
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from bloodcell.audit.copies import find_copies
from bloodcell.audit.features import Features, image_statistics, model_features, thumbnails
from bloodcell.audit.finding import KINDS, Audit, Finding, checked_kinds
from bloodcell.audit.labels import Doubts, doubtful_labels
from bloodcell.audit.near import near_pairs
from bloodcell.audit.outliers import find_outliers
from bloodcell.classes import CLASS_NAMES, title
from bloodcell.data.dataset import Dataset
from bloodcell.ensemble.ensemble import Ensemble
from bloodcell.progress import Progress, silent

__all__ = ["audit"]

# A label is suggested to be excluded, not only to be looked at, from this lead on.
CLEAR_LEAD = 0.9
# Likewise a picture from this score on. Below it are mostly cells that lie off the centre.
CLEAR_OUTLIER = 0.68


class _Distinct:
    """The images in use, copies counted once.

    Attributes:
        rows: int64, ascending: the first index of each distinct image.
        group: int64: the near-copy group of each of them.
        score: index → explained share, for those that have a near copy.
        contested: bool: copies of it carry another label.
    """

    def __init__(self, dataset: Dataset, labels: np.ndarray):
        kept = np.flatnonzero(dataset.kept)
        hashes = dataset.hashes[kept]
        _, first, place = np.unique(hashes, return_index=True, return_inverse=True)
        order = np.argsort(first)
        self.rows = kept[first[order]]
        rank = np.empty(len(order), np.int64)
        rank[order] = np.arange(len(order))
        self._kept, self._place = kept, rank[place]
        self.group = np.arange(len(self.rows))
        self.score: dict[int, float] = {}
        self.contested = np.zeros(len(self.rows), bool)
        self.contested[self._place[labels[kept] != labels[self.rows][self._place]]] = True

    def copies(self, position: int) -> np.ndarray:
        """int64: the indices of all images with the pixels of a distinct one."""
        return self._kept[self._place == position]

    def join(self, pairs: list[tuple[int, int, float]]) -> None:
        if not pairs:
            return
        a, b = (np.searchsorted(self.rows, [p[side] for p in pairs]) for side in (0, 1))
        n = len(self.rows)
        self.group = connected_components(coo_array((np.ones(len(a)), (a, b)), (n, n)))[1]
        for i, j, share in pairs:
            for index in (i, j):
                self.score[index] = max(share, self.score.get(index, 0.0))


def _near_findings(distinct: _Distinct, labels: np.ndarray, names: np.ndarray) -> list[Finding]:
    near = np.flatnonzero(np.isin(distinct.rows, list(distinct.score)))
    found = []
    for group in np.unique(distinct.group[near]):
        members = near[distinct.group[near] == group]
        rows = distinct.rows[members]
        agreed = len(set(labels[rows])) == 1 and not distinct.contested[members].any()
        why = f"{len(rows)} pictures that differ only by coding, a small shift, a flip or a turn"
        if not agreed:
            why += f", as {', '.join(title(c).lower() for c in sorted(set(labels[rows])))}"
        found += [
            Finding(
                "near_duplicate",
                int(row),
                str(names[row]),
                int(group),
                round(distinct.score[int(row)], 4),
                "exclude" if agreed and place else "review",
                why,
            )
            for place, row in enumerate(rows)
        ]
    return found


def _label_findings(
    doubts: Doubts, distinct: _Distinct, positions: np.ndarray, names: np.ndarray
) -> list[Finding]:
    found = []
    for number, (row, rival, lead) in enumerate(
        zip(doubts.rows, doubts.looks_like, doubts.lead, strict=True)
    ):
        found += [
            Finding(
                "suspect_label",
                int(index),
                str(names[index]),
                number,
                round(float((1 + lead) / 2), 4),
                "exclude" if lead >= CLEAR_LEAD else "review",
                f"looks like {title(int(rival)).lower()}",
                CLASS_NAMES[int(rival)],
            )
            for index in distinct.copies(int(positions[row]))
        ]
    return found


def _ranked(findings: list[Finding]) -> tuple[Finding, ...]:
    """By kind, the surest group first; groups get numbers that no other kind has."""
    groups = [
        list(rows) for _, rows in groupby(findings, key=lambda f: (KINDS.index(f.kind), f.group))
    ]
    groups.sort(key=lambda g: (KINDS.index(g[0].kind), -max(f.score for f in g)))
    return tuple(replace(f, group=number) for number, group in enumerate(groups) for f in group)


def audit(
    dataset: Dataset,
    *,
    ensemble: Ensemble | None = None,
    kinds: Iterable[str] = KINDS,
    progress: Progress = silent,
) -> Audit:
    """Look for what is wrong with the images that are not excluded.

    Exact copies are judged first and then counted once. Doubtful labels are looked for among
    the images that are cells: neither copies under several labels nor clear outliers.

    Args:
        ensemble: gives the features for doubtful labels where those agree with the labels more
            often than image statistics do.
        kinds: what to look for, of KINDS.
        progress: told how far each step is; may raise Stopped.

    Raises:
        BadInput: unknown kind.
        Stopped: by `progress`; features that were finished are kept for the next time.
    """
    begun = time.monotonic()
    wanted = checked_kinds(kinds)
    labels, names = dataset.labels, dataset.items["name"].to_numpy()
    findings = find_copies(dataset)
    source, notes = "hashes of pixels", []
    distinct = _Distinct(dataset, labels)
    rows = distinct.rows
    if len(rows) and set(wanted) & {"near_duplicate", "suspect_label"}:
        small = thumbnails(dataset, progress)
        distinct.join(near_pairs(dataset.images, small, rows, progress))
        findings += _near_findings(distinct, labels, names)
    if len(rows) and set(wanted) & {"outlier", "suspect_label"}:
        features, qualities = image_statistics(dataset, progress)
        outliers = find_outliers(features.values[rows], qualities[rows], progress)
        listed = outliers.listed
        findings += [
            Finding(
                "outlier",
                int(index),
                str(names[index]),
                number,
                round(float(outliers.scores[i]), 4),
                "exclude" if outliers.scores[i] >= CLEAR_OUTLIER else "review",
                outliers.why[int(i)],
            )
            for number, i in enumerate(listed)
            for index in distinct.copies(int(i))
        ]
        if "suspect_label" in wanted:
            strange = np.zeros(len(rows), bool)
            strange[listed] = True
            cells = np.flatnonzero(~strange & ~distinct.contested)

            def doubts_by(found: Features) -> Doubts:
                return doubtful_labels(
                    found.values[rows[cells]],
                    labels[rows[cells]],
                    distinct.group[cells],
                    progress,
                )

            doubts = doubts_by(features)
            if ensemble is not None:
                learnt = model_features(dataset, ensemble, progress)
                other = doubts_by(learnt)
                # A network that was hardly trained tells cells apart worse than their colours do.
                if other.accuracy > doubts.accuracy:
                    features, doubts = learnt, other
                    notes += _acquaintance(dataset, ensemble, rows)
                else:
                    notes.append(
                        f"The features of {learnt.source} agree with the labels less often than "
                        "plain image statistics do, so these were used."
                    )
            source = features.source
            findings += _label_findings(doubts, distinct, cells, names)
            notes += _on_labels(doubts)
        elif "outlier" in wanted:
            source = features.source
    return Audit(
        _ranked([f for f in findings if f.kind in wanted]),
        wanted,
        int(dataset.kept.sum()),
        source,
        tuple(notes),
        dataset.fingerprint,
        dataset.curation.fingerprint,
        tuple(sorted(dataset.curation.excluded())),
        dataset.curation.relabelled(),
        datetime.now(UTC).isoformat(timespec="seconds"),
        round(time.monotonic() - begun, 1),
    )


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
