"""Which cells are labelled first."""

import numpy as np

from bloodcell.ensemble.label_order import label_order


def test_unlike_and_doubtful_cells_come_first_and_repeated_ones_last():
    features = np.eye(6)[[0, 1, 2, 3, 3, 0]]
    probabilities = np.full((6, 8), 0.01)
    probabilities[:, 0] = 0.93
    probabilities[2, :2] = 0.47
    order = label_order(probabilities, features, np.array([0]))
    assert order[0] == 2
    assert set(order[:3]) == {1, 2, 3}
    # 4 is 3 again, and 5 is the one that is labelled.
    assert set(order[3:]) == {4, 5}


def test_every_cell_without_a_label_comes_once_however_many():
    rng = np.random.default_rng(0)
    features = rng.normal(size=(400, 5))
    features /= np.linalg.norm(features, axis=1, keepdims=True)
    labelled = np.arange(0, 400, 50)
    order = label_order(rng.dirichlet(np.ones(8), 400), features, labelled)
    assert sorted(order) == sorted(set(range(400)) - set(labelled))
