"""An ordered list of augmentations with their parameters, kept as JSON in the workspace.

``artifacts/policies/NAME.json``::

    {"schema_version": 1, "name": "NAME",
     "steps": [{"key": "zoom", "probability": 0.5, "parameters": {"amount": 0.1}}, ...]}

``stains`` beside the steps holds the colour statistics of laboratories for a stain transfer, so
that a shared policy needs no photographs. A parameter that is left out has its default. Presets
are looked up before files.
"""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bloodcell.augment.catalogue import CATALOGUE
from bloodcell.augment.stain_transfer import Stains
from bloodcell.errors import BadInput, NameTaken, NotFound
from bloodcell.files import read_json, write_json
from bloodcell.locks import changing
from bloodcell.workspace import Workspace, check_name

__all__ = [
    "PRESETS",
    "Policy",
    "Step",
    "current_name",
    "find_policy",
    "load_policy",
    "policy_from_json",
    "policy_names",
    "policy_to_json",
    "save_policy",
    "step",
    "validate",
]

SCHEMA_VERSION = 1
MOST_STEPS = 100
NO_STAINS = Stains()
# What a preset was called in earlier versions; commands and runs of then still name it so.
_FORMER_NAMES = {"seed": "bloodcellcnn"}


@dataclass(frozen=True)
class Step:
    """One augmentation of a policy.

    Attributes:
        key: a key of `CATALOGUE`.
        probability: 0 to 1, the chance that an image gets it, drawn for each image.
        parameters: values by key; one that is missing has its default.
    """

    key: str
    probability: float
    parameters: dict[str, float | int | bool]


@dataclass(frozen=True)
class Policy:
    """Steps in the order in which they are applied.

    Attributes:
        stains: the laboratories that a stain transfer goes between; empty: those built in, or in
            a training those of the dataset.
    """

    name: str
    steps: tuple[Step, ...]
    stains: Stains = NO_STAINS


def step(key: str, probability: float = 1.0, **parameters: float | bool) -> Step:
    """A step with all parameters filled in.

    Raises:
        BadInput: the augmentation is unknown or a value is out of range.
    """
    return _checked(key, probability, parameters, f"The step {key!r}")


def validate(policy: Policy, where: str | None = None) -> Policy:
    """The same policy with every parameter filled in.

    Args:
        where: what the sentence of an error begins with, e.g. the file's path.

    Raises:
        BadInput: the name is unusable, or a step is not what its augmentation declares.
    """
    try:
        check_name(policy.name, "policy")
    except BadInput as error:
        raise BadInput(f"{where}: {error}" if where else str(error)) from None
    where = where or f"Policy {policy.name}"
    _require_few(policy.steps, where)
    steps = [
        _checked(s.key, s.probability, s.parameters, f"{where}: step {i} ({s.key})")
        for i, s in enumerate(policy.steps, 1)
    ]
    return Policy(policy.name, tuple(steps), Stains.checked(policy.stains, where))


def _require_few(steps: Sequence[Any], where: str) -> None:
    if len(steps) > MOST_STEPS:
        raise BadInput(
            f"{where} has {len(steps):,} steps where at most {MOST_STEPS} were expected: remove "
            "those that repeat others."
        )


def _checked(key: Any, probability: Any, parameters: Any, where: str) -> Step:
    if not isinstance(key, str) or key not in CATALOGUE:
        raise BadInput(
            f"{where} names the augmentation {key!r:.80} where one of {', '.join(CATALOGUE)} was "
            "expected: correct or remove it."
        )
    number = isinstance(probability, int | float) and not isinstance(probability, bool)
    if not number or not 0 <= probability <= 1:
        raise BadInput(
            f"{where} has the probability {probability!r:.80} where a number from 0 to 1 was "
            "expected: correct the value."
        )
    if not isinstance(parameters, Mapping):
        raise BadInput(
            f"{where} has the parameters {parameters!r:.80} where an object of names and values "
            "was expected: correct or remove them."
        )
    return Step(key, float(probability), CATALOGUE[key].checked(parameters, where))


def policy_to_json(policy: Policy) -> dict[str, Any]:
    """The policy as a JSON document."""
    document = {
        "schema_version": SCHEMA_VERSION,
        "name": policy.name,
        "steps": [
            {"key": s.key, "probability": s.probability, "parameters": dict(s.parameters)}
            for s in policy.steps
        ],
    }
    return {**document, "stains": copy.deepcopy(list(policy.stains))} if policy.stains else document


