"""Write a trained classifier once as LiteRT, with everything that its users need.

The file has float16 (or int8) weights, takes float32 RGB in 0 to 255 (batch×S×S×3) and gives
``probabilities`` (batch×8), ``features`` (batch×C, the pooled feature vector), ``maps``
(batch×h×w×8) and ``textures`` (batch×T). The head is linear after pooling, so applying it to
every place of the last feature map gives exact class activation maps (Zhou et al., CVPR 2016):
their mean over all positions is the logits. The textures are the mean and the standard deviation of
every channel at a quarter, an eighth and a sixteenth of the resolution: what a network sees on its
way to the class, and has forgotten when it is there. A foreign picture that shines through a cell
shows in them (novelty), not in the features.
"""

import contextlib
import io
import logging
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from bloodcell.classes import CLASS_NAMES
from bloodcell.files import replacing
from bloodcell.models.classifier import body_of, with_outputs

__all__ = ["export_litert", "int8_litert"]

# Image pixels a place, of the activations whose textures are exported.
STRIDES = (4, 8, 16)


def export_litert(model, path: Path, *, int8: bool = False) -> None:
    """Export a classifier of :func:`bloodcell.models.classifier.build_classifier` to `path`.

    Args:
        int8: weights in 8 bits with a scale for each channel (dynamic range quantisation): half
            the size.
    """
    import keras
    import tensorflow as tf

    norm, dense = model.get_layer("normalise"), model.get_layer("logits")
    scale = norm.gamma.numpy() / np.sqrt(norm.moving_variance.numpy() + norm.epsilon)
    kernel = dense.kernel.numpy() * scale[:, None]
    shift = norm.beta.numpy() - norm.moving_mean.numpy() * scale
    bias = dense.bias.numpy() + shift @ dense.kernel.numpy()

    positions, *early = _with_early_positions(model.get_layer("backbone"))(model.input)
    features = keras.layers.GlobalAveragePooling2D()(positions)
    logits = keras.layers.Dense(len(CLASS_NAMES), name="folded")
    maps = keras.layers.Conv2D(len(CLASS_NAMES), 1, name="positions")
    outputs = {
        "features": features,
        "maps": maps(positions),
        "probabilities": keras.layers.Softmax()(logits(features)),
        "textures": keras.layers.Concatenate()([_mean_and_spread(p) for p in early]),
    }
    logits.set_weights([kernel, bias])
    maps.set_weights([kernel[None, None], bias])
    exported = keras.Model(model.input, outputs, name="exported")
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    with replacing(path) as temporary, contextlib.redirect_stdout(io.StringIO()):
        exported.export(
            temporary,
            format="litert",
            verbose=False,
            optimizations=[tf.lite.Optimize.DEFAULT],
            **({} if int8 else {"target_spec": {"supported_types": [tf.float16]}}),
        )


def int8_litert(keras_path: Path) -> bytes:
    """A saved classifier exported with weights in int8."""
    import keras

    model = keras.models.load_model(keras_path, compile=False)
    with TemporaryDirectory() as folder:
        path = Path(folder) / "int8.tflite"
        export_litert(model, path, int8=True)
        return path.read_bytes()


def _with_early_positions(backbone):
    """The backbone with the last activations of each of STRIDES as further outputs."""
    import keras

    size = backbone.input_shape[1]
    body = body_of(backbone)
    kinds = (keras.layers.Activation, keras.layers.ReLU)
    found = [layer.output for layer in body.layers if isinstance(layer, kinds)]
    early: list = []
    for stride in STRIDES:
        # Of equally near ones the last; a small network has none for each stride.
        nearest = min(reversed(found), key=lambda output: abs(output.shape[1] - size / stride))
        if not any(nearest is output for output in early):
            early.append(nearest)
    return with_outputs(backbone, [body.output, *early])


def _mean_and_spread(positions):
    """batch×h×w×C → batch×2C."""
    import keras

    mean = keras.ops.mean(positions, (1, 2), keepdims=True)
    spread = keras.ops.sqrt(keras.ops.mean(keras.ops.square(positions - mean), (1, 2)))
    return keras.ops.concatenate([mean[:, 0, 0], spread], -1)
