"""Which laboratory has which cells, and what that can mislead to."""

from pathlib import Path

import numpy as np
import pytest

from bloodcell.classes import OTHER
from bloodcell.data.store.dataset import new_dataset, open_dataset
from bloodcell.data.store.origins import confounding, laboratory_counts, laboratory_looks
from bloodcell.data.synthetic.drawing.draw import draw_cell
from bloodcell.workspace import Workspace

PLATELET, NEUTROPHIL = 7, 6


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    """North has neutrophils and all platelets, south neutrophils, east others alone."""
    workspace = Workspace(tmp_path_factory.mktemp("origins"))
    rows = [("north", NEUTROPHIL)] * 4 + [("north", PLATELET)] * 5 + [("south", NEUTROPHIL)] * 3
    rows += [("east", OTHER)] * 2
    with new_dataset(workspace, "d", (48, 48), "x", "none", columns=("laboratory",)) as writer:
        for i, (place, label) in enumerate(rows):
            image = draw_cell(max(label, 0), np.random.default_rng([i]), 48)
            image = image // 2 if place == "south" else image
            writer.add(image, label, str(i), origin={"laboratory": place})
    return open_dataset(workspace, "d")


def test_cells_are_counted_by_laboratory_and_label(dataset):
    names, counts = laboratory_counts(dataset, dataset.labels, dataset.kept)
    assert names == ["north", "south", "east"]
    assert counts[:, PLATELET].tolist() == [5, 0, 0]
    assert counts[:, NEUTROPHIL].tolist() == [4, 3, 0]
    assert counts[:, OTHER].tolist() == [0, 0, 2]


def test_what_comes_from_one_laboratory_is_said(dataset):
    told = confounding(*laboratory_counts(dataset, dataset.labels, dataset.kept))
    assert told[0].startswith("Platelet comes only from north: a network may learn that laborat")
    assert any(t.startswith("south has nothing but neutrophil") for t in told)
    assert any(t.startswith("3 of 6 pairs of laboratory and class have no cell") for t in told)
    assert confounding(["north"], np.ones((1, 9), int)) == []


def test_colour_and_scale_of_each_are_measured(dataset):
    looks = {look.name: look for look in laboratory_looks(dataset)}
    assert list(looks) == ["east", "north", "south"]
    assert looks["south"].percentiles[0, 1] < 0.6 * looks["north"].percentiles[0, 1]
    assert 0 < looks["north"].extent < 1


def test_a_dataset_that_names_none_has_nothing_to_tell(tmp_path: Path):
    with new_dataset(Workspace(tmp_path), "d", (8, 8), "x", "none") as writer:
        writer.add(np.zeros((8, 8, 3), np.uint8), 0, "0")
    plain = open_dataset(Workspace(tmp_path), "d")
    assert laboratory_counts(plain, plain.labels, plain.kept)[0] == []
    assert laboratory_looks(plain) == []
