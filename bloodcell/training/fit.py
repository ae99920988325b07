"""Train a classifier: one loop that can be stopped after any batch and continued exactly."""

import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np

from bloodcell.augment.policy import Policy
from bloodcell.classes import CLASS_NAMES
from bloodcell.data.calibration_part import calibration_part
from bloodcell.data.pipeline import TrainingBatches, read_images
from bloodcell.data.split import Split, sample_weights
from bloodcell.data.store.dataset import Dataset
from bloodcell.errors import BadInput
from bloodcell.models.classifier import build_classifier, load_tensorflow
from bloodcell.models.kernels import use_fast_kernels, use_keras_kernels
from bloodcell.training.auxiliary import Auxiliary
from bloodcell.training.checkpoint import (
    best_epoch,
    load_arrays,
    load_state,
    save_arrays,
    save_state,
)
from bloodcell.training.config import InitialWeights, TrainConfig
from bloodcell.training.from_member import MOST_IMAGES, start_from_member
from bloodcell.training.schedule import Patience, learning_rate, selection_loss
from bloodcell.training.step import (
    averaged_weights,
    make_average,
    make_evaluate,
    make_optimizer,
    make_step,
    mean_recall,
    recalls,
)

__all__ = ["Fitted", "TrainState", "TrainingCallback", "fit"]


class TrainingCallback(Protocol):
    """Is called while a classifier is trained, and can end it."""

    def batch(self, epoch: int, batch: int, batches: int, images_per_second: float) -> None:
        """After every batch; `epoch` and `batch` count from 1."""

    def epoch(self, history: list[dict[str, Any]]) -> None:
        """After every epoch, when its state is on disk; the records of all epochs so far."""

    def stop_reason(self) -> str | None:
        """Why to stop after this batch, or None to go on."""


@dataclass
class _Sums:
    """Running sums over the batches of an epoch."""

    images: int = 0
    loss: float = 0.0
    seconds: float = 0.0
    confusion: list[list[int]] = field(
        default_factory=lambda: np.zeros((len(CLASS_NAMES),) * 2, int).tolist()
    )


@dataclass
class TrainState:
    """Where a training is: the part of its state that is not a variable."""

    epoch: int = 1
    batch: int = 0
    history: list[dict[str, Any]] = field(default_factory=list)
    patience: Patience = field(default_factory=Patience)
    sums: _Sums = field(default_factory=_Sums)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> "TrainState":
        return cls(
            values["epoch"],
            values["batch"],
            values["history"],
            Patience(**values["patience"]),
            _Sums(**values["sums"]),
        )


@dataclass(frozen=True)
class Fitted:
    """The outcome of :func:`fit`.

    Attributes:
        model: ``keras.Model`` with the weights of the best epoch (if finished).
        history: the record of every epoch.
        finished: False if it was stopped before its end.
        reason: why it ended, for a person.
        outlier: of :meth:`bloodcell.training.auxiliary.Auxiliary.outlier_weights`, at the end.
    """

    model: Any
    history: list[dict[str, Any]]
    finished: bool
    reason: str
    outlier: np.ndarray | None = None


