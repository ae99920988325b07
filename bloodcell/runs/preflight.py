"""What is checked before a run: for its launch, for the command line and for the page.

:func:`check_config` refuses what cannot be trained and finds what is recorded of a run;
:func:`check_launch` says beforehand what a person should know, as a list of sentences.
"""

import dataclasses
import hashlib
import os
import re
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from bloodcell.augment.keras_cv_engine import refuse_missing
from bloodcell.augment.policy import Policy, find_policy, policy_to_json
from bloodcell.classes import CLASSES
from bloodcell.data.split import Split
from bloodcell.data.stains import with_stains
from bloodcell.data.store.dataset import PARTS, Dataset, open_dataset
from bloodcell.errors import BadInput, BloodCellError, NotFound
from bloodcell.files import format_bytes, load_array
from bloodcell.models.classifier import BACKBONES
from bloodcell.runs.process import environment
from bloodcell.runs.run import ACTIVE, Run, open_run
from bloodcell.training.checkpoint import best_epoch
from bloodcell.training.config import BETWEEN_RUNS, InitialWeights, TrainConfig
from bloodcell.training.estimate import Estimate, Speed, disk_bytes
from bloodcell.workspace import Workspace

__all__ = [
    "SOURCES",
    "Check",
    "check_config",
    "check_launch",
    "check_split",
    "check_startable",
    "is_settled",
    "seen_before",
]

MEMBER_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
HDF5 = b"\x89HDF\r\n\x1a\n"
# What the record of a run says of where it learned from.
SOURCES = ("started_from", "taught_by", "weights_sha256")
FINGERPRINTS = ("dataset_fingerprint", "curation_fingerprint")
# Below this a recall has an interval of some 40 points: it says next to nothing.
FEW_VALIDATION = 20
FEW_TRAINING = 50
MOST_NAMED = 2
# Of the validation images, how many the initial weights may have learned: as many as pass a
# boundary of the split when datasets are merged.
MOST_KNOWN = 0.05
# How Keras names the files that it has downloaded.
DOWNLOADED = {
    "mobilenetv2": "mobilenet_v2*no_top*",
    "efficientnetb3": "efficientnetb3*notop*",
    "resnet50": "resnet50_weights*notop*",
}


def check_config(
    workspace: Workspace, config: TrainConfig, policy: Policy | None = None
) -> tuple[TrainConfig, dict[str, Any]]:
    """Check a config against what is on disk; the config with whole paths, and its record.

    Args:
        policy: instead of the one that has the config's name now.

    Raises:
        NotFound: no such dataset or policy.
        BadInput: the split is unsound, a class too small, or what it learns from is not there or
            was divided into other parts.
    """
    dataset = open_dataset(workspace, config.dataset)
    policy = policy or find_policy(workspace, config.policy)
    if config.augment_engine == "keras-cv":
        refuse_missing(policy)
    split = config.split_rule.split(dataset)
    check_startable(dataset, split)
    policy = with_stains(policy, dataset, split.indices("train"))
    if dataset.path.parent != workspace.datasets:
        # The run's process may have another working directory.
        config = dataclasses.replace(config, dataset=str(dataset.path.absolute()))
    fingerprints = _fingerprints(dataset)
    config, weights = _resolve_weights(workspace, config, fingerprints)
    config, teacher = _resolve_teacher(workspace, config, fingerprints)
    record = {
        "policy": policy_to_json(policy),
        **fingerprints,
        "environment": environment(),
        **weights,
        **teacher,
    }
    return config, record


def _fingerprints(dataset: Dataset) -> dict[str, str]:
    return dict(zip(FINGERPRINTS, (dataset.fingerprint, dataset.curation.fingerprint), strict=True))


