"""The Dataset page: bring in, look, mend, divide."""

import io
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from streamlit.testing.v1 import AppTest

from bloodcell.classes import CLASS_NAMES
from bloodcell.data.dataset import Dataset, open_dataset
from bloodcell.data.demo import Faults, draw_cell, make_demo
from bloodcell.data.split import make_split
from bloodcell.ui.dataset_images import arrange
from bloodcell.ui.dataset_index import dataset_index
from bloodcell.ui.jobs import current_job
from bloodcell.workspace import Workspace

Open = Callable[..., AppTest]


def button(app: AppTest, label: str):
    exact = [b for b in app.button if b.label == label]
    return exact[0] if exact else next(b for b in app.button if b.label.startswith(label))


def widget(widgets, label: str):
    return next(w for w in widgets if w.label == label)


def texts(elements) -> str:
    return "\n".join(str(e.value) for e in elements)


def finish_job(app: AppTest) -> AppTest:
    job = current_job()
    assert job is not None
    job.wait(60)
    return app.run()


@pytest.fixture
def faulty(tmp_path: Path) -> Path:
    """A workspace with a small dataset that holds copies."""
    home = tmp_path / "faulty"
    faults = Faults(copies=3, conflicting=2)
    make_demo(Workspace(home), "faulty", per_class=6, size=32, faults=faults)
    return home


def named(home: Path, name: str) -> Dataset:
    return open_dataset(Workspace(home), name)


class TestNothingYet:
    def test_says_what_to_do_next_and_offers_it(self, tmp_path: Path, open_page: Open):
        app = open_page(tmp_path, "dataset")
        assert not app.exception
        assert "no dataset" in texts(app.info)
        assert button(app, "Draw the demo dataset")

    def test_draws_a_demo_of_the_size_asked_for_and_makes_it_active(
        self, tmp_path: Path, open_page: Open
    ):
        app = open_page(
            tmp_path, "dataset", state={"bring_in_way": ":material/draw: Draw the demo"}
        )
        widget(app.number_input, "Cells of each class").set_value(4)
        widget(app.number_input, "Pixels a side").set_value(32)
        widget(
            app.toggle, "Plant copies, foreign pictures and wrong labels, to try the findings"
        ).set_value(False)
        widget(app.text_input, "Name").set_value("small")
        button(app, "Draw").click().run()
        finish_job(app)
        assert not app.exception
        assert len(named(tmp_path, "small")) == 32
        assert "32 images are now dataset small" in texts(app.success)
        assert app.metric[0].value == "32"


class TestBringIn:
    WAY = ":material/folder_open: Path on the server"

    def from_path(self, home: Path, open_page: Open, path: str) -> AppTest:
        app = open_page(home, "dataset", view="Bring in", state={"bring_in_way": self.WAY})
        widget(app.text_input, "Path of a folder, .zip or .npz on the server").set_value(path).run()
        return button(app, "Bring in").click().run()

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
            view="Bring in",
            state={"bring_in_way": ":material/draw: Draw the demo"},
        )
        widget(app.text_input, "Name").set_value("Demo")
        button(app, "Draw").click().run()
        assert "taken" in texts(app.error)

    def test_an_uploaded_archive_of_arrays_is_imported_and_its_copy_removed(
        self, demo_copy: Path, open_page: Open
    ):
        cells = [draw_cell(i % 8, np.random.default_rng(i), 32) for i in range(24)]
        buffer = io.BytesIO()
        np.savez(buffer, images=np.stack(cells), labels=np.arange(24) % 8)
        app = open_page(demo_copy, "dataset", view="Bring in")
        app.file_uploader[0].upload("cells.npz", buffer.getvalue(), "application/zip").run()
        button(app, "Bring in").click().run()
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

    def test_an_image_can_be_excluded_with_a_reason_and_taken_back(
        self, demo_copy: Path, open_page: Open
    ):
        app = self.opened(open_page(demo_copy, "dataset", view="Images"), 12)
        widget(app.text_input, "Reason").set_value("out of focus")
        button(app, "Exclude this image").click().run()
        assert named(demo_copy, "demo").curation.decisions[12]["reason"] == "out of focus"
        app = self.opened(open_page(demo_copy, "dataset", view="Images"), 12)
        button(app, "Undo this decision").click().run()
        assert not named(demo_copy, "demo").curation.decisions

    @staticmethod
    def opened(app: AppTest, number: int) -> AppTest:
        widget(app.number_input, "Open image number").set_value(number).run()
        return button(app, "Open").click().run()


class TestFindings:
    def test_excludes_what_is_suggested_and_undoes_it(self, faulty: Path, open_page: Open):
        app = open_page(faulty, "dataset", view="Findings")
        assert not app.exception
        assert "6 images in 3 groups, 3 suggested" in texts(app.markdown)
        button(app, "Exclude the 3").click().run()
        assert len(named(faulty, "faulty").curation.excluded()) == 3
        assert "4 images in 2 groups, 4 suggested" in texts(app.markdown)
        button(app, "Exclude the 4").click().run()
        assert "have the same pixels" in texts(app.success)
        button(app, "Undo all 7").click().run()
        assert not named(faulty, "faulty").curation.decisions
        assert "6 images in 3 groups" in texts(app.markdown)

    def test_a_clean_dataset_says_so_with_its_number(self, demo_home: Path, open_page: Open):
        app = open_page(demo_home, "dataset", view="Findings")
        assert "No two of the 160 images" in texts(app.success)


class TestSplit:
    def test_proves_that_no_image_is_on_two_sides(self, faulty: Path, open_page: Open):
        app = open_page(faulty, "dataset", view="Split")
        assert make_split(named(faulty, "faulty")).shared_images() == 0
        assert "0 images shared between parts" in texts(app.success)

    def test_another_seed_is_another_split_of_the_same_sizes(
        self, demo_home: Path, open_page: Open
    ):
        app = open_page(demo_home, "dataset", view="Split")
        before = app.dataframe[0].value
        widget(app.number_input, "Seed of the split").set_value(5).run()
        assert not app.exception
        assert app.dataframe[0].value.equals(before)
        dataset = named(demo_home, "demo")
        first, second = (dataset_index(dataset, seed).split.parts for seed in (0, 5))
        assert (first != second).any()


class TestAbout:
    def test_shows_source_and_fingerprint(self, demo_home: Path, open_page: Open):
        app = open_page(demo_home, "dataset", view="About")
        dataset = named(demo_home, "demo")
        assert not app.exception
        assert dataset.fingerprint in texts(app.code)
        assert dataset.info["source"] in app.table[0].value.to_string()
