"""Adapt an ensemble to a laboratory, in seconds and without TensorFlow.

From a few labelled cells of each class a linear head is fitted anew on what the members see, with
cells of home kept in (:mod:`bloodcell.ensemble.fit_head`); temperature, prediction sets and what
counts as a cell of the laboratory follow from the same cells, each left out in turn. From cells
without labels only the last is fitted: nothing about classes changes. The result is an ensemble of
its own that names its parent.

What it is worth is measured on cells that were not used: on the rest of the dataset where a number
of cells a class was given, else by repeated cross-validation, in which everything that is chosen
is chosen again without the cells that are judged.
"""

import hashlib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from bloodcell import __version__
from bloodcell.classes import CLASS_NAMES, OTHER
from bloodcell.data.pipeline import read_images
from bloodcell.data.store.dataset import Dataset
from bloodcell.ensemble.adapt_worth import (
    FEW,
    FOLDS,
    REPEATS,
    at_home,
    curve_of,
    doubtful_labels,
    judged,
    mean_of,
    refused_shares,
    repeated_folds,
)
from bloodcell.ensemble.adapted_head import (
    AdaptedHead,
    laboratory_novelty,
    reach_of,
    strangeness_left_out,
    to_bytes,
)
from bloodcell.ensemble.bundle import Bundle, file_checksums, new_ensemble, write_zip
from bloodcell.ensemble.classify import File, classify
from bloodcell.ensemble.description import read_description
from bloodcell.ensemble.ensemble import Ensemble
from bloodcell.ensemble.fit_head import (
    HOME_WEIGHT,
    Problem,
    draw,
    probabilities_of,
)
from bloodcell.ensemble.home_cells import (
    HOME,
    PER_CLASS,
    HomeCells,
    evenly,
    features_among,
    home_cells,
)
from bloodcell.ensemble.laboratory_cells import Cells, artefacts_of, look_at, of_dataset, usual
from bloodcell.ensemble.shift import find_shift
from bloodcell.ensemble.training_statistics import lights_of
from bloodcell.errors import BadInput
from bloodcell.evaluation.calibration import (
    LEAST_COVERAGE,
    apply_temperature,
    fit_sets,
    fit_temperature,
)
from bloodcell.evaluation.intervals import wilson
from bloodcell.files import CHECKSUM, new_folder, replacing, write_json, write_text
from bloodcell.locks import changing
from bloodcell.progress import Progress, silent
from bloodcell.workspace import Workspace

__all__ = ["adapt", "home_of", "problem_of", "write_home"]

# Split conformal prediction needs (n + 1)·coverage ≤ n.
FEWEST_FOR_SETS = 19


def write_home(path: Path, dataset: Dataset, progress: Progress = silent) -> int:
    """Add to an ensemble the cells of home that adapting it needs; returns their number.

    They are of the validation part of the dataset it was trained on, up to PER_CLASS a class: the
    networks were not fitted on them, and the test part stays unseen.

    Raises:
        BadInput: the ensemble is no folder, or the dataset is another one.
    """
    from bloodcell.evaluation.evaluate import split_of

    if not path.is_dir():
        raise BadInput(f"{path} is no folder: unpack the ensemble, home cells are kept in it.")
    ensemble = Ensemble(Bundle(path))
    trained = ensemble.description.trained_on
    if trained.fingerprint and trained.fingerprint != dataset.fingerprint:
        raise BadInput(
            f"The dataset {dataset.name} is not the one that {ensemble.name} was trained on "
            f"({trained.dataset}): give that one."
        )
    validation = split_of(ensemble.description, dataset).indices("validation")
    chosen = validation[evenly(dataset.labels[validation], PER_CLASS)]
    # Unturned: an eighth of the time, and at home it makes little difference.
    cells = of_dataset(ensemble, dataset, chosen, progress, tta=False)
    home = home_cells(
        cells.seen, features_among(ensemble.models), cells.said, cells.labels, cells.ids
    )
    content = to_bytes(home.tables())
    _keep_home(path, content)
    return len(cells)


