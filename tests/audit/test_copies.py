"""Copies are found exactly, and exclusion does what the audit suggested."""

from pathlib import Path

import numpy as np
import pytest

from bloodcell.audit import KINDS, exclude_findings
from bloodcell.audit.copies import find_copies
from bloodcell.data.split import make_split
from bloodcell.data.store.dataset import Dataset, new_dataset, open_dataset
from bloodcell.errors import BadInput
from bloodcell.workspace import Workspace


@pytest.fixture
def planted(tmp_path: Path) -> Dataset:
    """Thirty images; 27 is a copy of 0, 28 and 29 copies of 1 under another label."""
    workspace = Workspace(tmp_path)
    images = np.random.default_rng(0).integers(0, 256, (30, 8, 8, 3), dtype=np.uint8)
    images[27], images[28], images[29] = images[0], images[1], images[1]
    with new_dataset(workspace, "d", (8, 8), "a test", "none") as writer:
        for i, image in enumerate(images):
            label = {27: 0, 28: 1, 29: 5}.get(i, i % 8)
            writer.add(image, label, f"{i}.png")
    return open_dataset(workspace, "d")


def copies(dataset: Dataset) -> list[tuple[str, int, str]]:
    kinds = ("exact_duplicate", "conflicting_label")
    return [(f.kind, f.index, f.suggested) for f in find_copies(dataset) if f.kind in kinds]


def test_each_copy_is_found_and_no_other_image(planted: Dataset):
    assert copies(planted) == [
        ("exact_duplicate", 0, "review"),
        ("exact_duplicate", 27, "exclude"),
        ("conflicting_label", 1, "exclude"),
        ("conflicting_label", 28, "exclude"),
        ("conflicting_label", 29, "exclude"),
    ]


def test_copies_of_each_other_share_a_group(planted: Dataset):
    groups = {f.index: f.group for f in find_copies(planted)}
    assert groups[0] == groups[27] != groups[1] == groups[28] == groups[29]


def test_findings_are_json_with_the_keys_of_the_contract(planted: Dataset):
    import json

    found = [f.to_json() for f in find_copies(planted)]
    assert json.loads(json.dumps(found)) == found
    for finding in found:
        assert set(finding) >= {"kind", "index", "name", "group", "score", "suggested"}
        assert finding["kind"] in KINDS
        assert finding["suggested"] in ("exclude", "review")
        assert finding["name"] == f"{finding['index']}.png"
        assert 0 <= finding["score"] <= 1


def test_a_relabelled_copy_is_judged_by_its_new_label(planted: Dataset):
    planted.curation.relabel([29], 1, "looked at")
    assert ("exact_duplicate", 1, "review") in copies(planted)
    assert not any(kind == "conflicting_label" for kind, _, _ in copies(planted))


def test_excluding_leaves_one_of_each_copy_and_none_in_conflict(planted: Dataset):
    assert exclude_findings(planted, ["exact_duplicate"]) == {"exact_duplicate": 1}
    assert planted.curation.excluded() == [27]
    assert exclude_findings(planted, ["conflicting_label", "conflicting_label"]) == {
        "conflicting_label": 3
    }
    assert sorted(planted.curation.excluded()) == [1, 27, 28, 29]
    assert copies(planted) == []
    assert exclude_findings(planted, KINDS[:2]) == {KINDS[0]: 0, KINDS[1]: 0}


def test_each_exclusion_says_why(planted: Dataset):
    exclude_findings(planted, KINDS[:2])
    reasons = {i: d["reason"] for i, d in planted.curation.decisions.items()}
    assert reasons[27] == "exact_duplicate"
    assert reasons[28] == "conflicting_label"


def test_an_unknown_kind_is_refused_before_anything_is_excluded(planted: Dataset):
    with pytest.raises(BadInput, match="no finding 'ugly'"):
        exclude_findings(planted, ["exact_duplicate", "ugly"])
    assert planted.curation.excluded() == []


def test_copies_never_part_even_without_the_audit(planted: Dataset):
    assert make_split(planted).shared_images() == 0


def repeated(tmp_path: Path, times: list[int], label: int = 2) -> Dataset:
    """For each number a picture that is there so often, all under one label."""
    rng = np.random.default_rng(1)
    with new_dataset(Workspace(tmp_path), "r", (8, 8), "a test", "none") as writer:
        for k, n in enumerate(times):
            image = rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)
            for i in range(n):
                writer.add(image, label, f"{k}_{i}.png")
    return open_dataset(Workspace(tmp_path), "r")


def test_a_picture_repeated_many_times_is_no_cell_even_under_one_label(tmp_path: Path):
    found = copies(repeated(tmp_path, [1] * 40 + [30]))
    assert len(found) == 30
    assert {(kind, suggested) for kind, _, suggested in found} == {("exact_duplicate", "exclude")}


def test_a_class_made_larger_by_copying_all_of_it_keeps_one_of_each(tmp_path: Path):
    found = copies(repeated(tmp_path, [12] * 10))
    assert sum(suggested == "review" for _, _, suggested in found) == 10


def test_of_a_picture_under_all_labels_every_copy_is_to_go(tmp_path: Path):
    rng = np.random.default_rng(2)
    joke = rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)
    with new_dataset(Workspace(tmp_path), "j", (8, 8), "a test", "none") as writer:
        for i in range(60):
            writer.add(rng.integers(0, 256, (8, 8, 3), dtype=np.uint8), i % 8, f"{i}.png")
        for i in range(200):
            writer.add(joke, int(rng.integers(8)), f"joke_{i}.png")
    dataset = open_dataset(Workspace(tmp_path), "j")
    assert exclude_findings(dataset, ["conflicting_label"]) == {"conflicting_label": 200}
    assert dataset.kept.tolist() == [True] * 60 + [False] * 200


def test_a_copy_that_was_kept_by_hand_stays_and_the_others_go(planted: Dataset):
    planted.curation.keep([27, 29], "looked at")
    assert copies(planted) == [
        ("exact_duplicate", 0, "exclude"),
        ("conflicting_label", 1, "exclude"),
        ("conflicting_label", 28, "exclude"),
    ]
