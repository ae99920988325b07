"""How long a training will take, before it begins: measured here, or known from an earlier run.

``python -m bloodcell.training.estimate HOME CONFIG.json`` trains a few batches in a folder that
is thrown away and prints one JSON document. The pages run it in a process of its own, because
they import no TensorFlow.
"""

import contextlib
import dataclasses
import hashlib
import json
import os
import platform
import sys
import tempfile
import time
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

from bloodcell.augment.policy import Policy, find_policy, policy_to_json
from bloodcell.data.store.dataset import open_dataset
from bloodcell.errors import BadInput, BloodCellError
from bloodcell.files import read_json, write_json
from bloodcell.training.config import TrainConfig
from bloodcell.workspace import Workspace

__all__ = [
    "Estimate",
    "Speed",
    "checkpoint_bytes",
    "disk_bytes",
    "estimate",
    "known_speed",
    "machine",
    "measure",
    "remember_speed",
    "speed_key",
]

# Enough to outlast the prefetched batches, few enough to be quick.
MOST_BATCHES, LEAST_BATCHES, ENOUGH_S = 40, 8, 8.0
SKIPPED_BATCHES = 3
# A network's forward pass is about a third of a training step.
FORWARD_SHARE = 1 / 3
# Millions of weights of a classifier with eight classes.
WEIGHTS_M = {"mobilenetv2": 2.3, "efficientnetb3": 10.8, "resnet50": 23.6, "tiny": 0.025}
VARIABLES_PER_WEIGHT = {"adamw": 3, "lion": 2, "sgd": 2}


@dataclass(frozen=True)
class Speed:
    """What a training with some settings does on some machine.

    Attributes:
        images_per_second: of training, with augmentation.
        startup_s: from the start of the process to the second batch: imports, building, tracing.
        memory_bytes: the most that the process held, or 0 where not measured.
        batches: measured.
        source: "measured", or the id of the run that it was taken from.
        when: ISO 8601, UTC.
        busy: whether another training was at work meanwhile.
    """

    images_per_second: float
    startup_s: float
    memory_bytes: int
    batches: int
    source: str
    when: str
    busy: bool = False


@dataclass(frozen=True)
class Estimate:
    """What a run will need.

    Attributes:
        epoch_s: seconds an epoch, with its validation.
        total_s: seconds in all if every epoch is run.
        epochs: how many of the epochs the time budget leaves room for.
    """

    epoch_s: float
    total_s: float
    epochs: int


def machine() -> str:
    """What a speed belongs to: the computer's name, its processor and number of cores."""
    return f"{platform.node()} {platform.machine()} {os.cpu_count()}"


def _policy_mark(policy: Policy) -> str:
    steps = json.dumps(policy_to_json(policy)["steps"], sort_keys=True)
    return hashlib.sha256(steps.encode()).hexdigest()[:12]


def speed_key(config: TrainConfig, policy: Policy) -> str:
    """The settings that decide on speed, and the machine, as one text."""
    parts = (
        config.backbone,
        config.input_size,
        config.batch_size,
        config.precision,
        _policy_mark(policy),
        machine(),
    )
    if config.augment_engine != "own":
        parts += (config.augment_engine,)
    if config.outlier_exposure:
        parts += (f"outlier_exposure={config.outlier_exposure:g}",)
    if config.teacher:
        # A form names the run; a run holds the path of its model.
        teacher = Path(config.teacher)
        parts += (f"teacher={teacher.parent.name if teacher.suffix == '.keras' else teacher.name}",)
    return " ".join(map(str, parts))


def _path(workspace: Workspace) -> Path:
    return workspace.home / "speeds.json"


def _read(workspace: Workspace) -> dict[str, Any]:
    try:
        found = read_json(_path(workspace))
    except (BloodCellError, OSError):
        # It only saves a measurement: a damaged one is written anew.
        return {}
    return found if isinstance(found, dict) else {}


def remember_speed(workspace: Workspace, key: str, speed: Speed) -> None:
    """Keep a measured speed in ``speeds.json`` of the workspace."""
    write_json(_path(workspace), {**_read(workspace), key: dataclasses.asdict(speed)})


def known_speed(
    workspace: Workspace, config: TrainConfig, policy: Policy, runs: Iterable[Any] = ()
) -> Speed | None:
    """The speed of these settings on this machine, or None where nobody has seen it.

    Args:
        runs: runs of the workspace (`bloodcell.runs.run.Run`): one with the same settings that
            was trained on this machine tells as much as measured batches.
    """
    found = [_of_run(run, config, policy) for run in runs]
    with contextlib.suppress(KeyError, TypeError):
        found.append(Speed(**_read(workspace)[speed_key(config, policy)]))
    # The newest: another version may be faster, and the machine busier.
    return max((s for s in found if s is not None), key=lambda s: s.when, default=None)


