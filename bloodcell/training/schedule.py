"""The learning rate at every step, and when to give up.

Both keep their whole state in plain values, so that a resumed run continues exactly.
"""

import math
from dataclasses import dataclass
from typing import Any

from bloodcell.training.config import TrainConfig

__all__ = ["Patience", "learning_rate", "selection_loss"]

PLATEAU_FACTOR = 0.2
COSINE_FLOOR = 0.01


def learning_rate(config: TrainConfig, step: int, steps_per_epoch: int, drops: int) -> float:
    """The learning rate of a step.

    Args:
        step: 0 for the first step of the run.
        steps_per_epoch: as named.
        drops: how often the plateau schedule has cut it so far.

    Cosine annealing after Loshchilov and Hutter, "SGDR", ICLR 2017, without restarts.
    """
    warmup = config.warmup_epochs * steps_per_epoch
    if step < warmup:
        return config.learning_rate * (step + 1) / (warmup + 1)
    if config.schedule == "cosine":
        total = max(config.epochs * steps_per_epoch - warmup, 1)
        done = min((step - warmup) / total, 1.0)
        share = COSINE_FLOOR + (1 - COSINE_FLOOR) * (1 + math.cos(math.pi * done)) / 2
        return config.learning_rate * share
    if config.schedule == "plateau":
        return config.learning_rate * PLATEAU_FACTOR**drops
    return config.learning_rate


def selection_loss(record: dict[str, Any]) -> float:
    """What an epoch is judged by: its validation loss at the temperature that suits it best.

    Smoothed labels and outlier exposure make a network less certain than it could be, more so with
    every epoch. An ensemble undoes that with a temperature, so it must not choose the epoch.
    """
    return record.get("val_calibrated_loss", record["val_loss"])


@dataclass
class Patience:
    """Follows the judged validation loss: the best epoch, plateaus, and the end.

    Attributes:
        best: lowest so far. best_epoch: its epoch, from 1; 0 before the first.
        waited: epochs since then. waited_drop: since then or the last cut of the learning rate.
        drops: cuts so far.
    """

    best: float = math.inf
    best_epoch: int = 0
    waited: int = 0
    waited_drop: int = 0
    drops: int = 0

    def update(self, config: TrainConfig, epoch: int, loss: float) -> bool:
        """Take the judged loss of an epoch; True if it is the best so far."""
        if loss < self.best:
            self.best, self.best_epoch, self.waited, self.waited_drop = loss, epoch, 0, 0
            return True
        self.waited += 1
        self.waited_drop += 1
        if config.schedule == "plateau" and self.waited_drop >= config.plateau_patience:
            self.drops, self.waited_drop = self.drops + 1, 0
        return False

    def exhausted(self, config: TrainConfig) -> bool:
        """Whether early stopping ends the run now."""
        return 0 < config.early_stopping <= self.waited
