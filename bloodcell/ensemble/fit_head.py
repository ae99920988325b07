"""A linear head fitted anew on a few labelled cells of a laboratory, with cells of home kept in.

Kernel ridge regression on what all members see (features, textures, and both), from the error that
the parent makes to the error of 0. Home cells count little, so that they hold the answers where
the laboratory says nothing, and classes without a labelled cell keep theirs. Everything that has
to be chosen (representation, strength, whether to begin from the parent's answer) is chosen by
leaving one labelled cell out at a time, which has a closed form (Rifkin and Lippert, "Notes on
regularized least squares", MIT 2007); the home cells are eliminated once for all of it (Schur
complement), so a fit on n new cells costs a system of n equations.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np

from bloodcell.classes import CLASS_NAMES

__all__ = [
    "HOME_WEIGHT",
    "Choice",
    "Fitted",
    "Problem",
    "balance",
    "balanced_accuracy",
    "draw",
    "folds_of",
    "probabilities_of",
]

STRENGTHS = (0.01, 0.03, 0.1)
# Of the parent's probabilities, what is left to be fitted begins from: all of them, or nothing.
BEGINNINGS = (0.0, 0.5, 1.0)
# What a home cell counts, of a labelled cell of the laboratory.
HOME_WEIGHT = 0.1
# Scores of ridge regression lie between 0 and 1; as logarithms of probabilities they are too flat.
SHARPNESS = 6.0


@dataclass(frozen=True)
class Choice:
    """What leaving one out chose: a representation, the ridge, how much of the parent's answer."""

    view: str
    strength: float
    beginning: float


# How many standard errors better another choice has to be.
ERRORS = 2.0
USUAL = Choice("both", 0.03, 0.5)


