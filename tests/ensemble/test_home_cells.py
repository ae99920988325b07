"""Which cells an ensemble keeps: some of every class, and of every laboratory."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from bloodcell.classes import CLASS_NAMES
from bloodcell.ensemble.home_cells import evenly, evenly_of_each

EIGHT = len(CLASS_NAMES)


@given(st.lists(st.integers(0, 60), min_size=1, max_size=300), st.integers(1, 20))
def test_of_each_group_there_are_as_many_as_asked_for_or_all(groups: list[int], most: int):
    labels = np.array(groups)
    chosen = labels[evenly(labels, most)]
    for group in set(groups):
        assert (chosen == group).sum() == min(most, groups.count(group))


def test_they_are_spread_over_the_whole_and_the_same_every_time():
    labels = np.repeat(np.arange(EIGHT), 1000)
    first = evenly(labels, 3)
    np.testing.assert_array_equal(first[:3], [0, 499, 999])
    np.testing.assert_array_equal(first, evenly(labels, 3))


def test_known_cells_are_of_every_class_in_every_laboratory():
    rng = np.random.default_rng(0)
    labels, places = rng.integers(0, EIGHT, 20_000), rng.choice(["a", "b", "c"], 20_000)
    chosen = evenly_of_each(labels, places)
    found = {(int(k), str(p)) for k, p in zip(labels[chosen], places[chosen], strict=True)}
    assert found == {(k, p) for k in range(EIGHT) for p in "abc"}
    assert len(chosen) == EIGHT * 3 * 125


def test_of_one_laboratory_all_classes_are_known_too():
    labels = np.tile(np.arange(EIGHT), 400)
    chosen = evenly_of_each(labels, np.full(len(labels), "home"))
    np.testing.assert_array_equal(np.bincount(labels[chosen]), [250] * EIGHT)
