"""The Classify page: photographs in, predictions out, the same as on the command line."""

import io
import json
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bloodcell.data.imaging.cropping import Crop
from bloodcell.data.readers.decoded import Decoded
from bloodcell.data.store.library import rename_dataset
from bloodcell.data.synthetic.drawing.draw import draw_cell
from bloodcell.data.synthetic.out_of_distribution import photograph
from bloodcell.ensemble.answer_files import answers_csv, answers_json
from bloodcell.ensemble.classify import classify
from bloodcell.ensemble.ensemble import Ensemble, open_ensemble
from bloodcell.errors import Stopped
from bloodcell.smear.squares import squares
from bloodcell.ui.classify import photographs
from bloodcell.ui.classify.answers import (
    UNREADABLE,
    answer_rows,
    counts_table,
    filter_answers,
    summary,
)
from bloodcell.ui.classify.crop import square_of
from bloodcell.ui.classify.samples import drawn_cells, unseen_cells
from bloodcell.ui.common.format import percent
from bloodcell.ui.common.gallery import png_bytes
from bloodcell.ui.common.overlay import overlaid, shown_evidence
from bloodcell.ui.common.table import chosen_row
from bloodcell.workspace import Workspace
from tests.ensemble.bad_files import BAD_FILES
from tests.pages.opened import open_page, settled, words


def drawn(label: int, size: int = 60) -> bytes:
    return png_bytes(draw_cell(label, np.random.default_rng(label), size))


@pytest.fixture(scope="module")
def ensemble(trained_home: Path) -> Ensemble:
    return open_ensemble(Workspace(trained_home), "first")


def test_without_an_ensemble_it_says_how_to_get_one(tmp_path: Path, monkeypatch):
    app = open_page(tmp_path, "classify", monkeypatch)
    text = words(app)
    assert "There is no ensemble yet" in text
    assert all(f"{step}. " in text for step in (1, 2, 3))
    (uploader,) = app.file_uploader
    assert "Import an ensemble" in uploader.label


def test_it_says_what_the_ensemble_is_worth_before_any_click(trained_home: Path, monkeypatch):
    text = words(open_page(trained_home, "classify", monkeypatch))
    assert "**first**: 1 network, 48×48 pixels" in text
    assert "Validation accuracy" in text
    assert "For research use only. Not a medical device." in text


def test_one_photograph_gets_a_card(trained_home: Path, ensemble: Ensemble, monkeypatch):
    app = open_page(trained_home, "classify", monkeypatch)
    app.file_uploader[0].upload("cell.png", drawn(7), "image/png")
    settled(app.run())
    decoded = Decoded([("cell.png", drawn(7))])
    square, _ = squares(decoded, ensemble.description.field_of_view.sizes)
    (row,) = answers_json(classify(ensemble, decoded, moved=square))
    text = words(app)
    assert "1 file: **1** " in text
    assert "Classified in " in text
    if row["recognised"]:
        assert percent(row["probability"]) in text
        assert "**Recognised** as one of the eight" in text
    else:
        assert "### None of the eight" in text
    assert len(app.get("plotly_chart")) == 2  # probabilities, field of view


def test_a_photograph_of_a_flower_is_refused_with_the_reason(trained_home: Path, monkeypatch):
    app = open_page(trained_home, "classify", monkeypatch)
    flower = photograph("flower")[:, 100:527]
    app.file_uploader[0].upload("flower.png", png_bytes(flower), "image/png")
    settled(app.run())
    text = words(app)
    assert "### None of the eight" in text
    assert (
        "its colour is no stain's, which takes more green out of the light than red or blue" in text
    )


def test_many_photographs_get_a_table_and_unreadable_ones_their_sentence(
    trained_home: Path, monkeypatch
):
    app = open_page(trained_home, "classify", monkeypatch)
    uploader = app.file_uploader[0]
    uploader.upload("a.png", drawn(1), "image/png")
    uploader.upload("notes.pdf", b"%PDF-1.4 nothing", "application/pdf")
    uploader.upload("b.png", drawn(2), "image/png")
    settled(app.run())
    table = app.dataframe[0]
    assert list(table.value["File"]) == ["a.png", "notes.pdf", "b.png"]
    assert table.value["Prediction"][1] == UNREADABLE
    assert "notes.pdf is a PDF document, expected a JPEG" in words(app)
    assert "**1** unreadable" in words(app)