def check_startable(dataset: Dataset, split: Split) -> None:
    """Refuse to train on a split that is not sound.

    Raises:
        BadInput: copies of an image lie in two parts, or a class has too few images.
    """
    shared = split.shared_images()
    if shared:
        raise BadInput(
            f"{shared} images of {dataset.name} lie in more than one part of the split: "
            "exclude the copies (`python -m bloodcell audit`) before training."
        )
    if groups := split.shared_groups():
        raise BadInput(
            f"{groups} groups of {dataset.name} lie in more than one part of the split: choose "
            "another split seed, or exclude the copies that join them."
        )
    labels = dataset.labels
    if split.groups is not None and len(np.unique(labels[split.indices("train")])) < 2:
        raise BadInput(
            f"The train part of {dataset.name} has fewer than two classes when groups stay "
            "whole: choose another split seed, or divide by something smaller."
        )
    for part in ("train", "validation", "test"):
        present = np.unique(labels[split.indices(part)])
        if not len(present) and split.given:
            raise BadInput(
                f"The {part} part of {dataset.name} is empty because its source gave other parts "
                "only: evaluate on what is there, or import the source again with --no-parts to "
                "divide it anew."
            )
        if not len(present):
            raise BadInput(
                f"The {part} part of {dataset.name} is empty: choose other shares of the split, "
                "or import the images without parts of their own."
            )
        if split.groups is not None:
            # Whole groups cannot bring every class everywhere; the split's notes say what lacks.
            continue
        missing = [
            dataset.info["classes"][k]
            for k in np.unique(labels[split.indices("all")])
            if k not in present
        ]
        if missing:
            raise BadInput(
                f"The {part} part of {dataset.name} has no {', '.join(missing)}: a class needs "
                "at least 3 different images, so add some or exclude the class."
            )


def is_settled(run: Run) -> bool:
    """Whether a run's best epoch will stay what it is until someone lets the run go on."""
    return run.status()["state"] not in (*ACTIVE, "queued")


def _resolve_weights(
    workspace: Workspace, config: TrainConfig, fingerprints: dict[str, str]
) -> tuple[TrainConfig, dict[str, Any]]:
    """A config whose weights are there, and what is recorded of them.

    The weights of runs are those of their best epochs; of several, the mean (Wortsman et al.,
    "Model soups", ICML 2022).
    """
    given = InitialWeights.parse(config.weights, workspace.runs)
    if given.kind == "file" and (member := _member_file(workspace, config.weights)) is not None:
        record = {"started_from": config.weights, "weights_sha256": _sha256(member)}
        return dataclasses.replace(config, weights=str(member)), record
    if (mixed := _with_members(workspace, config.weights)) is not None:
        paths = [
            str(member or _exported(workspace, open_run(workspace, name), config, fingerprints))
            for name, member in mixed
        ]
        config = dataclasses.replace(config, weights=InitialWeights("member", tuple(paths)).text)
        return config, {"started_from": BETWEEN_RUNS.join(name for name, _ in mixed)}
    if given.kind == "member":
        raise BadInput(
            f"{config.weights} is the network of a run or an ensemble: give the run's id, or the "
            "member as ENSEMBLE/MEMBER, so that what it has seen is known."
        )
    if given.kind == "runs":
        runs = [open_run(workspace, name) for name in given.sources]
        best = tuple(str(_best_epoch(workspace, run, config, fingerprints)) for run in runs)
        resolved = InitialWeights("checkpoints", best)
        started = InitialWeights("runs", tuple(run.id for run in runs))
        return dataclasses.replace(config, weights=resolved.text), {"started_from": started.text}
    if given.kind in ("file", "checkpoints"):
        path = _weights_file(config.weights)
        record = {"weights_sha256": _sha256(path)}
        return dataclasses.replace(config, weights=str(path)), record
    return config, {}


def _with_members(workspace: Workspace, text: str) -> list[tuple[str, Path | None]] | None:
    """(name, file or None for a run) of runs and members of ensembles whose mean is meant; None
    where no member is among them."""
    names = text.split(BETWEEN_RUNS)
    found = [(name, _member_file(workspace, name)) for name in names] if len(names) > 1 else []
    return found if any(member is not None for _, member in found) else None


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _member_file(workspace: Workspace, text: str) -> Path | None:
    """The network that ENSEMBLE/MEMBER means, where there is such an ensemble; else None."""
    name, between, member = text.rpartition("/")
    if not between or not name or not MEMBER_NAME.fullmatch(member):
        return None
    try:
        folder = workspace.find("ensembles", name)
    except NotFound:
        return None
    path = folder / "members" / f"{member}.tflite"
    if not (folder / "ensemble.json").is_file():
        return None
    if not path.is_file():
        there = ", ".join(sorted(p.stem for p in path.parent.glob("*.tflite"))) or "none"
        raise BadInput(f"The ensemble {name} has no member {member!r}: it has {there}.")
    return path.absolute()


