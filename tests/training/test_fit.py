"""A training can be stopped after any batch and goes on as if nothing had been."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bloodcell.augment.policy import PRESETS, Policy
from bloodcell.data.split import Split, make_split
from bloodcell.data.store.dataset import Dataset, open_dataset
from bloodcell.errors import BadInput
from bloodcell.models.classifier import load_tensorflow
from bloodcell.training.checkpoint import load_arrays, load_state, save_state
from bloodcell.training.config import TrainConfig, make_config
from bloodcell.training.fit import Fitted, fit
from bloodcell.training.step import make_step
from bloodcell.workspace import Workspace


class Onlooker:
    """Stops where it is told to, and remembers what it saw."""

    def __init__(self, stop_at: tuple[int, int] | None = None):
        self.stop_at = stop_at
        self.seen: list[tuple[int, int]] = []
        self.epochs: list[int] = []

    def batch(self, epoch: int, batch: int, batches: int, images_per_second: float) -> None:
        assert images_per_second > 0
        self.seen.append((epoch, batch))

    def epoch(self, history: list[dict[str, Any]]) -> None:
        self.epochs.append(len(history))

    def stop_reason(self) -> str | None:
        return "as told" if self.stop_at and self.seen[-1] >= self.stop_at else None


@pytest.fixture(scope="module")
def demo(demo_home: Path) -> Dataset:
    return open_dataset(Workspace(demo_home), "demo")


@pytest.fixture(scope="module")
def split(demo: Dataset) -> Split:
    return make_split(demo)


RECIPES = {
    "fast": {"preset": "fast"},
    # Everything that has a state of its own: sign momentum, plateau, averages, mixed labels.
    "forerunner": {
        "preset": "bloodcellcnn",
        "ema": 0.9,
        "plateau_patience": 1,
        "early_stopping": 0,
        "learning_rate": 3e-3,
    },
}


def recipe(name: str = "fast", **changes) -> TrainConfig:
    given = {"backbone": "tiny", "input_size": 32, "epochs": 4, "dropout": 0.3}
    return make_config("demo", **{**given, **RECIPES[name], **changes})


def train(
    config: TrainConfig, demo: Dataset, split: Split, folder: Path, onlooker: Onlooker
) -> Fitted:
    folder.mkdir(exist_ok=True)
    policy: Policy = PRESETS[config.policy]
    return fit(config, policy, demo, split, folder, onlooker, lambda text: None)


def numbers(history: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The records without the time they took."""
    timed = ("seconds", "images_per_second")
    return [{k: v for k, v in record.items() if k not in timed} for record in history]


@pytest.fixture(scope="module", params=sorted(RECIPES))
def straight(request, demo: Dataset, split: Split, tmp_path_factory):
    """A recipe, and its undisturbed training."""
    onlooker = Onlooker()
    folder = tmp_path_factory.mktemp("straight")
    return request.param, train(recipe(request.param), demo, split, folder, onlooker), onlooker


