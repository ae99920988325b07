"""The Dataset page: all datasets side by side, the trash, the export."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from bloodcell.classes import OTHER
from bloodcell.data.synthetic.demo import make_demo
from bloodcell.trash import delete, list_trash
from bloodcell.workspace import Workspace
from tests.data.samples import two_each, write_folder
from tests.pages.dataset_page import button, finish_job, named, texts, widget
from tests.pages.opened import settled

Open = Callable[..., AppTest]
SERVER_PATH = ":material/folder_open: Server path"


def _sidebar_and_dataset() -> None:
    import streamlit as st

    from bloodcell.ui.common.frame import sidebar
    from bloodcell.ui.common.state import active_dataset

    sidebar()
    st.text(active_dataset().name)


class TestAllDatasets:
    def test_lists_them_side_by_side_even_a_damaged_one(self, demo_copy: Path, open_page: Open):
        make_demo(Workspace(demo_copy), "other", per_class=4, size=32)
        (demo_copy / "datasets" / "broken").mkdir()
        app = open_page(
            demo_copy, "dataset", view="All datasets", state={"active_datasets": "demo"}
        )
        assert not app.exception
        table = app.dataframe[0].value.set_index("name")
        assert table.loc["demo", "images"] == 160
        assert table.loc["other", "pixels"] == "32×32"
        assert "not a dataset" in table.loc["broken", "problem"]

    def test_the_only_one_is_damaged_and_can_be_deleted(self, tmp_path: Path, open_page: Open):
        (tmp_path / "datasets" / "broken").mkdir(parents=True)
        app = open_page(tmp_path, "dataset")
        assert not app.exception
        assert "not a dataset" in texts(app.error)
        assert "no dataset in this workspace" not in texts(app.info)
        button(app, "Delete").click().run()
        app.button(key="delete_go").click().run()
        assert Workspace(tmp_path).names("datasets") == []

    def test_the_pages_work_on_what_the_sidebar_names(self, demo_copy: Path, monkeypatch):
        make_demo(Workspace(demo_copy), "other", per_class=4, size=32)
        monkeypatch.setenv("BLOODCELL_HOME", str(demo_copy))
        app = AppTest.from_function(_sidebar_and_dataset, default_timeout=60)
        app.query_params["dataset"] = "other"
        app.run()
        # Away from the address that named it, and with one more that would come first.
        app.query_params.clear()
        (demo_copy / "datasets" / "demo").rename(demo_copy / "datasets" / "0new")
        app.run()
        assert (app.selectbox[0].value, app.text[0].value) == ("other", "other")
        app.selectbox[0].select("0new").run()
        assert (app.selectbox[0].value, app.text[0].value) == ("0new", "0new")

    def test_a_dataset_is_renamed_and_stays_the_active_one(self, demo_copy: Path, open_page: Open):
        app = open_page(demo_copy, "dataset", view="All datasets")
        button(app, "Rename").click().run()
        widget(app.text_input, "New name").set_value("cells")
        app.button(key="rename_go").click().run()
        assert not app.exception
        assert Workspace(demo_copy).names("datasets") == ["cells"]
        assert list(app.dataframe[0].value[""]) == ["active"]

    def test_a_deleted_dataset_can_be_restored_at_once(self, demo_copy: Path, open_page: Open):
        app = open_page(demo_copy, "dataset", view="All datasets")
        button(app, "Delete").click().run()
        app.button(key="delete_go").click().run()
        assert Workspace(demo_copy).names("datasets") == []
        assert "demo is in the trash" in texts(app.info)
        button(app, "Undo").click().run()
        assert not app.exception
        assert Workspace(demo_copy).names("datasets") == ["demo"]

    def test_the_trash_is_emptied_only_when_asked_twice(self, demo_copy: Path, open_page: Open):
        delete(Workspace(demo_copy), "datasets", "demo")
        app = open_page(demo_copy, "dataset")
        button(app, "Empty trash").click().run()
        assert len(list_trash(Workspace(demo_copy))) == 1
        button(app, "Delete permanently").click().run()
        assert not app.exception
        assert list_trash(Workspace(demo_copy)) == []

    @pytest.mark.slow
    def test_what_runs_refer_to_is_said_before_a_deletion(self, home: Path, open_page: Open):
        app = open_page(home, "dataset", view="All datasets")
        button(app, "Delete").click().run()
        assert "1 run refers to demo" in texts(app.warning)

    def test_exports_the_curated_dataset(self, demo_copy: Path, open_page: Open):
        named(demo_copy, "demo").curation.exclude([0], "a test")
        app = open_page(demo_copy, "dataset", view="All datasets")
        app.button(key="export_go").click().run()
        app = settled(app)
        target = Workspace(demo_copy).exports / "demo.npz"
        assert "159 images" in texts(app.markdown)
        with np.load(target) as file:
            assert len(file["labels"]) == 159


def test_names_that_an_import_does_not_know_are_asked_for(tmp_path: Path, open_page: Open):
    source = write_folder(tmp_path / "source", two_each("basophil", "Blasts", "debris"))
    app = open_page(tmp_path / "home", "dataset", state={"import_way": SERVER_PATH})
    app.text_input(key="import_path").set_value(str(source)).run()
    app.button(key="import_path_go").click().run()
    app = finish_job(app)
    asked = {box.label: box for box in app.selectbox if "2 images" in box.label}
    assert set(asked) == {"Blasts, 2 images", "debris, 2 images"}
    asked["Blasts, 2 images"].select("Other")
    app.button(key="import_path_go").click().run()
    app = finish_job(app)
    assert not app.exception
    dataset = named(tmp_path / "home", "source")
    assert dataset.labels.tolist() == [OTHER, OTHER, 0, 0]
    assert dataset.info["left_out"] == 2
