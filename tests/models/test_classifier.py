"""The classifiers: RGB 0 to 255 in, eight probabilities out, one scaling whatever the weights."""

import urllib.request
import warnings
from pathlib import Path

import numpy as np
import pytest

from bloodcell.errors import BadInput, Offline
from bloodcell.models.classifier import BACKBONES, build_classifier, load_tensorflow

BIG = [b for b in BACKBONES if b != "tiny"]
FEATURES = {"tiny": 64, "mobilenetv2": 1280, "efficientnetb3": 1536, "resnet50": 2048}
KERAS = {
    "mobilenetv2": "MobileNetV2",
    "efficientnetb3": "EfficientNetB3",
    "resnet50": "ResNet50",
}


@pytest.fixture(scope="module")
def keras():
    load_tensorflow()
    import keras

    return keras


@pytest.mark.parametrize(
    ("setting", "other"), [("floatx", "float16"), ("image_data_format", "channels_first")]
)
def test_what_a_person_set_for_other_programs_does_not_hold(keras, setting: str, other: str):
    """As keras.json would when Keras is imported."""
    ours = getattr(keras.config, setting)()
    getattr(keras.config, f"set_{setting}")(other)
    assert build_classifier("tiny", size=32).output_shape == (None, 8)
    assert getattr(keras.config, setting)() == ours


def photographs(n: int, size: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (n, size, size, 3), dtype=np.uint8)


@pytest.mark.parametrize(
    "backbone", ["tiny", *(pytest.param(b, marks=pytest.mark.slow) for b in BIG)]
)
def test_every_backbone_gives_probabilities_of_eight_classes(keras, backbone: str):
    model = build_classifier(backbone, size=32)
    images = photographs(3, 32)
    found = np.asarray(model(images, training=False))
    assert found.shape == (3, 8)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found.sum(1), 1, atol=1e-5)
    assert model.get_layer("features").output.shape == (None, FEATURES[backbone])
    assert model.get_layer("logits").output.shape == (None, 8)
    np.testing.assert_array_equal(found, model(images.astype(np.float32), training=False))


def test_the_head_is_the_forerunners(keras):
    kinds = [type(layer).__name__ for layer in build_classifier("tiny", 32).layers[2:]]
    assert kinds == [
        "GlobalAveragePooling2D",
        "BatchNormalization",
        "Dropout",
        "Dense",
        "Softmax",
    ]


def test_one_seed_makes_one_network(keras):
    def weights(seed: int) -> list[np.ndarray]:
        keras.utils.set_random_seed(seed)
        return build_classifier("tiny", 32).get_weights()

    a, again, b = weights(1), weights(1), weights(2)
    assert all(np.array_equal(x, y) for x, y in zip(a, again, strict=True))
    assert not all(np.array_equal(x, y) for x, y in zip(a, b, strict=True))


@pytest.mark.parametrize("backbone", ["vgg16", "", "MobileNetV2"])
def test_an_unknown_backbone_is_named_with_those_there_are(backbone: str):
    with pytest.raises(BadInput, match="expected one of mobilenetv2"):
        build_classifier(backbone)


@pytest.mark.parametrize("size", [0, 31, 513, -96])
def test_a_size_that_cannot_be_is_refused(size: int):
    with pytest.raises(BadInput, match="choose 32 to 512"):
        build_classifier("tiny", size)


def saved_reference(keras, backbone: str, path: Path, size: int = 64):
    """Weights as Keras would publish them, saved to `path`, and their random values varied."""
    keras.utils.set_random_seed(7)
    make = getattr(keras.applications, KERAS[backbone])
    network = make(include_top=False, weights=None, input_shape=(size, size, 3))
    rng = np.random.default_rng(0)
    for layer in network.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.moving_mean.assign(rng.normal(0, 0.05, layer.moving_mean.shape))
        if isinstance(layer, keras.layers.Normalization):
            layer.adapt_mean.assign([0.485, 0.456, 0.406])
            layer.adapt_variance.assign([0.229, 0.224, 0.225])
            layer.finalize_state()
    network.save_weights(path)
    return network


