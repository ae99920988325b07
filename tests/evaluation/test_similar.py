"""The training cells that are most similar to an image."""

import numpy as np
import pytest

from bloodcell.data.split import make_split
from bloodcell.data.store.dataset import Dataset
from bloodcell.ensemble.ensemble import Ensemble
from bloodcell.evaluation.similar import similar_cells


def test_a_known_cell_is_most_similar_to_itself(first: Ensemble, own: Dataset):
    train = make_split(own).indices("train")
    for index in train[::25]:
        nearest = similar_cells(first, own.images[index])[0]
        assert nearest.identity == own.hashes[index]
        assert nearest.similarity == pytest.approx(1, abs=2e-3)


def test_they_are_training_cells_the_nearest_first(first: Ensemble, own: Dataset):
    split = make_split(own)
    found = similar_cells(first, own.images[split.indices("test")[0]], 5)
    assert len(found) == 5
    assert {f.identity for f in found} <= set(split.hashes[split.indices("train")])
    assert (np.diff([f.similarity for f in found]) <= 0).all()


def test_an_ensemble_that_does_not_name_its_known_cells_has_none(first: Ensemble, own: Dataset):
    import copy

    older = copy.copy(first)
    older.description = first.description.changed(files={})
    assert similar_cells(older, own.images[0]) == []
