"""The figures of a sweep: a trial a mark, a line a trial, and logarithms where they are meant."""

import numpy as np
import pandas as pd

from bloodcell.figures import parallel_coordinates, sweep_history, sweep_importance

TABLE = pd.DataFrame(
    {
        "number": [0, 1, 2, 3],
        "val_loss": [1.0, 1.5, 0.8, np.nan],
        "state": ["complete", "pruned", "complete", "waiting"],
        "label": ["a", "b", "c", "d"],
        "learning_rate": [1e-4, 1e-3, 1e-2, 1e-3],
        "policy": ["gentle", "strong", "gentle", "strong"],
        "epochs": [2, 4, 8, 4],
    }
)


def test_the_best_so_far_is_of_complete_trials_alone():
    traces = {trace.name: trace for trace in sweep_history(TABLE).data}
    assert list(traces["complete"].x) == [1, 3]
    assert list(traces["pruned"].y) == [1.5]
    assert list(traces["best so far"].y) == [1.0, 0.8]


def test_a_sweep_that_has_only_begun_is_drawn():
    waiting = TABLE[TABLE["state"] == "waiting"]
    assert [trace.name for trace in sweep_history(waiting).data] == ["not ended"]
    assert not parallel_coordinates(waiting, ["learning_rate", "policy"], ["learning_rate"]).data
    assert not parallel_coordinates(TABLE.head(0), ["epochs"]).data
    assert len(parallel_coordinates(TABLE.head(1), ["epochs", "policy"]).data) == 1


def test_axes_are_numbers_logarithms_or_names_and_the_best_lies_on_top():
    figure = parallel_coordinates(TABLE, ["learning_rate", "policy", "epochs"], ["learning_rate"])
    assert list(figure.layout.xaxis.ticktext) == [
        "learning rate", "policy", "epochs", "validation loss"
    ]  # fmt: skip
    lines = np.array([trace.y for trace in figure.data])
    # By falling loss: trials 1, 0, 2; one without a loss is left out.
    np.testing.assert_allclose(lines[:, 0], [0.5, 0, 1])
    np.testing.assert_allclose(lines[:, 1], [1, 0, 0])
    np.testing.assert_allclose(lines[:, 2], [1 / 3, 0, 1])
    np.testing.assert_allclose(lines[:, 3], [1, 2 / 7, 0])
    written = {note.text for note in figure.layout.annotations}
    assert {"0.0001", "0.01", "gentle", "strong", "2", "8", "0.8", "1.5"} <= written


def test_the_most_important_setting_is_on_top():
    bars = sweep_importance({"dropout": 0.2, "learning_rate": 0.8}).data[0]
    assert list(bars.y) == ["dropout", "learning rate"]
    assert list(bars.text) == ["20%", "80%"]