def policy_from_json(document: Any, where: str) -> Policy:
    """The policy that a JSON document describes.

    Args:
        where: what the sentence of an error begins with, e.g. the file's path.

    Raises:
        BadInput: the document is no policy of this version; the sentence names the step and the
            value.
    """
    if not isinstance(document, dict):
        raise BadInput(
            f"{where} holds {type(document).__name__} where a policy was expected: give a file "
            "with schema_version, name and steps."
        )
    if document.get("schema_version") != SCHEMA_VERSION:
        raise BadInput(
            f"{where} has schema_version {document.get('schema_version')!r:.80} where "
            f"{SCHEMA_VERSION} was expected: save the policy again with this version."
        )
    name, steps = document.get("name"), document.get("steps")
    if not isinstance(name, str) or not isinstance(steps, list):
        wrong = f"name {name!r:.80}" if not isinstance(name, str) else f"steps {steps!r:.80}"
        raise BadInput(f"{where} has {wrong} where a name and a list were expected: correct it.")
    _require_few(steps, where)
    made = []
    for i, s in enumerate(steps, 1):
        known = {"key", "probability", "parameters"}
        if not isinstance(s, dict) or not set(s) <= known:
            found = sorted(set(s) - known) if isinstance(s, dict) else s
            raise BadInput(
                f"{where}: step {i} has {found!r:.80} where key, probability and parameters were "
                "expected: correct it."
            )
        made.append(Step(s.get("key"), s.get("probability", 1.0), s.get("parameters", {})))
    return validate(Policy(name, tuple(made), document.get("stains", ())), where)


def current_name(name: str) -> str:
    """The present name of a preset that had another one in an earlier version; else `name`."""
    return _FORMER_NAMES.get(name, name)


def policy_names(workspace: Workspace) -> list[str]:
    """Presets, then the policies saved in the workspace."""
    saved = [n.removesuffix(".json") for n in workspace.names("policies") if n.endswith(".json")]
    return [*PRESETS, *(n for n in saved if n not in PRESETS)]


def save_policy(workspace: Workspace, policy: Policy, replace: bool | Policy = False) -> Path:
    """Save a policy as ``policies/NAME.json``.

    Args:
        replace: whether a saved policy of that name may be written over; or the policy that was
            there when this one was made of it, which may, and no other.

    Returns:
        The file.

    Raises:
        BadInput: the policy is not valid, or another than `replace` is there by now.
        NameTaken: the name is a preset's, or there is a policy of that name.
    """
    policy = validate(policy)
    if current_name(policy.name.lower()) in PRESETS:
        raise NameTaken(
            f"The policy name {policy.name!r} belongs to a preset, which cannot be changed: "
            "choose another name."
        )
    path = workspace.policies / f"{policy.name}.json"
    with changing(path):
        _require_free(workspace, path, policy.name, replace)
        write_json(path, policy_to_json(policy))
    return path


def _require_free(workspace: Workspace, path: Path, name: str, replace: bool | Policy) -> None:
    # A case-insensitive disk would take "Mild" and "mild" for one.
    taken = path.name.lower() in (n.lower() for n in workspace.names("policies"))
    if taken and replace is False:
        raise NameTaken(
            f"The policy name {name!r} is taken in {workspace.policies}: choose another "
            "name or delete the old one first."
        )
    if isinstance(replace, Policy) and path.is_file() and load_policy(path) != validate(replace):
        raise BadInput(
            f"The policy {name!r} was changed by somebody else since it was opened: load it to see "
            "how it is now, or save yours under another name."
        )


def load_policy(path: Path) -> Policy:
    """Read a policy file.

    Raises:
        NotFound: there is no such file.
        BadInput: it is no policy of this version.
    """
    if not path.is_file():
        raise NotFound(f"No policy file {path}: check the path.")
    return policy_from_json(read_json(path), str(path))


def find_policy(workspace: Workspace, name_or_path: str) -> Policy:
    """The policy of that name: a preset, else one in the workspace, else the file at that path.

    Raises:
        NotFound: there is none.
        BadInput: the file is no policy of this version.
    """
    if current_name(name_or_path) in PRESETS:
        return PRESETS[current_name(name_or_path)]
    if f"{name_or_path}.json" in workspace.names("policies"):
        return load_policy(workspace.policies / f"{name_or_path}.json")
    if name_or_path and Path(name_or_path).expanduser().is_file():
        return load_policy(Path(name_or_path).expanduser())
    raise NotFound(
        f"No policy {name_or_path!r} in {workspace.policies} and no such file: there are "
        f"{', '.join(policy_names(workspace)[:12])}, so check the name or give a path."
    )


