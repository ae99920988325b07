"""The learning rate at every step, and when a training gives up."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bloodcell.training.config import TrainConfig
from bloodcell.training.schedule import Patience, learning_rate, selection_loss


def config(**changes) -> TrainConfig:
    given = {"learning_rate": 1.0, "warmup_epochs": 0.0, "epochs": 10, "schedule": "constant"}
    return TrainConfig(dataset="d", **{**given, **changes})


def rates(c: TrainConfig, steps_per_epoch: int) -> np.ndarray:
    n = c.epochs * steps_per_epoch
    return np.array([learning_rate(c, s, steps_per_epoch, 0) for s in range(n)])


def test_constant_is_constant():
    assert (rates(config(), 7) == 1.0).all()


def test_warm_up_grows_evenly_and_ends_below_the_highest():
    found = rates(config(warmup_epochs=2.0), 5)
    np.testing.assert_allclose(found[:10], np.arange(1, 11) / 11)
    assert (found[10:] == 1.0).all()


def test_a_fraction_of_an_epoch_can_be_warm_up():
    found = rates(config(warmup_epochs=0.5), 8)
    assert (np.diff(found[:5]) > 0).all()
    assert found[4] == 1.0


def test_cosine_falls_from_all_to_a_hundredth():
    found = rates(config(schedule="cosine"), 10)
    assert found[0] == 1.0
    assert (np.diff(found) < 0).all()
    # Half way: the mean of the highest and the floor.
    assert found[50] == pytest.approx((1 + 0.01) / 2)
    assert learning_rate(config(schedule="cosine"), 100, 10, 0) == pytest.approx(0.01)


def test_cosine_begins_where_warm_up_ends():
    found = rates(config(schedule="cosine", warmup_epochs=1.0), 10)
    assert found.argmax() == 10
    assert found[10] == 1.0
    assert np.abs(np.diff(found)).max() < 0.1


@given(
    steps=st.integers(1, 50),
    warmup=st.floats(0, 20),
    epochs=st.integers(1, 20),
    schedule=st.sampled_from(["constant", "cosine", "plateau"]),
)
def test_it_is_always_above_zero_and_never_above_the_highest(steps, warmup, epochs, schedule):
    found = rates(config(warmup_epochs=warmup, epochs=epochs, schedule=schedule), steps)
    assert (found > 0).all()
    assert (found <= 1.0).all()


def test_each_plateau_leaves_a_fifth():
    c = config(schedule="plateau")
    assert [learning_rate(c, 100, 10, drops) for drops in range(3)] == pytest.approx([1, 0.2, 0.04])


def follow(c: TrainConfig, losses: list[float]) -> Patience:
    patience = Patience()
    for epoch, loss in enumerate(losses, 1):
        patience.update(c, epoch, loss)
    return patience


def test_patience_knows_the_best_epoch():
    patience = Patience()
    best = [patience.update(config(), e, loss) for e, loss in enumerate([3, 2, 2, 1, 5], 1)]
    assert best == [True, True, False, True, False]
    assert (patience.best, patience.best_epoch, patience.waited) == (1, 4, 1)


def test_the_rate_drops_after_so_many_epochs_without_a_better_loss_and_again():
    c = config(schedule="plateau", plateau_patience=2)
    losses = [1.0, 2, 2, 2, 2, 0.5, 2, 2]
    drops = [follow(c, losses[:n]).drops for n in range(1, len(losses) + 1)]
    assert drops == [0, 0, 1, 1, 2, 2, 2, 3]


def test_only_the_plateau_schedule_drops():
    for schedule in ("constant", "cosine"):
        c = config(schedule=schedule, plateau_patience=1)
        assert follow(c, [1.0, 2, 2, 2, 2]).drops == 0


def test_early_stopping_ends_after_so_many_epochs_without_a_better_loss():
    c = config(early_stopping=3)
    losses = [1.0, 2, 2, 0.9, 2, 2, 2]
    ends = [follow(c, losses[:n]).exhausted(c) for n in range(1, len(losses) + 1)]
    assert ends == [False] * 6 + [True]
    assert not follow(config(early_stopping=0), [1.0] * 50).exhausted(config())


def test_before_the_first_epoch_nothing_is_best():
    assert Patience().best == math.inf
    assert Patience().best_epoch == 0


def test_an_epoch_is_judged_by_its_loss_at_the_best_temperature():
    assert selection_loss({"val_loss": 0.2, "val_calibrated_loss": 0.1}) == 0.1
    # A run of an older version has only the one.
    assert selection_loss({"val_loss": 0.2}) == 0.2