def seen_before(config: TrainConfig, record: dict[str, Any]) -> np.ndarray:
    """Identities of the images that a run's initial weights have seen, beyond its own parts.

    They are never counted as unseen of what the run becomes.

    Args:
        config, record: what :func:`check_config` found.

    Returns:
        bytes (S32), sorted, each once; empty where it starts from no cells, or from the same parts.
    """
    found = [np.zeros(0, "S32")]
    start = InitialWeights.parse(config.weights)
    for path in start.sources if start.kind in ("checkpoints", "member") else ():
        if Path(path).parent.name == "members":
            found.append(load_array(Path(path).parents[1] / "seen.npy"))
            continue
        run = Run(Path(path).parents[0 if start.kind == "member" else 1])
        found.append(run.seen())
        if not _same_parts(run, config, record):
            dataset, split = _divided(run)
            own = np.concatenate([split.indices("train"), split.indices("validation")])
            found.append(dataset.hashes[own].astype("S32"))
    return np.unique(np.concatenate(found).astype("S32"))


def _weights_file(text: str) -> Path:
    path = Path(text).expanduser().absolute()
    # Of os.path, since a text may be too long for a path, which pathlib raises for.
    if not os.path.isfile(path):
        raise BadInput(
            f"There is no weights file {text!r}: give the path of a .weights.h5 file without top, "
            "the id of a run, a member of an ensemble (ENSEMBLE/MEMBER), or start with ImageNet or "
            "random weights (--weights imagenet or none)."
        )
    with path.open("rb") as file:
        if file.read(len(HDF5)) != HDF5:
            raise BadInput(
                f"{text} is not an HDF5 file: give a .weights.h5 file without top, as published by "
                "Keras, the id of a run, --weights imagenet or --weights none."
            )
    return path


def _best_epoch(
    workspace: Workspace, run: Run, config: TrainConfig, fingerprints: dict[str, str]
) -> Path:
    earlier = run.config()
    if earlier.backbone != config.backbone:
        raise BadInput(
            f"{run.id} is a {earlier.backbone}: a {config.backbone} cannot start from it."
        )
    _check_start(workspace, run, config, fingerprints)
    if not is_settled(run):
        state = run.status()["state"]
        raise BadInput(f"{run.id} is {state}: wait for its end, or start from another run.")
    best = best_epoch(run.checkpoint)
    if best is None:
        raise BadInput(f"{run.id} has finished no epoch yet: wait, or start from another run.")
    return best.absolute()


def _exported(
    workspace: Workspace, run: Run, config: TrainConfig, fingerprints: dict[str, str]
) -> Path:
    """The LiteRT file of a run: folded as a member of an ensemble is, so that both have a mean."""
    _best_epoch(workspace, run, config, fingerprints)
    if not run.litert_path.is_file():
        raise BadInput(f"{run.id} has not finished: a mean with a member needs what it exports.")
    return run.litert_path.absolute()


def _resolve_teacher(
    workspace: Workspace, config: TrainConfig, fingerprints: dict[str, str]
) -> tuple[TrainConfig, dict[str, Any]]:
    """A config whose teacher, a finished run or its ``model.keras``, is there; and its record."""
    if not config.teacher:
        return config, {}
    name = config.teacher
    run = open_run(workspace, str(Path(name).parent) if name.endswith(".keras") else name)
    if run.status()["state"] != "finished":
        raise BadInput(
            f"{run.id} is {run.status()['state']}: only a finished run can teach another."
        )
    _check_parts(run, config, fingerprints)
    config = dataclasses.replace(config, teacher=str(run.keras_path.absolute()))
    return config, {"taught_by": run.id}


