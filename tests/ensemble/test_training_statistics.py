"""What the training cells look like: the lights they were photographed in."""

import numpy as np
import pytest

from bloodcell.ensemble.training_statistics import lights_of


def lot(colour: tuple[int, int, int], n: int, seed: int) -> np.ndarray:
    return np.array(colour) + np.random.default_rng(seed).uniform(-1, 1, (n, 3))


def test_every_lot_of_photographs_has_its_light_the_most_frequent_first():
    white, cream = (232, 226, 226), (254, 228, 202)
    found = lights_of(
        np.concatenate([lot(white, 20, 0), lot(cream, 570, 1), lot((9, 9, 90), 3, 2)])
    )
    assert len(found) == 2
    assert found[0] == pytest.approx(cream, abs=1)
    assert found[1] == pytest.approx(white, abs=1)


def test_where_every_photograph_has_its_own_light_there_is_none():
    colours = np.random.default_rng(0).uniform(40, 250, (300, 3))
    assert len(lights_of(colours)) < 5


def test_no_photographs_have_no_light():
    assert lights_of(np.zeros((0, 3))) == []
