"""Figures hold the numbers they were given, in the right places."""

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import pytest

from bloodcell.classes import CLASSES, LABEL_NAMES, LABELS
from bloodcell.evaluation import reliability
from bloodcell.figures import (
    CLASS_COLOURS,
    class_counts,
    confusion,
    learning_curves,
    learning_rate_curve,
    metric_intervals,
    probabilities_bar,
    reliability_diagram,
)
from bloodcell.figures.theme import SHORT_TITLES, rgba

NO_COUNTS = pd.DataFrame({"class": [], "part": [], "n": []})
NO_METRICS = pd.DataFrame(columns=["name", "metric", "value", "low", "high", "n"])
LINES = [
    {"epoch": 1, "loss": 2.0, "val_loss": 2.5, "accuracy": 0.4, "learning_rate": 1e-3},
    {"epoch": 2, "loss": 1.0, "val_loss": 1.5, "accuracy": 0.7, "learning_rate": 2e-4},
    {"epoch": 3, "loss": 0.5, "accuracy": 0.9, "learning_rate": 0.0},
]


def traces(fig: go.Figure) -> list:
    return list(fig.data)


def counts(*rows) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["class", "part", "n"])


def test_class_counts_stack_the_parts_and_write_totals_with_shares():
    table = counts(
        ("basophil", "test", 10),
        ("basophil", "train", 80),
        ("platelet", "train", 110),
    )
    train, test, text = traces(class_counts(table))
    assert (train["name"], test["name"]) == ("train", "test")
    assert dict(zip(train["y"], train["x"], strict=True))[SHORT_TITLES["platelet"]] == 110
    assert list(test["x"]) == [10] + [0] * 7
    assert text["text"][0] == " 90 · 45.0%"
    assert text["text"][7] == " 110 · 55.0%"


def test_class_counts_give_every_class_its_own_colour():
    (bars, _) = traces(class_counts(counts(("basophil", "", 3))))
    assert list(bars["marker"]["color"]) == [rgba(c.colour, 1) for c in CLASSES]
    assert bars["showlegend"] is False


def matrix():
    found = np.diag([600, 50, 40, 30, 20, 10, 0, 5])
    found[3, 5], found[0, 1], found[6, 2] = 3, 1, 0
    return found


def test_confusion_puts_a_clickable_marker_with_true_and_predicted_id_on_every_cell():
    fig = confusion(matrix())
    markers = traces(fig)[-1]
    assert markers["type"] == "scatter"
    assert markers["marker"]["symbol"] == "square"
    assert len(markers["customdata"]) == 64
    for x, y, (true, predicted) in zip(
        markers["x"], markers["y"], markers["customdata"], strict=True
    ):
        assert (x, y) == (predicted, true)
    assert fig.layout.dragmode is False
    # The first true class is at the top, as the table is read.
    assert fig.layout.yaxis.range[0] > fig.layout.yaxis.range[1]


def test_confusion_writes_counts_or_shares_of_the_row_and_nothing_where_there_is_nothing():
    written = traces(confusion(matrix()))[0]["text"]
    assert written[0][:3] == ["600", "1", ""]
    assert written[3][5] == "3"
    assert written[6] == [""] * 8
    shares = traces(confusion(matrix(), normalise=True))[0]["text"]
    assert shares[3][3] == "90.9"
    assert shares[3][5] == "9.1"
    assert shares[7][7] == "100"


def test_confusion_says_each_cell_in_words():
    hover = traces(confusion(matrix()))[-1]["text"]
    assert hover[3 * 8 + 5] == "Immature granulocyte predicted as monocyte: 3 of 33 (9.1%)"
    assert hover[0] == "Basophil predicted correctly: 600 of 601 (99.8%)"


def test_one_error_among_hundreds_stands_out_from_empty_cells_and_hits():
    shades = np.array(traces(confusion(matrix()))[0]["z"])
    off = ~np.eye(8, dtype=bool)
    assert (shades[matrix() == 0] == 0).all()
    assert (shades[off & (matrix() > 0)] <= -0.1).all()
    assert (shades[np.eye(8, dtype=bool) & (matrix() > 0)] >= 0.1).all()
    assert shades[3, 5] < shades[0, 1]
    assert np.abs(shades).max() <= 1


def test_learning_curves_follow_the_epochs_and_leave_gaps_where_nothing_was_measured():
    loss, val = traces(learning_curves(LINES, ["loss", "val_loss"]))
    assert list(loss["x"]) == [1, 2, 3]
    assert list(loss["y"]) == [2.0, 1.0, 0.5]
    assert list(val["y"]) == [2.5, 1.5, None]
    assert val["name"] == "validation loss"
    assert loss["line"]["dash"] != val["line"]["dash"]


def test_several_runs_have_a_colour_each_and_a_dash_per_metric():
    fig = learning_curves({"a": LINES, "b": LINES[:2]}, ["loss", "val_loss"])
    a, a_val, b, _ = traces(fig)
    assert a["line"]["color"] == a_val["line"]["color"] != b["line"]["color"]
    assert a["line"]["dash"] == b["line"]["dash"] != a_val["line"]["dash"]
    assert b["name"] == "b · training loss"
    assert len(b["x"]) == 2


def test_accuracies_are_read_in_percent_and_losses_are_not():
    assert "%" in learning_curves(LINES).layout.yaxis.tickformat
    assert "%" not in learning_curves(LINES, ["loss"]).layout.yaxis.tickformat


