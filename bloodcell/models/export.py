"""Write a trained classifier once as LiteRT, with everything that its users need.

The file has float16 weights, takes float32 RGB in 0 to 255 (batch×S×S×3) and gives three
outputs: ``probabilities`` (batch×8), ``features`` (batch×C, the pooled feature vector) and
``maps`` (batch×h×w×8). The head is linear after pooling, so applying it to every place of the
last feature map gives exact class activation maps (Zhou et al., CVPR 2016): their mean over
all places is the logits.
"""

import contextlib
import io
import logging
from pathlib import Path

import numpy as np

from bloodcell.classes import CLASS_NAMES
from bloodcell.files import replacing

__all__ = ["export_litert"]


def export_litert(model, path: Path) -> None:
    """Export a classifier of :func:`bloodcell.models.classifier.build_classifier` to `path`."""
    import keras
    import tensorflow as tf

    norm, dense = model.get_layer("normalise"), model.get_layer("logits")
    scale = norm.gamma.numpy() / np.sqrt(norm.moving_variance.numpy() + norm.epsilon)
    kernel = dense.kernel.numpy() * scale[:, None]
    shift = norm.beta.numpy() - norm.moving_mean.numpy() * scale
    bias = dense.bias.numpy() + shift @ dense.kernel.numpy()

    places = model.get_layer("backbone")(model.input)
    features = keras.layers.GlobalAveragePooling2D()(places)
    logits = keras.layers.Dense(len(CLASS_NAMES), name="folded")
    maps = keras.layers.Conv2D(len(CLASS_NAMES), 1, name="places")
    outputs = {
        "features": features,
        "maps": maps(places),
        "probabilities": keras.layers.Softmax()(logits(features)),
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
            target_spec={"supported_types": [tf.float16]},
        )