def _keep_home(path: Path, content: bytes) -> None:
    # Two may write at once: each must find what the other has written.
    with changing(path / "home.npz", within=path):
        description = Bundle(path).description
        with replacing(path / "home.npz", within=path) as temporary:
            temporary.write_bytes(content)
        files = description.files | {"home.npz": hashlib.sha256(content).hexdigest()}
        write_json(
            path / "ensemble.json", description.changed(home="home.npz", files=files).to_json()
        )
        packed = path.with_name(f"{path.name}.zip")
        if packed.exists():
            write_zip(path, packed)


def adapt(
    workspace: Workspace,
    parent: Ensemble,
    name: str,
    dataset: Dataset | None = None,
    *,
    unlabelled: list[File] | None = None,
    per_class: int | None = None,
    seed: int = 0,
    tta: bool | None = None,
    progress: Progress = silent,
) -> dict[str, Any]:
    """Make the ensemble `name` of a parent and a laboratory's cells.

    Args:
        dataset: labelled cells of the laboratory; those that the parent saw are left out, but for
            those of an earlier adaptation, and copies count once.
        unlabelled: further photographs, without labels.
        per_class: use so many of each class; the others are judged on.
        seed: of every draw.
        tta: average over flips and turns, here and in what is made; None: as the parent does, but
            not where a cascade shows it few images so.

    Returns:
        The document of ``adapt --json``.

    Raises:
        BadInput: there is nothing to adapt to, or the parent has no cells of home.
        NameTaken: there is an ensemble of that name.
    """
    path, packed = new_ensemble(workspace, name)
    if dataset is None and not unlabelled:
        raise BadInput("Neither a dataset nor photographs were given: give --dataset or a folder.")
    if per_class is not None and per_class < 1:
        raise BadInput(f"--per-class is {per_class}, expected at least 1.")
    if tta is None and parent.description.cascade is not None:
        tta = False
    rng = np.random.default_rng(seed)
    home = home_of(parent) if dataset is not None else None
    cells = _laboratory(parent, dataset, home, progress, tta) if dataset is not None else None
    given = parent
    parent, plain, novelty, images = _unlabelled(
        parent, unlabelled or [], dataset is None, progress
    )
    if cells is not None:
        rows = np.flatnonzero(np.isin(dataset.hashes, cells.ids[cells.labels >= 0]))
        images = np.concatenate([images, read_images(dataset, rows, parent.size)])
    artefacts = artefacts_of(parent, images, progress)
    warnings: list[str] = []
    found: dict[str, Any] = {"name": name, "parent": parent.name}
    laboratory = _laboratory_name(dataset, cells, warnings)
    kinds = np.zeros(0, int) if cells is None else np.unique(cells.labels[cells.labels >= 0])
    if len(kinds) == 1:
        # A head that knows the laboratory by one class calls nearly all of its cells that.
        warnings.append(
            f"All labelled cells are {CLASS_NAMES[kinds[0]]}: nothing about classes changes until "
            "another class is labelled, only which cells are recognised."
        )
        alone = cells.rows(cells.labels >= 0)
        cells, plain = None, alone if plain is None else plain.and_also(alone)
        novelty = np.concatenate([novelty, alone.novelty])
    elif cells is None:
        warnings.append(
            "Without labelled cells nothing about classes changes: only which cells are recognised."
        )
    if parent is not given:
        old, new = (parent.description.balance, parent.description.light.background[1])
        warnings.append(
            f"White balance: an empty field of RGB {' '.join(f'{v:.0f}' for v in old)} is brought "
            f"to {' '.join(f'{v:.0f}' for v in new)}, that of the training photographs."
        )
    if cells is None:
        adaptation, tables, description = _from_unlabelled(parent, plain, novelty, artefacts, rng)
    else:
        adaptation, tables, description = _from_labelled(
            parent, home, cells, plain, artefacts, laboratory, per_class, rng, warnings
        )
    found |= {"laboratory": laboratory, **adaptation, "warnings": warnings}
    if tta is not None:
        description["tta"] = tta
    description |= {
        "adapted": {
            "parent": parent.name,
            "dataset": "" if dataset is None else dataset.name,
            "fingerprint": "" if dataset is None else dataset.fingerprint,
            "file": "adapted.npz",
            **{k: v for k, v in found.items() if k not in ("name", "parent")},
        }
    }
    _write(path, packed, parent, tables, description, _fitted_on(tables, cells, plain), found)
    return found


