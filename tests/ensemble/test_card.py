"""The model card: how its members were trained, and what is added to it later."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from bloodcell.ensemble.bundle import Bundle
from bloodcell.ensemble.card import add_to_card
from bloodcell.errors import BadInput


@pytest.fixture
def folder(home: Path) -> Path:
    return home / "ensembles" / "first"


def test_it_tells_the_commands_that_trained_the_members(folder: Path):
    card = (folder / "card.md").read_text()
    assert "python -m bloodcell train --dataset demo --backbone tiny" in card
    assert "Validation accuracy by epoch" in card


def test_what_is_added_stands_in_the_folder_and_in_the_zip(folder: Path):
    card = add_to_card(folder, "## Elsewhere\n\n91 % of 348.\n")
    assert card.endswith("\n\n## Elsewhere\n\n91 % of 348.\n")
    for path in (folder, folder.with_name("first.zip")):
        bundle = Bundle(path)
        assert bundle.read_checked("card.md").decode() == card


def test_a_zip_alone_is_a_sentence(folder: Path):
    with pytest.raises(BadInput, match="is no folder: unpack"):
        add_to_card(folder.with_name("first.zip"), "x")


def test_two_who_add_at_once_both_stand_in_it(folder: Path):
    texts = [f"## Note {k}" for k in range(8)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda text: add_to_card(folder, text), texts))
    card = Bundle(folder).read_checked("card.md").decode()
    assert all(text in card for text in texts)
