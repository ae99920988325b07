"""The audit as a whole: what was planted is found, ranked, and said with its reason."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bloodcell.audit import KINDS, Audit, audit
from bloodcell.audit.labels import doubtful_labels
from bloodcell.classes import CLASS_NAMES
from bloodcell.data.store.dataset import Dataset, new_dataset, open_dataset
from bloodcell.data.synthetic.drawing.draw import draw_cell
from bloodcell.ensemble.ensemble import open_ensemble
from bloodcell.errors import BadInput, Stopped
from bloodcell.workspace import Workspace
from tests.audit.conftest import NEAR


def indices(found: Audit, kind: str, suggested: str | None = None) -> set[int]:
    return {f.index for f in found.findings if f.kind == kind and suggested in (None, f.suggested)}


def test_every_foreign_picture_is_an_outlier_and_hardly_a_cell_is(faulty: Dataset, audited: Audit):
    planted = faulty.info["planted"]
    foreign = {*planted["foreign"], *planted["repeated"]}
    found = indices(audited, "outlier")
    assert foreign <= found
    assert len(found - foreign) <= 0.02 * len(faulty)


def test_no_copy_of_a_repeated_picture_is_to_stay(faulty: Dataset, audited: Audit):
    assert set(faulty.info["planted"]["repeated"]) <= indices(
        audited, "conflicting_label", "exclude"
    )


def test_of_near_copies_the_first_is_to_stay(faulty: Dataset, audited: Audit):
    copies = range(len(faulty) - NEAR, len(faulty))
    assert indices(audited, "near_duplicate", "review") == set(range(NEAR))
    assert indices(audited, "near_duplicate", "exclude") == set(copies)


def test_most_wrong_labels_are_found_with_the_class_that_was_drawn(faulty: Dataset, audited: Audit):
    planted = faulty.info["planted"]["wrong_labels"]
    drawn = dict(zip(planted, faulty.info["planted_classes"]["wrong_labels"], strict=True))
    found = {f.index: f for f in audited.findings if f.kind == "suspect_label"}
    right = [i for i in planted if i in found]
    assert len(right) >= 0.6 * len(planted)
    assert len(right) >= 0.6 * len(found)
    agreed = [found[i].looks_like == CLASS_NAMES[drawn[i]] for i in right]
    assert sum(agreed) >= 0.8 * len(agreed)


def test_what_is_no_cell_has_no_doubtful_label(audited: Audit):
    strange = indices(audited, "outlier") | indices(audited, "conflicting_label")
    assert not strange & indices(audited, "suspect_label")


def test_findings_are_ranked_by_kind_and_certainty_and_groups_stay_together(audited: Audit):
    order = [KINDS.index(f.kind) for f in audited.findings]
    assert order == sorted(order)
    groups = [f.group for f in audited.findings]
    assert groups == sorted(groups)
    for kind in ("outlier", "suspect_label"):
        rows = [f for f in audited.findings if f.kind == kind]
        assert [f.score for f in rows] == sorted((f.score for f in rows), reverse=True)
        assert all(0.5 <= f.score <= 1 for f in rows)


def test_every_finding_says_why_and_two_kinds_never_share_a_group(audited: Audit):
    assert all(f.why for f in audited.findings)
    kinds: dict[int, str] = {}
    for f in audited.findings:
        assert kinds.setdefault(f.group, f.kind) == f.kind


def test_every_finding_has_neighbours_that_are_in_use_and_no_copies_of_it(
    faulty: Dataset, audited: Audit
):
    hashes = faulty.hashes
    group = {f.index: f.group for f in audited.findings if f.kind == "near_duplicate"}
    for f in audited.findings:
        assert f.neighbours
        assert f.looks_like in CLASS_NAMES
        for i in f.neighbours:
            assert hashes[i] != hashes[f.index]
            assert f.index not in group or group.get(i) != group[f.index]


def test_every_class_has_typical_images_and_no_planted_fault_is_one(
    faulty: Dataset, audited: Audit
):
    planted = {i for rows in faulty.info["planted"].values() for i in rows}
    assert set(audited.typical) == set(CLASS_NAMES)
    for name, rows in audited.typical.items():
        assert len(rows) >= 3
        assert {CLASS_NAMES[faulty.labels[i]] for i in rows} == {name}
        assert not planted & set(rows)


def test_only_faulty_pictures_are_to_be_excluded_and_not_odd_cells(faulty: Dataset, audited: Audit):
    planted = faulty.info["planted"]
    wrong = indices(audited, "outlier", "exclude") - {*planted["foreign"], *planted["repeated"]}
    assert len(wrong) <= 1
    assert {*planted["repeated"]} <= indices(audited, "outlier", "exclude")


def test_an_audit_survives_json(audited: Audit):
    assert Audit.from_json(json.loads(json.dumps(audited.to_json()))) == audited


def test_only_the_kinds_asked_for_are_reported(faulty: Dataset):
    found = audit(faulty, kinds=["outlier", "exact_duplicate"])
    assert found.kinds == ("exact_duplicate", "outlier")
    assert {f.kind for f in found.findings} == {"exact_duplicate", "outlier"}
    with pytest.raises(BadInput, match="no finding 'ugly'"):
        audit(faulty, kinds=["ugly"])


def test_copies_of_a_near_copy_go_with_it(tmp_path: Path):
    workspace, rng = Workspace(tmp_path), np.random.default_rng(0)
    with new_dataset(workspace, "cells", (48, 48), "drawn", "none") as writer:
        for i in range(24):
            writer.add(draw_cell(i % 3, rng, 48), i % 3, f"{i}.png")
    drawn = open_dataset(workspace, "cells")
    mirrored = np.ascontiguousarray(drawn.images[5][:, ::-1])
    with new_dataset(workspace, "copied", (48, 48), "drawn", "none") as writer:
        for i, image in enumerate([*drawn.images, mirrored, mirrored]):
            writer.add(np.ascontiguousarray(image), 2 if i >= 24 else i % 3, f"{i}.png")
    found = audit(open_dataset(workspace, "copied"), kinds=["near_duplicate"])
    assert indices(found, "near_duplicate", "review") == {5}
    assert indices(found, "near_duplicate", "exclude") == {24, 25}


def test_an_excluded_image_is_not_looked_at(own: Dataset, audited: Audit):
    gone = indices(audited, "outlier")
    own.curation.exclude(gone, "seen")
    found = audit(own, kinds=["outlier"])
    assert not indices(found, "outlier") & gone
    assert found.n == audited.n - len(gone)


def test_the_better_features_are_used_and_it_says_which(home: Path):
    workspace = Workspace(home)
    ensemble = open_ensemble(workspace, "first")
    demo = open_dataset(workspace, "demo")
    plain = audit(demo, kinds=["suspect_label"])
    assert "no trained model" in plain.source
    found = audit(demo, ensemble=ensemble, kinds=["suspect_label"])
    if "of the ensemble first" in found.source:
        assert any("saw 90 % of these images" in note for note in found.notes)
    else:
        assert found.source == plain.source
        assert found.findings == plain.findings
        assert any("of the ensemble first" in note for note in found.notes)


def test_a_class_with_too_few_images_is_named_and_not_judged(tmp_path: Path, faulty: Dataset):
    workspace = Workspace(tmp_path)
    with new_dataset(workspace, "few", faulty.size, "a test", "none") as writer:
        for i in range(96):
            label = int(faulty.labels[i])
            if label < 4 or (label == 5 and i < 16):
                writer.add(faulty.images[i], label, f"{i}.png")
    found = audit(open_dataset(workspace, "few"), kinds=["suspect_label"])
    assert any("Too few images" in note and "monocyte" in note for note in found.notes)


def test_a_class_of_near_copies_is_named_and_not_judged():
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1, 2], [60, 60, 8])
    features = rng.normal(0, 1, (128, 20)) + 3 * labels[:, None]
    groups = np.arange(128)
    assert not doubtful_labels(features, labels, groups).unjudged
    # Eight times the same picture: in whichever fold they are, none is left to learn from.
    groups[120:] = 120
    found = doubtful_labels(features, labels, groups)
    assert found.unjudged == [2]
    assert not set(found.rows) & set(range(120, 128))
    both = np.repeat([1, 2], [120, 8])
    assert doubtful_labels(features, both, groups).unjudged == [1, 2]


def test_a_handful_of_images_is_no_error(tmp_path: Path):
    workspace = Workspace(tmp_path)
    with new_dataset(workspace, "tiny", (8, 8), "a test", "none") as writer:
        writer.add(np.zeros((8, 8, 3), np.uint8), 0, "a.png")
        writer.add(np.full((8, 8, 3), 9, np.uint8), 1, "b.png")
    found = audit(open_dataset(workspace, "tiny"))
    assert found.n == 2
    assert {f.kind for f in found.findings} <= {"near_duplicate", "outlier"}


def test_it_can_be_stopped_in_every_phase_and_repeated(own: Dataset, audited: Audit):
    for file in (own.path / "audit").iterdir():
        file.unlink()
    phases = (
        "thumbnails",
        "near copies",
        "image statistics",
        "comparing images",
        "foreign pictures",
        "doubtful labels",
    )
    for phase in phases:

        def stop(done: int, total: int, what: str, phase: str = phase) -> None:
            if what == phase:
                raise Stopped("enough")

        with pytest.raises(Stopped):
            audit(own, progress=stop)
        assert not list((own.path / "audit").glob(".*"))
    assert audit(own).findings == audited.findings


def test_the_same_data_give_the_same_audit_whatever_was_kept_before(own: Dataset, audited: Audit):
    """Kept numbers that were damaged, cut or lengthened are made again."""

    def found(value: Audit) -> Audit:
        return replace(value, created="", seconds=0.0)

    assert found(audit(own)) == found(audited)
    for k, path in enumerate(sorted((own.path / "audit").glob("*.npy"))):
        content = bytearray(path.read_bytes())
        if k % 2:
            content += b"12345"
        else:
            content[-2000:-1000] = bytes(1000)
        path.write_bytes(content)
    assert found(audit(own)) == found(audited)
