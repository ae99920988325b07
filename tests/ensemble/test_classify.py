"""Files in, answers out: field of view, balance, shift, and a corpus of bad files."""

import io
import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from bloodcell.data.imaging.cropping import Crop
from bloodcell.data.imaging.decode import decode_image
from bloodcell.data.readers import decoded as decoding
from bloodcell.data.readers.decoded import Decoded
from bloodcell.data.store.dataset import open_dataset
from bloodcell.data.synthetic.drawing.draw import draw_cell
from bloodcell.ensemble import classify as module
from bloodcell.ensemble.answer_files import answers_csv, answers_json
from bloodcell.ensemble.classify import classify
from bloodcell.ensemble.description import Description, Light, read_description
from bloodcell.ensemble.ensemble import Ensemble, open_ensemble
from bloodcell.ensemble.shift import find_shift
from bloodcell.errors import BadInput
from bloodcell.smear.squares import squares
from bloodcell.ui.classify.html_report import answers_html, counts_of
from bloodcell.workspace import Workspace
from tests.ensemble.bad_files import BAD_FILES


def png(image: np.ndarray) -> bytes:
    return cv2.imencode(".png", np.ascontiguousarray(image[..., ::-1]))[1].tobytes()


@pytest.fixture(scope="module")
def ensemble(trained_home: Path) -> Ensemble:
    return open_ensemble(Workspace(trained_home), "first")


@pytest.fixture(scope="module")
def cells(trained_home: Path) -> np.ndarray:
    return np.ascontiguousarray(open_dataset(Workspace(trained_home), "demo").images[:160:10])


def test_an_ensemble_knows_the_scale_and_the_light_it_was_trained_at(ensemble, cells):
    field = ensemble.description.field_of_view
    assert (48, 48) in field.sizes
    assert field.stained[0] < field.stained[1] < field.stained[2]
    low, middle, high = np.array(ensemble.description.light.background)
    assert (low <= middle).all()
    assert (middle <= high).all()


def test_photographs_like_those_of_the_training_are_shown_as_they_are(ensemble, cells):
    found = classify(ensemble, [("a.png", png(cells[0]))])
    assert np.array_equal(found.images[0], cells[0])
    assert found.crops == [Crop(0, 0, 48)]


def wider(image: np.ndarray, around: int) -> np.ndarray:
    """The cell on a larger empty field."""
    edge = np.median(image[:3].reshape(-1, 3), axis=0)
    wide = np.empty((48 + 2 * around, 48 + 2 * around, 3), np.uint8)
    wide[:] = edge
    wide[around:-around, around:-around] = image
    return wide


def test_many_photographs_of_a_wider_field_are_cut_to_the_scale_of_the_training(ensemble, cells):
    files = [("a.png", png(wider(cell, 36))) for cell in cells]
    found = classify(ensemble, files)
    sides = [crop.side for crop in found.crops]
    assert np.median(sides) == pytest.approx(48, rel=0.2)
    whole = classify(ensemble, files, crop="centre")
    assert {crop.side for crop in whole.crops} == {120}
    assert np.median(found.answers.novelty) < np.median(whole.answers.novelty)


def test_a_square_can_be_given_for_all_and_for_one(ensemble, cells):
    files = [("a.png", png(wider(cell, 20))) for cell in cells[:3]]
    found = classify(ensemble, files, crop=Crop(20, 20, 48), moved={1: Crop(0, 0, 88)})
    assert [c.side for c in found.crops] == [48, 88, 48]
    assert np.array_equal(found.images[0], cells[0])


def test_a_square_outside_is_the_sentence_of_that_file(ensemble, cells):
    found = classify(ensemble, [("a.png", png(cells[0]))], crop=Crop(40, 40, 48))
    assert "reaches outside" in found.errors[0]