def _check_start(
    workspace: Workspace, run: Run, config: TrainConfig, fingerprints: dict[str, str]
) -> None:
    """Of the same dataset the parts must be the same; of another, what it learned is no judge.

    What it has seen of the test part is never counted (:func:`seen_before`).
    """
    if run.record()[FINGERPRINTS[0]] == fingerprints[FINGERPRINTS[0]]:
        _check_parts(run, config, fingerprints)
        return
    earlier, parts = _divided(run)
    learned = earlier.hashes[parts.indices("train")]
    dataset = open_dataset(workspace, config.dataset)
    judges = dataset.hashes[config.split_rule.split(dataset).indices("validation")]
    known = int(np.isin(judges, learned).sum())
    if known > MOST_KNOWN * len(judges):
        raise BadInput(
            f"{run.id} was trained on {known} of the {len(judges)} validation images of "
            f"{dataset.name}, which could not judge it: choose the split seed and shares that it "
            "had, or another run."
        )


def _divided(run: Run) -> tuple[Dataset, Split]:
    """What a run was trained on, in the workspace that it lies in."""
    config = run.config()
    dataset = open_dataset(Workspace(run.path.parents[1]), config.dataset)
    return dataset, config.split_rule.split(dataset)


def _check_parts(run: Run, config: TrainConfig, fingerprints: dict[str, str]) -> None:
    """What one run was trained on must not be what the other calls unseen."""
    if not _same_parts(run, config, fingerprints):
        raise BadInput(
            f"{run.id} was trained on other parts of the data, so images that are unseen here "
            "may be known to it: choose a run with the same dataset, decisions and split."
        )


def _same_parts(run: Run, config: TrainConfig, fingerprints: Mapping[str, Any]) -> bool:
    record = run.record()
    same_data = all(record[key] == fingerprints[key] for key in FINGERPRINTS)
    return same_data and run.config().split_rule == config.split_rule


@dataclass(frozen=True)
class Check:
    """The result of one check.

    Attributes:
        level: "ok", "warning" (it can start) or "error" (it cannot).
        words: what was found, and what to do.
    """

    level: str
    words: str


def check_split(dataset: Dataset, split: Split) -> list[Check]:
    """Whether a split can be trained on, and where it is thin."""
    try:
        check_startable(dataset, split)
    except BadInput as error:
        return [Check("error", str(error))]
    labels = dataset.labels
    counts = {
        c: [int((labels[split.indices(part)] == c.id).sum()) for part in PARTS] for c in CLASSES
    }
    totals = np.array(list(counts.values())).sum(0)
    parts = ", ".join(f"{n:,} {part}" for n, part in zip(totals, PARTS, strict=True))
    return [
        Check("ok", f"{parts}; {split.shared_images()} images shared between parts."),
        *(Check("warning", note) for note in split.notes),
        _check_classes({c: n for c, n in counts.items() if sum(n)}),
    ]


def _check_classes(counts: dict[Any, list[int]]) -> Check:
    rows = sorted(counts.items(), key=lambda row: sum(row[1]))
    small = [(c, n) for c, n in rows if n[0] < FEW_TRAINING or n[1] < FEW_VALIDATION]
    if small:
        named = "; ".join(
            f"{c.title} ({n[0]:,} train, {n[1]:,} validation, {n[2]:,} test)"
            for c, n in small[:MOST_NAMED]
        )
        more = f" and {len(small) - MOST_NAMED} more classes" if len(small) > MOST_NAMED else ""
        return Check(
            "warning",
            f"Few images of {named}{more}: metrics of such a class are imprecise. Balanced sample "
            "weights give it the same influence as the others.",
        )
    smallest, n = rows[0]
    return Check(
        "ok",
        f"All {len(rows)} classes are in each part; the smallest is {smallest.title} ({n[0]:,} "
        f"train, {n[1]:,} validation, {n[2]:,} test).",
    )


