"""Make an ensemble of finished runs: everything is fitted on validation images alone."""

import math
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import numpy as np

from bloodcell import __version__
from bloodcell.augment.policy import NO_STAINS
from bloodcell.augment.stain_transfer import Stains
from bloodcell.classes import CLASS_NAMES
from bloodcell.data.calibration_part import calibration_part
from bloodcell.data.pipeline import read_images
from bloodcell.data.stains import measure_stains
from bloodcell.data.store.dataset import Dataset, open_dataset
from bloodcell.data.synthetic.out_of_distribution import (
    OUT_OF_DISTRIBUTION,
    make_out_of_distribution,
)
from bloodcell.ensemble.adapted_head import to_bytes
from bloodcell.ensemble.bundle import file_checksums, new_ensemble, write_zip
from bloodcell.ensemble.card import card_text
from bloodcell.ensemble.cascade import Seen, fit_cascade
from bloodcell.ensemble.combinable import check_runs, common_images
from bloodcell.ensemble.description import FORMAT_VERSION, read_description
from bloodcell.ensemble.ensemble import BATCH, DECIMALS, run_members
from bloodcell.ensemble.exposure import show_elsewhere, show_none
from bloodcell.ensemble.home_cells import (
    PER_CLASS,
    evenly,
    evenly_of_each,
    features_among,
    home_cells,
)
from bloodcell.ensemble.novelty import NEIGHBOURS, REFUSED_SHARE
from bloodcell.ensemble.refusal import Cells, Refusal, fit_refusal, novelty_by
from bloodcell.ensemble.stained import beyond, limits_for
from bloodcell.ensemble.training_statistics import novelty_levels, reference_of
from bloodcell.ensemble.weights import contributions, find_weights
from bloodcell.evaluation.calibration import apply_temperature, fit_sets, fit_temperature
from bloodcell.files import new_folder, replacing, write_array, write_json, write_text
from bloodcell.models.litert import LiteModel
from bloodcell.progress import Progress, silent
from bloodcell.runs.recipe import recipe_of
from bloodcell.runs.run import Run
from bloodcell.workspace import Workspace

__all__ = ["compose"]

METHOD = (
    "distance to the k-th nearest known cell, light and green that a stain would have taken, and "
    "a detector of synthetic out-of-distribution images"
)
OF_OTHERS = ", and one of cells labelled other"
FOUND = "found"
MOST_OTHERS = 600
# Pictures of none of the eight, of each kind, by which is chosen what the first member says alone:
# others than those that the detectors have learned from.
PER_KIND, STRANGERS_SEED = 60, 4_711


