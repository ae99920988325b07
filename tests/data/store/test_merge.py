"""Several datasets become one, and nothing about a cell is lost on the way."""

from pathlib import Path

import numpy as np
import pytest

from bloodcell.classes import OTHER
from bloodcell.data.store.dataset import new_dataset, open_dataset
from bloodcell.data.store.merge import merge_datasets, merge_text
from bloodcell.errors import BadInput, NameTaken, Stopped
from bloodcell.workspace import Workspace


def cells(n: int, seed: int, side: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (n, side, side, 3), dtype=np.uint8)


def write(workspace, name, images, labels, columns=(), origins=None, parts=None):
    size = images.shape[1:3]
    with new_dataset(workspace, name, size, name, "none", columns=columns) as writer:
        for i, (image, label) in enumerate(zip(images, labels, strict=True)):
            origin = origins[i] if origins else None
            writer.add(image, label, f"{i}.png", parts[i] if parts else "", origin)
    return open_dataset(workspace, name)


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path)


@pytest.fixture
def two(workspace):
    """A dataset with origins and a decision; one without, of another size, that shares one."""
    small = cells(4, 0, 12)
    origins = [{"laboratory": "north", "patient": f"p{i}", "lens": "63"} for i in range(4)]
    a = write(workspace, "a", small, [0, 1, OTHER, 3], ("laboratory", "patient", "lens"), origins)
    a.curation.exclude([1], "blurred")
    b = write(workspace, "b", np.concatenate([small[:1], cells(2, 1, 12)]), [5, 6, 6])
    return a, b


def test_images_labels_origins_and_decisions_are_kept(workspace, two):
    merged = merge_datasets(workspace, two, "m")
    np.testing.assert_array_equal(merged.images, np.concatenate([d.images for d in two]))
    assert merged.given_labels.tolist() == [0, 1, OTHER, 3, 5, 6, 6]
    assert merged.kept.tolist() == [True, False] + [True] * 5
    assert merged.curation.decisions[1]["reason"] == "blurred"
    assert merged.items["name"].tolist()[3:5] == ["a/3.png", "b/0.png"]
    assert merged.origin("laboratory").tolist() == ["north"] * 4 + ["b"] * 3
    assert merged.origin("patient").tolist() == ["p0", "p1", "p2", "p3", "", "", ""]
    assert merged.origin("lens").tolist() == ["63"] * 4 + [""] * 3
    assert merged.origin("dataset").tolist() == ["a"] * 4 + ["b"] * 3
    merged.curation.undo_last()
    assert open_dataset(workspace, "m").kept.all()


def test_copies_between_them_are_counted_and_said(workspace, two):
    merged = merge_datasets(workspace, two, "m").info["merged"]
    assert merged["copies"] == [{"datasets": ["a", "b"], "images": 1, "other_label": 1}]
    text = merge_text(merged)
    assert "1 image is in both a and b, 1 of them under another label" in text
    assert "b names no laboratory: its own name stands for it." in text


def test_sizes_are_brought_to_the_smallest(workspace, two):
    large = write(workspace, "large", cells(3, 2, 24), [6, 6, 7])
    merged = merge_datasets(workspace, [large, two[1]], "m")
    assert merged.size == (12, 12)
    assert "large was brought from 24×24 to 12×12 pixels." in merged.info["merged"]["notes"]
    assert merge_datasets(workspace, [large, two[1]], "n", size=16).size == (16, 16)


def test_parts_are_kept_only_if_all_have_them(workspace, two):
    parts = ["train", "validation", "test"]
    c = write(workspace, "c", cells(3, 3, 12), [0, 0, 0], parts=parts)
    d = write(workspace, "d", cells(3, 4, 12), [0, 0, 0], parts=parts)
    assert merge_datasets(workspace, [c, d], "m").items["part"].tolist() == parts * 2
    mixed = merge_datasets(workspace, [c, two[1]], "n")
    assert set(mixed.items["part"]) == {""}
    assert "The parts that c gives are not kept" in merge_text(mixed.info["merged"])


def test_what_cannot_be_merged_is_refused_and_a_stop_leaves_nothing(workspace, two):
    for some in ([], two[:1], [two[0], two[0]]):
        with pytest.raises(BadInput, match="name at least two different datasets"):
            merge_datasets(workspace, some, "m")
    with pytest.raises(NameTaken):
        merge_datasets(workspace, two, "a")

    def stop(done: int, total: int, what: str) -> None:
        if done == 5:
            raise Stopped("stopped")

    with pytest.raises(Stopped):
        merge_datasets(workspace, two, "m", progress=stop)
    assert workspace.names("datasets") == ["a", "b"]
