"""Everything that makes a run, frozen; and the presets.

``bloodcellcnn`` is the forerunner's recipe, entire. ``fast`` is what this project found to be
best for two cores in under half an hour.
"""

import dataclasses
import os
from collections.abc import Iterable, Mapping
from dataclasses import MISSING, dataclass, field
from pathlib import Path
from typing import Any

from bloodcell.augment.apply import ENGINES
from bloodcell.augment.policy import current_name
from bloodcell.data.split import BY, NO_FOLD, SHARES, SplitRule, check_by, check_fold, check_shares
from bloodcell.errors import BadInput
from bloodcell.models.classifier import BACKBONES, MAX_SIZE, MIN_SIZE
from bloodcell.models.kernels import has_bfloat16

__all__ = [
    "FIELDS",
    "OPTIMIZERS",
    "PRESETS",
    "SCHEDULES",
    "InitialWeights",
    "TrainConfig",
    "make_config",
    "preset_values",
]

OPTIMIZERS = ("lion", "adamw", "sgd")
SCHEDULES = ("constant", "cosine", "plateau")
SAMPLE_WEIGHTS = ("balanced", "laboratories", "none")
PRECISIONS = ("float32", "bfloat16")
WHITE_BALANCES = ("none", "background")
MOST_EPOCHS = 1000
BETWEEN_RUNS = "+"
# Hardly in a path.
BETWEEN_PATHS = " + "
# What versions before 0.2 called them.
FORMER_PRESETS = {"cpu": "fast"}
FORMER_FIELDS = {"strangers": "outlier_exposure"}


@dataclass(frozen=True)
class InitialWeights:
    """Where the weights of a network come from: the text of `TrainConfig.weights`, read once.

    Attributes:
        kind: "imagenet"; "none" (random); "file" of weights without top; "member", the network of
            an ensemble, or several of them and of runs (``.tflite``); "runs", whose best epochs are
            meant; or "checkpoints", the files of these (``best-N.npz``). Of several the mean is
            meant.
        sources: the path, or the paths or ids.
    """

    kind: str
    sources: tuple[str, ...] = ()

    @classmethod
    def parse(cls, text: str, runs: Path | None = None) -> "InitialWeights":
        """Read the text.

        Args:
            runs: the folder of the runs that it may name; None where none are looked for.
        """
        if text in ("imagenet", "none"):
            return cls(text)
        if runs is not None and (names := _runs_named(text, runs)):
            return cls("runs", names)
        if text.endswith((".npz", ".tflite")):
            kind = "checkpoints" if text.endswith(".npz") else "member"
            return cls(kind, tuple(text.split(BETWEEN_PATHS)))
        return cls("file", (text,))

    @classmethod
    def of_record(cls, started_from: str) -> "InitialWeights":
        """Read what the record of a run says it started from, whatever has become of those runs."""
        return cls("runs", tuple(filter(None, started_from.split(BETWEEN_RUNS))))

    @property
    def text(self) -> str:
        """As :meth:`parse` reads it."""
        between = BETWEEN_RUNS if self.kind == "runs" else BETWEEN_PATHS
        return between.join(self.sources) if self.sources else self.kind


def _runs_named(text: str, runs: Path) -> tuple[str, ...]:
    # A path may hold a plus too.
    if os.path.isdir(os.path.expanduser(text)):
        return (text,)
    names = tuple(text.split(BETWEEN_RUNS))
    # Of os.path, since a list of runs may be too long for a path, which pathlib raises for.
    there = [any(os.path.isdir(p) for p in (runs / name, name) if name) for name in names]
    return names if all(there) else ()


def _number(default: float, low: float, high: float, help: str) -> Any:
    return field(default=default, metadata={"help": help, "low": low, "high": high})


def _choice(default: str, choices: Iterable[str], help: str) -> Any:
    return field(default=default, metadata={"help": help, "choices": tuple(choices)})


def _told(help: str, default: Any = MISSING) -> Any:
    return field(default=default, metadata={"help": help})


