"""What learns or teaches beside a classifier while it is trained.

- Outlier exposure: a second output on the features learns to tell a cell from what
  is none, so that the features show it (Hendrycks, Mazeika, Dietterich, ICLR 2019). It is kept
  beside the exported network, for an ensemble to refuse by.
- A teacher (distillation): a finished run shows what it sees in every image: its probabilities
  become a part of the labels (Hinton, Vinyals, Dean 2015), and its features are to be found in
  those of the classifier by one linear layer (Romero et al., FitNets, ICLR 2015).
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bloodcell.errors import BadInput
from bloodcell.training.config import TrainConfig

__all__ = ["Auxiliary"]

# Of the loss of telling out-of-distribution images, beside that of telling classes.
OUTLIER_SHARE = 0.3
# Of the teacher's probabilities in the labels, and of the loss of finding its features.
TEACHER_SHARE = 0.5
FEATURES_SHARE = 0.5


@dataclass(frozen=True)
class TeacherOutputs:
    probabilities: Any
    features: Any


class Auxiliary:
    """The auxiliary outputs and the teacher of a config, built for `model`.

    The class outputs never learn from these images: they would come to doubt the cells of another
    laboratory, which are strange in their own way.

    Attributes:
        layers: the layers that are trained with the model.

    Raises:
        BadInput: the teacher's file cannot be read.
    """

    def __init__(self, config: TrainConfig, model: Any):
        self.teacher = _load(config.teacher) if config.teacher else None
        width = model.get_layer("features").output.shape
        self.outlier = _dense(1, "outlier", width) if config.outlier_exposure else None
        self.pupil = None
        if self.teacher is not None:
            features = self.teacher.outputs[1].shape[-1]
            self.pupil = _dense(features, "teacher_features", width)
        self.layers = [layer for layer in (self.outlier, self.pupil) if layer is not None]

    @property
    def variables(self) -> list:
        """All variables, in an order that depends on the config alone."""
        return [v for layer in self.layers for v in layer.variables]

    @property
    def trainable_variables(self) -> list:
        return [v for layer in self.layers for v in layer.trainable_variables]

    def outlier_weights(self) -> np.ndarray | None:
        """float32, C+1: how the second output weighs each feature, and its constant; higher is
        stranger. None without outlier exposure."""
        if self.outlier is None:
            return None
        kernel, bias = self.outlier.get_weights()
        return np.append(kernel[:, 0], bias).astype(np.float32)

    def ask_teacher(self, images: Any) -> TeacherOutputs | None:
        """What the teacher sees in images (float32 n×S×S×3, 0 to 255), at the size it knows."""
        import tensorflow as tf

        if self.teacher is None:
            return None
        size = self.teacher.input_shape[1]
        if images.shape[1] != size:
            # Near to `data.resize.resized`, which it learned with.
            images = tf.image.resize(images, (size, size), antialias=True)
        probabilities, features = self.teacher(images, training=False)
        return TeacherOutputs(probabilities, features)

    def targets(self, targets: Any, lesson: TeacherOutputs | None) -> Any:
        """The labels (n×8) as the teacher amends them."""
        if lesson is None:
            return targets
        return targets * (1 - TEACHER_SHARE) + lesson.probabilities * TEACHER_SHARE

    def loss(self, features: Any, known: Any, lesson: TeacherOutputs | None) -> Any:
        """The mean loss of the auxiliary outputs.

        Args:
            features: n×C, of the classifier in training.
            known: n, 1 for a cell and 0 for a synthetic out-of-distribution image.
            lesson: of :meth:`ask_teacher`.
        """
        import tensorflow as tf

        loss = tf.constant(0.0)
        if self.outlier is not None:
            told = tf.nn.sigmoid_cross_entropy_with_logits(1 - known, self.outlier(features)[:, 0])
            loss += OUTLIER_SHARE * tf.reduce_mean(told)
        if lesson is not None:
            missed = tf.reduce_mean(tf.square(self.pupil(features) - lesson.features), 1)
            loss += FEATURES_SHARE * tf.reduce_mean(missed * known)
        return loss


def _dense(units: int, name: str, shape: tuple) -> Any:
    import keras

    layer = keras.layers.Dense(units, name=name)
    layer.build(shape)
    return layer


def _load(path: str) -> Any:
    """A finished run's model → its probabilities and its normalised features."""
    import keras

    try:
        model = keras.models.load_model(Path(path), compile=False)
        outputs = [model.output, model.get_layer("normalise").output]
    except Exception as error:  # Keras raises many kinds for a file that is missing or damaged
        reason = (str(error).splitlines() or [type(error).__name__])[0][:120]
        raise BadInput(
            f"The teacher {path} cannot be read ({reason}): give a finished run of this workspace."
        ) from error
    model.trainable = False
    return keras.Model(model.input, outputs)
