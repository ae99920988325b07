"""How much a person has to look at: refer what the ensemble is least sure of."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from bloodcell.evaluation.intervals import Interval, wilson

__all__ = ["Coverage", "Referral", "coverage", "refer", "review_curve"]


@dataclass(frozen=True)
class Referral:
    """What happens if images below a threshold go to a person.

    Attributes:
        threshold: the top probability from which on the ensemble answers alone.
        n, referred: images, and those that go to a person.
        errors, caught: wrong answers, and those among the referred.
        referred_interval, caught_interval: 95 % (Wilson) of their shares.
        kept_accuracy: of the images that the ensemble answers alone; None if there is none.
        kept_interval: 95 % (Wilson) of it.
    """

    threshold: float
    n: int
    referred: int
    errors: int
    caught: int
    referred_interval: Interval
    caught_interval: Interval
    kept_accuracy: float | None
    kept_interval: Interval


def refer(
    labels: np.ndarray,
    probabilities: np.ndarray,
    threshold: float,
    recognised: np.ndarray | None = None,
) -> Referral:
    """Send images to a person whose top probability is below `threshold`.

    Args:
        labels: int64, N.
        probabilities: float, N×8, calibrated.
        threshold: 0 to 1.
        recognised: bool, N: what is none of the eight goes to a person in any case; None: all are.
    """
    sent = probabilities.max(1) < threshold
    if recognised is not None:
        sent = sent | ~recognised
    wrong = probabilities.argmax(1) != labels
    n, out, errors, caught = (
        len(labels),
        int(sent.sum()),
        int(wrong.sum()),
        int((sent & wrong).sum()),
    )
    kept = n - out
    right = kept - (errors - caught)
    return Referral(
        float(threshold),
        n,
        out,
        errors,
        caught,
        wilson(out, n),
        wilson(caught, errors),
        right / kept if kept else None,
        wilson(right, kept),
    )


def review_curve(
    labels: np.ndarray, probabilities: np.ndarray, recognised: np.ndarray | None = None
) -> pd.DataFrame:
    """Share of images sent to a person against share of errors caught, at every threshold.

    Returns:
        Columns ``threshold`` (ascending, 0 to 1), ``referred`` and ``caught`` (shares, 0 to 1;
        caught is 1 where there are no errors), ``kept_accuracy`` (NaN where none is kept).
    """
    top = probabilities.max(1).astype(float)
    # What is not recognised goes first of all.
    score = top if recognised is None else np.where(recognised, top, -1.0)
    wrong = (probabilities.argmax(1) != labels)[np.argsort(score, kind="stable")]
    score = np.sort(score)
    # One point after each group of equal scores: a threshold cannot part them.
    ends = np.flatnonzero(np.append(np.diff(score) > 0, True)) + 1
    n, errors = len(labels), int(wrong.sum())
    always = int((score < 0).sum())
    sent = np.unique(np.concatenate([[always], ends[ends >= always]]))
    caught = np.concatenate([[0], np.cumsum(wrong)])[sent]
    kept = n - sent
    # All below the next score are sent.
    threshold = np.append(score, np.nextafter(1.0, 2.0))[sent]
    with np.errstate(invalid="ignore", divide="ignore"):
        accuracy = (kept - (errors - caught)) / kept
    return pd.DataFrame(
        {
            "threshold": np.minimum(np.where(sent == 0, 0.0, threshold), 1.0),
            "referred": sent / n,
            "caught": caught / errors if errors else np.ones(len(sent)),
            "kept_accuracy": accuracy,
        }
    )


@dataclass(frozen=True)
class Coverage:
    """What prediction sets hold, measured.

    Attributes:
        n: images. held: sets with the true class. share, interval: of them, 95 % (Wilson).
        mean_size: classes in a set on average. single: share of sets with one class.
        per_class: for each class that occurs: (class, n, held).
    """

    n: int
    held: int
    share: float
    interval: Interval
    mean_size: float
    single: float
    per_class: list[tuple[int, int, int]]


def coverage(labels: np.ndarray, sets: np.ndarray) -> Coverage:
    """How often prediction sets hold the true class, and how large they are.

    Args:
        labels: int64, N.
        sets: bool, N×8.
    """
    n = len(labels)
    inside = sets[np.arange(n), labels]
    held, sizes = int(inside.sum()), sets.sum(1)
    classes = [(int(c), labels == c) for c in np.unique(labels)]
    return Coverage(
        n,
        held,
        held / n,
        wilson(held, n),
        float(sizes.mean()),
        float((sizes == 1).mean()),
        [(c, int(mine.sum()), int(inside[mine].sum())) for c, mine in classes],
    )