@dataclass(frozen=True)
class TrainConfig:
    """A training run. What a field means, and which values it takes, is its metadata.

    Raises:
        BadInput: a value that cannot be.
    """

    dataset: str = _told("Name in the workspace, or path.")
    preset: str = _told("What the other values started from.", "fast")
    backbone: str = _choice("mobilenetv2", BACKBONES, "The network that is trained.")
    # As `InitialWeights` reads it.
    weights: str = _told(
        "ImageNet, random, a local weights file, a member of an ensemble, or the best epoch of "
        "earlier runs of the same backbone; of several, the mean of their weights.",
        "imagenet",
    )
    input_size: int = _number(96, MIN_SIZE, MAX_SIZE, "Pixels a side.")
    white_balance: str = _choice(
        "none",
        WHITE_BALANCES,
        "With background, the network itself first gives the empty field around a cell one colour, "
        "whatever the lamp and the camera: for cells of several laboratories.",
    )
    policy: str = _told("Augmentations: a preset, a name in the workspace or a path.", "gentle")
    augment_engine: str = _choice(
        "own",
        ENGINES,
        "What carries the policy out: our own engine, or keras-cv, whose layers the forerunner "
        "used: several times slower, and without some augmentations.",
    )
    optimizer: str = _choice("adamw", OPTIMIZERS, "Lion, AdamW or SGD (momentum 0.9, Nesterov).")
    learning_rate: float = _number(1e-3, 1e-8, 10, "Highest learning rate.")
    weight_decay: float = _number(0.01, 0, 1, "Decoupled, not for biases and normalisation.")
    schedule: str = _choice(
        "cosine",
        SCHEDULES,
        "Constant, cosine (to 1 % of the highest) or plateau (a fifth after the plateau patience "
        "without a lower validation loss).",
    )
    warmup_epochs: float = _number(
        1.0, 0, 100, "Epochs of linear growth of the learning rate; may be a fraction."
    )
    plateau_patience: int = _number(
        4, 1, 100, "Epochs without progress before the plateau schedule lowers the rate."
    )
    epochs: int = _number(8, 1, MOST_EPOCHS, "Epochs at most.")
    batch_size: int = _number(32, 2, 1024, "Images a step.")
    early_stopping: int = _number(
        0, 0, 1000, "End after so many epochs without a lower validation loss; 0 = never."
    )
    time_budget: float = _number(
        0.0,
        0,
        100_000,
        "Minutes of training after which the present epoch is the last; 0 = no limit.",
    )
    label_smoothing: float = _number(0.1, 0, 0.9, "0 up to 0.9.")
    dropout: float = _number(0.2, 0, 0.9, "Before the last layer, 0 up to 0.9.")
    ema: float = _number(
        0.0,
        0,
        0.99999,
        "Decay of the moving average of the weights that is evaluated and exported; 0 = off.",
    )
    sample_weights: str = _choice(
        "none",
        SAMPLE_WEIGHTS,
        "Balanced (n / (k · n of the class)), by laboratories (alike over class and laboratory, so "
        "that no class is known by where it comes from) or none.",
    )
    outlier_exposure: float = _number(
        0.0,
        0,
        0.5,
        "Share of every batch that is made into pictures of none of the eight, which a second "
        "output learns to tell, so that the features show them.",
    )
    teacher: str = _told(
        "A finished run of any backbone whose probabilities and features are learned beside the "
        "labels (distillation); empty = none.",
        "",
    )
    precision: str = _choice(
        "float32",
        PRECISIONS,
        "With bfloat16, convolutions and products of matrices are computed in bfloat16, variables "
        "and sums in float32; only faster where the processor has it.",
    )
    seed: int = _number(0, 0, 2**31 - 1, "Of weights, order and augmentation.")
    split_seed: int = _number(0, 0, 2**31 - 1, "Of the split into train, validation and test.")
    split_shares: tuple[float, float, float] = _told("Of train, validation and test.", SHARES)
    split_fold: tuple[int, int] = _told(
        "(k, n): in cross-validation the k-th of n folds is the validation part, and the test "
        "part is the same in all of them; (0, 0) = no cross-validation.",
        NO_FOLD,
    )
    split_by: str = _choice(
        BY[0],
        BY,
        "What is never in two parts: an image with its copies, a slide, a patient or a "
        "laboratory, where the dataset names them.",
    )
    split_hold_out: str = _told(
        "A group that is the test part, such as laboratory=lmu; empty = none.", ""
    )

    def __post_init__(self):
        if isinstance(self.preset, str):
            object.__setattr__(self, "preset", FORMER_PRESETS.get(self.preset, self.preset))
        if self.preset not in tuple(PRESETS):
            raise _not_one_of("preset", self.preset, PRESETS)
        check_shares(self.split_shares)
        check_fold(self.split_fold)
        check_by(self.split_by, self.split_hold_out)
        object.__setattr__(self, "split_shares", tuple(self.split_shares))
        object.__setattr__(self, "split_fold", tuple(self.split_fold))
        if isinstance(self.policy, str):
            object.__setattr__(self, "policy", current_name(self.policy))
        for f in dataclasses.fields(self):
            _check(f.name, getattr(self, f.name), f.metadata, whole=f.type is int)
        for key in ("dataset", "weights", "policy"):
            if not isinstance(getattr(self, key), str) or not getattr(self, key):
                raise BadInput(f"{key} is {getattr(self, key)!r:.80}: expected a name or a path.")
        if not isinstance(self.teacher, str):
            raise BadInput(
                f"teacher is {self.teacher!r:.80}: expected a run's name or path, or none."
            )

    @property
    def split_rule(self) -> SplitRule:
        """How its dataset is divided."""
        return SplitRule(
            self.split_seed, self.split_shares, self.split_fold, self.split_by, self.split_hold_out
        )

    def to_json(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> "TrainConfig":
        known = {f.name for f in dataclasses.fields(cls)}
        if not isinstance(values, dict) or "dataset" not in values:
            raise BadInput(
                f"{values!r:.80} is not the config of a run: expected at least a dataset."
            )
        # Runs keep the words of the version that made them.
        named = {FORMER_FIELDS.get(k, k): v for k, v in values.items()}
        return cls(**{k: v for k, v in named.items() if k in known})


def _not_one_of(key: str, value: Any, allowed: Iterable[str]) -> BadInput:
    return BadInput(f"{key} is {value!r:.80}: expected one of {', '.join(allowed)}.")


def _check(key: str, value: Any, limits: Mapping[str, Any], *, whole: bool) -> None:
    """Raise BadInput if the value of a field is not within the limits of its metadata."""
    if "choices" in limits and value not in limits["choices"]:
        raise _not_one_of(key, value, limits["choices"])
    if "low" in limits:
        low, high = limits["low"], limits["high"]
        number = isinstance(value, int if whole else int | float) and not isinstance(value, bool)
        if not number or not low <= value <= high:
            kind = "a whole number" if whole else "a number"
            raise BadInput(f"{key} is {value!r:.80}: expected {kind} from {low} to {high}.")


# What a field means ("help"), and the values it takes ("low" and "high", or "choices").
FIELDS: dict[str, Mapping[str, Any]] = {f.name: f.metadata for f in dataclasses.fields(TrainConfig)}

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