class _Training:
    """A model in training: its variables, its state, and where both are kept."""

    def __init__(
        self, config: TrainConfig, policy: Policy, dataset: Dataset, split: Split, folder: Path
    ):
        self.tf = load_tensorflow()
        import keras

        # Batches are built in threads of the pipeline; OpenCV's own would only get in their way.
        cv2.setNumThreads(1)
        keras.utils.set_random_seed(config.seed)
        saved = load_state(folder)
        # A continued training has its weights in the checkpoint, whatever became of the file.
        start = InitialWeights.parse("none" if saved else config.weights)
        elsewhere = start.kind in ("checkpoints", "member")
        weights = "none" if elsewhere else start.text
        self.config, self.folder, self.dataset = config, folder, dataset
        self.model = build_classifier(
            config.backbone,
            config.input_size,
            weights,
            config.dropout,
            config.white_balance == "background",
        )
        if start.kind == "checkpoints":
            _start_from(self.model, [Path(p) for p in start.sources])
        if start.kind == "member":
            train = split.indices("train")
            some = train[:: max(1, len(train) // MOST_IMAGES)][:MOST_IMAGES]
            images = read_images(dataset, some, config.input_size)
            contents = [Path(path).read_bytes() for path in start.sources]
            start_from_member(self.model, contents, " + ".join(start.sources), images)
        self.auxiliary = Auxiliary(config, self.model)
        self.optimizer = make_optimizer(config, self.model, self.auxiliary)
        self.averaged = make_average(self.model) if config.ema else []
        self.variables = [
            *self.model.variables,
            *self.optimizer.variables,
            *self.averaged,
            *self.auxiliary.variables,
        ]
        self.state = TrainState()
        self.resumed = saved is not None
        if saved is not None:
            _assign(self.variables, saved[0])
            _finalize(self.model)
            self.state = TrainState.from_json(saved[1])
        self.labels = dataset.labels
        self.validation = split.indices("validation")
        # What thresholds will be taken from must not choose the epoch.
        self.chooses = ~calibration_part(dataset.hashes[self.validation])
        train = split.indices("train")
        weights = sample_weights(dataset, self.labels, train, config.sample_weights)
        self.batches = TrainingBatches(
            dataset,
            train,
            self.labels,
            weights,
            policy,
            config.batch_size,
            config.input_size,
            config.seed,
            config.outlier_exposure,
            config.augment_engine,
            split.others("train"),
        )
        use_fast_kernels(self.model)
        self.step = make_step(config, self.model, self.optimizer, self.averaged, self.auxiliary)
        self.evaluate = make_evaluate(self.model)

    def save(self) -> None:
        save_state(self.folder, [v.numpy() for v in self.variables], self.state.to_json())

    def train_epoch(self, callback: TrainingCallback) -> str | None:
        """Train to the end of the epoch; the reason if a stop was asked for before."""
        state, sums = self.state, self.state.sums
        clock = time.monotonic()
        for images, one_hot, weights in self.batches.epoch(state.epoch, state.batch):
            number = (state.epoch - 1) * len(self.batches) + state.batch
            rate = learning_rate(self.config, number, len(self.batches), state.patience.drops)
            self.optimizer.learning_rate.assign(rate)
            loss, confusion = self.step(
                images, one_hot, weights, self.tf.constant(number, self.tf.float32)
            )
            sums.images += len(images)
            sums.loss += _finite(float(loss), state) * len(images)
            sums.confusion = (np.array(sums.confusion) + confusion.numpy()).tolist()
            now = time.monotonic()
            sums.seconds, clock = sums.seconds + now - clock, now
            state.batch += 1
            callback.batch(state.epoch, state.batch, len(self.batches), sums.images / sums.seconds)
            if reason := callback.stop_reason():
                return reason
        return None

    def end_epoch(self) -> dict[str, Any]:
        """Judge the epoch on the validation part, keep it if it is the best, save the state."""
        state, sums, config = self.state, self.state.sums, self.config
        kept = [w.numpy() for w in self.model.weights]
        if self.averaged:
            _assign(averaged_weights(self.model), [v.numpy() for v in self.averaged])
        judged = self.evaluate(
            lambda i: read_images(self.dataset, i, config.input_size),
            self.validation,
            self.labels,
            self.chooses,
        )
        _finite(judged["val_loss"], state)
        confusion = np.array(sums.confusion)
        record = {
            "epoch": state.epoch,
            "loss": sums.loss / sums.images,
            "accuracy": float(confusion.trace() / confusion.sum()),
            "macro_recall": mean_recall(recalls(confusion)),
            **judged,
            "learning_rate": float(self.optimizer.learning_rate.numpy()),
            "seconds": round(sums.seconds, 3),
            "images_per_second": round(sums.images / sums.seconds, 1),
        }
        state.history.append(record)
        # previous.npz still means the best epoch of before, so its weights stay too.
        referred = {self._best_path()}
        if state.patience.update(config, state.epoch, selection_loss(judged)):
            best = [w.numpy() for w in self.model.weights]
            save_arrays(self._best_path(), best, {"epoch": state.epoch})
        _assign(self.model.weights, kept)
        state.epoch, state.batch, state.sums = state.epoch + 1, 0, _Sums()
        self.save()
        referred.add(self._best_path())
        for old in set(self.folder.glob("best-*.npz")) - referred:
            old.unlink()
        return record

    def restore_best(self) -> None:
        _assign(self.model.weights, load_arrays(self._best_path())[0])

    def _best_path(self) -> Path:
        return self.folder / f"best-{self.state.patience.best_epoch}.npz"


def _assign(variables: list, values: list[np.ndarray]) -> None:
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)


def _start_from(model: Any, paths: list[Path]) -> None:
    """Take over all weights of other runs, or their mean; none depends on the images' size."""
    total = [np.zeros(w.shape) for w in model.weights]
    for path in paths:
        # The other run may have gone on since, and found a better epoch.
        arrays = load_arrays(path if path.exists() else best_epoch(path.parent) or path)[0]
        if [a.shape for a in arrays] != [t.shape for t in total]:
            raise BadInput(
                f"{path} does not hold the weights of a {model.name}: start from a run of the "
                "same backbone."
            )
        total = [t + a for t, a in zip(total, arrays, strict=True)]
    mean = zip(total, model.weights, strict=True)
    _assign(model.weights, [(t / len(paths)).astype(w.dtype) for t, w in mean])
    _finalize(model)


def _finite(loss: float, state: TrainState) -> float:
    if not math.isfinite(loss):
        raise BadInput(
            f"The loss became {loss} in epoch {state.epoch}, batch {state.batch + 1}: start a new "
            "run with a lower learning rate or a longer warm-up."
        )
    return loss


def _finalize(layer: Any) -> None:
    """Make Normalization layers compute with the variables they have now."""
    for inner in getattr(layer, "layers", []):
        _finalize(inner)
    if hasattr(layer, "finalize_state"):
        layer.finalize_state()


def fit(
    config: TrainConfig,
    policy: Policy,
    dataset: Dataset,
    split: Split,
    folder: Path,
    callback: TrainingCallback,
    log: Callable[[str], None],
) -> Fitted:
    """Train, or continue a training from `folder`.

    Args:
        config, policy, dataset, split: what to train, on what.
        folder: for the checkpoint; whatever state it holds is continued.
        callback: is called after every batch and epoch, and can ask for a stop.
        log: writes a line to the log.

    Raises:
        BadInput: weights that do not fit, a damaged checkpoint, or a loss that is no number.
        Offline: ImageNet weights that cannot be downloaded.
        NoSpace: the checkpoint does not fit on the disk; the one before it is unharmed.
    """
    training = _Training(config, policy, dataset, split, folder)
    state = training.state
    if training.resumed:
        log(f"continued at epoch {state.epoch}, batch {state.batch + 1}")
        callback.epoch(state.history)
    while not (reason := _end(config, state)):
        if stop := training.train_epoch(callback):
            training.save()
            log(f"stopped after epoch {state.epoch}, batch {state.batch}: {stop}")
            return Fitted(training.model, state.history, False, stop)
        record = training.end_epoch()
        log(
            "epoch {epoch}: loss {loss:.4f}, accuracy {accuracy:.4f}, validation loss "
            "{val_loss:.4f}, accuracy {val_accuracy:.4f}, {seconds:.0f} s".format(**record)
        )
        callback.epoch(state.history)
    training.restore_best()
    use_keras_kernels(training.model)
    outlier = training.auxiliary.outlier_weights()
    return Fitted(training.model, state.history, True, reason, outlier)


def _end(config: TrainConfig, state: TrainState) -> str:
    """Why the training is over after an epoch; empty while it is not."""
    minutes = sum(r["seconds"] for r in state.history) / 60
    if state.epoch > config.epochs:
        return f"all {config.epochs} epochs are done"
    if state.patience.exhausted(config):
        return f"no lower validation loss for {config.early_stopping} epochs"
    if state.history and 0 < config.time_budget <= minutes:
        return f"the time budget of {config.time_budget:g} minutes is used"
    return ""
