"""The figures of the Dataset page hold the numbers that they are given."""

import numpy as np
import pytest

from bloodcell.figures.dataset import colour_ranges, image_map


def test_colour_ranges_show_median_and_ends_of_every_class_that_is_there():
    percentiles = np.random.default_rng(0).uniform(0, 255, (8, 3, 3))
    percentiles.sort(axis=2)
    percentiles[7] = np.nan
    fig = colour_ranges(percentiles)
    assert [trace.name for trace in fig.data] == ["red", "green", "blue"]
    for channel, trace in enumerate(fig.data):
        low, middle, high = percentiles[:7, channel].T
        assert trace.x == pytest.approx(middle)
        assert trace.error_x.array == pytest.approx(high - middle)
        assert trace.error_x.arrayminus == pytest.approx(middle - low)
    assert len(fig.layout.yaxis.ticktext) == 7


class TestImageMap:
    points = np.random.default_rng(1).normal(size=(60, 2))
    labels = np.arange(60) % 3

    def test_every_dot_carries_the_index_of_its_image(self):
        drawn = np.arange(0, 60, 2)
        fig = image_map(self.points, self.labels, drawn)
        rows = np.concatenate([trace.customdata for trace in fig.data])
        assert sorted(rows) == drawn.tolist()
        for trace in fig.data:
            assert trace.type == "scattergl"
            assert len(set(self.labels[trace.customdata])) == 1
            assert trace.x == pytest.approx(self.points[trace.customdata, 0])
            assert trace.y == pytest.approx(self.points[trace.customdata, 1])

    def test_the_opened_image_is_ringed_even_if_it_is_not_drawn(self):
        fig = image_map(self.points, self.labels, np.arange(10), marked=42)
        ring = fig.data[-1]
        assert (ring.x[0], ring.y[0]) == pytest.approx(tuple(self.points[42]))

    def test_what_is_selected_stays_strong(self):
        chosen = np.array([0, 4, 33])
        fig = image_map(self.points, self.labels, np.arange(60), selected=chosen)
        strong = [trace.customdata[list(trace.selectedpoints)] for trace in fig.data]
        assert sorted(np.concatenate(strong)) == chosen.tolist()