class Problem:
    """Home cells and a laboratory's, ready to be fitted on any of the latter.

    Args:
        home, new: representation → float, rows×d: cells of home and of the laboratory, alike
            scaled; the mean square of a home cell's row is about 1.
        home_said, new_said: float, rows×8: the parent's probabilities.
        home_labels, new_labels: int64, 0 to 7.
        home_weights: float, of each home cell against a labelled one of the laboratory.
    """

    def __init__(
        self,
        home: dict[str, np.ndarray],
        new: dict[str, np.ndarray],
        home_said: np.ndarray,
        new_said: np.ndarray,
        home_labels: np.ndarray,
        new_labels: np.ndarray,
        home_weights: np.ndarray,
    ):
        self._noise = 1 / home_weights
        self._home, self._new = home, new
        self._home_said, self.said = home_said, new_said
        self._home_labels, self.labels = home_labels, new_labels
        one_hot = np.eye(len(CLASS_NAMES))
        self._home_truth, self._truth = one_hot[home_labels], one_hot[new_labels]
        self._kernels = {
            view: (
                _kernel(home[view], home[view]),
                _kernel(new[view], home[view]),
                _kernel(new[view], new[view]),
            )
            for view in home
        }
        self._solved: dict[tuple[str, float], tuple[np.ndarray, np.ndarray]] = {}
        self.choices = [Choice(*found) for found in product(home, STRENGTHS, BEGINNINGS)]

    def _given_home(self, choice: Choice) -> tuple[np.ndarray, np.ndarray]:
        """Of the new cells: what home says (n×8), and their kernel that is left (n×n)."""
        key = (choice.view, choice.strength)
        if key not in self._solved:
            among, across, within = self._kernels[choice.view]
            among = among.copy()
            among[np.diag_indices(len(among))] += choice.strength * self._noise
            solved = np.linalg.solve(among, across.T).T
            left = within - solved @ across.T
            self._solved[key] = solved, (left + left.T) / 2
        solved, left = self._solved[key]
        return solved @ (self._home_truth - choice.beginning * self._home_said), left

    def _solve(self, choice: Choice, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Dual coefficients (n×8) of some new cells, and the inverse of their system."""
        prior, left = self._given_home(choice)
        system = left[np.ix_(rows, rows)]
        # Each class counts alike, whatever the number of its cells.
        weights = balance(self.labels[rows])
        system[np.diag_indices(len(rows))] += choice.strength / weights
        inverse = np.linalg.inv(system)
        wanted = self._truth[rows] - choice.beginning * self.said[rows] - prior[rows]
        return inverse @ wanted, inverse

    def predict(self, choice: Choice, rows: np.ndarray, to: np.ndarray) -> np.ndarray:
        """Scores, float64, of the new cells `to` after a fit on the new cells `rows`."""
        prior, left = self._given_home(choice)
        found = prior[to] + choice.beginning * self.said[to]
        if len(rows):
            found = found + left[np.ix_(to, rows)] @ self._solve(choice, rows)[0]
        return found

    def left_out(self, choice: Choice, rows: np.ndarray) -> np.ndarray:
        """Scores of each of the new cells `rows` after a fit on the others of them."""
        solved, inverse = self._solve(choice, rows)
        return self._truth[rows] - solved / np.diag(inverse)[:, None]

    def choose(self, rows: np.ndarray) -> Choice:
        """The choice for new cells `rows`, by what each left out in turn says.

        The usual one, unless another is better by more than chance: by more than two standard
        errors of the difference (after Breiman et al., "Classification and Regression
        Trees", 1984).
        """
        weights = balance(self.labels[rows])
        losses = {}
        for choice in self.choices:
            p = probabilities_of(self.left_out(choice, rows))
            losses[choice] = -weights * np.log(p[np.arange(len(rows)), self.labels[rows]])
        best = min(losses, key=lambda choice: float(losses[choice].sum()))
        gain = losses[USUAL] - losses[best]
        sure = len(rows) > 1 and gain.mean() > ERRORS * gain.std(ddof=1) / np.sqrt(len(rows))
        return best if sure else USUAL

    def fit(self, choice: Choice, rows: np.ndarray) -> "Fitted":
        """The linear function itself, and what it says of home cells, each left out in turn."""
        home, new = self._home[choice.view], self._new[choice.view][rows]
        both = np.concatenate([home, new])
        system = _kernel(both, both)
        noise = np.concatenate([self._noise, 1 / balance(self.labels[rows])])
        system[np.diag_indices(len(system))] += choice.strength * noise
        inverse = np.linalg.inv(system)
        truth = np.concatenate([self._home_truth, self._truth[rows]])
        said = np.concatenate([self._home_said, self.said[rows]])
        solved = inverse @ (truth - choice.beginning * said)
        scores = truth - solved / np.diag(inverse)[:, None]
        weights = both.T @ solved / both.shape[1]
        return Fitted(weights, solved.sum(0), scores[: len(home)])


@dataclass(frozen=True)
class Fitted:
    """A head in the sketched space: d×8 weights, 8 constants; home's scores, each left out."""

    weights: np.ndarray
    constant: np.ndarray
    home_scores: np.ndarray


def _kernel(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return (a @ b.T).astype(np.float64) / a.shape[1] + 1.0


def probabilities_of(scores: np.ndarray) -> np.ndarray:
    """softmax(SHARPNESS · scores): float64, n×8."""
    raised = np.exp(SHARPNESS * (scores - scores.max(1, keepdims=True)))
    return raised / raised.sum(1, keepdims=True)


def balance(labels: np.ndarray) -> np.ndarray:
    """Weights of mean 1 that make every class present count alike."""
    counts = np.bincount(labels, minlength=len(CLASS_NAMES))
    return len(labels) / ((counts > 0).sum() * counts[labels])


def balanced_accuracy(labels: np.ndarray, predicted: np.ndarray) -> float:
    """Mean over the classes present of the share that is right."""
    return float((balance(labels) * (labels == predicted)).mean())


def folds_of(labels: np.ndarray, count: int, rng: np.random.Generator) -> list[np.ndarray]:
    """Disjoint sets of rows, each class spread over them; a class of one cell is in none."""
    places = np.full(len(labels), -1)
    for label in np.unique(labels):
        rows = rng.permutation(np.flatnonzero(labels == label))
        if len(rows) > 1:
            places[rows] = (np.arange(len(rows)) + rng.integers(count)) % count
    return [np.flatnonzero(places == i) for i in range(count) if (places == i).any()]


def draw(
    labels: np.ndarray, per_class: int, rng: np.random.Generator, among: Sequence[int] | None = None
) -> np.ndarray:
    """Up to `per_class` rows of each class."""
    chosen = []
    rows = np.arange(len(labels)) if among is None else np.asarray(among)
    for label in np.unique(labels[rows]):
        chosen.append(rng.permutation(rows[labels[rows] == label])[:per_class])
    return np.sort(np.concatenate(chosen))
