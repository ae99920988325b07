"""A seeded run of damage over every kind of file of a workspace.

Bytes flipped, files cut short, values of another type in JSON. Whatever is done to a file, opening
it ends well or in one sentence, never in a traceback; and where it ends well, the answer is the one
of before, or it was worked out anew.
"""

import json
import random
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bloodcell.audit.features import thumbnails
from bloodcell.audit.finding import Audit
from bloodcell.audit.stored import load_audit, save_audit
from bloodcell.augment.policy import find_policy, save_policy
from bloodcell.data.split import make_split
from bloodcell.data.store.dataset import Dataset, open_dataset
from bloodcell.ensemble.bundle import Bundle
from bloodcell.ensemble.description import Description
from bloodcell.ensemble.ensemble import Ensemble
from bloodcell.errors import BloodCellError
from bloodcell.evaluation import stress
from bloodcell.evaluation.stored import evaluated, load_evaluation
from bloodcell.evaluation.stress import Study, load_study
from bloodcell.files import CHECKSUM
from bloodcell.runs.labels import read_labels, write_labels
from bloodcell.runs.queue import read_order, settings, write_order
from bloodcell.runs.run import list_runs, open_run
from bloodcell.workspace import Workspace

SEED = 7
TRIES = 12
WRONG = (None, "x", -1, 0.5, 10**400, 1e300, [], {}, True, [["a"]], {"a": 1}, "\ud800")

CELL = np.full((1, 48, 48, 3), 180, np.uint8)


def dataset_of(home: Path) -> Dataset:
    return open_dataset(Workspace(home), "demo")


def description_of(home: Path) -> Description:
    return Bundle(home / "ensembles" / "first").description


def read_dataset(home: Path) -> Any:
    found = dataset_of(home)
    return [
        found.labels.tolist(),
        list(found.hashes),
        found.size,
        found.info["source"],
        make_split(found).parts.tolist(),
        found.curation.relabelled(),
        sorted(found.curation.excluded()),
    ]


def read_run(home: Path) -> Any:
    run = open_run(Workspace(home), next((home / "runs").iterdir()).name)
    config, metrics, predictions = run.config(), run.metrics(), run.predictions()
    return [
        config.to_json(),
        run.policy(),
        metrics,
        {k: v.tolist() for k, v in predictions.items()},
        run.status()["state"],
        run.summary()["val_accuracy"],
        len(run.read_litert()),
        read_labels(run).tags,
    ]


def read_queue(home: Path) -> Any:
    workspace = Workspace(home)
    return [settings(workspace), read_order(workspace), [r.id for r in list_runs(workspace)]]


def read_ensemble(home: Path) -> Any:
    opened = Ensemble(Bundle(home / "ensembles" / "first"))
    answers = opened.predict(CELL)
    return [answers.probabilities.tolist(), answers.novelty.tolist(), opened.seen().tolist()]


def read_zip(home: Path) -> Any:
    answers = Ensemble(Bundle(home / "ensembles" / "first.zip")).predict(CELL)
    return [answers.probabilities.tolist(), answers.novelty.tolist()]


def read_study(home: Path) -> Any:
    found = load_study(description_of(home), dataset_of(home))
    return None if found is None else [(d.right.tolist(), d.recognised) for d in found.done]


def read_evaluation(home: Path) -> Any:
    found = load_evaluation(description_of(home), dataset_of(home), "test")
    return None if found is None else found.to_json()


def read_audit(home: Path) -> Any:
    found = load_audit(dataset_of(home))
    return None if found is None else found.to_json()


def read_thumbnails(home: Path) -> Any:
    return thumbnails(dataset_of(home)).tolist()


def read_policy(home: Path) -> Any:
    return find_policy(Workspace(home), "mine").steps


# Glob of the files → what reads them, and whether a change can be told from what was written.
# A policy, a curation and a run's settings may be edited by hand: there the check is of sense.
KINDS: dict[str, tuple[Callable[[Path], Any], bool]] = {
    "datasets/demo/dataset.json": (read_dataset, False),
    "datasets/demo/labels.npy": (read_dataset, True),
    "datasets/demo/items.csv": (read_dataset, False),
    "datasets/demo/curation.json": (read_dataset, False),
    "datasets/demo/audit.json": (read_audit, True),
    "datasets/demo/audit/*.npy": (read_thumbnails, True),
    "datasets/demo/evaluations/*.npz": (read_evaluation, True),
    "datasets/demo/evaluations/*.json": (read_study, True),
    "runs/*/config.json": (read_run, False),
    "runs/*/status.json": (read_run, False),
    "runs/*/metrics.jsonl": (read_run, False),
    "runs/*/labels.json": (read_run, False),
    "runs/*/predictions.npz": (read_run, True),
    "runs/*/model.tflite": (read_run, True),
    "runs/*/checksums.json": (read_run, False),
    "queue/*.json": (read_queue, False),
    "policies/*.json": (read_policy, False),
    "ensembles/first/ensemble.json": (read_ensemble, True),
    "ensembles/first/seen.npy": (read_ensemble, True),
    "ensembles/first/members/*": (read_ensemble, True),
    "ensembles/first.zip": (read_zip, True),
}


