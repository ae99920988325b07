"""Exports of a cleaned dataset, read back by this program and by NumPy."""

import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest

from bloodcell.classes import CLASS_NAMES
from bloodcell.data.readers.source import import_source
from bloodcell.data.split import make_split
from bloodcell.data.store.dataset import PARTS, Dataset, new_dataset, open_dataset
from bloodcell.data.store.export import FORMATS, export_dataset
from bloodcell.errors import BadInput, Stopped
from bloodcell.workspace import Workspace
from tests.data.samples import pixels


def identities(dataset: Dataset) -> list[tuple[str, int]]:
    """(pixel hash, label) of every image in use."""
    rows = np.flatnonzero(dataset.kept)
    return sorted(zip(dataset.hashes[rows], dataset.labels[rows].tolist(), strict=True))


@pytest.fixture
def cleaned(demo_copy: Path) -> Dataset:
    """A drawn dataset with two images excluded and one relabelled."""
    dataset = open_dataset(Workspace(demo_copy), "demo")
    dataset.curation.exclude([3, 100], "a test")
    dataset.curation.relabel([8], 5, "a test")
    return dataset


@pytest.mark.parametrize("suffix", FORMATS)
def test_what_is_exported_comes_back_the_same(cleaned: Dataset, tmp_path: Path, suffix: str):
    target = tmp_path / f"out{suffix}"
    assert export_dataset(cleaned, target) == len(cleaned) - 2
    back = import_source(Workspace(tmp_path / "other"), target, "back")
    assert identities(back) == identities(cleaned)
    assert not (back.items["part"] != "").any()


@pytest.mark.parametrize("suffix", FORMATS)
def test_the_parts_come_back_too_if_asked_for(cleaned: Dataset, tmp_path: Path, suffix: str):
    target = tmp_path / f"out{suffix}"
    split = make_split(cleaned, 3)
    export_dataset(cleaned, target, split=split)
    back = import_source(Workspace(tmp_path / "other"), target, "back")
    assert identities(back) == identities(cleaned)
    again = make_split(back)
    assert again.given
    for part in PARTS:
        wanted = sorted(cleaned.hashes[split.indices(part)])
        assert sorted(back.hashes[again.indices(part)]) == wanted


@pytest.mark.parametrize("suffix", FORMATS)
def test_a_part_without_images_is_left_out(cleaned: Dataset, tmp_path: Path, suffix: str):
    target = tmp_path / f"out{suffix}"
    export_dataset(cleaned, target, split=make_split(cleaned, 3, (0.9, 0.1, 0.0)))
    back = import_source(Workspace(tmp_path / "other"), target, "back")
    assert identities(back) == identities(cleaned)


def test_an_npz_holds_images_and_labels_as_numpy_reads_them(cleaned: Dataset, tmp_path: Path):
    export_dataset(cleaned, tmp_path / "out.npz")
    with np.load(tmp_path / "out.npz", allow_pickle=False) as file:
        assert sorted(file) == ["images", "labels"]
        images, labels = file["images"], file["labels"]
    kept = np.flatnonzero(cleaned.kept)
    assert images.dtype == np.uint8
    assert labels.dtype == np.int64
    assert (images == cleaned.images[kept]).all()
    assert (labels == cleaned.labels[kept]).all()


def test_a_zip_has_a_folder_a_class_with_the_original_names_in_it(cleaned: Dataset, tmp_path: Path):
    export_dataset(cleaned, tmp_path / "out.zip")
    names = zipfile.ZipFile(tmp_path / "out.zip").namelist()
    assert f"{CLASS_NAMES[5]}/0000008_drawn_000008.png" in names
    assert {name.split("/")[0] for name in names} == set(CLASS_NAMES)


@pytest.mark.parametrize("name", ["../../etc/passwd", "a\\..\\b", "\x00\u202e", "x" * 300, ""])
def test_a_name_cannot_lead_out_of_the_archive(tmp_path: Path, name: str):
    workspace = Workspace(tmp_path)
    with new_dataset(workspace, "odd", (12, 12), "a test", "none") as writer:
        for i in range(4):
            writer.add(pixels(i), i % 2, name)
    export_dataset(open_dataset(workspace, "odd"), tmp_path / "odd.zip")
    back = import_source(workspace, tmp_path / "odd.zip", "back")
    assert identities(back) == identities(open_dataset(workspace, "odd"))


def test_another_ending_or_nothing_to_export_is_a_sentence(cleaned: Dataset, tmp_path: Path):
    with pytest.raises(BadInput, match=r"'.tar'.*\.npz"):
        export_dataset(cleaned, tmp_path / "out.tar")
    cleaned.curation.exclude(range(len(cleaned)), "a test")
    with pytest.raises(BadInput, match="nothing to export"):
        export_dataset(cleaned, tmp_path / "out.npz")
    assert not list(tmp_path.glob("out*"))


@pytest.mark.parametrize("suffix", FORMATS)
def test_a_stop_leaves_nothing_behind(cleaned: Dataset, tmp_path: Path, suffix: str):
    def stop(done: int, total: int, what: str) -> None:
        raise Stopped("enough")

    folder = tmp_path / "exports"
    with pytest.raises(Stopped):
        export_dataset(cleaned, folder / f"out{suffix}", progress=stop)
    assert not list(folder.iterdir())


@pytest.mark.parametrize("suffix", FORMATS)
def test_memory_does_not_grow_with_the_dataset(tmp_path: Path, suffix: str):
    workspace = Workspace(tmp_path)
    with new_dataset(workspace, "large", (96, 96), "a test", "none") as writer:
        image = pixels(1, 96)
        for i in range(1500):
            image[0, 0] = i % 251
            writer.add(image, i % 8, f"{i}.png")
    dataset = open_dataset(workspace, "large")
    _ = dataset.items, dataset.labels
    tracemalloc.start()
    try:
        export_dataset(dataset, tmp_path / f"out{suffix}")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert dataset.images.nbytes > 40e6
    assert peak < 16e6
