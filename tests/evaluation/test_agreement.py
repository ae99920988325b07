"""Whether classifiers err together."""

import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score

from bloodcell.evaluation.agreement import disagreement, pairs


def test_a_pair_is_compared_image_by_image():
    labels = np.array([0, 0, 1, 1, 2, 2, 3, 3])
    a = np.array([0, 0, 1, 1, 2, 3, 3, 0])
    b = np.array([0, 1, 1, 1, 2, 3, 3, 3])
    (found,) = pairs(labels, np.stack([a, b]))
    assert (found.a, found.b, found.n) == (0, 1, 8)
    assert found.differ == 2 / 8
    assert found.differ_interval[0] < 0.25 < found.differ_interval[1]
    assert found.both_wrong == 1
    assert found.kappa == pytest.approx(cohen_kappa_score(a, b))
    # 5 both right, 1 both wrong, 1 and 1 only one of them.
    assert found.q == pytest.approx((5 * 1 - 1 * 1) / (5 * 1 + 1 * 1))


def test_of_three_there_are_three_pairs():
    said = np.random.default_rng(0).integers(0, 8, (3, 50))
    assert [(p.a, p.b) for p in pairs(said[0], said)] == [(0, 1), (0, 2), (1, 2)]


def test_twins_agree_wholly():
    rng = np.random.default_rng(1)
    labels, said = rng.integers(0, 8, 100), rng.integers(0, 8, 100)
    (found,) = pairs(labels, np.stack([said, said]))
    assert (found.differ, found.kappa, found.q) == (0, 1, 1)


def test_independent_errors_have_a_q_near_0():
    rng = np.random.default_rng(2)
    labels = np.zeros(200_000, int)
    a, b = (np.where(rng.random(200_000) < 0.2, 1, 0) for _ in range(2))
    (found,) = pairs(labels, np.stack([a, b]))
    assert abs(found.q) < 0.05


def test_without_errors_there_is_no_q():
    labels = np.arange(8)
    (found,) = pairs(labels, np.stack([labels, labels]))
    assert found.q is None


class TestDisagreement:
    def test_is_0_where_all_say_the_same_and_1_where_each_is_sure_of_another_class(self):
        same = np.tile(np.random.default_rng(0).dirichlet(np.ones(8), 5), (3, 1, 1))
        assert disagreement(same) == pytest.approx(np.zeros(5), abs=1e-12)
        apart = np.eye(8)[[[0], [3], [5]]]
        assert disagreement(apart) == pytest.approx([1])

    def test_grows_as_they_part(self):
        def two(p: float) -> np.ndarray:
            return np.array([[[p, 1 - p]], [[1 - p, p]]])

        found = [disagreement(two(p))[0] for p in (0.5, 0.6, 0.8, 0.99)]
        assert (np.diff(found) > 0).all()

    def test_of_one_member_is_0(self):
        assert disagreement(np.eye(8)[None, :3]).tolist() == [0, 0, 0]
