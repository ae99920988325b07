"""The fast kernels compute what Keras' own layers compute, and the same gradients."""

import numpy as np
import pytest

from bloodcell.models.classifier import load_tensorflow
from bloodcell.models.kernels import use_fast_kernels, use_keras_kernels


@pytest.fixture(scope="module")
def keras():
    load_tensorflow()
    import keras

    return keras


def trained_step(keras, *, fused: bool, trainable: bool = True) -> list[np.ndarray]:
    """Output, gradients and all variables after one training pass of a normalised convolution."""
    import tensorflow as tf

    keras.utils.set_random_seed(3)
    inputs = keras.Input((9, 7, 3))
    x = keras.layers.Conv2D(5, 3, use_bias=False)(inputs)
    x = keras.layers.BatchNormalization(momentum=0.9, name="norm")(x)
    model = keras.Model(inputs, x)
    model.get_layer("norm").trainable = trainable
    if fused:
        use_fast_kernels(model)
    images = tf.random.stateless_normal((6, 9, 7, 3), (1, 2))
    with tf.GradientTape() as tape:
        found = model(images, training=True)
        loss = tf.reduce_mean(found**3)
    gradients = tape.gradient(loss, model.trainable_variables)
    judged = model(images, training=False)
    return [np.asarray(a) for a in [found, *gradients, *model.variables, judged]]


def test_outputs_gradients_and_moving_statistics_are_those_of_keras(keras):
    for ours, theirs in zip(
        trained_step(keras, fused=True), trained_step(keras, fused=False), strict=True
    ):
        np.testing.assert_allclose(ours, theirs, rtol=2e-4, atol=2e-5)


def test_a_frozen_layer_stays_as_it_is(keras):
    for ours, theirs in zip(
        trained_step(keras, fused=True, trainable=False),
        trained_step(keras, fused=False, trainable=False),
        strict=True,
    ):
        np.testing.assert_array_equal(ours, theirs)


def test_a_saved_model_is_plain_keras(keras, tmp_path):
    inputs = keras.Input((8, 8, 3))
    model = keras.Model(inputs, keras.layers.BatchNormalization()(inputs))
    use_fast_kernels(model)
    model.save(tmp_path / "m.keras")
    loaded = keras.models.load_model(tmp_path / "m.keras")
    assert type(loaded.layers[1]) is keras.layers.BatchNormalization
    images = np.random.default_rng(0).normal(size=(2, 8, 8, 3)).astype(np.float32)
    np.testing.assert_allclose(loaded(images), model(images), atol=1e-6)


@pytest.mark.parametrize("size", [(3, 3), (6, 6), (2, 5)])
def test_a_depthwise_kernel_over_few_places_has_the_gradients_of_keras(keras, size):
    import tensorflow as tf

    def gradients(*, fast: bool) -> list[np.ndarray]:
        keras.utils.set_random_seed(1)
        inputs = keras.Input((*size, 7))
        layer = keras.layers.DepthwiseConv2D(5, padding="same", use_bias=False)
        model = keras.Model(inputs, layer(inputs))
        if fast:
            use_fast_kernels(model)
            assert "call" in vars(layer)
        images = tf.random.stateless_normal((4, *size, 7), (3, 4))
        with tf.GradientTape() as tape:
            tape.watch(images)
            found = model(images, training=True)
            loss = tf.reduce_mean(found**2)
        return [np.asarray(a) for a in [found, *tape.gradient(loss, [images, layer.kernel])]]

    for ours, theirs in zip(gradients(fast=True), gradients(fast=False), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-6)


def test_the_fast_way_can_be_undone(keras):
    inputs = keras.Input((8, 8, 3))
    model = keras.Model(inputs, keras.layers.BatchNormalization()(inputs))
    use_fast_kernels(model)
    use_keras_kernels(model)
    assert "call" not in vars(model.layers[1])
    assert model(np.ones((1, 8, 8, 3)), training=True).shape == (1, 8, 8, 3)