def test_a_zip_of_photographs_is_opened_and_a_damaged_one_is_a_sentence(
    trained_home: Path, monkeypatch
):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for label in range(3):
            archive.writestr(f"slide/{label}.png", drawn(label))
    app = open_page(trained_home, "classify", monkeypatch)
    app.file_uploader[0].upload("cells.zip", buffer.getvalue(), "application/zip")
    app.file_uploader[0].upload("cut.zip", buffer.getvalue()[:50], "application/zip")
    settled(app.run())
    files = list(app.dataframe[0].value["File"])
    assert files == [*(f"cells.zip/slide/{label}.png" for label in range(3)), "cut.zip"]
    assert "cut.zip is damaged or cut off" in words(app)


def test_a_file_name_is_never_markdown(trained_home: Path, monkeypatch):
    app = open_page(trained_home, "classify", monkeypatch)
    app.file_uploader[0].upload("![x](http://example.org/x.png)", drawn(1), "image/png")
    settled(app.run())
    assert "![x](" not in words(app)
    assert r"\!\[x\]\(http" in words(app)


def test_the_square_is_moved_by_numbers_and_back(trained_home: Path, monkeypatch):
    app = open_page(trained_home, "classify", monkeypatch)
    app.file_uploader[0].upload("cell.png", drawn(1, 120), "image/png")
    settled(app.run())

    def field(name: str):
        return next(n for n in app.number_input if n.key.endswith(name))

    proposed = field("_side").value
    field("_side").set_value(40)
    settled(app.run())
    assert field("_side").value == 40
    assert "40×40 of 120×120 pixels" in next(e.label for e in app.expander)
    next(b for b in app.button if b.label == "Reset").click()
    settled(app.run())
    assert field("_side").value == proposed


def test_another_lamp_is_said_and_white_balanced(trained_home: Path, monkeypatch):
    cells = [draw_cell(label, np.random.default_rng(label), 48) for label in range(4)]
    app = open_page(trained_home, "classify", monkeypatch)
    for k, cell in enumerate(cells):
        blue = np.clip(cell * np.array([0.6, 0.75, 0.95]), 0, 255).astype(np.uint8)
        app.file_uploader[0].upload(f"{k}.png", png_bytes(blue), "image/png")
    settled(app.run())
    assert "cannot be trusted here" in words(app)
    assert "White balance, above, may help" in words(app)
    app.toggle(key="classify_balance").set_value(True)
    settled(app.run())
    assert "(now balanced)" in words(app)


def test_nothing_that_is_dropped_is_stored(home: Path, monkeypatch):
    before = sorted(p.relative_to(home) for p in home.rglob("*"))
    app = open_page(home, "classify", monkeypatch)
    app.file_uploader[0].upload("cell.png", drawn(3), "image/png")
    settled(app.run())
    assert sorted(p.relative_to(home) for p in home.rglob("*")) == before


def test_drawn_cells_are_called_drawn(trained_home: Path, monkeypatch):
    app = open_page(trained_home, "classify", monkeypatch)
    app.button(key="try_drawn").click()
    settled(app.run())
    assert "These cells are drawn, not photographed" in words(app)
    assert len(app.dataframe[0].value) == 9


def test_cells_of_a_dataset_are_labelled_and_clear_forgets_them(trained_home: Path, monkeypatch):
    app = open_page(trained_home, "classify", monkeypatch)
    app.button(key="try_test").click()
    settled(app.run())
    assert "Labelled " in words(app)
    app.button(key="clear").click()
    settled(app.run())
    assert not app.dataframe
    assert "Classified in" not in words(app)


