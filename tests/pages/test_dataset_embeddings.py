"""The Dataset page: the embeddings."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from streamlit.testing.v1 import AppTest

from bloodcell.ui.common.dataset_index import dataset_index
from bloodcell.ui.dataset.embeddings import inside
from tests.pages.dataset_page import gallery_ids, named, texts
from tests.pages.opened import settled

Open = Callable[..., AppTest]


class TestEmbeddings:
    def test_without_an_ensemble_it_says_what_the_map_is_made_of(
        self, demo_copy: Path, open_page: Open
    ):
        app = settled(open_page(demo_copy, "dataset", view="Embeddings"))
        assert "no ensemble yet" in texts(app.caption)
        assert "160 images, by image statistics, no trained model" in texts(app.caption)
        assert "Select dots" in texts(app.markdown)

    def test_a_selection_shows_its_images_the_rarest_label_first(
        self, demo_copy: Path, open_page: Open
    ):
        app = settled(open_page(demo_copy, "dataset", view="Embeddings"))
        dataset = named(demo_copy, "demo")
        everything = {"x": [-1e6, 1e6], "y": [-1e6, 1e6], "xref": "x", "yref": "y"}
        # Drawn dots of two classes: the third inside is one that the legend hides.
        dots = [{"customdata": i} for i in (0, 1)]
        dataset.curation.exclude([8, 16], "a test")
        app.session_state["image_map"] = {"selection": {"points": dots, "box": [everything]}}
        app = settled(app.run())
        labels = dataset_index(named(demo_copy, "demo")).labels[gallery_ids(app, "map_grid")]
        assert "of 38 images" in texts(app.caption)
        assert list(labels[:18]) == [0] * 18
        assert set(labels[18:]) == {1}


class TestInside:
    points = np.array([[0.5, 0.5], [2.0, 0.5], [0.9, 0.2], [-1.0, 0.5]])

    def test_a_box_whichever_way_it_was_drawn(self):
        assert inside({"box": [{"x": [1, 0], "y": [1, 0]}]}, self.points).tolist() == [
            True, False, True, False,
        ]  # fmt: skip

    def test_a_lasso_may_be_hollow(self):
        # A "C" that is open to the right: the point in its mouth is outside.
        outline = {"x": [0, 1, 1, 0.3, 0.3, 1, 1, 0], "y": [0, 0, 0.3, 0.3, 0.8, 0.8, 1, 1]}
        found = inside({"lasso": [outline]}, self.points)
        assert found.tolist() == [False, False, True, False]

    def test_several_are_added_up(self):
        boxes = [{"x": [0, 1], "y": [0.4, 1]}, {"x": [1, 3], "y": [0, 1]}]
        assert inside({"box": boxes}, self.points).tolist() == [True, True, False, False]
