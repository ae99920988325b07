"""A reviewer's decisions beside the ensemble's answers, and the report of both."""

import csv
import io
from dataclasses import replace

import pytest

from bloodcell.classes import OTHER, class_id
from bloodcell.errors import BadInput
from bloodcell.smear.count import Photograph, Smear
from bloodcell.smear.learn import keep_reviewed
from bloodcell.smear.report import smear_html
from bloodcell.smear.review import REMOVED, About, Review, cells_csv, class_counts, state_of
from bloodcell.workspace import Workspace
from tests.smear.test_count import cell


def reviewed() -> Review:
    cells = (cell(), cell(), cell("immature_granulocyte"), cell(recognised=False), cell(cut=True))
    return Review(Smear((Photograph("a.png", 99, 99, 20.0, cells), Photograph("b", error="b?"))))


def test_what_is_not_decided_counts_as_the_ensemble_says():
    review = reviewed()
    assert review.changed == 0
    assert review.reviewed().to_json() == review.machine().to_json()
    assert (review.machine().n, review.machine().refused, review.machine().cut) == (3, 1, 1)


def test_decisions_change_the_review_and_never_the_machine():
    review = reviewed()
    review.decide((0, 0), "basophil")
    review.decide((0, 1), REMOVED)
    review.decide((0, 3), "monocyte")
    review.decide((0, 2), "other")
    review.add(0, cell("lymphocyte"))
    told = review.reviewed()
    assert {k: s.n for k, s in told.classes.items() if s.n} == {
        "basophil": 1, "monocyte": 1, "lymphocyte": 1,
    }  # fmt: skip
    assert told.refused == 1
    assert review.changed == 5
    assert review.machine().classes["neutrophil"].n == 2
    review.decide((0, 0), None)
    assert state_of(review, (0, 0), review.cells(0)[0]) == "neutrophil"


def test_immature_granulocytes_may_count_as_neutrophils():
    told = reviewed().reviewed(merged=True)
    assert told.classes["neutrophil"].n == 3
    assert (told.n, told.merged) == (3, True)
    # Not a class of none, which would have limits.
    assert "immature_granulocyte" not in told.classes


def test_the_counts_for_a_verification_have_other_white_cells_and_no_small_things():
    cells = (cell(), cell(recognised=False), replace(cell(recognised=False), kind="platelet"))
    review = Review(Smear((Photograph("a.png", 99, 99, 20.0, cells),)))
    counts = class_counts(review)
    assert {k: n for k, n in counts.items() if n} == {"neutrophil": 1, "other": 1}
    review.decide((0, 2), "platelet")
    assert class_counts(review)["platelet"] == 1


def test_the_report_holds_both_counts_and_escapes_what_was_typed():
    review = reviewed()
    review.decide((0, 0), "basophil")
    page = smear_html(review, About(name="<b>7</b>", reviewer="Anna"), "first")
    assert "&lt;b&gt;7&lt;/b&gt;" in page
    assert "<b>7" not in page
    assert "Differential of 3 white cells" in page
    assert "1 decided on, 1 cell was changed, last at 20" in page
    assert "Anna" in page
    assert "not reviewed yet; 0 cells were changed" in smear_html(reviewed(), About(), "first")


def test_the_table_has_a_line_a_cell():
    review = reviewed()
    review.decide((0, 1), REMOVED)
    rows = list(csv.DictReader(io.StringIO(cells_csv(review).lstrip("\ufeff"))))
    assert [r["counts_as"] for r in rows] == [
        "neutrophil", REMOVED, "immature_granulocyte", "other", "cut",
    ]  # fmt: skip


def test_what_was_decided_on_is_a_dataset_that_knows_where_it_comes_from(tmp_path):
    review = reviewed()
    for number, c in enumerate(review.smear.photographs[0].cells):
        c.image[:] = number
    workspace = Workspace(tmp_path)
    about = About(name="slide 7", patient="p1", laboratory="North", reviewer="Anna")
    with pytest.raises(BadInput, match="accepted or corrected"):
        keep_reviewed(workspace, "north", review, about)
    review.decide((0, 0), "basophil")
    review.decide((0, 1), REMOVED)
    review.decide((0, 3), "other")
    kept = keep_reviewed(workspace, "north", review, about)
    assert kept.labels.tolist() == [class_id("basophil"), OTHER]
    columns = ["name", "laboratory", "slide", "patient", "reader", "source_label"]
    assert kept.items[columns].values.tolist() == [
        ["a.png, cell 1", "North", "slide 7", "p1", "Anna", "neutrophil"],
        ["a.png, cell 4", "North", "slide 7", "p1", "Anna", "neutrophil"],
    ]  # fmt: skip
