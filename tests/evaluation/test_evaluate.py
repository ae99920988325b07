"""An ensemble judged on a part of a dataset, with nothing counted that it has seen."""

import json
from pathlib import Path

import numpy as np
import pytest
from sklearn import metrics

from bloodcell.classes import CLASS_NAMES
from bloodcell.data.split import make_split
from bloodcell.data.store.dataset import Dataset, new_dataset, open_dataset
from bloodcell.data.synthetic.demo import make_demo
from bloodcell.ensemble.ensemble import Ensemble
from bloodcell.errors import BadInput
from bloodcell.evaluation.evaluate import evaluate
from bloodcell.workspace import Workspace

KEYS = {
    "n", "accuracy", "macro_precision", "macro_recall", "macro_f1", "weighted_precision",
    "weighted_recall", "auc", "ece", "intervals", "classes", "confusion_matrix", "members",
    "recognised",
}  # fmt: skip


@pytest.fixture(scope="module")
def demo(trained_home: Path) -> Dataset:
    return open_dataset(Workspace(trained_home), "demo")


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Cells of another seed: nobody was trained on them."""
    workspace = Workspace(tmp_path_factory.mktemp("fresh"))
    return make_demo(workspace, "fresh", per_class=12, size=48, seed=21)


def copied(workspace: Workspace, demo: Dataset, rows: np.ndarray, name: str = "again") -> Dataset:
    """The same pixels under another name, in another order."""
    with new_dataset(workspace, name, demo.size, "a test", "none") as writer:
        for i in rows[::-1]:
            writer.add(demo.images[i], demo.labels[i], f"other {i}")
    return open_dataset(workspace, name)


def test_the_document_has_the_keys_of_the_contract(first: Ensemble, demo: Dataset):
    found = evaluate(first, demo).to_json()
    assert set(found) >= KEYS
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert found["classes"] == list(CLASS_NAMES)
    assert [m["name"] for m in found["members"]] == ["tiny"]
    for name, (low, high) in found["intervals"].items():
        assert low <= found[name] <= high, name
        assert low < high, name


def test_its_figures_are_scikit_learns(first: Ensemble, fresh: Dataset):
    judged = evaluate(first, fresh, "all")
    found = judged.to_json()
    answers = first.predict(fresh.images[:])
    truth, said = fresh.labels, answers.probabilities.argmax(1)
    assert found["n"] == 96
    assert found["accuracy"] == pytest.approx(metrics.accuracy_score(truth, said))
    for average in ("macro", "weighted"):
        precision, recall, f1, _ = metrics.precision_recall_fscore_support(
            truth, said, average=average, zero_division=0
        )
        assert found[f"{average}_precision"] == pytest.approx(precision)
        assert found[f"{average}_recall"] == pytest.approx(recall)
        assert found[f"{average}_f1"] == pytest.approx(f1)
    auc = metrics.roc_auc_score(truth, answers.probabilities, multi_class="ovr", average="macro")
    assert found["auc"] == pytest.approx(auc, abs=1e-4)
    matrix = metrics.confusion_matrix(truth, said, labels=range(8))
    assert found["confusion_matrix"] == matrix.tolist()
    alone = metrics.accuracy_score(truth, answers.members[0].argmax(1))
    assert found["members"][0]["accuracy"] == pytest.approx(alone)
    assert found["recognised"] == pytest.approx(answers.recognised.mean())


def test_the_default_is_the_test_part_of_the_split_it_was_trained_with(first, demo):
    judged = evaluate(first, demo)
    assert judged.part == "test"
    assert set(judged.indices) == set(make_split(demo).indices("test"))
    assert (judged.seen, judged.set_aside) == (0, 0)


def test_every_part_can_be_judged_and_says_what_was_seen(first: Ensemble, demo: Dataset):
    split = make_split(demo)
    n = {p: evaluate(first, demo, p).to_json() for p in ("train", "validation", "test", "all")}
    for part, found in n.items():
        assert found["n"] == len(split.indices(part))
    assert n["train"]["seen"] == n["train"]["n"]
    assert n["validation"]["seen"] == n["validation"]["n"]
    assert n["all"]["seen"] == n["train"]["n"] + n["validation"]["n"]


def test_images_seen_in_training_are_set_aside_whatever_dataset_they_come_in(
    first: Ensemble, demo: Dataset, tmp_path: Path
):
    split = make_split(demo)
    # Without the test images the split of the copy puts other images to the test.
    used = np.concatenate([split.indices("train"), split.indices("validation")])
    workspace = Workspace(tmp_path)
    with pytest.raises(
        BadInput, match=r"No image of the test part of seen is left to judge .16 were"
    ):
        evaluate(first, copied(workspace, demo, used, "seen"))
    judged = evaluate(first, copied(workspace, demo, np.arange(len(demo)), "whole"))
    assert judged.seen == 0
    names = open_dataset(workspace, "whole").items["name"].to_numpy()[judged.indices]
    assert {f"other {i}" for i in split.indices("test")} == set(names)


def test_of_a_mixture_only_the_unseen_is_judged(
    first: Ensemble, demo: Dataset, fresh: Dataset, tmp_path: Path
):
    workspace = Workspace(tmp_path)
    with new_dataset(workspace, "mixed", demo.size, "a test", "none") as writer:
        for i, (image, label) in enumerate(zip(fresh.images, fresh.labels, strict=True)):
            writer.add(image, label, f"fresh {i}", "test")
        for i in make_split(demo).indices("train"):
            writer.add(demo.images[i], demo.labels[i], f"seen {i}", "test")
    judged = evaluate(first, open_dataset(workspace, "mixed"))
    assert (len(judged.indices), judged.set_aside, judged.seen) == (96, 128, 0)
    assert set(judged.indices) == set(range(96))


def test_excluded_images_are_not_judged_and_new_labels_count(first, fresh, tmp_path: Path):
    again = copied(Workspace(tmp_path), fresh, np.arange(96))
    before = evaluate(first, again, "all")
    again.curation.exclude([0, 1], "x")
    said = int(before.answers.labels[5])
    again.curation.relabel([5], said, "looked at")
    after = evaluate(first, again, "all")
    assert len(after.indices) == 94
    assert after.labels[after.indices == 5].tolist() == [said]


def test_images_of_another_size_are_brought_to_the_ensembles(first: Ensemble, tmp_path: Path):
    other = make_demo(Workspace(tmp_path), "big", per_class=3, size=64, seed=4)
    found = evaluate(first, other, "all")
    assert found.answers.probabilities.shape == (24, 8)


def test_averaged_views_are_used_where_asked_for(first: Ensemble, fresh: Dataset):
    plain, averaged = (evaluate(first, fresh, "all", tta=t).answers for t in (False, True))
    assert np.abs(plain.probabilities - averaged.probabilities).max() > 1e-4


@pytest.mark.parametrize("part", ["tests", "", "TEST"])
def test_an_unknown_part_is_named_with_those_there_are(first, demo, part: str):
    with pytest.raises(BadInput, match="expected one of test, validation, train, all"):
        evaluate(first, demo, part)


def test_progress_is_told(first: Ensemble, demo: Dataset):
    told = []
    evaluate(first, demo, progress=lambda *a: told.append(a))
    assert told[-1][:2] == (16, 16)
