"""Augmentation: the catalogue, policies made of it, and the engine that carries them out."""

from bloodcell.augment.apply import apply
from bloodcell.augment.catalogue import CATALOGUE, Augmentation, Parameter
from bloodcell.augment.policy import (
    PRESETS,
    Policy,
    Step,
    cautions,
    find_policy,
    load_policy,
    policy_from_json,
    policy_names,
    policy_to_json,
    save_policy,
    step,
    validate,
)

__all__ = [
    "CATALOGUE",
    "PRESETS",
    "Augmentation",
    "Parameter",
    "Policy",
    "Step",
    "apply",
    "cautions",
    "find_policy",
    "load_policy",
    "policy_from_json",
    "policy_names",
    "policy_to_json",
    "save_policy",
    "step",
    "validate",
]