def compose(
    workspace: Workspace,
    runs: list[Run],
    name: str,
    *,
    weights: list[float] | Literal["found"] | None = None,
    tta: bool = False,
    cascade: bool = False,
    compact: bool = False,
    zipped: bool = True,
    progress: Progress = silent,
) -> Path:
    """Combine runs into the ensemble `name`; returns its folder.

    The probabilities of the members are averaged, then a temperature is fitted (Rahaman and
    Thiery, "Uncertainty quantification and deep ensembles", NeurIPS 2021), then the threshold
    of the prediction sets and of novelty; all on images that every run had for validation, the
    thresholds on those of them that chose nothing (:mod:`bloodcell.data.calibration_part`).

    Args:
        runs: finished runs on one dataset.
        weights: of the members, at least 0; equal by default; "found": those that fit the
            validation images best (:func:`bloodcell.ensemble.weights.find_weights`). A run
            that weighs 0 is left out.
        tta: average over the eight flips and turns from now on.
        cascade: from now on let the smallest member answer alone where it is sure, if it can
            without cost: see :mod:`bloodcell.ensemble.cascade`.
        compact: keep the weights of all members but the smallest in int8, half as large.
        zipped: also write ``NAME.zip`` beside the folder.

    Raises:
        BadInput: a run is not finished, or the runs do not belong together.
        NameTaken: there is an ensemble of that name.
    """
    path, packed = new_ensemble(workspace, name)
    by_hand = None if weights == FOUND else weights
    check_runs(runs, by_hand)
    shares = np.array(by_hand or [1.0] * len(runs), float)
    if by_hand is not None:
        # Who weighs nothing is left out: running it would cost time for nothing.
        runs = [run for run, share in zip(runs, shares, strict=True) if share > 0]
        shares = shares[shares > 0]
    dataset = open_dataset(workspace, runs[0].config().dataset)
    validation, train, seen, others = common_images(dataset, runs)
    others = others[:: max(1, -(-len(others) // MOST_OTHERS))]
    truth = dataset.labels[validation]
    known = train[
        evenly_of_each(dataset.labels[train], dataset.origin("laboratory")[train].astype(str))
    ]
    networks = _networks(runs, name, compact, progress)
    probabilities, plain, novelty_features, unlike = _run(
        [n.model for n in networks], dataset, validation, tta, progress, "validation"
    )
    apart = calibration_part(dataset.hashes[validation])
    # Where there are too few to set some apart, the same images have to serve twice.
    fit, calibration = ~apart, apart if apart.any() else ~apart
    left_out: list[str] = []
    if weights == FOUND:
        shares = find_weights(truth[fit], probabilities[:, fit])
        left_out = [run.id for run, share in zip(runs, shares, strict=True) if share == 0]
        kept = np.flatnonzero(shares > 0)
        networks, novelty_features = (
            [all_[i] for i in kept] for all_ in (networks, novelty_features)
        )
        probabilities, plain, shares = probabilities[kept], plain[kept], shares[kept]
    models = [n.model for n in networks]
    shares = shares / shares.sum()

    # The zip gets its name after the folder: nobody else's folder ever has this zip beside it.
    with replacing(packed) if zipped else nullcontext() as target, new_folder(path) as folder:
        (folder / "members").mkdir()
        members = []
        for network, share, own in zip(networks, shares, probabilities, strict=True):
            (folder / network.file).write_bytes(network.content)
            accuracy = float((own.argmax(1) == truth).mean())
            members.append(_member(workspace, network, float(share), accuracy))
        found_refusal, refusal = _refuse(
            folder, dataset, others, networks, members, known, validation, novelty_features, unlike,
            fit, calibration, progress,
        )  # fmt: skip
        mean = np.tensordot(shares, probabilities, axes=1)
        temperature = fit_temperature(truth[fit], mean[fit])
        calibrated = apply_temperature(mean, temperature)
        found, novelty = None, found_refusal.novelty
        if cascade and len(models) > 1:
            strangers = _strangers(dataset, models, validation, progress)
            found, calibrated, novelty = _cascade(
                models, truth, found_refusal,
                Whole(shares, temperature, calibrated, probabilities, plain, tta),
                novelty_features, refusal["threshold"], fit, calibration, strangers,
            )  # fmt: skip
        _write_home(
            folder, models, novelty_features, np.tensordot(shares, plain, axes=1), truth,
            dataset.hashes[validation],
        )  # fmt: skip
        write_array(folder / "known.npy", dataset.hashes[known].astype("S32"))
        write_array(folder / "seen.npy", np.array(seen, "S32"))
        info = {
            "format_version": FORMAT_VERSION,
            "name": name,
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
            "bloodcell_version": __version__,
            "classes": list(CLASS_NAMES),
            "input_size": dataset.size[0],
            "crop": dataset.info["crop"],
            "members": members,
            "temperature": temperature,
            "tta": tta,
            "novelty": {**refusal, "levels": novelty_levels(novelty[calibration])},
            **reference_of(read_images(dataset, known[::4], dataset.size[0]), dataset.info),
            "conformal": {
                **fit_sets(truth[calibration], calibrated[calibration]),
                "set_apart": bool(apart.any()),
            },
            "weighting": "found on validation" if weights == FOUND else "given",
            "left_out": left_out,
            "home": "home.npz",
            **({} if found is None else {"cascade": found}),
            "trained_on": _trained_on(dataset, networks[0].run, seen),
            "measured": {
                "validation": {
                    "n": len(validation),
                    "accuracy": float((calibrated.argmax(1) == truth).mean()),
                    **_without_each(truth, probabilities, shares),
                }
            },
            # Their checksums, once they are written.
            "files": {},
        }
        description = read_description(info, str(path))
        write_text(folder / "card.md", card_text(description))
        files = file_checksums(folder)
        write_json(folder / "ensemble.json", description.changed(files=files).to_json())
        # Before the folder gets its name: if the disk is full there is neither of them.
        if target is not None:
            write_zip(folder, target)
    return path


def _run(
    models: list[LiteModel],
    dataset: Dataset,
    indices: np.ndarray,
    tta: bool,
    progress: Progress,
    what: str,
) -> tuple[np.ndarray, np.ndarray, list[np.ndarray], np.ndarray]:
    """Of images of a dataset: probabilities (m×n×8), with `tta` of their views; those of the
    unturned images; novelty features (m times n×(C+T)); and how unlike stained cells (n×2)."""
    probabilities, plain, novelty_features, unlike = [], [], [], []
    read: Callable[[np.ndarray], np.ndarray] = lambda i: read_images(dataset, i, dataset.size[0])  # noqa: E731
    for start in range(0, len(indices), BATCH):
        raw = run_members(models, read(indices[start : start + BATCH]), tta)
        probabilities.append(raw.probabilities)
        plain.append(raw.plain)
        novelty_features.append(raw.novelty_features)
        unlike.append(raw.unlike)
        progress(min(start + BATCH, len(indices)), len(indices), what)
    return (
        np.concatenate(probabilities, axis=1),
        np.concatenate(plain, axis=1),
        [np.concatenate(f) for f in zip(*novelty_features, strict=True)],
        np.concatenate(unlike),
    )


def _refuse(
    folder: Path,
    dataset: Dataset,
    others: np.ndarray,
    networks: "list[Network]",
    members: list[dict[str, Any]],
    known: np.ndarray,
    validation: np.ndarray,
    novelty_features: list[np.ndarray],
    unlike: np.ndarray,
    fit: np.ndarray,
    calibration: np.ndarray,
    progress: Progress,
) -> tuple[Refusal, dict[str, Any]]:
    """Fit and write what is refused; and what is said of it."""
    models = [network.model for network in networks]
    size, stains = dataset.size[0], _stains(dataset, known)
    cells = read_images(dataset, known, size)
    of_known, *varied = show_elsewhere(models, cells, dataset.labels[known], stains, 0, progress)
    strange, method = [show_none(models, cells, 0, progress)], METHOD
    if len(others):
        # Shown elsewhere too: else their detector would tell the laboratory that they are from.
        none = read_images(dataset, others, size)
        shown = show_elsewhere(models, none, dataset.labels[others], stains, 1, progress)
        strange.append([np.concatenate(found) for found in zip(*shown, strict=True)])
        method += OF_OTHERS
    place = dataset.origin("laboratory")
    channels = [model.channels for model in models]
    outlier = [n.run.read_outlier(n.model.channels) for n in networks]
    refusal = fit_refusal(
        Cells(
            of_known, varied, novelty_features, strange, fit, place[known], place[validation],
            channels, outlier,
        ),
        lambda done, total: progress(done, total, "laboratories left out in turn"),
    )  # fmt: skip
    for member, found in zip(members, refusal.rules, strict=True):
        write_array(folder / member["basis"], found.basis)
        write_array(folder / member["features"], found.rows)
        write_array(folder / member["detector"], found.detectors)
        member |= {"novelty_scale": found.scale, "novelty_weight": 1.0}
    # Strictly above the quantile, so that at most the share is refused; and so rounded, since an
    # answer has so many digits.
    limit = float(np.quantile(refusal.novelty[calibration], 1 - REFUSED_SHARE, method="higher"))
    limit = math.ceil(limit * 10**DECIMALS) / 10**DECIMALS
    limit = max(limit, 1.0) if refusal.left_out else limit
    stained = limits_for(unlike[fit])
    novelty = np.maximum(refusal.novelty, limit * beyond(unlike, stained))
    return replace(refusal, novelty=novelty), {
        "method": method,
        "neighbours": NEIGHBOURS,
        "threshold": limit,
        "stained": stained,
        "laboratories": [asdict(found) for found in refusal.left_out],
    }


@dataclass(frozen=True)
class Strangers:
    """Pictures of none of the eight that no detector has learned from, as the m members see them.

    Attributes:
        probabilities: float32, m×n×8. features: m arrays n×(C+T).
    """

    probabilities: np.ndarray
    features: list[np.ndarray]


def _strangers(
    dataset: Dataset,
    models: list[LiteModel],
    validation: np.ndarray,
    progress: Progress,
) -> Strangers:
    chosen = validation[evenly(dataset.labels[validation], PER_CLASS)]
    shown = read_images(dataset, chosen, dataset.size[0])
    found = []
    for done, kind in enumerate(OUT_OF_DISTRIBUTION):
        progress(done, len(OUT_OF_DISTRIBUTION), "kinds of out-of-distribution images")
        made = make_out_of_distribution(kind, shown, PER_KIND, STRANGERS_SEED)
        batches = range(0, len(made), BATCH)
        found += [run_members(models, made[start : start + BATCH], False) for start in batches]
    return Strangers(
        np.concatenate([r.probabilities for r in found], axis=1),
        [np.concatenate(f) for f in zip(*(r.novelty_features for r in found), strict=True)],
    )


def _cascade(
    models: list[LiteModel],
    labels: np.ndarray,
    refusal: Refusal,
    whole: "Whole",
    novelty_features: list[np.ndarray],
    threshold: float,
    fit: np.ndarray,
    calibration: np.ndarray,
    strangers: Strangers,
) -> tuple[dict[str, Any] | None, np.ndarray, np.ndarray]:
    """The cascade if there is one; probabilities and novelty of the validation images by it."""
    # The smallest; among networks of one size that which is right most often.
    right = (whole.each.argmax(2) == labels).mean(1)
    first = min(range(len(models)), key=lambda i: (models[i].bytes >> 20, -right[i]))
    name = models[first].name
    once = whole.plain[first]
    temperature = fit_temperature(labels[fit], once[fit])
    cells = Seen(
        apply_temperature(once, temperature),
        novelty_by([refusal.rules[first]], [novelty_features[first]]),
        whole.probabilities,
        refusal.novelty,
        whole.calibrate(whole.plain) if whole.tta else None,
    )
    said = strangers.probabilities
    none = Seen(
        apply_temperature(said[first], temperature),
        novelty_by([refusal.rules[first]], [strangers.features[first]]),
        whole.calibrate(said),
        refusal.of(strangers.features),
    )
    found = fit_cascade(labels, cells, none, threshold, fit, calibration)
    if found is None:
        return None, whole.probabilities, refusal.novelty
    limits = {k: v for k, v in found.items() if k != "measured"}
    probabilities, novelty = cells.answers(**limits)
    return {"first": name, "temperature": temperature, **found}, probabilities, novelty


@dataclass(frozen=True)
class Whole:
    """All members on the validation images: their weights, and what they say together.

    Attributes:
        each, plain: float32, m×n×8: of each member alone; and of the unturned images.
        tta: whether the others are averages over views.
    """

    shares: np.ndarray
    temperature: float
    probabilities: np.ndarray
    each: np.ndarray
    plain: np.ndarray
    tta: bool

    def calibrate(self, each: np.ndarray) -> np.ndarray:
        """What members that say `each`, m×n×8, say together, n×8."""
        return apply_temperature(np.tensordot(self.shares, each, axes=1), self.temperature)


def _stains(dataset: Dataset, known: np.ndarray) -> Stains:
    """Those of the laboratories of the known images; none, for those built in, if it is one."""
    found = measure_stains(dataset, known)
    return found if len(found) > 1 else NO_STAINS


def _write_home(
    folder: Path,
    models: list[LiteModel],
    novelty_features: list[np.ndarray],
    said: np.ndarray,
    truth: np.ndarray,
    ids: np.ndarray,
) -> None:
    """Some validation cells as an adaptation keeps them."""
    rows = evenly(truth, PER_CLASS)
    seen = np.concatenate([f[rows] for f in novelty_features], axis=1)
    home = home_cells(seen, features_among(models), said[rows], truth[rows], ids[rows])
    (folder / "home.npz").write_bytes(to_bytes(home.tables()))


@dataclass(frozen=True)
class Network:
    """A run's exported network: its bytes, and ready to be asked."""

    run: Run
    content: bytes
    model: LiteModel

    @property
    def file(self) -> str:
        return f"members/{self.model.name}.tflite"


def _networks(runs: list[Run], ensemble: str, compact: bool, progress: Progress) -> list[Network]:
    """The network of each run, named after its backbone; none is called like the ensemble."""
    contents = [run.read_litert() for run in runs]
    if compact and len(runs) > 1:
        contents = _with_int8(runs, contents, progress)
    found: list[Network] = []
    for run, content in zip(runs, contents, strict=True):
        backbone = run.config().backbone
        name, count, taken = backbone, 2, {ensemble, *(n.model.name for n in found)}
        while name in taken:
            name, count = f"{backbone}-{count}", count + 1
        found.append(Network(run, content, LiteModel(content, name)))
    return found


def _with_int8(runs: list[Run], contents: list[bytes], progress: Progress) -> list[bytes]:
    """The same, but all except the smallest exported again with weights in int8."""
    # Imported late: it loads TensorFlow.
    from bloodcell.models.export import int8_litert

    found, smallest = list(contents), min(range(len(runs)), key=lambda i: len(contents[i]))
    for i, run in enumerate(runs):
        progress(i, len(runs), "networks in int8")
        if i != smallest:
            found[i] = int8_litert(run.keras_path)
    return found


def _member(
    workspace: Workspace, network: Network, share: float, accuracy: float
) -> dict[str, Any]:
    """A member's entry; :func:`_refuse` adds its scale."""
    run, model = network.run, network.model
    return {
        "name": model.name,
        "file": network.file,
        "features": f"members/{model.name}.features.npy",
        "basis": f"members/{model.name}.basis.npy",
        "detector": f"members/{model.name}.detector.npy",
        "backbone": run.config().backbone,
        "input_size": model.size,
        "weight": share,
        "run": run.id,
        "validation_accuracy": accuracy,
        "recipe": recipe_of(workspace, run),
    }


def _trained_on(dataset: Dataset, run: Run, seen: list[str]) -> dict[str, Any]:
    config = run.config()
    return {
        "dataset": dataset.name,
        "source": dataset.info["source"],
        "fingerprint": dataset.fingerprint,
        "curation_fingerprint": dataset.curation.fingerprint,
        "images_seen": len(seen),
        "split_seed": config.split_seed,
        "split_shares": list(config.split_shares),
        "split_fold": list(config.split_fold),
        "split_by": config.split_by,
        "split_hold_out": config.split_hold_out,
    }


def _without_each(truth: np.ndarray, probabilities: np.ndarray, shares: np.ndarray) -> dict:
    """What leaving out each member would do, for ``measured.validation``."""
    if len(shares) < 2:
        return {}
    _, loss, without = contributions(truth, probabilities, shares)
    return {"log_loss": loss, "without": [asdict(found) for found in without]}
