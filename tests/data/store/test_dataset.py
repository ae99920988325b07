"""A dataset on disk: what goes in comes out, and damage has a name."""

import hashlib
import json
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bloodcell.classes import CLASS_NAMES
from bloodcell.data.store.dataset import Dataset, new_dataset, open_dataset, pixel_hash
from bloodcell.errors import BadInput, NameTaken, NotFound
from bloodcell.workspace import Workspace


def cells(n: int, seed: int = 0, size: tuple[int, int] = (6, 7)) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (n, *size, 3), dtype=np.uint8)


def write(
    workspace: Workspace, name: str, images: np.ndarray, labels: list[int], parts=None, names=None
) -> Path:
    parts = parts or [""] * len(images)
    names = names or [f"cell {i}" for i in range(len(images))]
    with new_dataset(workspace, name, images.shape[1:3], "a test", "none") as writer:
        for image, label, item, part in zip(images, labels, names, parts, strict=True):
            writer.add(image, label, item, part)
    return workspace.datasets / name


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path / "home")


@pytest.mark.parametrize("n", [1, 9, 10, 100, 1001])
def test_round_trip(workspace: Workspace, n: int):
    images = cells(n)
    labels = [i % 8 for i in range(n)]
    parts = [("train", "validation", "test", "")[i % 4] for i in range(n)]
    write(workspace, "d", images, labels, parts)
    opened = open_dataset(workspace, "d")
    assert len(opened) == n
    np.testing.assert_array_equal(opened.images, images)
    np.testing.assert_array_equal(opened.labels, labels)
    assert opened.items["part"].tolist() == parts
    assert opened.items["name"].tolist() == [f"cell {i}" for i in range(n)]
    assert opened.size == (6, 7)
    assert opened.info["classes"] == list(CLASS_NAMES)
    assert sum(opened.counts().values()) == n


def test_images_are_mapped_and_cannot_be_changed(workspace: Workspace):
    write(workspace, "d", cells(4), [0, 1, 2, 3])
    images = open_dataset(workspace, "d").images
    assert isinstance(images, np.memmap)
    with pytest.raises(ValueError, match="read-only"):
        images[0] = 0


def test_labels_and_dtypes_are_those_of_the_contract(workspace: Workspace):
    path = write(workspace, "d", cells(3), [7, 0, 3])
    images, labels = np.load(path / "images.npy"), np.load(path / "labels.npy")
    assert (images.dtype, labels.dtype) == (np.uint8, np.int64)
    assert (path / "items.csv").read_text().splitlines()[0] == "index,name,hash,part"
    assert json.loads((path / "curation.json").read_text()) == {}


@pytest.mark.parametrize(
    "names",
    [
        ["0001", "0002", "0003"],
        ["1e5", "NA", "nan"],
        ['a "b", c', "line\nbreak", ""],
        ["=1+1", "ä/é.png", " blank "],
    ],
)
def test_names_come_back_letter_by_letter(workspace: Workspace, names: list[str]):
    write(workspace, "d", cells(3), [0, 1, 2], names=names)
    assert open_dataset(workspace, "d").items["name"].tolist() == names


def test_the_identity_of_an_image_is_its_pixels(workspace: Workspace):
    images = cells(3)
    images[2] = images[0]
    write(workspace, "d", images, [0, 1, 2], names=["a", "b", "c"])
    hashes = open_dataset(workspace, "d").hashes
    assert hashes[0] == hashes[2] == pixel_hash(images[0])
    assert hashes[0] != hashes[1]


def test_the_identity_heeds_every_pixel_and_the_shape():
    image = cells(1)[0]
    other = image.copy()
    other[5, 6, 2] ^= 1
    assert pixel_hash(image) != pixel_hash(other)
    assert pixel_hash(image) != pixel_hash(image.reshape(7, 6, 3))
    assert pixel_hash(image) == pixel_hash(np.asfortranarray(image))


@settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
@given(order=st.permutations(range(12)))
def test_the_fingerprint_does_not_depend_on_the_order(tmp_path_factory, order: list[int]):
    workspace = Workspace(tmp_path_factory.mktemp("home"))
    images, labels = cells(12), [i % 5 for i in range(12)]
    write(workspace, "a", images, labels)
    write(workspace, "b", images[order], [labels[i] for i in order])
    assert open_dataset(workspace, "a").fingerprint == open_dataset(workspace, "b").fingerprint


def test_the_fingerprint_heeds_labels_pixels_number_and_parts(workspace: Workspace):
    images = cells(6)
    changed = images.copy()
    changed[3, 0, 0, 0] ^= 1
    write(workspace, "a", images, [0, 1, 2, 3, 4, 5])
    write(workspace, "relabelled", images, [0, 1, 2, 3, 4, 6])
    write(workspace, "repainted", changed, [0, 1, 2, 3, 4, 5])
    write(workspace, "longer", np.concatenate([images, images[:1]]), [0, 1, 2, 3, 4, 5, 0])
    # Given parts decide the split, which follows from the fingerprint, the curation and the seed.
    write(workspace, "divided", images, [0, 1, 2, 3, 4, 5], ["train", "test"] * 3)
    write(workspace, "otherwise", images, [0, 1, 2, 3, 4, 5], ["test", "train"] * 3)
    prints = {open_dataset(workspace, n).fingerprint for n in workspace.names("datasets")}
    assert len(prints) == 6


def test_a_crash_in_the_middle_leaves_nothing(workspace: Workspace):
    def half() -> None:
        with new_dataset(workspace, "d", (6, 7), "a test", "none") as writer:
            writer.add(cells(1)[0], 0, "a")
            raise RuntimeError("half way")

    with pytest.raises(RuntimeError, match="half way"):
        half()
    assert list(workspace.datasets.iterdir()) == []


def test_a_process_killed_in_the_middle_leaves_nothing_behind_the_next_import(
    workspace: Workspace,
):
    code = f"""
import time, numpy as np
from pathlib import Path
from bloodcell.data.store.dataset import new_dataset
from bloodcell.workspace import Workspace
with new_dataset(Workspace(Path({str(workspace.home)!r})), "killed", (6, 7), "s", "none") as w:
    w.add(np.zeros((6, 7, 3), np.uint8), 0, "a")
    print("writing", flush=True)
    time.sleep(60)
"""
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=Path(__file__).parents[3],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "writing\n"
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert workspace.names("datasets") == []
    assert len(list(workspace.datasets.iterdir())) == 1
    write(workspace, "next", cells(2), [0, 1])
    assert [p.name for p in workspace.datasets.iterdir()] == ["next"]


def test_a_dataset_without_images_is_refused(workspace: Workspace):
    with (
        pytest.raises(BadInput, match="a test holds no image"),
        new_dataset(workspace, "d", (6, 7), "a test", "none"),
    ):
        pass
    assert workspace.names("datasets") == []


def test_a_taken_name_is_refused_before_any_work(workspace: Workspace):
    write(workspace, "d", cells(2), [0, 1])
    with (
        pytest.raises(NameTaken),
        new_dataset(workspace, "d", (6, 7), "a test", "none"),
    ):
        pytest.fail("the block was entered")


@pytest.mark.parametrize(
    "image",
    [np.zeros((7, 6, 3), np.uint8), np.zeros((6, 7, 3), np.float32), np.zeros((6, 7), np.uint8)],
)
def test_an_image_of_another_shape_is_a_mistake_of_the_program(
    workspace: Workspace, image: np.ndarray
):
    with (
        pytest.raises(ValueError, match="expected uint8"),
        new_dataset(workspace, "d", (6, 7), "a test", "none") as writer,
    ):
        writer.add(image, 0, "a")


