"""Seed and shares that were chosen for a dataset."""

from pathlib import Path

import pytest

from bloodcell.data.split import SHARES
from bloodcell.data.split_choice import choose_split, chosen_split
from bloodcell.data.store.dataset import Dataset, open_dataset
from bloodcell.errors import BadInput
from bloodcell.workspace import Workspace


@pytest.fixture
def dataset(demo_copy: Path) -> Dataset:
    return open_dataset(Workspace(demo_copy), "demo")


def test_until_one_is_chosen_it_is_the_usual_split(dataset: Dataset):
    assert chosen_split(dataset) == (0, SHARES)


def test_what_was_chosen_is_there_for_the_next_who_opens_the_dataset(dataset: Dataset):
    choose_split(dataset, 7, (0.6, 0.2, 0.2))
    again = open_dataset(Workspace(dataset.path.parents[1]), "demo")
    assert chosen_split(again) == (7, (0.6, 0.2, 0.2))
    assert again.fingerprint == dataset.fingerprint


@pytest.mark.parametrize(
    ("seed", "shares"), [(-1, SHARES), (2**31, SHARES), (True, SHARES), (0, (0.5, 0.1, 0.1))]
)
def test_what_cannot_be_used_is_refused_and_not_kept(dataset: Dataset, seed, shares):
    with pytest.raises(BadInput, match="cannot"):
        choose_split(dataset, seed, shares)
    assert chosen_split(dataset) == (0, SHARES)


@pytest.mark.parametrize("text", ["[]", "{}", '{"seed": 0, "shares": [1]}', '{"seed": "x"}', "{"])
def test_a_damaged_file_is_a_sentence(dataset: Dataset, text: str):
    (dataset.path / "split.json").write_text(text, encoding="utf-8")
    with pytest.raises(BadInput):
        chosen_split(dataset)
