"""The Dataset page: where the cells come from."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from bloodcell.classes import OTHER
from bloodcell.data.split_choice import chosen_rule
from bloodcell.data.store.dataset import new_dataset
from bloodcell.workspace import Workspace
from tests.pages.dataset_page import button, finish_job, gallery_ids, named, texts, widget

Open = Callable[..., AppTest]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Two datasets: "d" of two laboratories with four patients each, and "e" that names none."""
    rng = np.random.default_rng(0)
    columns = ("laboratory", "patient")
    for name in ("d", "e"):
        known = columns if name == "d" else ()
        with new_dataset(Workspace(tmp_path), name, (16, 16), name, "none", {}, known) as writer:
            for i in range(48):
                image = rng.integers(0, 256, (16, 16, 3), dtype=np.uint8)
                origin = {"laboratory": "north" if i < 24 else "south", "patient": f"p{i % 8}"}
                label = OTHER if i % 12 == 0 else 6 if i < 24 or i % 2 else 7
                writer.add(image, label, f"{i}.png", origin=origin if known else None)
    return tmp_path


def test_the_overview_names_what_comes_from_one_laboratory_alone(home: Path, open_page: Open):
    app = open_page(home, "dataset")
    assert not app.exception
    said = texts(app.markdown)
    assert "Platelet comes only from south" in said
    assert "**2** laboratories" in said


def test_images_are_filtered_by_laboratory(home: Path, open_page: Open):
    app = open_page(home, "dataset", view="Images")
    widget(app.button_group, "Laboratories").set_value(["south"]).run()
    shown = gallery_ids(app, "images_grid")
    assert shown
    assert all(i >= 24 for i in shown)
    assert not app.exception


def test_a_split_by_patient_is_chosen_and_proved(home: Path, open_page: Open):
    app = open_page(home, "dataset", view="Split")
    widget(app.selectbox, "Divide by").set_value("patient")
    button(app, "Split").click().run()
    assert not app.exception
    assert chosen_rule(named(home, "d")).by == "patient"
    assert "0 groups shared between parts" in texts(app.success)


def test_datasets_are_merged_on_the_page(home: Path, open_page: Open):
    app = open_page(home, "dataset", view="All datasets")
    widget(app.multiselect, "Datasets").set_value(["d", "e"]).run()
    button(app, "Merge").click().run()
    app = finish_job(app)
    assert not app.exception
    merged = named(home, "merged")
    assert len(merged) == 96
    assert set(merged.origin("laboratory")) == {"north", "south", "e"}