@pytest.fixture(scope="module")
def whole(trained_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with every kind of file in it, undamaged."""
    home = tmp_path_factory.mktemp("damage") / "home"
    shutil.copytree(trained_home, home)
    fill(home)
    return home


def fill(home: Path) -> None:
    workspace, dataset = Workspace(home), dataset_of(home)
    dataset.curation.exclude([3, 4], "blurred")
    dataset.curation.relabel([5], 2, "doubtful")
    run = list_runs(workspace)[0]
    write_labels(run, name="a run", tags=("one", "two"), note="by hand")
    write_order(workspace, [])
    save_policy(workspace, replace(find_policy(workspace, "gentle"), name="mine"))
    thumbnails(dataset)
    save_audit(
        dataset,
        Audit((), ("outlier",), 10, "none", {}, (), dataset.fingerprint, "", (3, 4), {5: 2}, "", 1),
    )
    first = Ensemble(Bundle(home / "ensembles" / "first"))
    found = evaluated(first, dataset)
    right = np.ones((2, len(found.labels)), bool)
    done = (stress.Stressed("none", 0, right, 3),)
    names = (first.name, first.description.members[0].name)
    path = stress._path(first.description, dataset, "test", 0, None)
    stress._save(path, dataset, Study(first.name, "demo", "test", names, found.labels, done))


def flipped(content: bytes, rng: random.Random) -> bytes:
    changed = bytearray(content)
    for _ in range(rng.choice((1, 1, 5))):
        changed[rng.randrange(len(changed))] ^= rng.randrange(1, 256)
    return bytes(changed)


def cut(content: bytes, rng: random.Random) -> bytes:
    return content[: rng.randrange(len(content))]


def lengthened(content: bytes, rng: random.Random) -> bytes:
    return content + rng.randbytes(5)


def retyped(content: bytes, rng: random.Random) -> bytes:
    """A value somewhere in a JSON document, or in a line of one, of another type."""
    lines = content.decode().splitlines() if b"\n{" in content else [content.decode()]
    at = rng.randrange(len(lines))
    document = json.loads(lines[at])
    if isinstance(document, dict) and rng.random() < 0.7:
        document.pop(CHECKSUM, None)
    inside: Any = document
    while isinstance(inside, dict | list) and inside:
        key = rng.choice(list(inside) if isinstance(inside, dict) else range(len(inside)))
        if not (isinstance(inside[key], dict | list) and inside[key]) or rng.random() < 0.3:
            inside[key] = rng.choice(WRONG)
            break
        inside = inside[key]
    else:
        document = rng.choice(WRONG)
    lines[at] = json.dumps(document)
    return "\n".join(lines).encode()


@pytest.mark.parametrize("kind", KINDS)
def test_damage_is_one_sentence_or_no_matter(whole: Path, tmp_path: Path, kind: str):
    hurt(whole, tmp_path, kind)


def hurt(whole: Path, tmp_path: Path, kind: str) -> None:
    read, guarded = KINDS[kind]
    rng = random.Random(f"{SEED} {kind}")
    files = sorted(whole.glob(kind))
    assert files
    wanted = read(whole)
    home = tmp_path / "home"
    shutil.copytree(whole, home)
    for turn in range(TRIES):
        file = files[turn % len(files)]
        inside = file.relative_to(whole)
        content = file.read_bytes()
        ways = [flipped, flipped, cut, lengthened]
        by_hand = file.suffix in (".json", ".jsonl") and turn % 3
        way = retyped if by_hand else rng.choice(ways)
        damaged = way(content, rng)
        (home / inside).write_bytes(damaged)
        try:
            found = read(home)
        except BloodCellError as error:
            said = str(error)
            assert said
            assert "\n" not in said
            assert len(said) < 1500
        else:
            # None: there is none that can be used, and it is worked out anew.
            if guarded and way is not retyped:
                assert found is None or found == wanted, (inside, way.__name__, turn)
        shutil.rmtree(home / inside.parts[0])
        shutil.copytree(whole / inside.parts[0], home / inside.parts[0])