def test_stopped_and_continued_is_exactly_undisturbed(
    straight, demo: Dataset, split: Split, tmp_path: Path
):
    name, wanted, undisturbed = straight
    seen = []
    # Once in the middle of an epoch, once after its last batch but before it is judged.
    for stop in [(2, 2), (3, 4)]:
        onlooker = Onlooker(stop)
        part = train(recipe(name), demo, split, tmp_path / "run", onlooker)
        assert not part.finished
        assert part.reason == "as told"
        assert onlooker.seen[-1] == stop
        seen += onlooker.seen
    onlooker = Onlooker()
    found = train(recipe(name), demo, split, tmp_path / "run", onlooker)
    assert found.finished
    assert seen + onlooker.seen == undisturbed.seen
    assert numbers(found.history) == numbers(wanted.history)
    for a, b in zip(found.model.get_weights(), wanted.model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_record_an_epoch_with_the_keys_a_page_needs(straight):
    _, fitted, _ = straight
    assert [r["epoch"] for r in fitted.history] == [1, 2, 3, 4]
    for record in fitted.history:
        confusion = np.array(record["val_confusion"])
        assert confusion.sum() == 16
        assert record["val_accuracy"] == pytest.approx(confusion.trace() / 16)
        recall = confusion.diagonal() / confusion.sum(1)
        assert record["val_recall"] == pytest.approx(recall.tolist())
        assert record["val_macro_recall"] == pytest.approx(recall.mean())
        assert record["seconds"] > 0


def test_the_model_is_that_of_the_best_epoch(straight, demo: Dataset, split: Split):
    from bloodcell.data.pipeline import read_images

    _, fitted, _ = straight
    rows = split.indices("validation")
    p = np.asarray(fitted.model(read_images(demo, rows, 32), training=False))
    loss = -np.log(p[np.arange(len(rows)), demo.labels[rows]]).mean()
    assert loss == pytest.approx(min(r["val_loss"] for r in fitted.history), rel=1e-4)


@pytest.fixture(scope="module")
def stopped(demo: Dataset, split: Split, tmp_path_factory) -> Path:
    """The checkpoint of the "fast" recipe, stopped after the first batch of its third epoch."""
    folder = tmp_path_factory.mktemp("stopped")
    train(recipe(), demo, split, folder, Onlooker((3, 1)))
    return folder


def test_a_stop_is_heeded_after_the_batch_it_was_asked_in(stopped: Path):
    place = load_state(stopped)[1]
    assert (place["epoch"], place["batch"]) == (3, 1)


def test_the_best_weights_of_the_state_before_are_kept_with_it(stopped: Path):
    referred = set()
    for name in ("state.npz", "previous.npz"):
        _, place = load_arrays(stopped / name)
        referred.add(f"best-{place['patience']['best_epoch']}.npz")
    kept = {p.name for p in stopped.glob("best-*.npz")}
    assert referred <= kept
    assert len(kept) <= 2


@pytest.mark.parametrize("straight", ["fast"], indirect=True)
def test_a_damaged_state_costs_an_epoch_at_most_and_nothing_else(
    straight, stopped: Path, demo: Dataset, split: Split, tmp_path: Path
):
    folder = Path(shutil.copytree(stopped, tmp_path / "run"))
    (folder / "state.npz").write_bytes((folder / "state.npz").read_bytes()[:-1000])
    onlooker = Onlooker()
    found = train(recipe(), demo, split, folder, onlooker)
    assert onlooker.seen[0] == (3, 1)
    assert numbers(found.history) == numbers(straight[1].history)


def test_two_damaged_states_are_a_sentence(demo, split, tmp_path: Path):
    for epoch in (1, 2):
        save_state(tmp_path, [np.zeros(3)], {"epoch": epoch, "batch": 0})
    for path in tmp_path.iterdir():
        path.write_bytes(b"")
    with pytest.raises(BadInput, match="is damaged"):
        train(recipe(), demo, split, tmp_path, Onlooker())


def test_early_stopping_ends_the_run_and_says_so(demo, split, tmp_path: Path):
    # With a learning rate of next to nothing the loss does not fall below the first for long.
    config = recipe(
        optimizer="sgd", learning_rate=1e-8, weight_decay=0.0, early_stopping=1, epochs=60,
        schedule="constant", warmup_epochs=0.0,
    )  # fmt: skip
    found = train(config, demo, split, tmp_path, Onlooker())
    losses = [r["val_loss"] for r in found.history]
    assert found.finished
    assert found.reason == "no lower validation loss for 1 epochs"
    assert len(losses) < 60
    assert losses[-1] >= min(losses[:-1])


def test_a_loss_that_is_no_number_ends_in_a_sentence(demo, split, tmp_path: Path):
    config = recipe(optimizer="sgd", learning_rate=10.0, warmup_epochs=0.0, epochs=30,
                    weight_decay=1.0, schedule="constant")  # fmt: skip
    load_tensorflow()
    with pytest.raises(BadInput, match=r"loss became (nan|inf) in epoch \d+.*lower learning rate"):
        train(config, demo, split, tmp_path, Onlooker())


def test_weights_of_samples_and_smoothed_labels_are_in_the_loss():
    """One step's loss, computed again with numpy from the network's own logits."""
    tf = load_tensorflow()
    import keras

    from bloodcell.models.classifier import build_classifier
    from bloodcell.training.step import make_optimizer

    config = recipe(label_smoothing=0.2, dropout=0.0)
    keras.utils.set_random_seed(0)
    model = build_classifier("tiny", 32, dropout=0.0)
    logits = keras.Model(model.input, model.get_layer("logits").output)
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (6, 32, 32, 3), dtype=np.uint8)
    labels = np.eye(8, dtype=np.float32)[[0, 1, 2, 3, 4, 5]]
    labels[5] = 0.3 * labels[5] + 0.7 * labels[1]
    weights = np.array([1, 2, 0, 0.5, 1, 3], np.float32)
    z = np.asarray(logits(images.astype(np.float32), training=True), np.float64)
    log_p = z - np.log(np.exp(z).sum(1, keepdims=True))
    wanted = -((labels * 0.8 + 0.2 / 8) * log_p).sum(1) @ weights / 6
    optimizer = make_optimizer(config, model)
    loss, confusion = make_step(config, model, optimizer, [])(
        images, labels, weights, tf.constant(0.0)
    )
    assert float(loss) == pytest.approx(wanted, rel=1e-4)
    expected = np.zeros((8, 8), int)
    np.add.at(expected, (labels.argmax(1), z.argmax(1)), 1)
    np.testing.assert_array_equal(confusion, expected)