def check_launch(
    workspace: Workspace,
    dataset: Dataset,
    configs: Sequence[TrainConfig],
    split: Sequence[Check],
    missing: Sequence[str] = (),
    estimates: Sequence[Estimate] = (),
    speeds: Sequence[Speed] = (),
    ahead: Iterable[Run] = (),
) -> list[Check]:
    """All that a person should know before runs start.

    Args:
        configs: of the runs, all on `dataset` with one split.
        split: what :func:`check_split` says of that.
        missing: backbones for which no weights are given.
        estimates, speeds: as far as they are known.
        ahead: runs that go on or wait.
    """
    found: list[Check | None] = [*split]
    # One of each start: seeds and folds have the same.
    different = {(c.backbone, c.weights): c for c in configs if c.backbone not in missing}
    starts = [config for _, config in sorted(different.items())]
    found += [_check_weights(workspace, dataset, c) for c in starts if c.weights != "imagenet"]
    found += _check_imagenet([c.backbone for c in starts if c.weights == "imagenet"])
    found += [
        Check(
            "error",
            f"No initial weights for {BACKBONES[b]}: enter the path of a file, or choose ImageNet "
            "or random weights.",
        )
        for b in missing
    ]
    found += [_check_memory(speeds), _check_disk(workspace.home, configs)]
    short = [e for e, c in zip(estimates, configs, strict=False) if e.epochs < c.epochs]
    if short:
        found.append(
            Check(
                "warning",
                f"The time budget ends the run after about {short[0].epochs} of "
                f"{configs[0].epochs} epochs.",
            )
        )
    ids = [run.id for run in ahead]
    if ids:
        others = f" and {len(ids) - 1} more" if len(ids) > 1 else ""
        found.append(Check("warning", f"Queued behind {ids[0]}{others}."))
    return [check for check in found if check is not None]


def _check_weights(workspace: Workspace, dataset: Dataset, config: TrainConfig) -> Check:
    name, given = BACKBONES[config.backbone], InitialWeights.parse(config.weights, workspace.runs)
    if given.kind == "none":
        return Check("ok", f"{name} starts from random weights.")
    try:
        if given.kind == "file" and _member_file(workspace, config.weights) is not None:
            return Check("ok", f"{name} starts from the ensemble's member {config.weights}.")
        if (mixed := _with_members(workspace, config.weights)) is not None:
            for source, member in mixed:
                if member is None:
                    _exported(
                        workspace, open_run(workspace, source), config, _fingerprints(dataset)
                    )
            of = ", ".join(source for source, _ in mixed)
            return Check("ok", f"{name} starts from the mean of the weights of {of}.")
        if given.kind != "runs":
            return Check("ok", f"{name} starts from {_weights_file(config.weights).name}.")
        runs = [open_run(workspace, source) for source in given.sources]
        for run in runs:
            _best_epoch(workspace, run, config, _fingerprints(dataset))
    except BloodCellError as error:
        return Check("error", str(error))
    ids = ", ".join(run.id for run in runs)
    of = f"best epoch of {ids}" if len(runs) == 1 else f"mean of the best epochs of {ids}"
    return Check("ok", f"{name} starts from the {of}.")


def _check_imagenet(backbones: list[str]) -> list[Check]:
    """Whether Keras has downloaded the ImageNet weights of these networks already."""
    folder = Path.home() / ".keras" / "models"
    here: list[str] = []
    away: list[str] = []
    for backbone in backbones:
        there = any(folder.glob(DOWNLOADED.get(backbone, "nothing")))
        (here if there else away).append(BACKBONES[backbone])
    found = []
    if here:
        found.append(Check("ok", f"ImageNet weights of {', '.join(here)}: already downloaded."))
    if away:
        found.append(
            Check(
                "warning",
                f"ImageNet weights of {', '.join(away)}: not downloaded yet. Keras downloads them "
                "when the run starts; without a connection the run fails.",
            )
        )
    return found


def _check_disk(home: Path, configs: Sequence[TrainConfig]) -> Check:
    while not home.exists():
        home = home.parent
    needed, free = sum(map(disk_bytes, configs)), shutil.disk_usage(home).free
    words = f"Disk: {format_bytes(free)} free, at most {format_bytes(needed)} needed"
    if needed > free:
        return Check("error", f"{words}. Free some space first.")
    return Check("warning" if 2 * needed > free else "ok", f"{words}.")


def _check_memory(speeds: Sequence[Speed]) -> Check | None:
    needed = max((s.memory_bytes for s in speeds), default=0)
    if not needed:
        return None
    free = psutil.virtual_memory().available
    words = f"Memory: {format_bytes(free)} free, {format_bytes(needed)} needed"
    if needed > free:
        return Check("warning", f"{words}. Close other programs, or choose a smaller batch size.")
    return Check("ok", f"{words}.")
