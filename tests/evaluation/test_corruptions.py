"""Eleven faults of a photograph at five strengths."""

from itertools import pairwise

import cv2
import numpy as np
import pytest

from bloodcell.data.synthetic.drawing.draw import draw_cell
from bloodcell.errors import BadInput
from bloodcell.evaluation.corruptions import CORRUPTIONS, STRENGTHS, corrupt


@pytest.fixture(scope="module")
def cells() -> np.ndarray:
    rng = np.random.default_rng(3)
    return np.stack([draw_cell(k, rng, 96) for k in range(8)])


def distance(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.abs(a.astype(float) - b).mean())


def test_they_are_the_eleven_of_bloodmnist_c():
    assert len(CORRUPTIONS) == 11
    assert len(STRENGTHS) == 5


@pytest.mark.parametrize("name", CORRUPTIONS)
class TestEach:
    def test_gives_images_of_the_same_kind_and_leaves_the_given_ones_alone(self, cells, name):
        before = cells.copy()
        found = corrupt(cells, name, 3)
        assert found.dtype == np.uint8
        assert found.shape == cells.shape
        assert np.array_equal(cells, before)

    def test_does_more_the_stronger_it_is(self, cells, name):
        far = [distance(corrupt(cells, name, s), cells) for s in STRENGTHS]
        assert far[0] > 0.2
        assert (np.diff(far) > 0).all()

    def test_does_the_same_to_an_image_whatever_else_is_in_the_batch(self, cells, name):
        whole = corrupt(cells, name, 4, seed=7)
        assert np.array_equal(corrupt(cells[5:6], name, 4, seed=7)[0], whole[5])
        assert np.array_equal(corrupt(cells[::-1], name, 4, seed=7)[::-1], whole)

    @pytest.mark.parametrize("side", [28, 64, 224])
    def test_harms_as_much_at_every_resolution(self, name, side):
        fine = draw_cell(6, np.random.default_rng(5), 224)
        small = cv2.resize(fine, (side, side), interpolation=cv2.INTER_AREA)[None]
        found = corrupt(small, name, 5)
        assert found.shape == small.shape
        if name in ("jpeg", "stain_deposit", "bubble", "motion_blur"):
            # Blocks of a fixed size, or a place that the pixels themselves choose.
            assert distance(found, small) > 0.5
            return
        at_224 = distance(corrupt(fine[None], name, 5), fine[None])
        assert distance(found, small) == pytest.approx(at_224, rel=0.5)


@pytest.mark.parametrize("name", ["motion_blur", "stain_deposit", "bubble"])
def test_another_seed_is_another_place(cells, name):
    assert not np.array_equal(corrupt(cells, name, 3, 0), corrupt(cells, name, 3, 1))


def test_a_stronger_bubble_is_the_same_bubble_larger():
    grey = np.full((1, 96, 96, 3), 180, np.uint8)
    changed = [(corrupt(grey, "bubble", s)[0] != 180).any(-1) for s in (2, 3, 4)]
    for smaller, larger in pairwise(changed):
        assert smaller[larger].sum() == smaller.sum()


def test_the_size_may_be_anything_but_empty_batches_stay_empty():
    assert corrupt(np.zeros((0, 8, 8, 3), np.uint8), "jpeg", 1).shape == (0, 8, 8, 3)
    oblong = np.random.default_rng(0).integers(0, 255, (1, 40, 60, 3)).astype(np.uint8)
    for name in CORRUPTIONS:
        assert corrupt(oblong, name, 5).shape == oblong.shape


def test_an_unknown_one_is_a_sentence(cells):
    with pytest.raises(BadInput, match="no corruption 'fog': expected one of pixelate"):
        corrupt(cells, "fog", 1)
    with pytest.raises(BadInput, match="strength 6"):
        corrupt(cells, "jpeg", 6)
    with pytest.raises(BadInput, match="float64 of shape"):
        corrupt(cells / 255, "jpeg", 1)
