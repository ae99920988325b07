"""The histogram of pixels holds the shares of the very pixels it was given."""

import numpy as np
import pytest

from bloodcell.figures.augmentation import pixel_histograms


def shares(fig) -> dict[tuple[str, str], np.ndarray]:
    return {(t.xaxis or "x", t.name): np.array(t.y) for t in fig.data}


def test_every_channel_has_its_own_shares_before_and_after():
    before = np.zeros((4, 4, 3), np.uint8)
    before[..., 1] = 100
    before[:2, :, 2] = 255
    after = np.full((5, 6, 6, 3), 200, np.uint8)
    found = shares(pixel_histograms(before, after))
    assert found["x", "before"][0] == pytest.approx(100)
    assert found["x2", "before"][100 // 4] == pytest.approx(100)
    assert found["x3", "before"][[0, -1]] == pytest.approx([50, 50])
    for axis in ("x", "x2", "x3"):
        assert found[axis, "after"][200 // 4] == pytest.approx(100)


def test_no_share_is_lost_between_the_bins():
    pixels = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    for y in shares(pixel_histograms(pixels, pixels)).values():
        assert y.sum() == pytest.approx(100)


def test_what_is_not_there_lies_on_the_foot_of_the_logarithmic_axis():
    fig = pixel_histograms(np.zeros((8, 8, 3), np.uint8), np.zeros((8, 8, 3), np.uint8))
    assert min(min(t.y) for t in fig.data) == 0.01
    assert fig.layout.yaxis.type == "log"
    assert 10 ** fig.layout.yaxis.range[0] == pytest.approx(0.01)
