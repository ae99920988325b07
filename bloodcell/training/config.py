"""Everything that makes a run, frozen; and the presets.

``bloodcellcnn`` is the forerunner's recipe, entire. ``fast`` is what this project found to be
best for two cores in under half an hour.
"""

import dataclasses
from dataclasses import dataclass
from typing import Any

from bloodcell.augment.policy import current_name
from bloodcell.data.split import NO_FOLD, SHARES, check_fold, check_shares
from bloodcell.errors import BadInput
from bloodcell.models.classifier import BACKBONES, MAX_SIZE, MIN_SIZE
from bloodcell.models.kernels import has_bfloat16

__all__ = [
    "BETWEEN",
    "OPTIMIZERS",
    "PRESETS",
    "SCHEDULES",
    "TrainConfig",
    "make_config",
    "preset_values",
]

OPTIMIZERS = ("lion", "adamw", "sgd")
# Between the paths of several runs to start from; neither is likely in a path.
BETWEEN = " + "
SCHEDULES = ("constant", "cosine", "plateau")
SAMPLE_WEIGHTS = ("balanced", "none")
PRECISIONS = ("float32", "bfloat16")
MOST_EPOCHS = 1000
# What versions before 0.2 called them.
FORMER_PRESETS = {"cpu": "fast"}
FORMER_FIELDS = {"strangers": "outlier_exposure"}


