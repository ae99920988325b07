"""The compiled parts of a training: optimizer, one step, and the judgement of an epoch."""

from collections.abc import Callable
from typing import Any

import numpy as np

from bloodcell.classes import CLASS_NAMES
from bloodcell.evaluation.calibration import apply_temperature, fit_temperature
from bloodcell.training.auxiliary import Auxiliary
from bloodcell.training.config import TrainConfig
from bloodcell.training.fused import fused_adamw, update_average

__all__ = [
    "averaged_weights",
    "make_average",
    "make_evaluate",
    "make_optimizer",
    "make_step",
    "mean_recall",
    "recalls",
]

EVALUATION_BATCH = 64


def make_optimizer(config: TrainConfig, model, auxiliary: Auxiliary | None = None):
    """The optimizer of a config, built for `model`; no decay of biases and normalisation."""
    import keras

    decay = config.weight_decay or None
    optimizer = {
        "lion": lambda: keras.optimizers.Lion(config.learning_rate, weight_decay=decay),
        "adamw": lambda: fused_adamw(config.learning_rate, config.weight_decay),
        "sgd": lambda: keras.optimizers.SGD(
            config.learning_rate, momentum=0.9, nesterov=True, weight_decay=decay
        ),
    }[config.optimizer]()
    optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    optimizer.build(_trained(model, auxiliary))
    return optimizer


def _trained(model, auxiliary: Auxiliary | None) -> list:
    beside = auxiliary.trainable_variables if auxiliary else []
    return [*model.trainable_variables, *beside]


def averaged_weights(model) -> list:
    """The weights of a model that a moving average makes sense for: the floating-point ones."""
    return [w for w in model.weights if "float" in str(w.dtype)]


def make_average(model) -> list:
    """Variables for the moving average of a model's weights, starting at their values."""
    import tensorflow as tf

    return [tf.Variable(w.numpy(), trainable=False) for w in averaged_weights(model)]


def make_step(
    config: TrainConfig, model, optimizer, averaged: list, auxiliary: Auxiliary | None = None
) -> Callable:
    """A compiled training step.

    Returns:
        (images uint8 n×S×S×3, labels float32 n×8, weights float32 n, step float32) →
        (mean weighted loss, int64 confusion 8×8: rows true, in a mixed image the larger share).

    With `averaged` (one variable a weight of the model) it also keeps the moving average of
    the weights, with the warm-up of the decay of Tan and Le's EfficientNet training.
    """
    import keras
    import tensorflow as tf

    # Set either way: it holds for the whole process.
    bfloat16 = config.precision == "bfloat16"
    tf.config.optimizer.set_experimental_options({"auto_mixed_precision_onednn_bfloat16": bfloat16})
    size, smoothing = config.input_size, config.label_smoothing
    trainable = keras.Model(
        model.input, [model.get_layer("logits").output, model.get_layer("features").output]
    )

    @tf.function(
        input_signature=[
            tf.TensorSpec((None, size, size, 3), tf.uint8),
            tf.TensorSpec((None, len(CLASS_NAMES)), tf.float32),
            tf.TensorSpec((None,), tf.float32),
            tf.TensorSpec((), tf.float32),
        ]
    )
    def step(images, labels, weights, number):
        images = tf.cast(images, tf.float32)
        lesson = auxiliary.ask_teacher(images) if auxiliary else None
        with tf.GradientTape() as tape:
            logits, features = trainable(images, training=True)
            # The labels of a stranger sum to 0, and so does its weight.
            known = tf.reduce_sum(labels, 1)
            shares = tf.math.divide_no_nan(labels, known[:, None])
            targets = shares * (1 - smoothing) + smoothing / len(CLASS_NAMES)
            if auxiliary:
                targets = auxiliary.targets(targets, lesson)
            each = tf.nn.softmax_cross_entropy_with_logits(targets, logits)
            loss = tf.reduce_mean(each * weights)
            if auxiliary:
                loss += auxiliary.loss(features, known, lesson)
        variables = _trained(model, auxiliary)
        optimizer.apply(tape.gradient(loss, variables), variables)
        if averaged:
            decay = tf.minimum(config.ema, (1 + number) / (10 + number))
            for average, weight in zip(averaged, averaged_weights(model), strict=True):
                update_average(average, tf.convert_to_tensor(weight), decay)
        truth, found = tf.argmax(labels, 1), tf.argmax(logits, 1)
        counts = tf.cast(known > 0.5, tf.int64)
        confusion = tf.math.confusion_matrix(truth, found, len(CLASS_NAMES), counts, dtype=tf.int64)
        return loss, confusion

    return step


def recalls(confusion: np.ndarray) -> list[float | None]:
    """Recall of each class from a confusion matrix (8×8, rows true); None for an absent one."""
    counts = confusion.sum(1)
    return [
        float(confusion[k, k] / counts[k]) if counts[k] else None for k in range(len(CLASS_NAMES))
    ]


def mean_recall(recall: list[float | None]) -> float:
    """Macro recall over the classes that are there."""
    return float(np.mean([r for r in recall if r is not None]))


def make_evaluate(model) -> Callable:
    """A function that judges the model's current weights on labelled images.

    Returns:
        (read: indices → uint8 images, indices, labels of the dataset) → dict with `val_loss`
        (cross-entropy), `val_calibrated_loss` (the same at the best temperature), `val_accuracy`,
        `val_macro_recall`, `val_recall` (8, None where a class is absent) and `val_confusion`
        (8×8, rows true).
    """
    import tensorflow as tf

    @tf.function(reduce_retracing=True)
    def predict(images):
        return model(tf.cast(images, tf.float32), training=False)

    def evaluate(
        read: Callable, indices: np.ndarray, labels: np.ndarray, chooses: np.ndarray | None = None
    ) -> dict[str, Any]:
        truth = labels[indices]
        parts = [
            predict(read(indices[i : i + EVALUATION_BATCH])).numpy()
            for i in range(0, len(indices), EVALUATION_BATCH)
        ]
        probabilities = np.concatenate(parts)
        confusion = np.zeros((len(CLASS_NAMES), len(CLASS_NAMES)), int)
        np.add.at(confusion, (truth, probabilities.argmax(1)), 1)
        recall = recalls(confusion)
        rows = slice(None) if chooses is None else chooses
        suited = apply_temperature(
            probabilities[rows], fit_temperature(truth[rows], probabilities[rows])
        )
        return {
            "val_loss": _log_loss(truth, probabilities),
            "val_calibrated_loss": _log_loss(truth[rows], suited),
            "val_accuracy": float(confusion.trace() / confusion.sum()),
            "val_macro_recall": mean_recall(recall),
            "val_recall": recall,
            "val_confusion": confusion.tolist(),
        }

    return evaluate


def _log_loss(truth: np.ndarray, probabilities: np.ndarray) -> float:
    own = np.clip(probabilities[np.arange(len(truth)), truth], 1e-7, 1)
    return float(-np.log(own).mean())