def test_what_is_not_there_or_no_dataset(workspace: Workspace, tmp_path: Path):
    with pytest.raises(NotFound, match="no dataset yet"):
        open_dataset(workspace, "d")
    (tmp_path / "photos").mkdir()
    with pytest.raises(BadInput, match="bring it in first"):
        open_dataset(workspace, str(tmp_path / "photos"))


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-30])


def other_version(path: Path) -> None:
    path.write_text(path.read_text().replace('"format_version": 1', '"format_version": 2'))


@pytest.mark.parametrize(
    ("file", "damage"),
    [
        ("images.npy", truncate),
        ("images.npy", Path.unlink),
        ("images.npy", lambda p: p.write_bytes(b"")),
        ("images.npy", lambda p: np.save(p, np.zeros((5, 6, 7, 3), np.uint8))),
        ("images.npy", lambda p: np.save(p, np.zeros((4, 6, 7, 3), np.float32))),
        ("labels.npy", truncate),
        ("labels.npy", Path.unlink),
        ("labels.npy", lambda p: np.save(p, np.zeros(3, np.int64))),
        ("labels.npy", lambda p: np.save(p, np.array([{}] * 4))),
        ("items.csv", Path.unlink),
        ("items.csv", truncate),
        ("items.csv", lambda p: p.write_text("index,name,hash,part\n0,a,b,nonsense\n")),
        ("items.csv", lambda p: p.write_text("")),
        ("dataset.json", other_version),
        ("dataset.json", lambda p: p.write_text(p.read_text().replace("fingerprint", "print"))),
        ("dataset.json", lambda p: p.write_text("[]")),
        ("dataset.json", lambda p: p.write_text("{")),
        ("dataset.json", lambda p: p.write_text(p.read_text().replace("basophil", "blast"))),
    ],
)
def test_damage_is_a_sentence_that_names_the_file(workspace: Workspace, file: str, damage):
    path = write(workspace, "d", cells(4), [0, 1, 2, 3])
    damage(path / file)

    def use() -> list[np.ndarray]:
        opened = open_dataset(workspace, "d")
        return [opened.images[0], opened.labels, opened.hashes]

    with pytest.raises(BadInput) as caught:
        use()
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_images_and_the_labels_must_agree_in_number(workspace: Workspace):
    path = write(workspace, "d", cells(4), [0, 1, 2, 3])
    np.save(path / "images.npy", cells(5))
    with pytest.raises(BadInput, match=r"images\.npy"):
        open_dataset(workspace, "d")


class TestLabelsAreHeldAgainstTheFingerprint:
    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        with new_dataset(Workspace(tmp_path), "d", (8, 8), "a test", "none", None, ("slide",)) as w:
            for i in range(6):
                image = np.full((8, 8, 3), 40 * i, np.uint8)
                w.add(image, i % 2, f"{i}.png", "train", {"slide": f"s{i % 3}"})
        return tmp_path / "datasets" / "d"

    def test_sound_ones_open(self, folder: Path):
        assert len(Dataset(folder)) == 6

    @pytest.mark.parametrize("what", ["labels.npy", "items.csv"])
    def test_a_change_is_found(self, folder: Path, what: str):
        Dataset(folder)
        if what == "labels.npy":
            np.save(folder / what, np.array([1, 0, 0, 1, 0, 1]))
        else:
            text = (folder / what).read_text()
            (folder / what).write_text(text.replace(",s1", ",s2", 1))
        with pytest.raises(BadInput, match="other labels or items than it was imported with"):
            Dataset(folder)

    def test_a_dataset_of_before_parts_counted_still_opens(self, folder: Path):
        info = json.loads((folder / "dataset.json").read_text())
        dataset = Dataset(folder)
        lines = sorted(f"{h} {k}" for h, k in zip(dataset.hashes, dataset.labels, strict=True))
        info["fingerprint"] = hashlib.sha256("\n".join(lines).encode()).hexdigest()
        (folder / "dataset.json").write_text(json.dumps(info))
        assert len(Dataset(folder)) == 6
