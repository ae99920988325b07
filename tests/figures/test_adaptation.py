"""The learning curve of an adaptation holds the numbers that it is given."""

from bloodcell.figures.adaptation import shot_curve


def test_every_point_of_the_curve_is_drawn_with_its_interval_and_the_parent_beside_it():
    curve = [
        {"per_class": k, "balanced_accuracy": a, "interval": [a - 0.1, a + 0.1]}
        for k, a in ((1, 0.6), (3, 0.7), (5, 0.8))
    ]
    fig = shot_curve(curve, before=0.5)
    band, line = fig.data
    assert list(line.x) == [1, 3, 5]
    assert list(line.y) == [0.6, 0.7, 0.8]
    assert len(band.y) == 6
    assert fig.layout.shapes[0].y0 == 0.5
