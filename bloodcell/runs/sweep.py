"""Several configs from one: the members of an ensemble, the folds of a cross-validation, seeds.

Pure functions; ``bloodcell.runs.lifecycle.prepare_all`` makes their runs and
``bloodcell.runs.queue.enqueue`` queues them.
"""

from collections.abc import Mapping
from dataclasses import replace

from bloodcell.errors import BadInput
from bloodcell.training.config import TrainConfig

__all__ = ["MEMBERS", "k_folds", "members", "seeds"]

# The quickest first, so that there is something to see soon.
MEMBERS = ("mobilenetv2", "resnet50", "efficientnetb3")


def members(
    config: TrainConfig,
    backbones: tuple[str, ...] = MEMBERS,
    weights: Mapping[str, str] | None = None,
) -> list[TrainConfig]:
    """One config a backbone, alike in everything else, so that they can be one ensemble.

    Args:
        weights: backbone → weights to start from, where it is not `config.weights`. A file of
            weights fits one backbone only, so that the others then start from ImageNet.
    """
    given = dict(weights or {})
    if config.weights not in ("none", "imagenet"):
        given.setdefault(config.backbone, config.weights)
    common = config.weights if config.weights in ("none", "imagenet") else "imagenet"
    return [replace(config, backbone=b, weights=given.get(b, common)) for b in backbones]


def k_folds(config: TrainConfig, folds: int) -> list[TrainConfig]:
    """One config a fold of a cross-validation; the test part is the same for all and unseen.

    Args:
        folds: how many, 2 to 20.
    """
    if folds < 2:
        raise BadInput(f"A cross-validation with {folds} folds is none: expected 2 to 20.")
    return [replace(config, split_fold=(k + 1, folds)) for k in range(folds)]


def seeds(config: TrainConfig, number: int) -> list[TrainConfig]:
    """The config with `number` consecutive seeds, on the same split: how much is chance?"""
    if number < 1:
        raise BadInput(f"{number} seeds were asked for: expected 1 or more.")
    return [replace(config, seed=config.seed + i) for i in range(number)]
