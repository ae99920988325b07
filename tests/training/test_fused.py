"""AdamW and the average of weights in few passes: the same numbers as Keras and numpy."""

import numpy as np
import pytest

from bloodcell.models.classifier import load_tensorflow
from bloodcell.training.fused import fused_adamw, update_average


def three_steps(optimizer) -> list[np.ndarray]:
    """A kernel, which decays, and a bias, which does not, after three steps."""
    import keras

    rng = np.random.default_rng(0)
    kernel, bias = (
        keras.Variable(rng.normal(0, 1, shape).astype(np.float32), name=name)
        for name, shape in (("kernel", (40, 7)), ("bias", (7,)))
    )
    optimizer.exclude_from_weight_decay(var_names=["bias"])
    optimizer.build([kernel, bias])
    for rate in (1e-2, 3e-2, 1e-3):
        optimizer.learning_rate.assign(rate)
        gradients = [rng.normal(0, 0.1, v.shape).astype(np.float32) for v in (kernel, bias)]
        optimizer.apply([keras.ops.convert_to_tensor(g) for g in gradients], [kernel, bias])
    return [v.numpy() for v in (kernel, bias, *optimizer.variables)]


@pytest.mark.parametrize("decay", [0.0, 0.05])
def test_fused_adamw_takes_the_steps_of_keras(decay: float):
    load_tensorflow()
    import keras

    ours = three_steps(fused_adamw(1e-3, decay))
    theirs = three_steps(keras.optimizers.AdamW(1e-3, weight_decay=decay))
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


def test_an_average_moves_towards_the_weight_by_what_does_not_decay():
    tf = load_tensorflow()
    average = tf.Variable([1.0, 2.0, -3.0])
    update_average(average, tf.constant([2.0, 2.0, 1.0]), tf.constant(0.75))
    np.testing.assert_allclose(average.numpy(), [1.25, 2.0, -2.0], rtol=1e-6)
