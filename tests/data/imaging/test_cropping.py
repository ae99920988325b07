"""Which square of a photograph is shown: as in training, or around the stained part."""

import numpy as np
import pytest

from bloodcell.data.imaging.cropping import (
    Crop,
    Field,
    candidates,
    centre,
    cut,
    field_of,
    parse_crop,
)
from bloodcell.data.imaging.nucleus import Stained
from bloodcell.ensemble.description import Cut
from bloodcell.errors import BadInput

KNOWN = Field(200, frozenset({(363, 360)}), (0.2, 0.4, 0.6))


def test_a_photograph_like_those_of_the_training_is_cut_like_them():
    (squares,) = candidates(KNOWN, [(363, 360)], [None], 96)
    assert squares == [Crop(80, 81, 200)]


def test_many_of_one_microscope_get_one_scale_and_keep_their_sizes():
    found = [Stained(200 + k, 150, extent) for k, extent in enumerate((30, 40, 40, 40, 60))]
    squares = candidates(KNOWN, [(400, 400)] * 5, found, 96)
    assert {len(s) for s in squares} == {1}
    assert {s[0].side for s in squares} == {100}
    assert squares[3][0] == Crop(153, 100, 100)


def test_many_at_the_scale_of_the_training_are_taken_whole():
    found = [Stained(20, 20, e) for e in (20, 38, 40, 42, 55)]
    assert candidates(KNOWN, [(100, 100)] * 5, found, 96) == [[Crop(0, 0, 100)]] * 5


def test_a_lone_photograph_leaves_the_scale_to_the_ensemble():
    (squares,) = candidates(KNOWN, [(400, 400)], [Stained(200, 200, 40)], 96)
    assert squares[0] == Crop(0, 0, 400)
    assert len(squares) > 3
    shares = [40 / s.side for s in squares[1:]]
    assert min(shares) >= 0.2 / 1.3
    assert max(shares) <= 0.6 * 1.3


def test_a_lone_photograph_without_pixels_to_spare_is_taken_whole():
    assert candidates(KNOWN, [(28, 28)], [Stained(14, 14, 5)], 96) == [[Crop(0, 0, 28)]]


def test_nothing_stained_leaves_the_centre():
    assert candidates(KNOWN, [(300, 500)], [None], 96) == [[Crop(100, 0, 300)]]


def test_an_ensemble_that_does_not_know_its_scale_takes_the_centre():
    unknown = Field(None, frozenset(), None)
    assert candidates(unknown, [(50, 40)], [Stained(9, 9, 9)], 96) == [[Crop(0, 5, 40)]]


@pytest.mark.parametrize("size", [(96, 96), (8, 4000), (363, 360), (1000, 30)])
@pytest.mark.parametrize("count", [1, 6])
def test_every_square_lies_inside(size, count):
    rng = np.random.default_rng(0)
    height, width = size
    found = [
        Stained(rng.uniform(0, width), rng.uniform(0, height), rng.uniform(1, min(size)))
        for _ in range(count)
    ]
    for squares in candidates(KNOWN, [size] * count, found, 96):
        for square in squares:
            assert square.x >= 0
            assert square.y >= 0
            assert square.x + square.side <= width
            assert square.y + square.side <= height


def test_a_dataset_says_how_it_was_cut():
    info = {"crop": "centre 200 px", "source_sizes": {"360x363": 5, "other": 2}}
    field = field_of(info, (0.1, 0.4, 0.7))
    assert (field.crop, field.sizes) == (200, frozenset({(363, 360)}))
    assert Cut(**field.to_json()).field_of_view == field
    assert field_of({"crop": "none"}, None) == Field(None, frozenset(), None)


def test_the_cut_shows_what_is_in_the_square():
    image = np.zeros((50, 60, 3), np.uint8)
    image[10:20, 30:40] = 200
    assert (cut(image, Crop(30, 10, 10), 24) == 200).all()
    assert centre(50, 60) == Crop(5, 0, 50)


def test_a_square_outside_is_refused():
    with pytest.raises(BadInput, match=r"cell\.png has 60×50 pixels and the square 50,0,20"):
        cut(np.zeros((50, 60, 3), np.uint8), Crop(50, 0, 20), 24, "cell.png")


def test_a_crop_is_read_from_the_command_line():
    assert parse_crop("auto") == "auto"
    assert parse_crop("centre") == "centre"
    assert parse_crop("80, 81,200") == Crop(80, 81, 200)


@pytest.mark.parametrize("text", ["", "1,2", "1,2,3", "a,b,c", "-1,0,50", "1,2,3,4", "middle"])
def test_another_crop_is_refused(text):
    with pytest.raises(BadInput, match="expected auto, centre, or X,Y,SIDE"):
        parse_crop(text)
