"""Shares of white cells with exact limits; platelets and erythroblasts beside them."""

import pytest

from bloodcell.evaluation.intervals import clopper_pearson
from bloodcell.smear.differential import cells_to_tell, differential, rumke_table


def test_nothing_counted_says_nothing():
    told = differential([]).to_json()
    assert told["n"] == 0
    assert told["platelets_per_100"] is None
    assert all((s["share"], s["low"], s["high"]) == (None, 0, 1) for s in told["classes"].values())


def test_platelets_and_erythroblasts_are_no_part_of_the_differential():
    told = differential(
        ["neutrophil"] * 6 + ["lymphocyte"] * 2 + ["platelet"] * 4 + ["erythroblast"], refused=3
    ).to_json()
    assert told["n"] == 8
    assert told["classes"]["neutrophil"]["share"] == 0.75
    assert set(told["classes"]) == {
        "basophil", "eosinophil", "immature_granulocyte", "lymphocyte", "monocyte", "neutrophil",
    }  # fmt: skip
    assert (told["platelets_per_100"], told["erythroblasts_per_100"]) == (50, 12.5)
    assert told["refused"] == 3


def test_rumke_table_has_the_known_limits():
    # Rümke 1985 and CLSI H20-A2: 5 % of 100, 200 and 400 cells.
    row = next(r for r in rumke_table() if r["found"] == 5)
    assert row == {
        "found": 5,
        "n = 100": "1.6 to 11.3",
        "n = 200": "2.4 to 9.0",
        "n = 400": "3.1 to 7.6",
    }


def test_so_many_cells_tell_5_from_10_percent():
    n = cells_to_tell(0.05, 0.10)
    assert clopper_pearson(round(0.05 * n), n)[1] < 0.10
    assert clopper_pearson(5, 100)[1] > 0.10
    assert 100 < n < 400


@pytest.mark.parametrize("pair", [(0.1, 0.1), (-0.1, 0.2), (0.1, 1.2)])
def test_what_cannot_be_told_apart_is_said(pair):
    with pytest.raises(ValueError, match="two different shares"):
        cells_to_tell(*pair)
