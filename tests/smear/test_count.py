"""Photographs → cells → differential, with an ensemble that knows its answer beforehand."""

import io
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from bloodcell.classes import class_id
from bloodcell.data.synthetic.drawing.draw import draw_cell, draw_field
from bloodcell.smear.count import Cell, agreed, answered, count, counted, cut_out
from bloodcell.smear.find import Found


class Oracle:
    """Stands for an ensemble: calls every cell a neutrophil."""

    name, size = "oracle", 96
    description = SimpleNamespace(light=None)

    def predict(self, images: np.ndarray, tta: bool | None = None) -> SimpleNamespace:
        n = len(images)
        sure = np.eye(8)[[class_id("neutrophil")] * n]
        return SimpleNamespace(
            probabilities=sure,
            labels=sure.argmax(1),
            prediction_sets=sure > 0,
            recognised=np.ones(n, bool),
            novelty=np.zeros(n),
        )


def png(pixels: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


@pytest.fixture(scope="module")
def photograph() -> bytes:
    rng = np.random.default_rng(4)
    fields = [draw_field(rng, 160) for _ in range(3)]
    middle = draw_cell(class_id("lymphocyte"), rng, 160)
    return png(np.concatenate([np.concatenate([middle, fields[0]], 1), np.hstack(fields[1:])]))


def test_a_photograph_gives_its_cells_and_their_count(photograph):
    smear = count(Oracle(), [("a.png", photograph)])
    (one,) = smear.to_json()["photographs"]
    assert {"file", "width", "height", "red_cell_pixels", "cells"} == set(one)
    assert (one["width"], one["height"]) == (320, 320)
    assert [c["label"] for c in one["cells"] if not c["cut"]].count("neutrophil") >= 1
    assert smear.differential().n == sum(not c.cut for c in smear.cells)


def test_a_file_that_ends_in_the_middle_keeps_its_place(photograph):
    files = [("cut.png", photograph[: len(photograph) // 2]), ("whole.png", photograph)]
    broken, whole = count(Oracle(), files).to_json()["photographs"]
    assert set(broken) == {"file", "error"}
    assert broken["error"].startswith("cut.png is broken or cut off")
    assert whole["cells"]


def test_no_cell_is_a_count_of_none():
    told = count(Oracle(), [("blank.png", png(np.full((99, 99, 3), 230, np.uint8)))]).to_json()
    assert told["photographs"][0]["red_cell_pixels"] is None
    assert told["photographs"][0]["cells"] == []
    assert told["differential"]["n"] == 0


def cell(label: str = "neutrophil", *, cut: bool = False, recognised: bool = True, **more) -> Cell:
    image = np.zeros((1, 1, 3), np.uint8)
    return Cell((0, 0, 9, 9), "white", cut, label, 1.0, (label,), recognised, 0.0, image, **more)


def test_what_is_as_small_as_a_platelet_is_no_white_cell():
    image = draw_field(np.random.default_rng(2), 160)
    found = [Found((60, 60, 80, 80), kind, False, 1.0) for kind in ("platelet", "white")]
    assert [c.recognised for c in answered(Oracle(), image, found, 60.0)] == [False, True]


def test_what_is_no_whole_single_new_cell_is_kept_apart():
    told = counted(
        [
            cell(), cell(cut=True), cell(recognised=False), cell("platelet"),
            cell(doublet=True, recognised=False), cell(same_as=(0, 0), cut=True),
        ]
    )  # fmt: skip
    assert (told.n, told.cut, told.refused, told.platelets) == (1, 1, 1, 1)
    assert (told.doublets, told.repeated) == (1, 1)


def test_a_cell_on_overlapping_photographs_counts_once():
    rng = np.random.default_rng(4)
    tiles = [draw_field(rng, 160) for _ in range(10)]
    tiles[1], tiles[7] = (draw_cell(class_id("lymphocyte"), rng, 160) for _ in range(2))
    rows = [np.concatenate(tiles[i : i + 3], 1) for i in (0, 3)]
    strip = np.concatenate(rows)
    elsewhere = np.concatenate([np.hstack(tiles[6:8]), np.hstack(tiles[8:])])
    files = [("left.png", strip[:, :350]), ("right.png", strip[:, 97:]), ("other.png", elsewhere)]
    smear = count(Oracle(), [(name, png(np.ascontiguousarray(p))) for name, p in files])
    left, right, other = ([c for c in p.cells if c.kind == "white"] for p in smear.photographs)
    assert [c.same_as for c in (*left, *other)] == [None, None]
    assert [smear.photographs[c.same_as[0]].cells[c.same_as[1]] for c in right] == left


def test_photographs_of_one_size_agree_on_a_scale_and_an_odd_one_keeps_its_own():
    assert agreed([90, 100, 110, 300, None], [[0, 1, 2, 3]]) == [105, 105, 105, 300, None]
    assert agreed([90, 110], [[0, 1]]) == [90, 110]


def test_a_cut_out_is_centred_and_mirrored_beyond_the_border():
    image = np.zeros((60, 80, 3), np.uint8)
    image[:8, :8] = 255
    shown = cut_out(image, (0, 0), 78 / 200 * 48, 48)
    assert shown.shape == (48, 48, 3)
    assert shown[24:31, 24:31].min() == 255
    assert shown[17:31, 17:31].mean() > 200