def test_the_learning_rate_lies_on_decades_and_survives_a_zero():
    fig = learning_rate_curve(LINES)
    assert list(traces(fig)[0]["y"]) == [1e-3, 2e-4, 0.0]
    assert fig.layout.yaxis.type == "log"
    assert list(fig.layout.yaxis.ticktext) == ["1e-4", "1e-3"]


def test_probabilities_are_sorted_in_percent_with_the_set_in_full_colour():
    given = {"monocyte": 0.25, "platelet": 0.0004, "immature_granulocyte": 0.7496}
    (bars,) = traces(probabilities_bar(given, set=["immature_granulocyte", "monocyte"]))
    assert list(bars["y"]) == ["Immature granulocyte", "Monocyte", "Platelet"]
    assert list(bars["x"]) == pytest.approx([74.96, 25, 0.04])
    assert list(bars["text"]) == ["75.0 %", "25.0 %", "< 0.1 %"]
    colours = bars["marker"]["color"]
    assert colours[1] == rgba(CLASS_COLOURS["monocyte"], 1)
    assert colours[2] == rgba(CLASS_COLOURS["platelet"], 0.35)


def test_almost_certain_is_not_written_as_certain():
    (bars,) = traces(probabilities_bar({"monocyte": 0.99996, "platelet": 0.00004}))
    assert list(bars["text"]) == ["> 99.9 %", "< 0.1 %"]


def test_the_reliability_diagram_draws_filled_bins_with_their_intervals():
    labels = np.array([0] * 8 + [1] * 2 + [0] * 6 + [1] * 4)
    probabilities = np.zeros((20, 8))
    probabilities[:10, :2], probabilities[10:, :2] = (0.9, 0.1), (0.6, 0.4)
    table = reliability(labels, probabilities)
    fig = reliability_diagram(table, 0.05, (0.0, 0.2), 20)
    ideal, measured = traces(fig)
    assert list(ideal["x"]) == list(ideal["y"]) == [0, 1]
    assert list(measured["x"]) == pytest.approx([0.6, 0.9])
    assert list(measured["y"]) == pytest.approx([0.6, 0.8])
    low = np.array(measured["y"]) - np.array(measured["error_y"]["arrayminus"])
    assert list(low) == pytest.approx(list(table[table.n > 0].accuracy_low))
    assert fig.layout.title.text == "ECE 5.00% (0.00% to 20.00%), n = 20"


def test_metric_intervals_draw_each_metric_beside_the_other_from_low_to_high():
    table = pd.DataFrame(
        [
            ("small", "accuracy", 0.98, 0.97, 0.985, 1453),
            ("ensemble", "accuracy", 0.99, 0.984, 0.994, 1453),
            ("ensemble", "macro recall", 0.989, 0.982, 0.993, 1453),
        ],
        columns=["name", "metric", "value", "low", "high", "n"],
    )
    fig = metric_intervals(table)
    accuracy, recall = traces(fig)
    assert list(accuracy["x"]) == [0.98, 0.99]
    assert list(accuracy["error_x"]["array"]) == pytest.approx([0.005, 0.004])
    assert list(accuracy["error_x"]["arrayminus"]) == pytest.approx([0.01, 0.006])
    assert list(fig.layout.yaxis.ticktext) == ["small", "ensemble"]
    assert round(accuracy["y"][1]) == round(recall["y"][0]) == 1
    assert accuracy["y"][1] != recall["y"][0]
    assert list(recall["customdata"][0]) == ["ensemble", 0.982, 0.993, 1453]


EVERY = {
    "no counts": lambda: class_counts(NO_COUNTS),
    "one count": lambda: class_counts(counts(("platelet", "", 1))),
    "counts of nothing": lambda: class_counts(counts(("platelet", "train", 0))),
    "empty confusion": lambda: confusion(np.zeros((8, 8), int)),
    "one cell": lambda: confusion(np.diag([1] + [0] * 7)),
    "no epoch": lambda: learning_curves([]),
    "one epoch": lambda: learning_curves(LINES[:1]),
    "no run": lambda: learning_curves({}),
    "no metric": lambda: learning_curves(LINES, []),
    "no rate": lambda: learning_rate_curve([]),
    "one rate": lambda: learning_rate_curve(LINES[:1]),
    "no probabilities": lambda: probabilities_bar({}),
    "one probability": lambda: probabilities_bar({"platelet": 1.0}, set=["platelet"]),
    "one image": lambda: reliability_diagram(
        reliability(np.array([1]), np.eye(8)[[1]]), 0.0, (0.0, 1.0), 1
    ),
    "no bins": lambda: reliability_diagram(
        reliability(np.array([1]), np.eye(8)[[1]]).iloc[:0], 0.0, (0.0, 1.0), 0
    ),
    "no metrics": lambda: metric_intervals(NO_METRICS),
}


@pytest.mark.parametrize("build", EVERY.values(), ids=EVERY.keys())
def test_every_figure_is_drawn_of_nothing_and_of_one_with_the_pages_own_background(build):
    fig = build()
    written = fig.to_json()
    for key in ("paper_bgcolor", "plot_bgcolor"):
        assert fig.layout[key] == "rgba(0, 0, 0, 0)"
    assert fig.layout.xaxis.automargin
    assert fig.layout.yaxis.automargin
    # Fonts take their colour from the page's theme, or they would vanish in one of the two.
    assert fig.layout.font.color is None
    assert fig.layout.template.layout.font.color is None
    assert "http" not in written


def test_short_titles_are_given_for_every_class_and_fit_a_phone():
    assert tuple(SHORT_TITLES) == LABEL_NAMES
    assert max(map(len, SHORT_TITLES.values())) <= 10
    assert all(cell.title[0] == SHORT_TITLES[cell.name][0] for cell in LABELS)