def home_of(ensemble: Ensemble) -> HomeCells:
    """The cells of home that an ensemble carries.

    Raises:
        BadInput: it carries none, or they are damaged.
    """
    file = ensemble.description.home
    if file is None:
        raise BadInput(
            f"The ensemble {ensemble.name} carries no cells of home, without which it would forget "
            "them: add them with `python -m bloodcell home ENSEMBLE --dataset D`, where D is the "
            "dataset it was trained on."
        )
    where = f"{ensemble.bundle.path}: {file}"
    return HomeCells.read(ensemble.bundle.arrays(file), where, len(features_among(ensemble.models)))


def problem_of(home: HomeCells, cells: Cells) -> Problem:
    """Labelled cells of a laboratory beside cells of home, ready to be fitted."""
    return Problem(
        home.views(home.rows),
        home.views(home.sketch(cells.seen)),
        home.said.astype(np.float64),
        cells.said,
        home.labels.astype(np.int64),
        cells.labels,
        np.where(home.laboratory == HOME, HOME_WEIGHT, 1.0),
    )


def _laboratory(
    parent: Ensemble, dataset: Dataset, home: HomeCells, progress: Progress, tta: bool | None
) -> Cells:
    known = np.setdiff1d(parent.seen(), home.ids[home.laboratory != HOME])
    indices = np.flatnonzero(dataset.kept & ~np.isin(dataset.hashes, known))
    _, first = np.unique(dataset.hashes[indices], return_index=True)
    indices = indices[np.sort(first)]
    if not (dataset.labels[indices] >= 0).any():
        raise BadInput(
            f"No labelled cell of {dataset.name} is new to {parent.name}: give a dataset of the "
            "laboratory with cells of the eight classes."
        )
    return of_dataset(parent, dataset, indices, progress, tta)


def _unlabelled(
    parent: Ensemble, files: list[File], light: bool, progress: Progress
) -> tuple[Ensemble, Cells | None, np.ndarray, np.ndarray]:
    """Look at photographs without labels.

    Args:
        light: fit the white balance to them, where theirs is another light than the parent knows.

    Returns:
        The parent in that light; what it sees; the parent's own novelty of each, n; the images.
    """
    if not files:
        return parent, None, np.zeros(0), np.zeros((0, parent.size, parent.size, 3), np.uint8)
    shown = classify(parent, files, tta=False, progress=progress)
    images, n = shown.images, len(shown.images)
    if not n:
        raise BadInput(f"None of the {len(files)} photographs could be read: give others.")
    ids = np.array([hashlib.blake2b(i.tobytes(), digest_size=16).hexdigest() for i in images])
    readable = [f for p, f in enumerate(shown.files) if p not in shown.errors]
    shift = find_shift(parent, shown.backgrounds, shown.answers.novelty)
    if light and parent.description.balance is None and shift is not None and shift.other_light:
        parent = parent.in_light(shift.background)
    every, nothing = np.arange(n), np.full(n, OTHER)
    seen = look_at(parent, lambda i: images[i], every, nothing, ids, np.array(readable), progress)
    return parent, seen, shown.answers.novelty, images


def _laboratory_name(dataset: Dataset | None, cells: Cells | None, warnings: list[str]) -> str:
    if dataset is None or cells is None:
        return "unnamed"
    given = dataset.origin("laboratory")[np.isin(dataset.hashes, cells.ids)]
    names = sorted({str(v) for v in given if v})
    if len(names) > 1:
        warnings.append(
            f"The cells are of {len(names)} laboratories ({', '.join(names[:5])}): one head is "
            "fitted to all of them; adapt to each alone if they differ."
        )
    return " + ".join(names)[:64] or dataset.name[:64]