def test_every_bad_file_leaves_the_page_whole(trained_home: Path, monkeypatch):
    app = open_page(trained_home, "classify", monkeypatch)
    for name, content, _ in BAD_FILES:
        sent = name.encode("utf-8", "replace").decode()  # as a browser does
        app.file_uploader[0].upload(sent, content, "image/png")
    settled(app.run())
    table = app.dataframe[0]
    assert len(table.value) == len(BAD_FILES)
    refused = sum(readable is False for _, _, readable in BAD_FILES)
    assert (table.value["Prediction"] == UNREADABLE).sum() >= refused


def test_a_folder_is_taken_without_what_its_system_keeps_in_it(trained_home: Path, monkeypatch):
    app = open_page(trained_home, "classify", monkeypatch)
    place = next(u for u in app.file_uploader if "folders within" in u.label)
    for name in ("smear/a.png", "smear/deeper/b.png", "smear/.DS_Store"):
        place.upload(name, drawn(1), "image/png")
    settled(app.run())
    assert list(app.dataframe[0].value["File"]) == ["smear/a.png", "smear/deeper/b.png"]


def test_a_stopped_batch_can_be_asked_again(trained_home: Path, monkeypatch):
    asked = []

    def stopped_once(*arguments, **options):
        asked.append(arguments)
        if len(asked) == 1:
            raise Stopped("Stopped.")
        return classify(*arguments, **options)

    monkeypatch.setattr(photographs, "classify", stopped_once)
    app = open_page(trained_home, "classify", monkeypatch)
    app.file_uploader[0].upload("cell.png", drawn(1), "image/png")
    settled(app.run())
    assert "Classified in" not in words(app)
    app.button(key="again").click()
    settled(app.run())
    assert "Classified in" in words(app)


def test_known_cells_are_found_in_a_dataset_of_any_name(home: Path, monkeypatch):
    rename_dataset(Workspace(home), "demo", "cells")
    app = open_page(home, "classify", monkeypatch)
    app.file_uploader[0].upload("cell.png", drawn(1), "image/png")
    settled(app.run())
    assert "The most similar training cells" in words(app)


def test_class_counts_come_as_numbers_with_their_intervals():
    table = counts_table([3, 1, 0, 0, 0, 0, 0, 0])
    assert list(table["cells"]) == [3, 1, 0, 0, 0, 0, 0, 0]
    assert table["share"].sum() == 100
    assert (table["from"] <= table["share"]).all()
    assert (table["share"] <= table["to"]).all()


def test_sample_cells_of_a_dataset_are_unseen(trained_home: Path, ensemble: Ensemble):
    from bloodcell.data.store.dataset import open_dataset, pixel_hash

    dataset = open_dataset(Workspace(trained_home), "demo")
    files, truths = unseen_cells(dataset, ensemble, seed=0)
    hashes = [pixel_hash(np.asarray(Image.open(io.BytesIO(content)))) for _, content in files]
    assert truths == sorted(set(dataset.labels))
    assert not set(hashes) & set(ensemble.seen())


def test_drawn_samples_are_a_cell_of_each_class_and_no_cell():
    files, truths = drawn_cells(seed=3)
    assert [name for name, _ in files][-1] == "drawn-no-cell.png"
    assert truths == [*range(8), None]
    assert drawn_cells(seed=3)[0] == files
    assert drawn_cells(seed=4)[0] != files


def test_the_table_names_the_nearest_class_only_for_known_cells(ensemble: Ensemble):
    found = classify(ensemble, [("a.png", drawn(1)), ("b.png", b""), ("c.png", drawn(6))])
    table = answer_rows(found)
    known = dict(zip(("a.png", "c.png"), found.answers.recognised, strict=True))
    for _, row in table[table["File"] != "b.png"].iterrows():
        assert (row["Prediction"] == "None of the eight") == (not known[row["File"]])
        assert row["Picture"].startswith("data:image/jpeg;base64,")
    assert summary(found).startswith("3 files: ")
    assert "**1** unreadable" in summary(found)


def test_the_table_is_filtered_by_prediction_and_by_name(ensemble: Ensemble):
    found = classify(ensemble, [("a.png", drawn(1)), ("b.png", b""), ("ab[.png", drawn(6))])
    table = answer_rows(found)
    assert list(filter_answers(table, [UNREADABLE], "")["File"]) == ["b.png"]
    assert list(filter_answers(table, [], "B")["File"]) == ["b.png", "ab[.png"]
    assert list(filter_answers(table, [], "b[").index) == [2]
    assert filter_answers(table, [], "nowhere").empty