@pytest.mark.nightly
@pytest.mark.parametrize("backbone", BIG)
def test_one_file_means_one_network_whether_keras_fetched_it_or_a_person_gave_it(
    keras, backbone: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Keras' own weights="imagenet" path runs, but for the download, which serves our file.

    It is the one way to see without the internet what Keras does with a downloaded file; for
    EfficientNetB3 it adds a layer that it adds for no other source.
    """
    from keras.src.applications import efficientnet, mobilenet_v2, resnet

    path = tmp_path / "backbone.weights.h5"
    saved_reference(keras, backbone, path)
    for module in (efficientnet, mobilenet_v2, resnet):
        monkeypatch.setattr(module.file_utils, "get_file", lambda *a, **k: str(path))
    module = getattr(keras.applications, KERAS[backbone])
    own = module(include_top=False, weights="imagenet", input_shape=(64, 64, 3), pooling="avg")
    preprocess = {
        "mobilenetv2": keras.applications.mobilenet_v2.preprocess_input,
        "efficientnetb3": keras.applications.efficientnet.preprocess_input,
        "resnet50": keras.applications.resnet.preprocess_input,
    }[backbone]
    images = photographs(2, 64)
    wanted = np.asarray(own(preprocess(images.astype(np.float32)), training=False))
    for source in (str(path), "imagenet"):
        model = build_classifier(backbone, 64, source)
        features = keras.Model(model.input, model.get_layer("features").output)
        found = np.asarray(features(images, training=False))
        np.testing.assert_allclose(found, wanted, rtol=2e-3, atol=2e-3 * np.abs(wanted).max())
    assert wanted.std() > 0


@pytest.mark.nightly
def test_efficientnet_without_weights_scales_as_with_published_ones(keras, tmp_path: Path):
    path = tmp_path / "backbone.weights.h5"
    saved_reference(keras, "efficientnetb3", path, 32)

    def scaled(weights: str) -> np.ndarray:
        body = build_classifier("efficientnetb3", 32, weights).get_layer("backbone").layers[-1]
        before = keras.Model(body.inputs, body.get_layer("stem_conv_pad").input)
        return np.asarray(before(photographs(1, 32).astype(np.float32)))

    mean, std = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    for weights in ("none", str(path)):
        wanted = (photographs(1, 32) / 255 - mean) / std
        np.testing.assert_allclose(scaled(weights), wanted, atol=1e-4)


@pytest.mark.realdata
def test_the_published_weights_tell_pictures_apart(keras):
    path = Path(__file__).parents[3] / "shared" / "weights"
    path /= "mobilenet_v2_imagenet_no_top.weights.h5"
    if not path.is_file():
        pytest.skip("the published MobileNetV2 weights are not beside the repository")
    model = build_classifier("mobilenetv2", 96, str(path))
    own = keras.applications.MobileNetV2(include_top=False, weights=None, input_shape=(96, 96, 3))
    own.load_weights(path)
    images = photographs(2, 96)
    wanted = np.asarray(own(images / 127.5 - 1, training=False)).mean((1, 2))
    features = keras.Model(model.input, model.get_layer("features").output)
    np.testing.assert_allclose(np.asarray(features(images)), wanted, rtol=1e-3, atol=1e-4)


def test_weights_that_are_not_there_are_named(tmp_path: Path):
    with pytest.raises(BadInput, match=r"no weights file .*absent\.h5.*MobileNetV2 without top"):
        build_classifier("mobilenetv2", 32, str(tmp_path / "absent.h5"))


@pytest.mark.parametrize("kind", ["another network", "text", "empty", "zip"])
def test_weights_of_something_else_are_refused_in_a_sentence(keras, tmp_path: Path, kind: str):
    path = tmp_path / "other.weights.h5"
    if kind == "another network":
        build_classifier("tiny", 32).save_weights(path)
    else:
        path.write_bytes({"text": b"hello", "empty": b"", "zip": b"PK\x03\x04" * 50}[kind])
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        with pytest.raises(BadInput, match="does not hold weights of MobileNetV2") as caught:
            build_classifier("mobilenetv2", 32, str(path))
    assert not [w for w in warned if "container" in str(w.message)]
    assert "\n" not in str(caught.value)


def test_the_tiny_network_has_no_weights_to_load():
    with pytest.raises(BadInput, match="--weights none"):
        build_classifier("tiny", 32, "imagenet")


def test_without_a_connection_the_sentence_says_how_to_go_on(
    keras, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
):
    from keras.src.utils import file_utils

    # A closed port on this machine stands for a network without the internet.
    # Made at its first use with the proxies of that moment, and kept for all that come later.
    monkeypatch.setattr(urllib.request, "_opener", None)
    for name in ("https_proxy", "http_proxy", "HTTPS_PROXY", "HTTP_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.setattr(file_utils.config, "keras_home", lambda: str(tmp_path))
    with pytest.raises(Offline, match=r"--weights PATH.*--weights none") as caught:
        build_classifier("mobilenetv2", 96, "imagenet")
    assert "MobileNetV2" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert capsys.readouterr().out == "", "stdout belongs to --json"
