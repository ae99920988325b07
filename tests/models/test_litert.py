"""The exported model says what the trained one said, without TensorFlow."""

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from bloodcell.errors import BadInput
from bloodcell.models.classifier import build_classifier, load_tensorflow
from bloodcell.models.export import export_litert
from bloodcell.models.litert import LiteModel, one_blas_thread


def photographs(n: int, size: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (n, size, size, 3), dtype=np.uint8)


def lived_in(backbone: str, size: int):
    """A classifier whose statistics are no longer those of the first day."""
    load_tensorflow()
    import keras

    keras.utils.set_random_seed(3)
    model = build_classifier(backbone, size)
    rng = np.random.default_rng(1)
    head = model.get_layer("normalise")
    pooled = keras.Model(model.input, model.get_layer("features").output)
    features = np.asarray(pooled(photographs(16, size, seed=5), training=False))
    head.moving_mean.assign(features.mean(0))
    head.moving_variance.assign(features.var(0))
    for weight, low, high in (
        (head.gamma, 0.5, 2),
        (head.beta, -1, 1),
        (model.get_layer("logits").bias, -1, 1),
    ):
        weight.assign(rng.uniform(low, high, weight.shape))
    return model


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory):
    """A Keras model and its exported file."""
    model = lived_in("tiny", 48)
    path = tmp_path_factory.mktemp("exported") / "model.tflite"
    export_litert(model, path)
    return model, path


