"""The Dataset page: all images by class, part and order."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from bloodcell.data.synthetic.demo import Faults, make_demo
from bloodcell.ui.common.dataset_index import dataset_index
from bloodcell.ui.dataset.images import arrange
from bloodcell.workspace import Workspace
from tests.pages.dataset_page import button, gallery_ids, named, texts, widget
from tests.pages.opened import settled

Open = Callable[..., AppTest]


@pytest.fixture
def faulty(tmp_path: Path) -> Path:
    """A workspace with a small dataset that holds copies."""
    home = tmp_path / "faulty"
    faults = Faults(copies=3, conflicting=2)
    make_demo(Workspace(home), "faulty", per_class=6, size=32, faults=faults)
    return home


class TestImages:
    def test_filters_by_class_part_and_text(self, faulty: Path):
        dataset = named(faulty, "faulty")
        index = dataset_index(dataset)
        found = arrange(index, [2, 5], "train")
        assert set(index.labels[found]) == {2, 5}
        assert {index.part(int(i)) for i in found} == {"train"}
        name = str(index.names[3])
        assert arrange(index, [], "all", name.upper()).tolist() == [3]
        assert 4 in arrange(index, [], "all", index.hashes[4][:10])

    def test_a_random_order_is_a_permutation_that_its_seed_decides(self, faulty: Path):
        index = dataset_index(named(faulty, "faulty"))
        plain = arrange(index, [], "all")
        mixed = arrange(index, [], "all", seed=3)
        assert sorted(mixed) == plain.tolist() != mixed.tolist()
        assert mixed.tolist() == arrange(index, [], "all", seed=3).tolist()
        assert mixed.tolist() != arrange(index, [], "all", seed=4).tolist()

    def test_what_is_excluded_is_only_among_the_excluded(self, faulty: Path):
        dataset = named(faulty, "faulty")
        dataset.curation.exclude([0, 9], "test")
        index = dataset_index(dataset)
        assert arrange(index, [], "excluded").tolist() == [0, 9]
        assert not {0, 9} & set(arrange(index, [], "all"))

    def test_shows_a_page_and_says_of_how_many(self, demo_home: Path, open_page: Open):
        app = open_page(demo_home, "dataset", view="Images")
        assert not app.exception
        assert "1 to 48 of 160 images" in texts(app.caption)
        widget(app.button_group, "Part").set_value("test").run()
        assert "of 16 images" in texts(app.caption)

    def test_opens_an_image_with_its_name_label_part_and_hash(
        self, demo_home: Path, open_page: Open
    ):
        app = self.opened(open_page(demo_home, "dataset", view="Images"), 12)
        index = dataset_index(named(demo_home, "demo"))
        assert not app.exception
        assert index.hashes[12] in texts(app.code)
        assert str(index.names[12]) in texts(app.code)
        assert index.part(12) in texts(app.markdown)

    def test_an_image_can_be_excluded_with_a_reason_and_the_decision_undone(
        self, demo_copy: Path, open_page: Open
    ):
        app = self.opened(open_page(demo_copy, "dataset", view="Images"), 12)
        widget(app.text_input, "Reason").set_value("out of focus")
        button(app, "Exclude").click().run()
        assert named(demo_copy, "demo").curation.decisions[12]["reason"] == "out of focus"
        app = self.opened(open_page(demo_copy, "dataset", view="Images"), 12)
        button(app, "Undo this decision").click().run()
        assert not named(demo_copy, "demo").curation.decisions

    @staticmethod
    def opened(app: AppTest, number: int) -> AppTest:
        widget(app.number_input, "Image number").set_value(number).run()
        return button(app, "Open").click().run()

    @pytest.mark.parametrize(
        ("order", "measure"),
        [
            ("darkest", lambda image: image.mean()),
            ("brightest", lambda image: -image.mean()),
        ],
    )
    def test_orders_by_what_can_be_measured(
        self, demo_copy: Path, open_page: Open, order: str, measure
    ):
        app = settled(open_page(demo_copy, "dataset", view="Images"))
        widget(app.selectbox, "Sort by").set_value(order).run()
        app = settled(app)
        images = named(demo_copy, "demo").images
        shown = gallery_ids(app, "images_grid")
        values = [float(measure(images[i].astype(float))) for i in shown]
        # Brightness is kept at half precision and weighs the colours as the eye does.
        assert np.corrcoef(values, np.arange(len(values)))[0, 1] > 0.8
        assert len(shown) == 48

    def test_the_most_unusual_image_comes_first(self, tmp_path: Path, open_page: Open):
        home = tmp_path / "odd"
        make_demo(Workspace(home), "odd", per_class=12, size=32, faults=Faults(foreign=2))
        app = settled(open_page(home, "dataset", view="Images"))
        widget(app.selectbox, "Sort by").set_value("most unusual").run()
        app = settled(app)
        planted = named(home, "odd").info["planted"]["foreign"]
        assert set(gallery_ids(app, "images_grid")[:6]) & set(planted)
        assert "image statistics, no trained model" in texts(app.caption)
