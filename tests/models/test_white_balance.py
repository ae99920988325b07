"""White balance within a network: one empty field, whatever the lamp and the camera."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from bloodcell.data.store.dataset import open_dataset
from bloodcell.models.classifier import build_classifier, load_tensorflow
from bloodcell.models.export import export_litert
from bloodcell.models.litert import LiteModel
from bloodcell.models.white_balance import FIELD, LEAST, MOST, white_balance
from bloodcell.training.from_member import start_from_member
from bloodcell.workspace import Workspace


@pytest.fixture(scope="module", autouse=True)
def keras():
    load_tensorflow()
    import keras

    return keras


def a_cell(field=FIELD, size: int = 96) -> np.ndarray:
    """A dark disc on an empty field that lets `field` through."""
    image = np.ones((size, size, 3), np.float32)
    cv2.circle(image, (size // 2, size // 2), size // 4, (0.4, 0.2, 0.6), -1)
    return image * np.array(field, np.float32)


def balanced(image: np.ndarray) -> np.ndarray:
    return np.asarray(white_balance(image.shape[0])(image[None]))[0]


@pytest.mark.parametrize("size", [32, 33, 96, 224])
def test_at_home_nothing_changes(size: int):
    np.testing.assert_allclose(balanced(a_cell(size=size)), a_cell(size=size), atol=0.05)


@pytest.mark.parametrize("field", [(142, 160, 155), (205, 207, 181), (250, 250, 250)])
def test_under_another_lamp_a_cell_looks_as_at_home(field):
    np.testing.assert_allclose(balanced(a_cell(field)), a_cell(), atol=0.05)


def test_what_has_no_empty_field_is_changed_within_bounds():
    dark = np.full((96, 96, 3), 10, np.float32)
    np.testing.assert_allclose(balanced(dark), 10 * MOST)
    np.testing.assert_array_equal(balanced(0 * dark), 0)
    blue = dark * 0 + np.array([0, 0, 255], np.float32)
    assert balanced(blue).max() == pytest.approx(max(255 * LEAST, FIELD[2]), abs=0.05)
    assert balanced(a_cell()).max() <= 255


def test_a_bright_speck_is_not_taken_for_the_field():
    image = a_cell((142, 160, 155))
    image[3:6, 3:6] = 255
    np.testing.assert_allclose(balanced(image)[20], a_cell()[20], atol=2.5)


def test_the_exported_file_balances_too_and_tells_no_lamps_apart(keras, tmp_path: Path):
    keras.utils.set_random_seed(0)
    model = build_classifier("tiny", 48, balanced=True)
    export_litert(model, tmp_path / "model.tflite")
    lamps = [(142, 160, 155), (205, 207, 181), FIELD]
    images = np.stack([a_cell(lamp, 48) for lamp in lamps])
    said = LiteModel((tmp_path / "model.tflite").read_bytes(), "tiny")(images.astype(np.uint8))
    np.testing.assert_allclose(
        said.probabilities, model.predict(images.astype(np.uint8), verbose=0), atol=2e-3
    )
    np.testing.assert_allclose(np.ptp(said.probabilities, axis=0), 0, atol=2e-3)
    plain = build_classifier("tiny", 48)
    plain.set_weights(model.get_weights())
    assert np.ptp(plain.predict(images, verbose=0), axis=0).max() > 0.01


def test_a_network_that_learned_without_goes_on_with_it(trained_home: Path):
    workspace = Workspace(trained_home)
    (run,) = workspace.names("runs")
    content = (workspace.runs / run / "model.tflite").read_bytes()
    images = np.array(open_dataset(workspace, "demo").images[::4])
    member = LiteModel(content, "tiny")
    model = build_classifier("tiny", member.size, dropout=0.0, balanced=True)
    start_from_member(model, [content], "tiny", images)
    first = model.get_layer("backbone").get_layer("white_balance")
    before = np.clip(np.rint(first.predict(images, verbose=0)), 0, 255).astype(np.uint8)
    np.testing.assert_allclose(
        model.predict(images, verbose=0), member(before).probabilities, atol=0.05
    )