@dataclass(frozen=True)
class TrainConfig:
    """A training run.

    Attributes:
        dataset: name in the workspace, or path.
        preset: what the other values started from.
        backbone: a key of ``bloodcell.models.classifier.BACKBONES``.
        weights: "imagenet", "none", the path of a local weights file, or that of the best epoch
            of another run of the same backbone (``checkpoint/best-N.npz``), or several of these
            with BETWEEN between them: the mean of their weights.
        input_size: pixels a side.
        policy: augmentations: a preset, a name in the workspace or a path.
        optimizer: "lion", "adamw" or "sgd" (momentum 0.9, Nesterov).
        learning_rate: highest learning rate.
        weight_decay: decoupled, not for biases and normalisation.
        schedule: "constant", "cosine" (to 1 % of the highest) or "plateau" (a fifth after
            `plateau_patience` epochs without a lower validation loss).
        warmup_epochs: epochs of linear growth of the learning rate; may be a fraction.
        plateau_patience: see `schedule`.
        epochs, batch_size: as named.
        outlier_exposure: share of every batch that is made into pictures of none of the eight,
            which a second output learns to tell, so that the features show them.
        teacher: a finished run of any backbone, or its `model.keras`, whose probabilities and
            features are learned beside the labels (distillation); empty = none.
        precision: "float32", or "bfloat16": convolutions and products of matrices in bfloat16,
            variables and sums in float32; only faster where the processor has it.
        early_stopping: end after so many epochs without a lower validation loss; 0 = never.
        time_budget: minutes of training after which the present epoch is the last; 0 = no limit.
        label_smoothing: 0 up to 1.
        dropout: before the last layer, 0 up to 1.
        ema: decay of the moving average of the weights that is evaluated and exported; 0 = off.
        sample_weights: "balanced" (n / (k · n_class)) or "none".
        seed: of weights, order and augmentation.
        split_seed: of the split into train, validation and test.
        split_shares: of train, validation and test.
        split_fold: (k, n): in cross-validation the k-th of n folds is the validation part, and
            the test part is the same in all of them; (0, 0) = no cross-validation.
    """

    dataset: str
    preset: str = "fast"
    backbone: str = "mobilenetv2"
    weights: str = "imagenet"
    input_size: int = 96
    policy: str = "gentle"
    optimizer: str = "adamw"
    learning_rate: float = 1e-3
    weight_decay: float = 0.01
    schedule: str = "cosine"
    warmup_epochs: float = 1.0
    plateau_patience: int = 4
    epochs: int = 8
    batch_size: int = 32
    early_stopping: int = 0
    time_budget: float = 0.0
    label_smoothing: float = 0.1
    dropout: float = 0.2
    ema: float = 0.0
    sample_weights: str = "none"
    outlier_exposure: float = 0.0
    teacher: str = ""
    precision: str = "float32"
    seed: int = 0
    split_seed: int = 0
    split_shares: tuple[float, float, float] = SHARES
    split_fold: tuple[int, int] = NO_FOLD

    def __post_init__(self):
        object.__setattr__(self, "preset", FORMER_PRESETS.get(self.preset, self.preset))
        check_shares(self.split_shares)
        check_fold(self.split_fold)
        object.__setattr__(self, "split_shares", tuple(self.split_shares))
        object.__setattr__(self, "split_fold", tuple(self.split_fold))
        if isinstance(self.policy, str):
            object.__setattr__(self, "policy", current_name(self.policy))
        choices = {
            "preset": tuple(PRESETS),
            "backbone": tuple(BACKBONES),
            "optimizer": OPTIMIZERS,
            "schedule": SCHEDULES,
            "sample_weights": SAMPLE_WEIGHTS,
            "precision": PRECISIONS,
        }
        for key, allowed in choices.items():
            if getattr(self, key) not in allowed:
                raise BadInput(
                    f"{key} is {getattr(self, key)!r}: expected one of {', '.join(allowed)}."
                )
        ranges = {
            "input_size": (MIN_SIZE, MAX_SIZE),
            "learning_rate": (1e-8, 10),
            "weight_decay": (0, 1),
            "warmup_epochs": (0, 100),
            "plateau_patience": (1, 100),
            "epochs": (1, MOST_EPOCHS),
            "batch_size": (2, 1024),
            "early_stopping": (0, 1000),
            "time_budget": (0, 100_000),
            "label_smoothing": (0, 0.9),
            "dropout": (0, 0.9),
            "ema": (0, 0.99999),
            "outlier_exposure": (0, 0.5),
            "seed": (0, 2**31 - 1),
            "split_seed": (0, 2**31 - 1),
        }
        whole = {f.name for f in dataclasses.fields(self) if f.type is int}
        for key, (low, high) in ranges.items():
            value = getattr(self, key)
            number = isinstance(value, int if key in whole else int | float)
            if not number or isinstance(value, bool) or not low <= value <= high:
                kind = "a whole number" if key in whole else "a number"
                raise BadInput(f"{key} is {value!r}: expected {kind} from {low} to {high}.")
        for key in ("dataset", "weights", "policy"):
            if not isinstance(getattr(self, key), str) or not getattr(self, key):
                raise BadInput(f"{key} is {getattr(self, key)!r}: expected a name or a path.")
        if not isinstance(self.teacher, str):
            raise BadInput(f"teacher is {self.teacher!r}: expected a run's name or path, or none.")

    def to_json(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> "TrainConfig":
        known = {f.name for f in dataclasses.fields(cls)}
        if not isinstance(values, dict) or "dataset" not in values:
            raise BadInput(f"{values!r} is not the config of a run: expected at least a dataset.")
        # Runs keep the words of the version that made them.
        named = {FORMER_FIELDS.get(k, k): v for k, v in values.items()}
        return cls(**{k: v for k, v in named.items() if k in known})


PRESETS: dict[str, dict[str, Any]] = {
    "bloodcellcnn": {
        "weights": "imagenet",
        "policy": "bloodcellcnn",
        "optimizer": "lion",
        "learning_rate": 1e-4,
        "weight_decay": 0.1,
        "schedule": "plateau",
        "warmup_epochs": 0.0,
        "plateau_patience": 4,
        "epochs": 100,
        "batch_size": 32,
        "early_stopping": 12,
        "label_smoothing": 0.0,
        "dropout": 0.3,
        "ema": 0.0,
        "sample_weights": "balanced",
    },
    "fast": {
        "weights": "imagenet",
        "policy": "gentle",
        "optimizer": "adamw",
        "learning_rate": 1e-3,
        "weight_decay": 0.01,
        "schedule": "cosine",
        "warmup_epochs": 1.0,
        "epochs": 8,
        "batch_size": 32,
        "early_stopping": 0,
        "label_smoothing": 0.1,
        "dropout": 0.2,
        "ema": 0.0,
        "sample_weights": "none",
    },
}


# Of large dense convolutions, bfloat16 saves half the time; of depthwise ones, none.
BFLOAT16 = ("resnet50",)
# There are no published weights of the tiny network; it learns a small drawn dataset in ten
# epochs only with small batches and a high learning rate.
TINY: dict[str, Any] = {"weights": "none", "batch_size": 8, "learning_rate": 5e-3}


def preset_values(preset: str, backbone: str) -> dict[str, Any]:
    """The values of a preset, as they suit a backbone."""
    suited = {**PRESETS[preset], **(TINY if backbone == "tiny" else {})}
    if preset == "fast" and backbone in BFLOAT16 and has_bfloat16():
        suited["precision"] = "bfloat16"
    return suited


def make_config(dataset: str, preset: str = "fast", **changes: Any) -> TrainConfig:
    """A preset with changes; a change of None keeps the preset's value.

    Raises:
        BadInput: unknown preset, or a value out of range.
    """
    preset = FORMER_PRESETS.get(preset, preset)
    if preset not in PRESETS:
        raise BadInput(f"There is no preset {preset!r}: expected one of {', '.join(PRESETS)}.")
    given = {k: v for k, v in changes.items() if v is not None}
    suited = preset_values(preset, given.get("backbone", ""))
    return TrainConfig(dataset=dataset, preset=preset, **{**suited, **given})
