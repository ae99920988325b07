"""Photographs of one cell get its square; those of several are fields of a smear."""

import numpy as np

from bloodcell.classes import class_id
from bloodcell.data.readers.decoded import Decoded
from bloodcell.data.synthetic.drawing.draw import draw_cell, draw_field
from bloodcell.smear.squares import squares
from tests.smear.test_count import png


def test_one_cell_is_a_square_and_several_are_a_smear():
    rng = np.random.default_rng(4)
    lymphocyte = class_id("lymphocyte")
    tiles = [draw_field(rng, 160) for _ in range(5)]
    cell, other = (draw_cell(lymphocyte, rng, 160) for _ in range(2))
    one = np.concatenate([np.hstack([tiles[0], cell]), np.hstack(tiles[1:3])])
    two = np.concatenate([np.hstack([other, tiles[3], cell]), np.hstack([*tiles[:2], tiles[4]])])
    files = [("one.png", png(one)), ("two.png", png(two)), ("no.png", b"?")]
    found, several = squares(Decoded(files), frozenset())
    assert several == [1]
    assert list(found) == [0]
    square = found[0]
    assert abs(square.x + square.side / 2 - 240) < 20
    assert abs(square.y + square.side / 2 - 80) < 20
    assert squares(Decoded(files), frozenset({one.shape[:2], two.shape[:2]})) == ({}, [])