def _from_labelled(
    parent: Ensemble,
    home: HomeCells,
    everything: Cells,
    plain: Cells | None,
    artefacts: Cells,
    laboratory: str,
    per_class: int | None,
    rng: np.random.Generator,
    warnings: list[str],
) -> tuple[dict[str, Any], dict[str, np.ndarray], dict[str, Any]]:
    cells = everything.rows(everything.labels >= 0)
    others = everything.rows(everything.labels < 0)
    home = home.without(cells.ids)
    labels, sketched = cells.labels, home.sketch(cells.seen)
    problem = problem_of(home, cells)
    every = np.arange(len(cells))
    used = every if per_class is None else draw(labels, per_class, rng)
    rest = np.setdiff1d(every, used)
    held = len(rest) > 0
    folds = [[(used, rest)]] if held else repeated_folds(labels, rng)
    results = [judged(problem, parent, cells, others, plain, artefacts, repeat) for repeat in folds]
    found: dict[str, Any] = {"used": _counts(labels[used])}
    if results and results[0]:
        found["before"], found["after"] = (
            mean_of([r[k] for r in results]) for k in ("before", "after")
        )
        found["paired"] = results[0]["paired"]
        found["how"] = (
            f"on {len(rest)} cells that were not used"
            if held
            else f"{FOLDS}-fold cross-validation, {REPEATS} times over"
        )
    else:
        found |= {"before": None, "after": None, "paired": None, "how": "not measured"}
        warnings.append(
            "With one cell of each class nothing can be measured: label two or more of a class."
        )
    if len(others):
        found["other"] = mean_of([r["other"] for r in results if r]) or None
    if len(artefacts):
        found["synthetic"] = mean_of([r["synthetic"] for r in results if r]) or None
    found["curve"], found["label_next"] = curve_of(problem, rng)
    warnings += _what_cannot_be_known(labels[used])
    choice = problem.choose(used)
    left = problem.left_out(choice, used)
    found["doubtful"] = doubtful_labels(cells.rows(used), left)
    if found["doubtful"]:
        warnings.append(
            f"{len(found['doubtful'])} of {len(used)} labels look wrong to the other cells: look "
            f"at {', '.join(d['name'] for d in found['doubtful'][:3])} first."
        )
    fitted = problem.fit(choice, used)
    there = home.laboratory == HOME
    found["home"] = at_home(home.labels[there], home.said[there], fitted.home_scores[there])
    if found["home"]["after"] < found["home"]["before"] - 0.01:
        warnings.append("At home more than one point is lost: keep the parent for cells of home.")
    found["chosen"] = {
        "representation": choice.view,
        "strength": choice.strength,
        "beginning": choice.beginning,
    }
    probabilities = probabilities_of(left)
    temperature = fit_temperature(labels[used], probabilities)
    calibrated = apply_temperature(probabilities, temperature)
    earlier = _earlier(parent)
    own_cells = cells.features[used]
    near = own_cells if plain is None else np.concatenate([own_cells, usual(plain.features)])
    tables = _tables(
        AdaptedHead(
            home.middle,
            home.spread,
            home.weights_of(home.view_weights(choice.view, fitted.weights)),
            fitted.constant,
            np.asarray(choice.beginning),
            np.concatenate([earlier[0], near]),
            np.concatenate([earlier[1], others.features]),
            np.concatenate([earlier[2], artefacts.features]),
            np.asarray(reach_of(near)),
        )
    )
    kept = home.with_cells(
        sketched[used], cells.said[used], labels[used], cells.ids[used], laboratory
    )
    description = {
        "temperature": temperature,
        "conformal": fit_sets(labels[used], calibrated),
        "light": _light(parent, cells.backgrounds),
        "novelty": _novelty(parent, near),
        "home": "home.npz",
    }
    return found, {"adapted.npz": tables, "home.npz": kept.tables()}, description


def _what_cannot_be_known(labels: np.ndarray) -> list[str]:
    """What cells of these labels are too few for, in sentences."""
    told = []
    few = [CLASS_NAMES[c] for c in np.unique(labels) if (labels == c).sum() < FEW]
    if few:
        told.append(
            f"Fewer than {FEW} cells of {', '.join(few)}: how well these are told here cannot be "
            "known yet."
        )
    if len(labels) < FEWEST_FOR_SETS:
        told.append(
            f"With {len(labels)} labelled cells no prediction set smaller than all eight can "
            f"be promised at {100 * LEAST_COVERAGE:.0f} %: label {FEWEST_FOR_SETS} or more."
        )
    absent = [n for c, n in enumerate(CLASS_NAMES) if c not in labels]
    if absent:
        told.append(
            f"No labelled cell of {', '.join(absent)}: nothing is known of these here, and where "
            "they occur they may be taken for a class that was labelled."
        )
    return told