def test_a_drawn_box_becomes_a_square_inside_the_photograph():
    size = (100, 200)
    assert square_of({"box": [{"x": [50, 90], "y": [20, 60]}]}, size) == Crop(50, 20, 40)
    assert square_of({"box": [{"x": [260, 180], "y": [90, 120]}]}, size) == Crop(120, 20, 80)
    assert square_of({"box": [{"x": [5, 6], "y": [5, 6]}]}, size).side == 8
    assert square_of({"box": []}, size) is None
    assert square_of({}, size) is None


@pytest.mark.parametrize(
    ("selection", "row"),
    [
        ({"rows": [2], "cells": []}, 2),
        ({"rows": [], "cells": [(1, "File")]}, 1),
        ({"rows": [], "cells": []}, 5),
    ],
)
def test_a_row_is_chosen_by_its_box_or_any_of_its_cells(selection, row):
    assert chosen_row(selection, default=5) == row


def test_the_files_to_download_are_those_of_the_command_line(
    trained_home: Path, ensemble: Ensemble, tmp_path: Path
):
    names = [f"{label}.png" for label in range(3)]
    for label, name in enumerate(names):
        (tmp_path / name).write_bytes(drawn(label))
    (tmp_path / "empty.png").touch()
    names.append("empty.png")
    found = classify(ensemble, [(name, (tmp_path / name).read_bytes()) for name in names])

    def printed(option: str) -> str:
        command = ["-m", "bloodcell", "--home", str(trained_home), "classify", "first", option]
        done = subprocess.run(
            [sys.executable, *command, *names],
            cwd=tmp_path,
            env={"PYTHONPATH": str(Path(__file__).parents[2]), "PATH": ""},
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout

    assert json.loads(printed("--json")) == json.loads(json.dumps(answers_json(found)))
    assert printed("--csv") == answers_csv(found)


class TestEvidenceOnThePhotograph:
    def test_it_lies_where_the_class_is_seen(self):
        maps = np.zeros((32, 32, 8), np.float32)
        maps[24:, :8, 2] = 5.0
        shown = shown_evidence(maps, label=2, size=64)
        row, column = np.unravel_index(shown.argmax(), shown.shape)
        assert row > 48
        assert column < 16
        assert shown[:20, 40:].max() < 0.1
        assert shown.max() == pytest.approx(1.0)

    def test_what_speaks_against_a_class_or_hardly_moves_it_is_not_shown(self):
        against = np.full((16, 16, 8), -4.0, np.float32)
        assert not shown_evidence(against, label=0, size=32).any()
        assert not shown_evidence(-against / 1000, label=0, size=32).any()

    def test_no_opacity_leaves_the_photograph_as_it_is(self):
        image = draw_cell(0, np.random.default_rng(0), 32)
        shown = np.random.default_rng(1).random((32, 32))
        assert np.array_equal(overlaid(image, shown, 0.0), image)
        marked = overlaid(image, shown, 0.9)
        assert marked.dtype == np.uint8
        assert (marked != image).any()


@pytest.mark.parametrize(
    ("share", "text"),
    [(1.0, "100.0 %"), (0.99999, "> 99.9 %"), (0.0, "0.0 %"), (1e-6, "< 0.1 %"), (0.5, "50.0 %")],
)
def test_a_share_is_never_rounded_to_certainty(share, text):
    assert percent(share).replace("\N{NO-BREAK SPACE}", " ") == text


def test_where_nothing_is_recognised_there_is_nothing_to_count(trained_home: Path, monkeypatch):
    app = open_page(trained_home, "classify", monkeypatch)
    for k in range(2):
        noise = np.random.default_rng(k).integers(0, 256, (60, 60, 3), dtype=np.uint8)
        app.file_uploader[0].upload(f"{k}.png", png_bytes(noise), "image/png")
    settled(app.run())
    assert "None was recognised, so there are no class counts." in words(app)
