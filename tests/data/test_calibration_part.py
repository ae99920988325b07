"""Half of the validation images choose nothing, by their identity alone."""

import numpy as np

from bloodcell.data.calibration_part import FEWEST, calibration_part

HASHES = np.array([f"{k:032x}" for k in range(600)])


def test_it_is_about_half_and_depends_on_the_image_alone():
    found = calibration_part(HASHES)
    assert 0.4 < found.mean() < 0.6
    order = np.random.default_rng(0).permutation(len(HASHES))
    assert np.array_equal(calibration_part(HASHES[order]), found[order])


def test_copies_fall_to_one_side():
    found = calibration_part(np.concatenate([HASHES, HASHES]))
    assert np.array_equal(found[:600], found[600:])


def test_where_too_few_would_be_left_nothing_is_set_apart():
    assert not calibration_part(HASHES[: 2 * FEWEST - 1]).any()
