"""What the page of a run says in words and tables: times, recalls, confusions."""

import pytest

from bloodcell.training.config import make_config
from bloodcell.ui.common.format import duration
from bloodcell.ui.training.run_detail import largest_confusions, recall_table
from bloodcell.ui.training.run_list import estimate_remaining


def test_remaining_time_counts_all_batches_that_are_left():
    config = make_config("demo", epochs=3, batch_size=10, backbone="tiny")
    status = {"epoch": 2, "batch": 5, "batches": 20, "images_per_second": 50.0}
    assert estimate_remaining(config, status) == pytest.approx((20 + 15) * 10 / 50)
    assert estimate_remaining(config, {"epoch": 1}) is None


@pytest.mark.parametrize(
    ("seconds", "words"), [(4.4, "4 s"), (600, "10 min"), (3 * 3600 + 300, "3 h 05 min")]
)
def test_durations_read_well(seconds: float, words: str):
    assert duration(seconds).replace("\N{NO-BREAK SPACE}", " ") == words


def test_recall_has_an_interval_and_n_for_each_class_that_is_there():
    matrix = [[0] * 8 for _ in range(8)]
    matrix[0][0], matrix[0][1], matrix[1][1] = 8, 2, 5
    table = recall_table({"val_confusion": matrix})
    assert table["name"].tolist() == ["Basophil", "Eosinophil"]
    assert table["value"].tolist() == [0.8, 1.0]
    assert table["n"].tolist() == [10, 5]
    assert (table["low"] < table["value"]).all()
    assert table["high"][0] > 0.8


def test_the_largest_confusions_come_first_with_what_they_were():
    before, now = ([[0] * 8 for _ in range(8)] for _ in range(2))
    before[0][1] = 4
    now[0][0], now[0][1], now[3][6] = 6, 2, 5
    table = largest_confusions({"val_confusion": now}, {"val_confusion": before})
    assert table["true"].tolist() == ["Immature granulocyte", "Basophil"]
    assert table["predicted"].tolist() == ["Neutrophil", "Eosinophil"]
    assert table["n"].tolist() == [5, 2]
    assert table["of"].tolist() == [5, 8]
    assert table["before"].tolist() == [0, 4]
