"""Small platelets: only platelets change, to something smaller or paler in the same field."""

import cv2
import numpy as np
import pytest

from bloodcell.augment import Policy, apply, step
from bloodcell.classes import CLASS_NAMES

FIELD, STAIN, RED_CELL = (235, 225, 205), (110, 60, 140), (205, 165, 160)
SIDE = 96


def drawn(radius: int = 12) -> np.ndarray:
    """A platelet in the middle of a field, and a red cell beside it; uint8, 96×96×3."""
    image = np.full((SIDE, SIDE, 3), FIELD, np.uint8)
    cv2.circle(image, (78, 24), 14, RED_CELL, -1)
    cv2.circle(image, (SIDE // 2, SIDE // 2), radius, STAIN, -1)
    return image


def shown(image: np.ndarray, label: str = "platelet", seed: int = 0, **parameters) -> np.ndarray:
    labels = np.eye(8, dtype=np.float32)[[CLASS_NAMES.index(label)]]
    policy = Policy("p", (step("small_platelets", **parameters),))
    out, told = apply(policy, image[None], labels, np.random.default_rng(seed))
    np.testing.assert_array_equal(told, labels)
    return out[0]


def stained(image: np.ndarray) -> np.ndarray:
    return image[..., 0] < 0.8 * FIELD[0]


@pytest.mark.parametrize("name", [n for n in CLASS_NAMES if n != "platelet"])
def test_every_other_class_stays_as_it_is(name: str):
    np.testing.assert_array_equal(shown(drawn(), name), drawn())


def test_a_platelet_becomes_smaller_within_what_was_asked_for():
    before = stained(drawn()).sum()
    sizes = [
        np.sqrt(stained(shown(drawn(), seed=s, shrink=0.6, fade=0)).sum() / before)
        for s in range(20)
    ]
    # A pixel at the edge more or less.
    assert 0.3 < min(sizes) < 0.6
    assert 0.8 < max(sizes) <= 1.05


def test_a_platelet_becomes_paler_within_what_was_asked_for():
    depth = [
        np.log(FIELD[0] / shown(drawn(), seed=s, shrink=0, fade=0.6)[SIDE // 2, SIDE // 2, 0])
        / np.log(FIELD[0] / STAIN[0])
        for s in range(20)
    ]
    assert 0.35 < min(depth) < 0.6
    assert 0.85 < max(depth) <= 1.02


def test_the_red_cell_beside_it_and_the_field_stay():
    made = shown(drawn(), shrink=0.8, fade=0.5).astype(int)
    beside = np.s_[8:40, 62:94]
    np.testing.assert_allclose(made[beside], drawn()[beside].astype(int), atol=3)
    # Where the platelet was the field is empty now.
    assert np.abs(made[SIDE // 2, SIDE // 2 + 11] - FIELD).max() < 25


def test_a_platelet_stays_in_the_middle():
    y, x = np.nonzero(stained(shown(drawn(), shrink=0.7, fade=0)))
    assert abs(y.mean() - (SIDE - 1) / 2) < 1.5
    assert abs(x.mean() - (SIDE - 1) / 2) < 1.5


@pytest.mark.parametrize(
    "image", [np.full((SIDE, SIDE, 3), FIELD, np.uint8), drawn(radius=46)], ids=["none", "all"]
)
def test_where_nothing_or_nearly_all_is_stained_nothing_changes(image: np.ndarray):
    np.testing.assert_array_equal(shown(image), image)
