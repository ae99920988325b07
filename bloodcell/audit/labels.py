"""Doubtful labels: cross-validated probabilities, judged by confident learning.

A multinomial logistic regression on principal components of the features, trained on four
fifths of the images, says what the label of the others should be; copies never lie on two
sides. cleanlab then picks the labels that disagree more than the model's own uncertainty
explains (Northcutt, Jiang and Chuang, "Confident learning", JAIR 70, 2021).
"""

from dataclasses import dataclass

import numpy as np

from bloodcell.audit.reduce import whitened
from bloodcell.progress import Progress, silent

__all__ = ["Doubts", "doubtful_labels"]

FOLDS = 5
DIMENSIONS = 128
REGULARISATION = 0.1
# Of fewer images than this, each counts for more, so that the penalty does not drown them.
ENOUGH = 3000
# The other class must be ahead of the given one by this much probability.
LEAD = 0.6
# A model that agrees with this share of the labels is believed without further judgement.
TRUSTED = 0.98
SEED = 0


@dataclass(frozen=True)
class Doubts:
    """What cross-validation says of n labels.

    Attributes:
        rows: int64: positions of the doubtful ones, the most doubtful first.
        looks_like: int64: the likeliest class of each of them.
        lead: float64: its probability less that of the given label, 0 to 1.
        sure: bool: whether confident learning picks it too.
        unjudged: classes with too few images to judge.
        accuracy: share of labels that cross-validation would have given too; nan if none.
    """

    rows: np.ndarray
    looks_like: np.ndarray
    lead: np.ndarray
    sure: np.ndarray
    unjudged: list[int]
    accuracy: float


def _folds(labels: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """int64, n: the fold of each image, stratified, a group on one side."""
    _, first, group = np.unique(groups, return_index=True, return_inverse=True)
    fold = np.zeros(len(first), np.int64)
    rng = np.random.default_rng(SEED)
    begin = 0
    for label in np.unique(labels[first]):
        members = rng.permutation(np.flatnonzero(labels[first] == label))
        # Classes take turns in who gets the odd ones.
        fold[members] = (begin + np.arange(len(members))) % FOLDS
        begin += len(members)
    return fold[group]


def doubtful_labels(
    features: np.ndarray,
    labels: np.ndarray,
    groups: np.ndarray,
    progress: Progress = silent,
    rows: np.ndarray | None = None,
) -> Doubts:
    """Find labels that contradict the look of their images.

    Args:
        features: float, N×C, may be memory-mapped.
        labels: int64, n, 0 to 7.
        groups: int64, n: the same for images that are near copies of each other.
        progress: called after every fold.
        rows: int, n: the rows of `features` meant; all by default.

    Raises:
        Stopped: by `progress`.
    """
    present = np.unique(labels)
    # A fold has whole groups: a class that is one group is never there to be learned.
    many = [len(np.unique(groups[labels == c])) >= FOLDS for c in present]
    classes = present[np.array(many, bool)]
    unjudged = [int(c) for c in present if c not in classes]
    nothing = np.zeros(0, np.int64)
    if len(classes) < 2:
        everything = [int(c) for c in present]
        return Doubts(nothing, nothing, np.zeros(0), nothing > 0, everything, float("nan"))
    from cleanlab.filter import find_label_issues
    from sklearn.linear_model import LogisticRegression
    from threadpoolctl import threadpool_limits

    used = np.flatnonzero(np.isin(labels, classes))
    own = np.searchsorted(classes, labels[used])
    places = used if rows is None else rows[used]
    points = whitened(features, DIMENSIONS, whiten=False, rows=places)
    points *= np.sqrt(points.shape[1]) / np.linalg.norm(points, axis=1).mean()
    fold = _folds(own, groups[used])
    probabilities = np.zeros((len(used), len(classes)))
    strength = REGULARISATION * max(1.0, ENOUGH / len(used))
    for k in range(FOLDS):
        progress(k, FOLDS, "doubtful labels")
        train, rest = np.flatnonzero(fold != k), np.flatnonzero(fold == k)
        if not len(rest):
            continue
        model = LogisticRegression(C=strength, max_iter=200, tol=1e-3)
        # On products this narrow, threads wait for each other longer than they work.
        with threadpool_limits(1):
            model.fit(points[train], own[train])
        probabilities[np.ix_(rest, model.classes_)] = model.predict_proba(points[rest])
    progress(FOLDS, FOLDS, "doubtful labels")
    everyone = np.arange(len(used))
    given = probabilities[everyone, own]
    others = probabilities.copy()
    others[everyone, own] = -1
    rival = others.argmax(1)
    lead = others.max(1) - given
    issues = find_label_issues(own, probabilities, filter_by="both", n_jobs=1)
    accuracy = float((probabilities.argmax(1) == own).mean())
    # Confident learning leaves out as many as it expects to be right. Where the model hardly
    # ever errs, what contradicts it is worth a look all the same.
    picked = issues | (accuracy >= TRUSTED)
    found = np.flatnonzero(picked & (lead >= LEAD))
    found = found[np.argsort(-lead[found], kind="stable")]
    return Doubts(
        used[found], classes[rival[found]], lead[found], issues[found], unjudged, accuracy
    )