# For another laboratory's lamp, camera, stain, scale and resolution: gain 0.75–1.25 and
# gamma 0.6–1.6 per channel, hue ± 0.08 of the circle, saturation 0.5–1.6, scale 0.6–1.35,
# down to 25 of 96 pixels, RandAugment, stain in optical density, and what a camera adds.
_LAB_ROBUST = (
    step("flip"),
    step("quarter_turn"),
    step("zoom", amount=0.35, shrink=0.05),
    step("translation", amount=0.06),
    step("randaugment", 0.5, operations=2, magnitude=0.3),
    step("stain", 0.7, amount=0.35, shift=0.05),
    step("contrast", 0.5, amount=0.35),
    step("gain_gamma", gain=0.25, gamma=0.7),
    step("hue", angle=28.8),
    step("saturation", amount=0.5, boost=0.1),
    step("tint", 0.2, amount=1.0, tint=0.15),
    step("resize", 0.4, amount=0.74, blocks=0.25),
    step("defocus", 0.1, radius=0.03),
    step("sharpening", 0.2),
    step("gaussian_noise", 0.2),
    step("jpeg", 0.35, loss=80),
    step("random_erasing", 0.2, area=0.1),
)
_PRESETS = (
    Policy("none", ()),
    # What a cell may undergo without any doubt about what it is. Fine-tuning from ImageNet
    # weights needs no more.
    Policy(
        "gentle",
        (
            step("flip"),
            step("quarter_turn"),
            step("translation", amount=0.06),
            step("brightness", amount=0.1),
            step("contrast", amount=0.1),
            step("saturation", amount=0.1),
            step("hue", angle=5),
        ),
    ),
    # The whole list of the forerunner. Its layers touched every image; here those that hide the
    # cell or its stain do so in a part of them, since all at once leave nothing to recognise.
    Policy(
        "bloodcellcnn",
        (
            step("flip"),
            step("rotation", angle=36),
            step("zoom", amount=0.1),
            step("contrast", 0.8, amount=0.2),
            step("crop", 0.5, amount=0.1),
            step("resize", 0.3, amount=0.4),
            step("gaussian_noise", 0.5, sigma=5),
            step("hue", 0.5, angle=10),
            step("saturation", 0.5, amount=0.3),
            step("augmix", 0.3, severity=0.3),
            step("randaugment", 0.3, operations=2, magnitude=0.2),
            step("cutmix", 0.3, alpha=1.0),
            step("mixup", 0.3, alpha=0.2),
            step("channel_shuffle", 0.1, amount=1.0),
            step("random_color_degeneration", 0.3, amount=0.5),
        ),
    ),
    # For a network that must hold on slides of another laboratory: another lamp, camera, dye,
    # focus and file format, and every turn, without mixing cells.
    Policy(
        "strong",
        (
            step("flip"),
            step("rotation", angle=180),
            step("zoom", 0.8, amount=0.15),
            step("translation", amount=0.08),
            step("stain", 0.8, amount=0.3, shift=0.04),
            step("gain_gamma", 0.6, gain=0.12, gamma=0.25),
            step("hue", 0.5, angle=15),
            step("saturation", 0.5, amount=0.4),
            step("brightness", 0.5, amount=0.12),
            step("contrast", 0.5, amount=0.25),
            step("randaugment", 0.3, operations=2, magnitude=0.25),
            step("defocus", 0.3, radius=0.015),
            step("resize", 0.2, amount=0.4),
            step("gaussian_noise", 0.3, sigma=8),
            step("jpeg", 0.3, loss=70),
            step("random_erasing", 0.3, area=0.12),
        ),
    ),
    Policy("lab-robust", _LAB_ROBUST),
    # For a network that must hold in laboratories whose stain it has not seen of every class.
    Policy(
        "stain-transfer",
        (
            step("flip"),
            step("quarter_turn"),
            step("translation", amount=0.06),
            step("stain_transfer", 0.5),
            step("brightness", amount=0.1),
            step("contrast", amount=0.1),
            step("saturation", amount=0.1),
            step("hue", angle=5),
        ),
    ),
    # The same, where it must hold in laboratories that are not among them either; and platelets as
    # small as most are.
    Policy(
        "lab-stain",
        (
            step("small_platelets", 0.5),
            *_LAB_ROBUST[:4],
            step("stain_transfer", 0.5),
            *_LAB_ROBUST[4:],
        ),
    ),
)

PRESETS: dict[str, Policy] = {p.name: p for p in _PRESETS}