@pytest.mark.parametrize("name", ["adamw", "sgd", "lion"])
def test_biases_and_normalisation_do_not_decay(name: str):
    load_tensorflow()
    import keras

    from bloodcell.models.classifier import build_classifier
    from bloodcell.training.step import make_optimizer

    model = build_classifier("tiny", 32)
    for weight in model.trainable_variables:
        weight.assign(keras.ops.ones_like(weight))
    config = recipe(optimizer=name, weight_decay=0.5, learning_rate=0.1)
    optimizer = make_optimizer(config, model)
    zeros = [keras.ops.zeros_like(w) for w in model.trainable_variables]
    optimizer.apply(zeros, model.trainable_variables)
    for weight in model.trainable_variables:
        value = float(np.asarray(weight).mean())
        decays = weight.name == "kernel"
        assert value == pytest.approx(0.95 if decays else 1.0, abs=1e-4), weight.path


def test_the_average_follows_the_weights_with_a_warm_up():
    tf = load_tensorflow()

    from bloodcell.models.classifier import build_classifier
    from bloodcell.training.step import averaged_weights, make_average, make_optimizer

    config = recipe(ema=0.95)
    model = build_classifier("tiny", 32)
    average = make_average(model)
    step = make_step(config, model, make_optimizer(config, model), average)
    rng = np.random.default_rng(0)
    by_hand = [w.numpy().astype(np.float64) for w in averaged_weights(model)]
    for number in range(5):
        images = rng.integers(0, 256, (8, 32, 32, 3), dtype=np.uint8)
        labels = np.eye(8, dtype=np.float32)
        step(images, labels, np.ones(8, np.float32), tf.constant(float(number)))
        decay = min(0.95, (1 + number) / (10 + number))
        for i, weight in enumerate(averaged_weights(model)):
            by_hand[i] += (1 - decay) * (weight.numpy() - by_hand[i])
    for a, b in zip(average, by_hand, strict=True):
        np.testing.assert_allclose(a.numpy(), b, rtol=1e-4, atol=1e-5)
