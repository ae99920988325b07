"""Several configs from one: the members of an ensemble, the folds of a cross-validation, seeds.

Pure functions; ``bloodcell.runs.lifecycle.prepare_all`` makes their runs and
``bloodcell.runs.queue.enqueue`` queues them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from bloodcell.errors import BadInput
from bloodcell.training.config import TrainConfig, make_config

__all__ = ["MEMBERS", "k_folds", "leave_one_out", "members", "seeds"]

# The quickest first, so that there is something to see soon.
MEMBERS = ("mobilenetv2", "resnet50", "efficientnetb3")


def members(
    dataset: str,
    preset: str = "fast",
    backbones: tuple[str, ...] = MEMBERS,
    weights: Mapping[str, str] | str | None = None,
    **changes: Any,
) -> list[TrainConfig]:
    """One config a backbone, each as :func:`make_config` makes it for that backbone.

    Args:
        weights: backbone → weights to start from, where they are not the preset's; or "imagenet"
            or "none" for all; or other weights, which fit the `backbone` of the changes alone, so
            that the others start as their preset has it.
        changes: as of :func:`make_config`, the same for all.

    Raises:
        BadInput: such weights are of a backbone that is none of `backbones`.
    """
    own = changes.pop("backbone", None) or TrainConfig.backbone
    if weights in (None, "none", "imagenet"):
        weights = dict.fromkeys(backbones, weights)
    elif isinstance(weights, str):
        if own not in backbones:
            raise BadInput(
                f"The weights {weights} are of {own}, which is none of the members "
                f"{', '.join(backbones)}: give --backbone with the one that they fit."
            )
        weights = {own: weights}
    return [
        make_config(dataset, preset, **{**changes, "backbone": b, "weights": weights.get(b)})
        for b in backbones
    ]


def k_folds(config: TrainConfig, folds: int) -> list[TrainConfig]:
    """One config a fold of a cross-validation; the test part is the same for all and unseen.

    Args:
        folds: how many, 2 to 20.
    """
    if folds < 2:
        raise BadInput(f"A cross-validation with {folds} folds is none: expected 2 to 20.")
    return [replace(config, split_fold=(k + 1, folds)) for k in range(folds)]


def leave_one_out(config: TrainConfig, column: str, names: Sequence[str]) -> list[TrainConfig]:
    """One config a group: it is the test part, all others are learned from.

    Args:
        column: "laboratory", "patient" or "slide".
        names: of the groups, at least two.
    """
    if len(names) < 2:
        raise BadInput(
            f"To leave one {column} out at a time needs at least two that are named, there "
            f"{'is ' + names[0] if names else 'is none'}: import with a manifest or merge datasets."
        )
    return [replace(config, split_hold_out=f"{column}={name}") for name in sorted(names)]


def seeds(config: TrainConfig, number: int) -> list[TrainConfig]:
    """The config with `number` consecutive seeds, on the same split: how much is chance?"""
    if number < 1:
        raise BadInput(f"{number} seeds were asked for: expected 1 or more.")
    return [replace(config, seed=config.seed + i) for i in range(number)]