def test_one_answer_takes_the_place_of_another(ensemble, cells):
    files = [("a.png", png(cells[0])), ("b.png", b""), ("c.png", png(cells[9]))]
    found = classify(ensemble, files)
    one = classify(ensemble, [files[2]], crop=Crop(8, 8, 32))
    moved = found.with_one(2, one)
    assert answers_json(moved)[2]["crop"] == [8, 8, 32]
    assert answers_json(moved)[2]["novelty"] == one.answers.novelty[0]
    assert answers_json(moved)[:2] == answers_json(found)[:2]
    assert found.with_one(1, one) is found


def test_too_many_files_are_refused(ensemble, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "MOST_FILES", 3)
    with pytest.raises(BadInput, match="4 files, expected at most 3"):
        classify(ensemble, [("a", b"")] * 4)


class TestShift:
    def test_cells_of_the_training_are_no_shift(self, ensemble, cells):
        found = classify(ensemble, [("a.png", png(cell)) for cell in cells])
        assert not find_shift(ensemble, found.backgrounds, found.answers.novelty).found

    def test_another_lamp_is_and_balancing_undoes_it(self, ensemble, cells):
        blue = np.clip(cells * np.array([0.6, 0.75, 0.95]), 0, 255).astype(np.uint8)
        files = [("a.png", png(cell)) for cell in blue]
        found = classify(ensemble, files)
        shift = find_shift(ensemble, found.backgrounds, found.answers.novelty)
        assert shift.other_light
        assert "cannot be trusted" in shift.sentence()
        right = classify(ensemble, [("a.png", png(cell)) for cell in cells])
        mended = classify(ensemble, files, balance=True)
        away = np.abs(found.images.astype(int) - right.images).mean()
        assert np.abs(mended.images.astype(int) - right.images).mean() < away / 3
        assert (
            np.abs(mended.answers.probabilities - right.answers.probabilities).mean()
            < np.abs(found.answers.probabilities - right.answers.probabilities).mean()
        )

    def test_photographs_of_a_smaller_lot_are_no_other_light(self, ensemble, monkeypatch):
        cream, white = [254.0, 228.0, 202.0], [232.0, 226.0, 226.0]
        narrow = {"background": [[c - 1 for c in cream], cream, [c + 1 for c in cream]]}
        batch, usual = np.tile(white, (8, 1)), np.zeros(8)

        def about(known: list) -> Description:
            return ensemble.description.changed(light=Light(**narrow, known=known))

        monkeypatch.setattr(ensemble, "description", about(known=[cream]))
        assert find_shift(ensemble, batch, usual).other_light
        monkeypatch.setattr(ensemble, "description", about(known=[cream, white]))
        assert not find_shift(ensemble, batch, usual).other_light

    def test_most_of_a_batch_being_strange_is_one(self, ensemble):
        levels = dict(ensemble.description.novelty.levels)
        light = np.tile(ensemble.description.light.background[1], (10, 1))
        strange = np.full(10, levels[0.9] * 1.1)
        assert find_shift(ensemble, light, strange).other_cells
        strange[5:] = 0
        assert not find_shift(ensemble, light, strange).found

    def test_no_photographs_have_none(self, ensemble):
        assert find_shift(ensemble, np.zeros((0, 3)), np.zeros(0)) is None


def test_an_ensemble_without_scale_and_light_still_answers(ensemble, cells, monkeypatch):
    old = ensemble.description.to_json()
    del old["checksum"], old["field"], old["light"], old["novelty"]["levels"]
    monkeypatch.setattr(ensemble, "description", read_description(old, "old"))
    files = [("a.png", png(wider(cell, 20))) for cell in cells]
    found = classify(ensemble, files)
    assert {crop.side for crop in found.crops} == {88}
    assert not find_shift(ensemble, found.backgrounds, found.answers.novelty).found
    with pytest.raises(BadInput, match="does not say how bright"):
        classify(ensemble, files, balance=True)