def softmax(logits: np.ndarray) -> np.ndarray:
    e = np.exp(logits - logits.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


@pytest.mark.parametrize("n", [1, 5, 64])
def test_it_answers_like_the_keras_model(exported, n: int):
    model, path = exported
    images = photographs(n, 48)
    found = LiteModel(path.read_bytes(), "tiny")(images)
    wanted = np.asarray(model(images, training=False))
    np.testing.assert_allclose(found.probabilities, wanted, atol=1e-3)
    assert wanted.std() > 0.01


@pytest.mark.slow
@pytest.mark.parametrize(
    "backbone",
    [
        "mobilenetv2",
        pytest.param("efficientnetb3", marks=pytest.mark.nightly),
        pytest.param("resnet50", marks=pytest.mark.nightly),
    ],
)
def test_so_do_the_big_ones(tmp_path: Path, backbone: str):
    model = lived_in(backbone, 64)
    export_litert(model, tmp_path / "model.tflite")
    images = photographs(4, 64)
    found = LiteModel((tmp_path / "model.tflite").read_bytes(), backbone)(images)
    wanted = np.asarray(model(images, training=False))
    np.testing.assert_allclose(found.probabilities, wanted, atol=5e-3)
    np.testing.assert_allclose(softmax(found.maps.mean((1, 2))), found.probabilities, atol=5e-3)


def test_outputs_of_the_promised_shapes(exported):
    found = LiteModel(exported[1].read_bytes(), "tiny")(photographs(3, 48))
    assert found.probabilities.shape == (3, 8)
    assert found.features.shape == (3, 64)
    assert found.maps.shape == (3, 6, 6, 8)
    assert found.textures.shape == (3, 2 * (32 + 64))
    for output in (found.probabilities, found.features, found.maps, found.textures):
        assert output.dtype == np.float32
    np.testing.assert_allclose(found.probabilities.sum(1), 1, atol=1e-5)


def test_the_mean_of_the_maps_over_all_places_is_the_logits(exported):
    found = LiteModel(exported[1].read_bytes(), "tiny")(photographs(6, 48))
    np.testing.assert_allclose(softmax(found.maps.mean((1, 2))), found.probabilities, atol=1e-3)
    assert found.maps.std((1, 2)).min() > 0


def test_the_features_are_the_pooled_ones(exported):
    import keras

    model, path = exported
    pooled = keras.Model(model.input, model.get_layer("features").output)
    images = photographs(4, 48)
    found = LiteModel(path.read_bytes(), "tiny")(images).features
    wanted = np.asarray(pooled(images, training=False))
    np.testing.assert_allclose(found, wanted, rtol=1e-2, atol=1e-2 * wanted.max())


def test_the_textures_are_mean_and_spread_of_the_early_activations(exported):
    import keras

    model, path = exported
    body = model.get_layer("backbone")
    rectified = [layer.output for layer in body.layers if isinstance(layer, keras.layers.ReLU)]
    early = keras.Model(body.input, rectified[1:])
    images = photographs(4, 48)
    assert [p.shape[1] for p in early.outputs] == [48 // 4, 48 // 8]
    places = [np.asarray(p) for p in early(images.astype(np.float32), training=False)]
    wanted = np.concatenate([f(p, axis=(1, 2)) for p in places for f in (np.mean, np.std)], axis=1)
    found = LiteModel(path.read_bytes(), "tiny")(images).textures
    np.testing.assert_allclose(found, wanted, rtol=1e-2, atol=1e-2 * wanted.max())


def test_a_file_of_before_textures_still_answers():
    def three(tf, image):
        mean = tf.tile(tf.reduce_mean(image, (1, 2)), (1, 3))[:, :8]
        maps = tf.tile(image, (1, 1, 1, 3))[..., :8]
        return {"probabilities": tf.nn.softmax(mean), "features": mean, "maps": maps}

    model = LiteModel(foreign({"image": (1, 8, 8, 3)}, three), "old")
    found = model(photographs(1, 8))
    assert model.textures == 0
    assert found.textures.shape == (1, 0)
    assert found.features.shape == (1, 8)


def test_the_file_is_small_and_export_leaves_nothing_beside_it(exported):
    model, path = exported
    # Two bytes a weight, and the head twice: once as matrix, once at every place.
    assert path.stat().st_size < 2 * model.count_params() + 24_000
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_an_answer_does_not_depend_on_the_company(exported):
    model = LiteModel(exported[1].read_bytes(), "tiny")
    images = photographs(7, 48)
    together = model(images).probabilities
    alone = np.concatenate([model(images[i : i + 1]).probabilities for i in range(7)])
    np.testing.assert_allclose(alone, together, atol=1e-6)


def test_two_threads_get_the_answers_that_one_gets(exported):
    model = LiteModel(exported[1].read_bytes(), "tiny", threads=2)
    inputs = [photographs(n, 48, seed=n) for n in range(1, 9)]
    wanted = [model(images) for images in inputs]
    wrong = []

    def ask(turn: int) -> None:
        for _ in range(20):
            for i in np.random.default_rng(turn).permutation(len(inputs)):
                found = model(inputs[i])
                if not (
                    np.array_equal(found.probabilities, wanted[i].probabilities)
                    and np.array_equal(found.maps, wanted[i].maps)
                ):
                    wrong.append(i)

    threads = [threading.Thread(target=ask, args=(t,)) for t in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_an_answer_is_not_overwritten_by_the_next(exported):
    model = LiteModel(exported[1].read_bytes(), "tiny")
    first = model(photographs(2, 48))
    kept = first.maps.copy(), first.features.copy(), first.probabilities.copy()
    model(photographs(2, 48, seed=9))
    assert np.array_equal(first.maps, kept[0])
    assert np.array_equal(first.features, kept[1])
    assert np.array_equal(first.probabilities, kept[2])


@pytest.mark.parametrize("part", [0, 1, 100, 0.5, 0.999])
def test_a_file_that_was_cut_short_is_refused(exported, part: float):
    content = exported[1].read_bytes()
    cut = content[: part if isinstance(part, int) else int(len(content) * part)]
    with pytest.raises(BadInput, match="here is not a LiteRT model") as caught:
        LiteModel(cut, "here")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [b"hello" * 1000, b"PK\x03\x04" + bytes(1000), bytes(5000)])
def test_a_file_of_another_kind_is_refused(content: bytes):
    with pytest.raises(BadInput, match="is not a LiteRT model"):
        LiteModel(content, "here")


def foreign(inputs: dict, compute) -> bytes:
    tf = load_tensorflow()

    class Foreign(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec(v, name=k) for k, v in inputs.items()])
        def __call__(self, *arguments):
            return compute(tf, *arguments)

    module = Foreign()
    function = module.__call__.get_concrete_function()
    return tf.lite.TFLiteConverter.from_concrete_functions([function], module).convert()


@pytest.mark.parametrize(
    ("inputs", "compute"),
    [
        ({"x": (1, 4)}, lambda tf, x: {"y": x * 2}),
        (
            {"image": (1, 8, 8, 3)},
            lambda tf, x: {
                "probabilities": tf.reduce_mean(x, (1, 2)),
                "features": tf.reduce_mean(x, (1, 2)),
                "maps": x + 1,
            },
        ),
        (
            {"picture": (1, 8, 8, 8)},
            lambda tf, x: {
                "probabilities": tf.reduce_mean(x, (1, 2)),
                "features": tf.reduce_mean(x, (1, 2)),
                "maps": x + 1,
            },
        ),
    ],
    ids=["another task", "three classes", "another input"],
)  # fmt: skip
def test_a_sound_model_of_another_kind_is_refused(inputs: dict, compute):
    with pytest.raises(BadInput, match="expected one square RGB image") as caught:
        LiteModel(foreign(inputs, compute), "here")
    assert "\n" not in str(caught.value)


def blas_threads() -> list[int]:
    found = threadpool_info()
    return [library["num_threads"] for library in found if library["user_api"] == "blas"]


def test_matrix_products_use_one_thread_within_and_as_many_as_before_after():
    def within() -> list[int]:
        with one_blas_thread:
            return blas_threads()

    before = blas_threads()
    assert set(within()) == {1}
    # A page's script runs in a thread of its own.
    with ThreadPoolExecutor(1) as pool:
        assert set(pool.submit(within).result()) == {1}
    assert blas_threads() == before


def test_it_is_so_until_the_last_of_two_visitors_has_left():
    before, inside, leave = blas_threads(), threading.Event(), threading.Event()

    @one_blas_thread
    def visit() -> list[int]:
        inside.set()
        leave.wait(60)
        return blas_threads()

    with ThreadPoolExecutor(1) as pool:
        with one_blas_thread:
            other = pool.submit(visit)
            assert inside.wait(60)
        assert set(blas_threads()) == {1}
        leave.set()
        assert set(other.result()) == {1}
        assert blas_threads() == before
    # And from then on again.
    with threadpool_limits(1, user_api="blas"):
        assert set(blas_threads()) == {1}
    assert blas_threads() == before