def _of_run(run: Any, config: TrainConfig, policy: Policy) -> Speed | None:
    try:
        theirs, status, metrics = run.config(), run.status(), run.metrics()
        same = (
            status.get("host") == platform.node()
            and metrics
            and speed_key(theirs, run.policy()) == speed_key(config, policy)
            and run.record()["environment"]["cores"] == os.cpu_count()
        )
        if not same:
            return None
        return Speed(
            images_per_second=median(m["images_per_second"] for m in metrics),
            startup_s=0.0,
            memory_bytes=int(status.get("memory_bytes", 0)),
            batches=len(metrics) * int(status.get("batches", 0)),
            source=run.id,
            when=datetime.fromtimestamp(status["heartbeat"], UTC).isoformat(timespec="seconds"),
        )
    except (BloodCellError, KeyError, TypeError, OSError):
        return None


def checkpoint_bytes(config: TrainConfig) -> int:
    """Bytes of one saved state: the weights, the optimizer's variables and the average."""
    each = VARIABLES_PER_WEIGHT[config.optimizer] + (1 if config.ema else 0)
    return int(WEIGHTS_M[config.backbone] * 1e6 * 4 * each)


def estimate(config: TrainConfig, speed: Speed, train: int, validation: int) -> Estimate:
    """What a run will need.

    Args:
        train, validation: images in the two parts.
    """
    epoch_s = (train + validation * FORWARD_SHARE) / speed.images_per_second
    epochs = config.epochs
    if config.time_budget:
        # The epoch in which the budget runs out is still finished.
        epochs = min(epochs, int(config.time_budget * 60 // epoch_s) + 1)
    return Estimate(epoch_s, speed.startup_s + epochs * epoch_s, epochs)


def disk_bytes(config: TrainConfig) -> int:
    """Bytes of a run's folder at its largest."""
    weights = int(WEIGHTS_M[config.backbone] * 4e6)
    # The state, the one before and the next; two best epochs; the exported networks.
    return 3 * checkpoint_bytes(config) + 4 * weights


class _SpeedMeter:
    """The callback that times the first batches of a training and then asks for its end."""

    def __init__(self, limit: int):
        import psutil

        self.process = psutil.Process()
        self.limit = limit
        self.times: list[float] = []
        self.memory = 0

    def batch(self, epoch: int, batch: int, batches: int, images_per_second: float) -> None:
        self.times.append(time.monotonic())
        self.memory = max(self.memory, self.process.memory_info().rss)
        print(f"{len(self.times)} {self.limit}", file=sys.stderr, flush=True)

    def epoch(self, history: list[dict[str, Any]]) -> None:
        pass

    def stop_reason(self) -> str | None:
        n = len(self.times)
        long = n > LEAST_BATCHES and self.times[-1] - self.times[SKIPPED_BATCHES] > ENOUGH_S
        return "measured" if n >= self.limit or long else None


def measure(workspace: Workspace, config: TrainConfig, *, busy: bool = False) -> Speed:
    """Train a few batches as the run would and time them; nothing of it is kept.

    The batches are those of the run: the same images, augmentation, network and optimizer; only
    the weights to start from are left out, which change nothing about the speed.

    Args:
        busy: whether another training is at work on this machine, as a note in the result.

    Raises:
        BadInput: the dataset is too small to train two batches on.
    """
    from bloodcell.training.fit import fit

    began = time.monotonic()
    config = dataclasses.replace(config, weights="none", epochs=1000, time_budget=0.0)
    dataset = open_dataset(workspace, config.dataset)
    policy = find_policy(workspace, config.policy)
    split = config.split_rule.split(dataset)
    images = len(split.indices("train"))
    batches = -(-images // config.batch_size)
    meter = _SpeedMeter(MOST_BATCHES)
    if batches < 2:
        raise BadInput(
            f"Dataset {dataset.name} has {images} training images, too few to measure with a "
            f"batch size of {config.batch_size}: choose a smaller batch."
        )
    with tempfile.TemporaryDirectory() as folder:
        fit(config, policy, dataset, split, Path(folder), meter, lambda _: None)
    skip = min(SKIPPED_BATCHES, len(meter.times) - 2)
    # Between epochs the network is judged: such a gap is no batch.
    gaps = [
        b - a
        for i, (a, b) in enumerate(zip(meter.times, meter.times[1:], strict=False), 1)
        if i > skip and i % batches
    ]
    return Speed(
        images_per_second=round(config.batch_size / (sum(gaps) / len(gaps)), 1),
        startup_s=round(meter.times[1] - began, 1),
        memory_bytes=meter.memory,
        batches=len(gaps),
        source="measured",
        when=datetime.now(UTC).isoformat(timespec="seconds"),
        busy=busy,
    )


def main(arguments: list[str]) -> int:
    """``HOME CONFIG.json [busy]``: measure, remember, print."""
    workspace = Workspace(Path(arguments[0]))
    config = TrainConfig.from_json(read_json(Path(arguments[1])))
    try:
        speed = measure(workspace, config, busy="busy" in arguments[2:])
        remember_speed(workspace, speed_key(config, find_policy(workspace, config.policy)), speed)
    except BloodCellError as error:
        print(json.dumps({"error": str(error)}))
        return 2
    print(json.dumps(dataclasses.asdict(speed)))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
