"""The classifiers: a backbone and the head, from uint8-range RGB to eight probabilities.

Every backbone takes RGB 0 to 255 and scales inside the model, in the same way whatever the
source of its weights (ImageNet, a local file, none). The head is the forerunner's: global
average pooling, batch normalisation, dropout, dense softmax.
"""

import contextlib
import os
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from bloodcell.classes import CLASS_NAMES
from bloodcell.errors import BadInput, Offline
from bloodcell.models.white_balance import white_balance
from bloodcell.quiet import quiet_stderr

__all__ = ["BACKBONES", "body_of", "build_classifier", "load_tensorflow", "with_outputs"]

BACKBONES: dict[str, str] = {
    "mobilenetv2": "MobileNetV2",
    "efficientnetb3": "EfficientNetB3",
    "resnet50": "ResNet50",
    "tiny": "Tiny (for tests and first steps only)",
}
MIN_SIZE, MAX_SIZE = 32, 512

IMAGENET_MEAN = np.array([0.485, 0.456, 0.406], np.float32)
IMAGENET_STD = np.array([0.229, 0.224, 0.225], np.float32)
# Means of the ImageNet photographs in the Caffe convention of ResNet50's weights, as RGB.
CAFFE_MEAN = (123.68, 116.779, 103.939)


def load_tensorflow():
    """Import TensorFlow, quietly; returns the module.

    What a person set for other programs (``keras.json``, ``KERAS_BACKEND``) does not hold here.

    Raises:
        BadInput: this process uses Keras with something else than TensorFlow already.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ["KERAS_BACKEND"] = "tensorflow"
    import absl.logging

    absl.logging.set_verbosity(absl.logging.ERROR)
    with quiet_stderr():
        import keras
        import tensorflow as tf
    if keras.config.backend() != "tensorflow":
        raise BadInput(
            f"Keras is in use with {keras.config.backend()} in this process, expected TensorFlow: "
            "train in a process of its own, e.g. with `python -m bloodcell train`."
        )
    keras.config.set_floatx("float32")
    keras.config.set_image_data_format("channels_last")
    keras.config.set_epsilon(1e-7)
    return tf


def build_classifier(
    backbone: str,
    size: int = 96,
    weights: str = "none",
    dropout: float = 0.2,
    balanced: bool = False,
):
    """An untrained classifier on a backbone.

    Args:
        backbone: a key of BACKBONES.
        size: pixels a side, 32 to 512.
        weights: "none", "imagenet" (downloaded once by Keras) or the path of a local file with
            the backbone's weights without top, in the ImageNet convention (``.weights.h5`` or
            ``.h5``).
        dropout: share of features dropped before the last layer, 0 up to 1.
        balanced: begin with :func:`bloodcell.models.white_balance.white_balance`.

    Returns:
        ``keras.Model``: float32 or uint8 RGB, batch×size×size×3 in 0 to 255 → float32
        probabilities, batch×8. Its layers "features" (batch×C) and "logits" (batch×8) are named.

    Raises:
        BadInput: unknown backbone, impossible size, or a weights file that does not fit.
        Offline: "imagenet" cannot be downloaded.
    """
    if backbone not in BACKBONES:
        raise BadInput(
            f"There is no backbone {backbone!r}: expected one of {', '.join(BACKBONES)}."
        )
    if not MIN_SIZE <= size <= MAX_SIZE:
        raise BadInput(
            f"An input size of {size} pixels cannot be used: choose {MIN_SIZE} to {MAX_SIZE}."
        )
    load_tensorflow()
    import keras

    image = keras.Input((size, size, 3), name="image")
    positions = _backbone(backbone, size, weights, balanced)(image)
    x = keras.layers.GlobalAveragePooling2D(name="features")(positions)
    x = keras.layers.BatchNormalization(name="normalise")(x)
    x = keras.layers.Dropout(dropout, name="dropout")(x)
    x = keras.layers.Dense(len(CLASS_NAMES), name="logits", dtype="float32")(x)
    x = keras.layers.Softmax(name="probabilities", dtype="float32")(x)
    return keras.Model(image, x, name=backbone)


def body_of(backbone: Any) -> Any:
    """The part of a classifier's layer "backbone" that has its weights: all but what prepares the
    image, where that is apart."""
    import keras

    # What has no weights is a white balance.
    inner = [v for v in backbone.layers if isinstance(v, keras.Model) and v.weights]
    return inner[0] if inner else backbone


def with_outputs(backbone: Any, outputs: list[Any]) -> Any:
    """A model that takes what a backbone takes, and gives some tensors of its :func:`body_of`."""
    import keras

    body = body_of(backbone)
    taps = keras.Model(body.input, outputs)
    if body is backbone:
        return taps
    # What comes before the body is run again: its layers are shared, not copied.
    x = backbone.input
    for layer in backbone.layers[1:]:
        x = taps(x) if layer is body else layer(x)
    return keras.Model(backbone.input, x)


def _backbone(backbone: str, size: int, weights: str, balanced: bool):
    """A model RGB 0–255 → feature map, with its scaling inside."""
    import keras

    inputs = keras.Input((size, size, 3))
    x = white_balance(size)(inputs) if balanced else inputs
    if backbone == "tiny":
        return _tiny(inputs, x, weights)
    make = {
        "mobilenetv2": keras.applications.MobileNetV2,
        "efficientnetb3": keras.applications.EfficientNetB3,
        "resnet50": keras.applications.ResNet50,
    }[backbone]
    shape = {"include_top": False, "input_shape": (size, size, 3)}
    if weights == "imagenet":
        body = _download(make, backbone, shape)
    else:
        body = make(weights=None, **shape)
        if backbone == "efficientnetb3":
            body = _with_second_rescaling(body)
        if weights != "none":
            _load(body, backbone, weights)
    for layer in body.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            # Keras' MobileNetV2 has 0.999: after an epoch of 364 steps its moving statistics
            # would still be mostly those of ImageNet.
            layer.momentum = min(layer.momentum, 0.99)
    if backbone == "mobilenetv2":
        x = keras.layers.Rescaling(1 / 127.5, offset=-1.0)(x)
    elif backbone == "resnet50":
        x = keras.layers.Rescaling(1.0, offset=[-v for v in CAFFE_MEAN])(x)
        if weights != "none":
            # These weights expect BGR; ours takes RGB, so the first kernel is turned instead.
            first = body.get_layer("conv1_conv").kernel
            first.assign(first.numpy()[:, :, ::-1, :])
    return keras.Model(inputs, body(x), name="backbone")


def _with_second_rescaling(body):
    """EfficientNet with the layer that Keras adds for weights="imagenet" only.

    The published weights hold the standard deviation where Normalization expects the variance
    (tensorflow/tensorflow#49930); the further division by its root makes up for that. With the
    layer always there, one file means the same network whether Keras fetched it or a person did.
    """
    import keras

    def call(layer, *args, **kwargs):
        x = layer(*args, **kwargs)
        if isinstance(layer, keras.layers.Normalization):
            scale = (1 / np.sqrt(IMAGENET_STD)).tolist()
            x = keras.layers.Rescaling(scale, name="second_rescaling")(x)
        return x

    body = keras.models.clone_model(body, call_function=call)
    normalization = next(v for v in body.layers if isinstance(v, keras.layers.Normalization))
    normalization.adapt_mean.assign(IMAGENET_MEAN)
    normalization.adapt_variance.assign(IMAGENET_STD)
    normalization.finalize_state()
    return body


def _download(make, backbone: str, shape: dict):
    try:
        # Keras reports the download on stdout, where a verb may be about to print its JSON.
        with contextlib.redirect_stdout(sys.stderr):
            return make(weights="imagenet", **shape)
    except Exception as error:  # Keras raises a bare Exception for a failed download
        raise Offline(
            f"The ImageNet weights of {BACKBONES[backbone]} could not be downloaded "
            f"({_reason(error)}): connect to the internet, or give a local "
            "file with --weights PATH, or start from nothing with --weights none."
        ) from error


def _load(body, backbone: str, weights: str) -> None:
    path = Path(weights).expanduser()
    if not path.is_file():
        raise BadInput(
            f"There is no weights file {weights}: expected none, imagenet, or the path of a "
            f".weights.h5 file of {BACKBONES[backbone]} without top."
        )
    try:
        # Of a file that does not fit, Keras warns hundreds of times before it raises.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            body.load_weights(path)
    except Exception as error:  # h5py and Keras raise many kinds for a file that does not fit
        raise BadInput(
            f"{path} does not hold weights of {BACKBONES[backbone]} without top "
            f"({_reason(error)}): give the matching .weights.h5 file."
        ) from error


def _reason(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:120]


def _tiny(inputs, x, weights: str):
    import keras

    if weights != "none":
        raise BadInput(f"The tiny network has no weights like {weights!r}: use --weights none.")
    x = keras.layers.Rescaling(1 / 127.5, offset=-1.0)(x)
    for filters in (16, 32, 64):
        x = keras.layers.Conv2D(filters, 3, 2, "same", use_bias=False)(x)
        x = keras.layers.BatchNormalization(momentum=0.9)(x)
        x = keras.layers.ReLU()(x)
    return keras.Model(inputs, x, name="backbone")