def _from_unlabelled(
    parent: Ensemble,
    plain: Cells,
    novelty: np.ndarray,
    artefacts: Cells,
    rng: np.random.Generator,
) -> tuple[dict[str, Any], dict[str, np.ndarray], dict[str, Any]]:
    halves = np.array_split(rng.permutation(len(plain)), 2)
    threshold = parent.description.novelty.threshold
    earlier = _earlier(parent)
    after, refused = np.zeros(len(plain), bool), np.zeros(len(artefacts), bool)
    for k, (part, other) in enumerate((halves, halves[::-1])):
        if len(other):
            near = np.concatenate([earlier[0], usual(plain.features[other])])
            made = artefacts.features[1 - k :: 2]
            known, own = plain.novelty[part] / threshold, plain.features[part]
            reach = reach_of(near)
            after[part] = laboratory_novelty(known, own, near, near[:0], made, reach) <= 1
            known, own = artefacts.novelty[k::2] / threshold, artefacts.features[k::2]
            refused[k::2] = laboratory_novelty(known, own, near, near[:0], made, reach) > 1
    near = usual(plain.features)
    head = parent.head
    nothing = np.zeros(0)
    labelled = head is not None and head.labelled
    tables = _tables(
        AdaptedHead(
            head.middle if labelled else nothing,
            head.spread if labelled else nothing,
            head.weights if labelled else np.zeros((0, len(CLASS_NAMES))),
            head.constant if labelled else np.zeros(len(CLASS_NAMES)),
            head.beginning if labelled else np.asarray(1.0),
            np.concatenate([earlier[0], near]),
            earlier[1],
            np.concatenate([earlier[2], artefacts.features]),
            np.asarray(reach_of(near)),
        )
    )

    def shares(recognised: np.ndarray) -> dict[str, Any]:
        count = int(recognised.sum())
        return {
            "n": len(plain),
            "accuracy": None,
            "balanced_accuracy": None,
            "ece": None,
            "recognised": count / len(plain),
            "intervals": {"recognised": list(wilson(count, len(plain)))},
        }

    found = {
        "used": {},
        "unlabelled": len(plain),
        "before": shares(novelty <= threshold),
        "after": shares(after),
        "synthetic": refused_shares(artefacts, threshold, refused),
        "how": "each half of the photographs judged by the other",
        "home": None,
        "curve": [],
    }
    changes = {"light": _light(parent, plain.backgrounds), "novelty": _novelty(parent, near)}
    if parent.description.balance is not None:
        changes["balance"] = parent.description.balance
    return found, {"adapted.npz": tables}, changes


