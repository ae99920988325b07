"""The Dataset page: import, overview, findings, where it is from."""

import io
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from streamlit.testing.v1 import AppTest

from bloodcell.classes import CLASS_NAMES
from bloodcell.data.split import make_split
from bloodcell.data.synthetic.demo import Faults, draw_cell, make_demo
from bloodcell.workspace import Workspace
from tests.pages.dataset_page import button, finish_job, named, texts, widget
from tests.pages.opened import settled

Open = Callable[..., AppTest]


@pytest.fixture
def faulty(tmp_path: Path) -> Path:
    """A workspace with a small dataset that holds copies."""
    home = tmp_path / "faulty"
    faults = Faults(copies=3, conflicting=2)
    make_demo(Workspace(home), "faulty", per_class=6, size=32, faults=faults)
    return home


class TestNothingYet:
    def test_says_what_to_do_next_and_offers_it(self, tmp_path: Path, open_page: Open):
        app = open_page(tmp_path, "dataset")
        assert not app.exception
        assert "no dataset" in texts(app.info)
        assert button(app, "Create the demo dataset")

    def test_draws_a_demo_of_the_size_asked_for_and_makes_it_active(
        self, tmp_path: Path, open_page: Open
    ):
        app = open_page(tmp_path, "dataset", state={"import_way": ":material/draw: Demo"})
        widget(app.number_input, "Images per class").set_value(4)
        widget(app.number_input, "Image size, pixels").set_value(32)
        widget(
            app.toggle, "Add duplicates, foreign pictures and wrong labels to try the findings"
        ).set_value(False)
        widget(app.text_input, "Name").set_value("small")
        button(app, "Create").click().run()
        finish_job(app)
        assert not app.exception
        assert len(named(tmp_path, "small")) == 32
        assert "Imported 32 images as small" in texts(app.success)
        assert app.metric[0].value == "32"


class TestImport:
    WAY = ":material/folder_open: Server path"

    def from_path(self, home: Path, open_page: Open, path: str) -> AppTest:
        app = open_page(home, "dataset", view="Import", state={"import_way": self.WAY})
        widget(app.text_input, "Path of a folder, .zip or .npz on the server").set_value(path).run()
        return button(app, "Import").click().run()

    def test_a_zip_with_a_folder_a_class_becomes_a_dataset(
        self, demo_copy: Path, tmp_path: Path, open_page: Open
    ):
        archive = tmp_path / "my cells.zip"
        with zipfile.ZipFile(archive, "w") as file:
            for label in (1, 6):
                for i in range(3):
                    cell = draw_cell(label, np.random.default_rng([label, i]), 32)
                    buffer = io.BytesIO()
                    Image.fromarray(cell).save(buffer, "PNG")
                    file.writestr(f"{CLASS_NAMES[label]}/{i}.png", buffer.getvalue())
        app = finish_job(self.from_path(demo_copy, open_page, str(archive)))
        assert not app.exception
        assert not app.error
        dataset = named(demo_copy, "my-cells")
        assert dataset.counts()["eosinophil"] == dataset.counts()["neutrophil"] == 3

    def test_a_path_that_is_not_there_is_one_sentence_and_leaves_nothing(
        self, demo_copy: Path, open_page: Open
    ):
        app = finish_job(self.from_path(demo_copy, open_page, "/nowhere/cells.zip"))
        assert not app.exception
        assert "/nowhere/cells.zip" in texts(app.error)
        assert Workspace(demo_copy).names("datasets") == ["demo"]

    def test_a_name_that_is_taken_is_refused_before_anything_begins(
        self, demo_copy: Path, open_page: Open
    ):
        app = open_page(
            demo_copy,
            "dataset",
            view="Import",
            state={"import_way": ":material/draw: Demo"},
        )
        widget(app.text_input, "Name").set_value("Demo")
        button(app, "Create").click().run()
        assert "taken" in texts(app.error)

    def test_an_uploaded_archive_of_arrays_is_imported_and_its_copy_removed(
        self, demo_copy: Path, open_page: Open
    ):
        cells = [draw_cell(i % 8, np.random.default_rng(i), 32) for i in range(24)]
        buffer = io.BytesIO()
        np.savez(buffer, images=np.stack(cells), labels=np.arange(24) % 8)
        app = open_page(demo_copy, "dataset", view="Import")
        app.file_uploader[0].upload("cells.npz", buffer.getvalue(), "application/zip").run()
        button(app, "Import").click().run()
        finish_job(app)
        assert not app.exception
        assert not app.error
        assert len(named(demo_copy, "cells")) == 24
        assert not list(Workspace(demo_copy).downloads.iterdir())


class TestOverview:
    def test_shows_what_the_dataset_counts(self, demo_home: Path, open_page: Open):
        app = open_page(demo_home, "dataset")
        dataset = named(demo_home, "demo")
        assert not app.exception
        table = app.dataframe[0].value
        assert list(table["images"]) == list(dataset.counts().values())
        assert table["share"].sum() == pytest.approx(100)
        app = settled(app)
        assert list(app.dataframe[1].value["images"]) == list(dataset.counts().values())
        split = make_split(dataset)
        for part in ("train", "validation", "test"):
            assert table[part].sum() == len(split.indices(part))

    def test_sample_weights_make_all_classes_count_the_same(self, tmp_path: Path, open_page: Open):
        home = tmp_path / "uneven"
        make_demo(Workspace(home), "uneven", per_class=10, size=32)
        dataset = named(home, "uneven")
        dataset.curation.exclude(np.flatnonzero(dataset.labels == 7)[:6], "uneven")
        table = open_page(home, "dataset").dataframe[0].value
        assert np.ptp(table["train"] * table["sample weight"]) < 1e-3
        assert list(table["excluded"]) == [0] * 7 + [6]

    def test_a_damaged_dataset_is_a_sentence(self, demo_copy: Path, open_page: Open):
        (demo_copy / "datasets" / "demo" / "dataset.json").write_text("{", encoding="utf-8")
        app = open_page(demo_copy, "dataset")
        assert not app.exception
        assert "dataset.json" in texts(app.error)


class TestFindings:
    def test_excludes_what_is_suggested_and_undoes_it(self, faulty: Path, open_page: Open):
        app = open_page(faulty, "dataset", view="Findings")
        assert not app.exception
        assert "6 images in 3 groups, 3 suggested" in texts(app.markdown)
        button(app, "Exclude the 3").click().run()
        assert len(named(faulty, "faulty").curation.excluded()) == 3
        assert "4 images in 2 groups, 4 suggested" in texts(app.markdown)
        button(app, "Exclude the 4").click().run()
        assert "No exact duplicates" in texts(app.success)
        button(app, "Undo all 7").click().run()
        assert not named(faulty, "faulty").curation.decisions
        assert "6 images in 3 groups" in texts(app.markdown)

    def test_a_clean_dataset_says_so_with_its_number(self, demo_home: Path, open_page: Open):
        app = open_page(demo_home, "dataset", view="Findings")
        assert "No exact duplicates among the 160 images" in texts(app.success)


class TestAbout:
    def test_shows_source_and_fingerprint(self, demo_home: Path, open_page: Open):
        app = open_page(demo_home, "dataset", view="About")
        dataset = named(demo_home, "demo")
        assert not app.exception
        assert dataset.fingerprint in texts(app.code)
        assert dataset.info["source"] in app.table[0].value.to_string()
