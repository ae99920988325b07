"""Cells that are labelled here: each once, with who and when, undone, carried on, never lost."""

import os
from pathlib import Path

import numpy as np
import pytest

from bloodcell.data.store.dataset import Dataset, new_dataset, open_dataset
from bloodcell.data.store.labelling import (
    MOST_CELLS,
    keep_cells,
    label_cell,
    labelled_cells,
    labelling_datasets,
    labelling_name,
    take_back,
    waiting_cells,
)
from bloodcell.errors import BadInput, NameTaken
from bloodcell.workspace import Workspace


def cells(count: int, seed: int = 0, size: int = 16) -> list[tuple[str, np.ndarray]]:
    images = np.random.default_rng(seed).integers(0, 256, (count, size, size, 3), dtype=np.uint8)
    return [(f"{seed}-{i}.png", image) for i, image in enumerate(images)]


def keep(workspace: Workspace, new: list) -> tuple[Dataset, list[int]]:
    return keep_cells(workspace, "Basel", new, "Basel", "as shown")


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path)


def test_a_batch_waits_until_it_is_labelled_and_a_copy_is_kept_once(workspace):
    a, b, c = cells(3)
    dataset, places = keep(workspace, [a, b, ("copy.png", a[1]), c])
    assert places == [0, 1, 0, 2]
    assert len(dataset) == len(waiting_cells(dataset)) == 3
    assert not len(labelled_cells(dataset))
    assert sum(dataset.counts().values()) == 0


def test_a_label_has_its_reader_its_time_and_its_laboratory(workspace):
    dataset, _ = keep(workspace, cells(3))
    label_cell(dataset, 1, 5, "Dr. A")
    label_cell(dataset, 2, -1, "B", "the answer was Monocyte")
    again = open_dataset(workspace, "Basel")
    assert again.labels.tolist() == [-1, 5, -1]
    assert labelled_cells(again).tolist() == [1, 2]
    assert waiting_cells(again).tolist() == [0]
    assert again.origin("reader").tolist() == ["", "Dr. A", "B"]
    assert set(again.origin("laboratory")) == {"Basel"}
    decision = again.curation.decisions[2]
    assert decision["reason"] == "labelled by B: the answer was Monocyte"
    assert decision["time"]


def test_labels_are_taken_back_one_by_one_and_no_further(workspace):
    dataset, _ = keep(workspace, cells(3))
    label_cell(dataset, 2, 1, "A")
    label_cell(dataset, 0, 1, "A")
    label_cell(dataset, 2, 3, "A")
    assert take_back(dataset) == [2]
    assert dataset.labels[2] == 1
    assert [take_back(dataset), take_back(dataset), take_back(dataset)] == [[0], [2], []]
    assert len(waiting_cells(dataset)) == 3


def test_what_was_decided_elsewhere_is_not_taken_back_here(workspace):
    dataset, _ = keep(workspace, cells(2))
    label_cell(dataset, 0, 1, "A")
    dataset.curation.exclude([0], "blurred")
    assert take_back(dataset) == []
    assert not len(labelled_cells(dataset))
    assert waiting_cells(dataset).tolist() == [1]


def test_the_next_batch_joins_with_all_labels_kept(workspace):
    first, second = cells(2), cells(2, seed=1)
    dataset, _ = keep(workspace, first)
    label_cell(dataset, 1, 4, "A")
    grown, places = keep(workspace, [*second, first[1]])
    assert places == [2, 3, 1]
    assert grown.labels[1] == 4
    assert waiting_cells(grown).tolist() == [0, 2, 3]
    assert grown.origin("reader")[1] == "A"
    np.testing.assert_array_equal(grown.images[3], second[1][1])
    assert sorted(p.name for p in workspace.datasets.iterdir() if p.suffix != ".lock") == ["Basel"]


def test_a_crash_between_two_renamings_loses_nothing(workspace):
    keep(workspace, cells(2))
    os.rename(workspace.datasets / "Basel", workspace.datasets / ".Basel.before")
    assert labelling_datasets(workspace) == ["Basel"]
    assert len(open_dataset(workspace, "Basel")) == 2


def test_only_datasets_that_are_labelled_here_are_offered_and_taken(workspace):
    with new_dataset(workspace, "Basel", (16, 16), "elsewhere", "none") as writer:
        writer.add(cells(1)[0][1], 0, "a.png")
    assert labelling_datasets(workspace) == []
    with pytest.raises(NameTaken, match="was imported, not labelled here"):
        keep(workspace, cells(1))


def test_too_many_or_of_another_size_are_refused_and_nothing_changes(workspace):
    keep(workspace, cells(1))
    with pytest.raises(BadInput, match=f"at most {MOST_CELLS:,}"):
        keep(workspace, cells(MOST_CELLS + 1, seed=1, size=8))
    with pytest.raises(BadInput, match="16×16"):
        keep(workspace, cells(1, seed=1, size=8))
    assert len(open_dataset(workspace, "Basel")) == 1


@pytest.mark.parametrize(
    ("laboratory", "name"),
    [("Ward 3, Basel", "Ward-3-Basel"), ("../../etc", "etc"), ("Лаб", "labelled")],
)
def test_any_laboratory_has_a_name_on_the_disk(laboratory, name):
    assert labelling_name(laboratory) == name