def _earlier(parent: Ensemble) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Cells, others and artefacts of the laboratories that the parent was adapted to."""
    if parent.head is None:
        return (np.zeros((0, sum(m.channels for m in parent.models))),) * 3
    head = parent.head
    return tuple(t.astype(np.float64) for t in (head.cells, head.others, head.artefacts))


def _tables(head: AdaptedHead) -> dict[str, np.ndarray]:
    wide = ("cells", "others", "artefacts")
    return {
        key: np.asarray(value, np.float16 if key in wide else np.float32)
        for key, value in vars(head).items()
    }


def _light(parent: Ensemble, backgrounds: np.ndarray) -> dict[str, Any] | None:
    """The parent's, with the laboratory's light among those that are known."""
    light = parent.description.light
    if light is None:
        return None
    found = light.model_dump(mode="json", exclude_unset=True)
    middle = [float(v) for v in np.median(backgrounds, axis=0)]
    return found | {"known": [*(found.get("known") or []), *lights_of(backgrounds), middle]}


def _novelty(parent: Ensemble, near: np.ndarray) -> dict[str, Any]:
    """The parent's, with what share of the laboratory's cells stays below a novelty."""
    novelty = parent.description.novelty
    own = novelty.threshold * strangeness_left_out(near)
    levels = [
        [share, max(level, float(np.quantile(own, share)))] for share, level in novelty.levels
    ]
    return novelty.model_dump(mode="json", exclude_unset=True) | {"levels": levels}


def _counts(labels: np.ndarray) -> dict[str, int]:
    counts = np.bincount(labels, minlength=len(CLASS_NAMES))
    return {n: int(c) for n, c in zip(CLASS_NAMES, counts, strict=True) if c}


def _fitted_on(
    tables: dict[str, dict[str, np.ndarray]], cells: Cells | None, plain: Cells | None
) -> np.ndarray:
    """Identities of the cells that something was fitted on: never again counted as unseen."""
    ids = [] if plain is None else [plain.ids]
    if cells is not None:
        home = tables["home.npz"]
        ids += [cells.ids[cells.labels < 0], home["ids"][home["laboratory"] != HOME]]
    return np.concatenate(ids)


def _write(
    path: Path,
    packed: Path,
    parent: Ensemble,
    tables: dict[str, dict[str, np.ndarray]],
    changes: dict[str, Any],
    ids: np.ndarray,
    found: dict[str, Any],
) -> None:
    new = {file: to_bytes(t) for file, t in tables.items()}
    info = parent.description.to_json() | {
        "name": path.name,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "bloodcell_version": __version__,
        **changes,
    }
    # It is of the parent; `to_json` makes one anew.
    info.pop(CHECKSUM, None)
    # Its limits are the parent's, and the head of a laboratory looks at all members.
    info.pop("cascade", None)
    if info.get("light") is None:
        info.pop("light", None)
    with replacing(packed) as zipped, new_folder(path) as folder:
        (folder / "members").mkdir()
        for file in parent.description.files:
            if file not in new:
                (folder / file).write_bytes(parent.bundle.read_checked(file))
        for file, content in new.items():
            (folder / file).write_bytes(content)
        seen = np.union1d(parent.seen(), ids)
        np.save(folder / "seen.npy", seen.astype("S"), allow_pickle=False)
        card = parent.bundle.read("card.md").decode("utf-8", "replace")
        write_text(folder / "card.md", f"{card_of(found)}\n{card}")
        info["files"] = file_checksums(folder)
        write_json(folder / "ensemble.json", read_description(info, str(path)).to_json())
        write_zip(folder, zipped)


def card_of(found: dict[str, Any]) -> str:
    """The part of ``card.md`` that says what was adapted to what, and what that is worth."""
    used = ", ".join(f"{n} {c}" for c, n in found["used"].items())
    cells = f"{used} (labelled there)" if used else f"{found['unlabelled']} cells without labels"
    lines = [
        f"# {found['name']}: {found['parent']} adapted to {found['laboratory']}",
        "",
        f"Fitted on {cells}; the networks are those of {found['parent']}, whose card follows.",
        "",
    ]
    if found["after"] is not None:
        lines += ["| | before | after | 95 % |", "|---|---|---|---|"]
        for key in ("accuracy", "balanced_accuracy", "ece", "recognised"):
            before, after = found["before"][key], found["after"][key]
            if after is None:
                continue
            low, high = found["after"]["intervals"][key]
            lines.append(
                f"| {key.replace('_', ' ')} | {100 * before:.1f} % | {100 * after:.1f} % | "
                f"{100 * low:.1f} to {100 * high:.1f} |"
            )
        lines += ["", f"Measured: {found['how']}, n = {found['after']['n']}.", ""]
    for key, words in (("other", "labelled as none of the eight"), ("synthetic", "synthetic")):
        if shares := found.get(key):
            lines += [
                f"Refused of {shares['n']} pictures that are {words}: "
                f"{100 * shares['refused_before']:.1f} % before, "
                f"{100 * shares['refused_after']:.1f} % after.",
                "",
            ]
    if found["home"]:
        home = found["home"]
        lines += [
            f"At home (balanced accuracy, {home['n']} cells, each left out in turn): "
            f"{100 * home['before']:.1f} % before, {100 * home['after']:.1f} % after.",
            "",
        ]
    return "\n".join([*lines, *(f"- {w}" for w in found["warnings"]), "", "---", ""])
