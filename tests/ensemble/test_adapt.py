"""An ensemble adapted to a laboratory: what it learns, what it keeps, and what it says of that."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from bloodcell.data.store.dataset import Dataset, new_dataset, open_dataset
from bloodcell.data.synthetic.demo import make_demo
from bloodcell.ensemble.adapt import adapt, home_of, write_home
from bloodcell.ensemble.adapted_head import (
    AdaptedHead,
    laboratory_novelty,
    reach_of,
    strangeness,
    to_bytes,
)
from bloodcell.ensemble.bundle import Bundle, zipped
from bloodcell.ensemble.ensemble import open_ensemble
from bloodcell.ensemble.fit_head import HOME_WEIGHT, Problem, balance, draw, folds_of
from bloodcell.ensemble.home_cells import PLACES, home_cells
from bloodcell.ensemble.import_zip import import_ensemble
from bloodcell.errors import BadInput
from bloodcell.workspace import Workspace

WIDTH = 300


@pytest.fixture(scope="module")
def space() -> dict[str, np.ndarray]:
    """Home cells of eight classes, and a laboratory where a shift hides the classes."""
    rng = np.random.default_rng(0)
    middles = rng.normal(size=(8, WIDTH))
    home_labels, new_labels = np.repeat(np.arange(8), 20), np.repeat([0, 1, 4], 12)
    shift = rng.normal(size=WIDTH)
    seen = middles[home_labels] + 0.6 * rng.normal(size=(160, WIDTH))
    new = middles[new_labels] + shift + 0.6 * rng.normal(size=(36, WIDTH))
    said = np.full((160, 8), 0.01)
    said[np.arange(160), home_labels] = 0.93
    wrong = np.tile(np.eye(8)[7] * 0.92 + 0.01, (36, 1))
    return {
        "seen": seen, "new": new, "home_labels": home_labels, "labels": new_labels,
        "said": said, "wrong": wrong,
    }  # fmt: skip


@pytest.fixture(scope="module")
def problem(space) -> Problem:
    home = home_cells(
        space["seen"], np.arange(WIDTH) < 100, space["said"], space["home_labels"],
        np.arange(160).astype(str),
    )  # fmt: skip
    return Problem(
        home.views(home.rows),
        home.views(home.sketch(space["new"])),
        space["said"],
        space["wrong"],
        space["home_labels"],
        space["labels"],
        np.full(160, HOME_WEIGHT),
    )


@pytest.fixture(scope="module")
def workspace(trained_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    home = tmp_path_factory.mktemp("adapt") / "home"
    shutil.copytree(trained_home, home)
    workspace = Workspace(home)
    drawn = make_demo(workspace, "drawn", per_class=8, size=48, seed=9)
    violet = (drawn.images[:] * np.array([0.55, 0.5, 0.9])).astype(np.uint8)
    with new_dataset(workspace, "violet", (48, 48), "drawn", "none", None, ["laboratory"]) as w:
        for image, label in zip(violet, drawn.labels, strict=True):
            w.add(image, int(label), f"{len(w)}.png", origin={"laboratory": "Violet"})
    return workspace


@pytest.fixture(scope="module")
def found(workspace: Workspace) -> dict:
    laboratory = open_dataset(workspace, "violet")
    return adapt(workspace, open_ensemble(workspace, "first"), "ours", laboratory, per_class=5)


def test_a_sketch_keeps_inner_products(space):
    home = home_cells(
        space["seen"], np.arange(WIDTH) < 100, space["said"], space["home_labels"],
        np.arange(160).astype(str),
    )  # fmt: skip
    whole = np.clip((space["seen"] - home.middle) / home.spread, -4, 4)
    close = home.rows.astype(float) @ home.rows.T.astype(float)
    assert np.corrcoef(close.ravel(), (whole @ whole.T).ravel())[0, 1] > 0.98
    weights = np.random.default_rng(1).normal(size=(2 * PLACES, 8))
    for view, rows in home.views(home.sketch(space["new"])).items():
        found = np.clip((space["new"] - home.middle) / home.spread, -4, 4) @ home.weights_of(
            home.view_weights(view, weights)
        )
        np.testing.assert_allclose(found, rows @ weights, rtol=1e-3, atol=1e-2)


def test_three_cells_a_class_teach_what_the_parent_got_wrong_and_home_is_kept(problem, space):
    rows = draw(problem.labels, 3, np.random.default_rng(0))
    rest = np.setdiff1d(np.arange(36), rows)
    choice = problem.choose(rows)
    assert (space["wrong"].argmax(1) == space["labels"]).mean() == 0
    assert (problem.predict(choice, rows, rest).argmax(1) == problem.labels[rest]).mean() > 0.9
    fitted = problem.fit(choice, rows)
    assert (fitted.home_scores.argmax(1) == space["home_labels"]).mean() > 0.97


def test_leaving_one_out_is_what_a_fit_without_it_says(problem):
    rows = np.array([0, 1, 12, 13, 24, 25])
    choice = problem.choices[0]
    left = problem.left_out(choice, rows)
    without = problem.predict(choice, rows[1:], rows[:1])
    # The weights of the classes change a little when one cell is gone.
    np.testing.assert_allclose(left[:1], without, atol=0.12)


def test_the_linear_function_says_what_the_kernel_says(problem):
    rows, to = np.arange(0, 36, 2), np.arange(1, 36, 2)
    choice = problem.choices[0]
    fitted = problem.fit(choice, rows)
    by_weights = problem._new[choice.view][to] @ fitted.weights + fitted.constant
    by_weights = by_weights + choice.beginning * problem.said[to]
    np.testing.assert_allclose(by_weights, problem.predict(choice, rows, to), atol=1e-3)


def test_folds_spread_every_class_and_leave_a_single_cell_in_training():
    labels = np.array([0] * 10 + [3] * 7 + [5])
    folds = folds_of(labels, 5, np.random.default_rng(0))
    assert sorted(np.concatenate(folds)) == list(range(17))
    assert all((labels[f] == 0).sum() == 2 for f in folds)
    assert balance(labels).mean() == pytest.approx(1)


def test_a_cell_is_like_the_laboratorys_unless_it_is_far_or_nearer_to_others():
    rng = np.random.default_rng(0)
    cells = np.eye(4)[0] + 0.05 * rng.normal(size=(40, 4))
    cells /= np.linalg.norm(cells, axis=1, keepdims=True)
    nobody = np.zeros((0, 4))
    reach = reach_of(cells[:30])
    far = np.full(40, 9.0)
    assert (strangeness(cells[30:], cells[:30], reach) <= 1).mean() >= 0.8
    none = (nobody, nobody, reach)
    assert (laboratory_novelty(far[:3], np.eye(4)[1:], cells[:30], *none) > 1).all()
    # The parent recognises them, the laboratory has labelled them as none of the eight.
    known = far[:10] * 0
    assert (laboratory_novelty(known, cells[30:], cells[:30], *none) <= 1).all()
    labelled, made = (cells[30:], nobody, reach), (nobody, cells[30:], reach)
    assert (laboratory_novelty(known, cells[30:], cells[:30], *labelled) > 1).all()
    # An artefact is not recognised for being like the cells that it is made of; but what the parent
    # recognises still is.
    assert (laboratory_novelty(far[:10], cells[30:], cells[:30], *made) > 1).all()
    assert (laboratory_novelty(known, cells[30:], cells[:30], *made) <= 1).all()


GOOD = {
    "middle": np.zeros(6), "spread": np.ones(6), "weights": np.zeros((6, 8)),
    "constant": np.zeros(8), "beginning": np.asarray(1.0), "cells": np.zeros((2, 4)),
    "others": np.zeros((0, 4)), "reach": np.asarray(0.1),
}  # fmt: skip


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("weights", np.zeros((6, 7))),
        ("weights", np.full((6, 8), np.nan)),
        ("middle", np.zeros(5)),
        ("middle", np.zeros(0)),
        ("spread", np.zeros(6)),
        ("cells", np.zeros((2, 5))),
        ("constant", np.zeros(8, int)),
        ("reach", np.asarray(0.0)),
        ("others", None),
        ("artefacts", np.zeros((2, 5))),
    ],
)
def test_a_damaged_head_is_refused(key, value):
    AdaptedHead.read(GOOD, "x", 4, 6)
    tables = {k: v for k, v in (GOOD | {key: value}).items() if v is not None}
    with pytest.raises(BadInput, match="x holds"):
        AdaptedHead.read(tables, "x", 4, 6)


class TestAnEnsemble:
    """With networks: a tiny one, and a laboratory whose lamp is violet."""

    def test_the_document_says_what_was_used_and_measured(self, found):
        json.dumps(found, allow_nan=False)
        assert found["laboratory"] == "Violet"
        assert set(found["used"].values()) == {5}
        assert len(found["used"]) == 8
        assert found["before"]["n"] == found["after"]["n"] == 24
        assert found["after"]["balanced_accuracy"] > found["before"]["balanced_accuracy"]
        assert found["synthetic"]["refused_after"] > 0.5
        for key in ("accuracy", "balanced_accuracy", "ece", "recognised"):
            low, high = found["after"]["intervals"][key]
            assert low <= found["after"][key] <= high
        assert found["home"].keys() >= {"before", "after"}
        assert [p["per_class"] for p in found["curve"]] == [1, 3, 5]

    def test_it_is_an_ensemble_that_names_its_parent(self, workspace, found):
        ours = open_ensemble(workspace, "ours")
        assert ours.description.adapted.parent == "first"
        laboratory = open_dataset(workspace, "violet")
        answers = ours.predict(laboratory.images[:])
        assert (answers.labels == laboratory.labels).mean() > 0.6
        assert answers.recognised.mean() > 0.8
        np.testing.assert_allclose(answers.probabilities.sum(1), 1, atol=1e-9)
        assert "adapted to Violet" in ours.bundle.read("card.md").decode()

    def test_it_is_exported_and_imported(self, workspace, found, monkeypatch):
        monkeypatch.setattr("bloodcell.ensemble.import_zip.try_apart", lambda *_: None)
        path = import_ensemble(workspace, zipped(workspace.ensembles / "ours"), "ours.zip", "again")
        image = np.full((1, 48, 48, 3), 200, np.uint8)
        a, b = (open_ensemble(workspace, n).predict(image) for n in ("ours", path.name))
        np.testing.assert_array_equal(a.probabilities, b.probabilities)

    def test_it_can_be_adapted_further_with_the_same_cells_and_more(self, workspace, found):
        laboratory: Dataset = open_dataset(workspace, "violet")
        more = adapt(workspace, open_ensemble(workspace, "ours"), "more", laboratory)
        assert more["parent"] == "ours"
        assert set(more["used"].values()) == {8}
        assert "cross-validation" in more["how"]

    def test_cells_without_labels_change_what_is_recognised_and_no_class(self, workspace):
        import cv2

        images = open_dataset(workspace, "violet").images[:24]
        files = [(f"{i}.png", cv2.imencode(".png", im)[1].tobytes()) for i, im in enumerate(images)]
        parent = open_ensemble(workspace, "first")
        found = adapt(workspace, parent, "wider", unlabelled=files)
        assert found["used"] == {}
        assert found["after"]["recognised"] >= found["before"]["recognised"]
        wider = open_ensemble(workspace, "wider")
        assert not wider.head.labelled
        # The violet lamp is balanced, the light of home is left alone.
        assert wider.description.balance is not None
        at_home = open_dataset(workspace, "demo").images[:24]
        np.testing.assert_array_equal(
            wider.predict(at_home).probabilities, parent.predict(at_home).probabilities
        )
        one, all_ = (wider.predict(images[:n]).probabilities[0] for n in (1, 24))
        np.testing.assert_allclose(one, all_, atol=1e-6)

    def test_one_class_alone_changes_no_answer(self, workspace):
        violet = open_dataset(workspace, "violet")
        with new_dataset(workspace, "alone", (48, 48), "drawn", "none") as writer:
            for image in violet.images[violet.labels == 2]:
                writer.add(image, 2, f"{len(writer)}.png")
        parent = open_ensemble(workspace, "first")
        found = adapt(workspace, parent, "one", open_dataset(workspace, "alone"))
        assert found["used"] == {}
        assert "All labelled cells are erythroblast" in found["warnings"][0]
        answers = [e.predict(violet.images[:]) for e in (parent, open_ensemble(workspace, "one"))]
        np.testing.assert_array_equal(answers[0].probabilities, answers[1].probabilities)

    def test_cells_of_home_are_there_from_the_beginning_and_can_be_made_again(self, workspace):
        first = home_of(open_ensemble(workspace, "first"))
        count = write_home(workspace.ensembles / "first", open_dataset(workspace, "demo"))
        again = home_of(open_ensemble(workspace, "first"))
        assert len(first.labels) == count
        np.testing.assert_array_equal(first.ids, again.ids)
        np.testing.assert_allclose(first.rows, again.rows, atol=0.1)

    def test_without_cells_of_home_it_says_how_to_add_them(self, workspace, trained_home):
        parent = open_ensemble(Workspace(trained_home), "first")
        # As earlier versions composed it.
        parent.description = parent.description.changed(home=None)
        with pytest.raises(BadInput, match="carries no cells of home"):
            adapt(workspace, parent, "none", open_dataset(workspace, "violet"))

    def test_a_table_that_is_no_array_is_refused(self, workspace, found, tmp_path):
        copy = tmp_path / "ours"
        shutil.copytree(workspace.ensembles / "ours", copy)
        bad = to_bytes({"x": np.array([object()], dtype=object)})
        (copy / "adapted.npz").write_bytes(bad)
        with pytest.raises(BadInput, match=r"adapted\.npz has the checksum"):
            open_ensemble(workspace, str(copy))
        info = json.loads((copy / "ensemble.json").read_text())
        import hashlib

        info.pop("checksum")
        info["files"]["adapted.npz"] = hashlib.sha256(bad).hexdigest()
        (copy / "ensemble.json").write_text(json.dumps(info))
        with pytest.raises(BadInput, match="not readable as arrays"):
            open_ensemble(workspace, str(copy))
        assert Bundle(copy).description.adapted is not None
