"""What learns or teaches beside a classifier: strangers told from cells, and a teacher."""

from pathlib import Path

import numpy as np
import pytest

from bloodcell.errors import BadInput
from bloodcell.models.classifier import build_classifier, load_tensorflow
from bloodcell.training.auxiliary import FEATURES_SHARE, TEACHER_SHARE, Auxiliary
from bloodcell.training.config import make_config
from bloodcell.training.step import make_optimizer, make_step


def plain(**changes):
    """Plain gradient descent on the tiny network, without anything drawn at random."""
    return make_config(
        "demo", backbone="tiny", input_size=32, dropout=0.0, optimizer="sgd", weight_decay=0.0,
        label_smoothing=0.0, **changes,
    )  # fmt: skip


def tiny(seed: int):
    load_tensorflow()
    import keras

    keras.utils.set_random_seed(seed)
    return build_classifier("tiny", 32, dropout=0.0)


def built(config):
    """A network, what is beside it, its optimizer and its step."""
    model = tiny(0)
    auxiliary = Auxiliary(config, model)
    optimizer = make_optimizer(config, model, auxiliary)
    return model, auxiliary, optimizer, make_step(config, model, optimizer, [], auxiliary)


@pytest.fixture
def teacher(tmp_path: Path) -> Path:
    path = tmp_path / "model.keras"
    tiny(1).save(path)
    return path


@pytest.fixture
def images() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (6, 32, 32, 3), dtype=np.uint8)


def test_strangers_move_no_class_output_but_their_own(images: np.ndarray):
    tf = load_tensorflow()
    model, auxiliary, _, step = built(plain(outlier_exposure=0.5))
    dense = model.get_layer("logits")
    before = [dense.kernel.numpy(), auxiliary.outlier.kernel.numpy()]
    nothing = np.zeros((6, 8), np.float32)
    _, confusion = step(images, nothing, nothing.sum(1), tf.constant(0.0))
    np.testing.assert_array_equal(dense.kernel, before[0])
    assert not np.array_equal(auxiliary.outlier.kernel, before[1])
    assert confusion.numpy().sum() == 0


def test_the_loss_with_a_teacher_is_that_of_amended_labels_and_of_its_features(
    teacher: Path, images: np.ndarray
):
    tf = load_tensorflow()
    import keras

    model, auxiliary, _, step = built(plain(teacher=str(teacher)))
    seen = keras.Model(
        model.input, [model.get_layer("logits").output, model.get_layer("features").output]
    )
    logits, features = (np.asarray(v, np.float64) for v in seen(images, training=True))
    lesson = auxiliary.ask_teacher(images.astype(np.float32))
    found = features @ auxiliary.pupil.kernel.numpy() + auxiliary.pupil.bias.numpy()
    labels = np.eye(8, dtype=np.float32)[:6]
    labels[5] = 0  # a stranger teaches no features, and its weight is 0
    weights = labels.sum(1)

    amended = labels * (1 - TEACHER_SHARE) + np.asarray(lesson.probabilities) * TEACHER_SHARE
    log_p = logits - np.log(np.exp(logits).sum(1, keepdims=True))
    missed = ((found - np.asarray(lesson.features)) ** 2).mean(1)
    wanted = (-(amended * log_p).sum(1) * weights + FEATURES_SHARE * missed * weights).mean()

    loss, _ = step(images, labels, weights, tf.constant(0.0))
    assert float(loss) == pytest.approx(wanted, rel=1e-4)


def test_a_teacher_does_not_learn_and_its_pupil_comes_to_see_what_it_sees(
    teacher: Path, images: np.ndarray
):
    tf = load_tensorflow()
    _, auxiliary, optimizer, step = built(plain(teacher=str(teacher)))
    before = [w.numpy() for w in auxiliary.teacher.weights]
    optimizer.learning_rate.assign(0.02)
    labels = np.asarray(auxiliary.ask_teacher(images.astype(np.float32)).probabilities)
    losses = [
        float(step(images, labels, np.ones(6, np.float32), tf.constant(0.0))[0]) for _ in range(40)
    ]
    least = -(labels * np.log(labels)).sum(1).mean()  # the entropy of what is to be learned
    assert losses[-1] - least < 0.5 * (losses[0] - least)
    for weight, was in zip(auxiliary.teacher.weights, before, strict=True):
        np.testing.assert_array_equal(weight, was)


def test_a_teacher_looks_at_the_size_it_knows(teacher: Path):
    model = build_classifier("tiny", 48)
    auxiliary = Auxiliary(plain(teacher=str(teacher)), model)
    lesson = auxiliary.ask_teacher(np.zeros((2, 48, 48, 3), np.float32))
    assert lesson.probabilities.shape == (2, 8)
    np.testing.assert_allclose(np.asarray(lesson.probabilities).sum(1), 1, rtol=1e-5)


def test_a_damaged_teacher_is_named(tmp_path: Path):
    path = tmp_path / "model.keras"
    path.write_bytes(b"no model")
    with pytest.raises(BadInput, match=r"model\.keras cannot be read"):
        Auxiliary(plain(teacher=str(path)), tiny(0))