class TestFilesToTakeAlong:
    def test_the_html_holds_the_rows_of_the_json(self, ensemble, cells):
        files = [("<script>alert(1)</script>.png", png(cells[0])), ("b.png", b"")]
        found = classify(ensemble, files)
        page = answers_html(found, ensemble.description, ["a <b> note"])
        begin = page.index('id="answers">') + len('id="answers">')
        assert json.loads(page[begin : page.index("</script>", begin)]) == answers_json(found)
        assert "<script>alert" not in page
        assert "<b>" not in page
        assert page.count("<img") == 1

    def test_only_recognised_cells_are_counted(self, ensemble, cells):
        found = classify(ensemble, [("a.png", png(cell)) for cell in cells])
        unknown = replace(found.answers, recognised=np.zeros(len(cells), bool))
        assert sum(counts_of(found)) == found.answers.recognised.sum()
        assert sum(counts_of(replace(found, answers=unknown))) == 0

    def test_a_file_name_is_no_formula_of_a_spreadsheet(self, ensemble, cells):
        found = classify(ensemble, [("=HYPERLINK(1).png", png(cells[0]))])
        assert answers_csv(found).splitlines()[1].startswith("'=HYPERLINK")


def test_an_answer_does_not_depend_on_its_place_in_a_batch(ensemble, cells):
    files = [("a.png", png(cell)) for cell in cells] * 3
    alone = [answers_json(classify(ensemble, [file]))[0] for file in files[: len(cells)]]
    assert answers_json(classify(ensemble, files)) == alone * 3


def test_there_are_200_bad_files():
    assert len(BAD_FILES) >= 200


def test_every_bad_file_gets_a_sentence_or_an_answer_and_none_stops_the_others(ensemble):
    good = ("good.png", png(draw_cell(1, np.random.default_rng(0), 48)))
    files = [good, *((name, content) for name, content, _ in BAD_FILES), good]
    found = classify(ensemble, files)
    rows = answers_json(found)
    assert len(rows) == len(files)
    for row, (name, _, readable) in zip(rows[1:-1], BAD_FILES, strict=True):
        if readable is not None:
            assert ("error" not in row) == readable, (name, row.get("error"))
        if "error" in row:
            said = row["error"]
            assert said.endswith((".", ")"))
            assert "\n" not in said
            assert len(said) < 400
            assert said.isprintable()
    assert "error" not in rows[0]
    assert rows[0] == rows[-1]
    assert answers_html(found, ensemble.description, []).count("<tr>") > len(files)
    assert len(answers_csv(found).encode()) > 0


@pytest.mark.parametrize("mode", ["L", "LA", "RGBA", "P", "CMYK", "I;16"])
@pytest.mark.parametrize("side", [28, 48, 400])
def test_odd_but_sound_modes_are_answered(ensemble, mode: str, side: int):
    from PIL import Image

    image = Image.fromarray(draw_cell(2, np.random.default_rng(1), side))
    if mode == "I;16":
        image = Image.fromarray(np.asarray(image.convert("L")).astype(np.uint16) * 257)
    else:
        image = image.convert(mode)
    buffer = io.BytesIO()
    image.save(buffer, "TIFF")
    assert not classify(ensemble, [("a.tif", buffer.getvalue())]).errors


def test_a_photograph_is_decoded_once(ensemble, cells, monkeypatch: pytest.MonkeyPatch):
    decoded = []

    def counted(data: bytes, name: str) -> np.ndarray:
        decoded.append(name)
        return decode_image(data, name)

    monkeypatch.setattr(decoding, "decode_image", counted)
    files = [(f"{k}.png", png(wider(cell, 20))) for k, cell in enumerate(cells)]
    # Also when its square is sought first, as the page and the verb do.
    once = Decoded(files)
    moved, _ = squares(once, frozenset())
    found = classify(ensemble, once, moved=moved)
    assert sorted(decoded) == sorted(name for name, _ in files)
    # Where there is no room to wait, it is decoded again and answered alike.
    again = classify(ensemble, Decoded(files, most=0), moved=moved)
    assert again.crops == found.crops
    assert len(decoded) > 2 * len(files) - len(moved)
