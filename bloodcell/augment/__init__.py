"""Augmentation: the catalogue, policies made of it, and the engine that carries them out."""

from bloodcell.augment.apply import ENGINES, apply, augmenter
from bloodcell.augment.catalogue import CATALOGUE, Augmentation, Parameter, catalogue_json
from bloodcell.augment.cautions import Caution, cautions
from bloodcell.augment.ladder import Rung, extreme, ladder
from bloodcell.augment.policy import (
    PRESETS,
    Policy,
    Step,
    current_name,
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
    "ENGINES",
    "PRESETS",
    "Augmentation",
    "Caution",
    "Parameter",
    "Policy",
    "Rung",
    "Step",
    "apply",
    "augmenter",
    "catalogue_json",
    "cautions",
    "current_name",
    "extreme",
    "find_policy",
    "ladder",
    "load_policy",
    "policy_from_json",
    "policy_names",
    "policy_to_json",
    "save_policy",
    "step",
    "validate",
]
