"""A comparison is said in words that a reader cannot take the wrong way round."""

import pytest

from bloodcell.evaluation.compare import RunScore, Score, Shared
from bloodcell.evaluation.intervals import PairedDifference
from bloodcell.ui.training.compare import describe_difference, describe_spread, score_table


def shared(only_a: int, only_b: int, p: float) -> Shared:
    difference = (only_a - only_b) / 1000
    return Shared(
        PairedDifference(
            1000, only_a, only_b, difference, difference - 0.01, difference + 0.01, p, ""
        ),
        0,
    )


def row(accuracy: float | None, **values) -> RunScore:
    score = accuracy and Score(round(accuracy * 100), 100, accuracy, 0.5, 1.0, accuracy)
    return RunScore("id", "", (), "finished", values, {"test": score} if score else {})


def test_the_better_one_is_named_first_and_its_gain_has_no_minus():
    words = describe_difference("A", "B", shared(10, 40, 0.001))
    assert words.startswith("**B** is measurably better than **A**.")
    assert "40 are correct only with B and 10 only with A" in words
    assert "3.00 points, 95 % interval +2.00 to +4.00" in words


def test_no_measurable_difference_is_said():
    words = describe_difference("A", "B", shared(12, 10, 0.83))
    assert "no measurable difference" in words
    assert "better" not in words


@pytest.mark.parametrize(
    ("key", "what"), [("seed", "Over 3 seeds"), ("split_fold", "Over 3 folds")]
)
def test_runs_that_differ_by_chance_alone_have_a_mean_and_a_spread(key: str, what: str):
    words = describe_spread([row(0.9, **{key: 1}), row(0.92, **{key: 2}), row(0.94, **{key: 3})])
    assert words.startswith(what)
    assert "standard deviation 2.00 points" in words


def test_runs_that_differ_in_more_have_none():
    assert not describe_spread([row(0.9, seed=1, epochs=3), row(0.92, seed=2, epochs=4)])


def test_a_run_without_answers_has_no_score():
    table = score_table(["A", "B"], [row(0.9), row(None)], "test")
    assert table["name"].tolist() == ["A"]
    assert table[["value", "low", "high", "n"]].values.tolist() == [[0.9, 0.5, 1.0, 100]]
