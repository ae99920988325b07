"""The Dataset page: how the images are split."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from bloodcell.data.split import SHARES, make_split
from bloodcell.data.split_choice import chosen_split
from bloodcell.data.store.dataset import new_dataset
from bloodcell.data.synthetic.demo import Faults, draw_cell, make_demo
from bloodcell.ui.common.dataset_index import dataset_index
from bloodcell.workspace import Workspace
from tests.pages.dataset_page import button, named, texts, widget

Open = Callable[..., AppTest]


@pytest.fixture
def faulty(tmp_path: Path) -> Path:
    """A workspace with a small dataset that holds copies."""
    home = tmp_path / "faulty"
    faults = Faults(copies=3, conflicting=2)
    make_demo(Workspace(home), "faulty", per_class=6, size=32, faults=faults)
    return home


class TestSplit:
    def test_proves_that_no_image_is_on_two_sides(self, faulty: Path, open_page: Open):
        app = open_page(faulty, "dataset", view="Split")
        assert make_split(named(faulty, "faulty")).shared_images() == 0
        assert "0 images shared between parts" in texts(app.success)

    def test_another_seed_is_another_split_of_the_same_sizes_kept_with_the_dataset(
        self, demo_copy: Path, open_page: Open
    ):
        app = open_page(demo_copy, "dataset", view="Split")
        before = app.dataframe[0].value
        first = dataset_index(named(demo_copy, "demo")).split.parts
        widget(app.number_input, "Split seed").set_value(5)
        button(app, "Split").click().run()
        assert not app.exception
        assert app.dataframe[0].value.equals(before)
        assert chosen_split(named(demo_copy, "demo")) == (5, SHARES)
        assert (first != dataset_index(named(demo_copy, "demo")).split.parts).any()

    def test_other_shares_are_other_parts_and_a_new_training_is_offered_them(
        self, demo_copy: Path, open_page: Open
    ):
        app = open_page(demo_copy, "dataset", view="Split")
        for part, share in {"Train": 50, "Validation": 25, "Test": 25}.items():
            widget(app.number_input, f"{part}, %").set_value(share)
        button(app, "Split").click().run()
        assert not app.error
        assert list(app.dataframe[0].value["images"]) == [80, 40, 40]
        training = open_page(demo_copy, "training")
        assert not training.exception
        assert "80 train, 40 validation, 40 test" in texts([*training.success, *training.markdown])

    def test_shares_that_do_not_sum_to_one_are_a_sentence_and_change_nothing(
        self, demo_copy: Path, open_page: Open
    ):
        app = open_page(demo_copy, "dataset", view="Split")
        widget(app.number_input, "Train, %").set_value(90)
        button(app, "Split").click().run()
        assert "sum to 1" in texts(app.error)
        assert chosen_split(named(demo_copy, "demo")) == (0, SHARES)

    def test_parts_of_the_source_are_kept_and_a_missing_one_is_said(
        self, tmp_path: Path, open_page: Open
    ):
        home = tmp_path / "given"
        with new_dataset(Workspace(home), "given", (32, 32), "a test", "none") as writer:
            for i in range(96):
                cell = draw_cell(i % 8, np.random.default_rng(i), 32)
                writer.add(cell, i % 8, f"{i}.png", "test" if i >= 80 else "train")
        app = open_page(home, "dataset", view="Split")
        assert "has no validation part: it was taken from its train part" in texts(app.markdown)
        assert not app.warning
        assert list(app.dataframe[0].value["images"]) == [72, 8, 16]
