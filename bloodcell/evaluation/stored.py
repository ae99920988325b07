"""Evaluations kept beside their dataset, so that none is worked out twice.

``DATASET/evaluations/KEY.npz`` holds the answers and the judgements. KEY names everything that
they depend on: the ensemble's files, the dataset's images, the decisions about them, the part,
the flips and turns, and the version of the formulas. A file that is damaged or cannot be
written is as good as none.
"""

import hashlib
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from bloodcell import __version__
from bloodcell.data.store.dataset import Dataset
from bloodcell.ensemble.description import Description
from bloodcell.ensemble.ensemble import Answers, Ensemble
from bloodcell.evaluation.evaluate import Evaluation, divided_by, evaluate, origin_of
from bloodcell.evaluation.metrics import Judgement
from bloodcell.evaluation.origins import Others, clusters_of
from bloodcell.files import CHECKSUM, read_arrays, replacing, unless_read_only
from bloodcell.progress import Progress, silent

__all__ = ["evaluated", "evaluation_key", "load_evaluation", "save_evaluation"]

# Raise it whenever a formula changes: what was kept before is then worked out anew.
FORMAT = 2
# Evaluations kept for a dataset; the oldest go.
KEPT = 40
OTHERS = ("indices", "novelty", "recognised", "predicted")
ANSWERS = ("probabilities", "members", "prediction_sets", "novelty", "recognised")


def evaluation_key(description: Description, dataset: Dataset, part: str, tta: bool | None) -> str:
    """What an evaluation depends on, as 32 hex digits.

    Args:
        description: the content of ``ensemble.json``; it has the checksum of every file.
        tta: None: as the ensemble was composed.
    """
    # The card only tells of the ensemble: what is added to it changes no answer.
    files = {name: digest for name, digest in description.files.items() if name != "card.md"}
    depends = [
        [FORMAT, __version__],
        _without_checksum(description.changed(files=files)),
        [dataset.fingerprint, dataset.curation.fingerprint],
        [part, description.views(tta)],
    ]
    text = json.dumps(depends, sort_keys=True, ensure_ascii=False)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def _without_checksum(description: Description) -> dict[str, Any]:
    return {k: v for k, v in description.to_json().items() if k != CHECKSUM}


def _path(dataset: Dataset, key: str) -> Path:
    return dataset.path / "evaluations" / f"{key}.npz"


def save_evaluation(description: Description, dataset: Dataset, found: Evaluation) -> None:
    """Keep an evaluation, unless its dataset may only be read.

    Raises:
        NoSpace: the disk is full.
        NotFound: the dataset was deleted or renamed meanwhile.
    """
    path = _path(dataset, evaluation_key(description, dataset, found.part, found.tta))
    judged = [["", asdict(found.judgement)], *([n, asdict(j)] for n, j in found.members)]
    rest = {"judged": judged, "set_aside": found.set_aside, "seen": found.seen}
    arrays = {key: getattr(found.answers, key) for key in ANSWERS}
    if found.others is not None:
        arrays |= {f"other_{key}": getattr(found.others, key) for key in OTHERS}
    with unless_read_only():
        with replacing(path, dataset.path) as temporary:
            text = np.frombuffer(json.dumps(rest).encode(), np.uint8)
            np.savez(temporary, indices=found.indices, labels=found.labels, rest=text, **arrays)
        old = sorted(path.parent.glob("*.npz"), key=lambda p: p.stat().st_mtime)[:-KEPT]
        for forgotten in old:
            forgotten.unlink(missing_ok=True)


def _judgement(found: dict[str, Any]) -> Judgement:
    intervals = {name: tuple(pair) for name, pair in found.pop("intervals").items()}
    for row in found["per_class"]:
        row |= {k: tuple(v) for k, v in row.items() if isinstance(v, list)}
    return Judgement(**found, intervals=intervals)


def load_evaluation(
    description: Description, dataset: Dataset, part: str, tta: bool | None = None
) -> Evaluation | None:
    """The evaluation of exactly this, or None where it has to be worked out."""
    try:
        arrays = read_arrays(_path(dataset, evaluation_key(description, dataset, part, tta)))
        rest = json.loads(arrays["rest"].tobytes())
        others = None
        if "other_indices" in arrays:
            others = Others(**{key: arrays[f"other_{key}"] for key in OTHERS})
        judged = [(name, _judgement(found)) for name, found in rest["judged"]]
        clusters, codes = clusters_of(dataset, arrays["indices"])
        return Evaluation(
            description.name,
            dataset.name,
            part,
            arrays["indices"],
            arrays["labels"],
            description.views(tta),
            Answers(**{key: arrays[key] for key in ANSWERS}, maps=[]),
            judged[0][1],
            judged[1:],
            rest["set_aside"],
            rest["seen"],
            origin_of(dataset, arrays["indices"]),
            clusters,
            None if clusters is None else codes,
            others,
            divided_by(description, dataset),
        )
    # It can be worked out again: a damaged one is as good as none.
    except (OSError, ValueError, KeyError, TypeError, IndexError, AttributeError):
        return None


def evaluated(
    ensemble: Ensemble,
    dataset: Dataset,
    part: str = "test",
    *,
    tta: bool | None = None,
    progress: Progress = silent,
) -> Evaluation:
    """:func:`bloodcell.evaluation.evaluate`, from the disk where it was done before."""
    found = load_evaluation(ensemble.description, dataset, part, tta)
    if found is None:
        found = evaluate(ensemble, dataset, part, tta=tta, progress=progress)
        save_evaluation(ensemble.description, dataset, found)
    return found
