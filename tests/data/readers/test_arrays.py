"""Arrays in an .npz become a dataset, whatever accepted form they come in."""

import io
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bloodcell.classes import CLASS_NAMES, CLASSES, OTHER
from bloodcell.data.imaging.decode import fit
from bloodcell.data.readers import arrays as arrays_module
from bloodcell.data.readers.source import import_source
from bloodcell.errors import BadInput
from bloodcell.workspace import Workspace
from tests.data.samples import pixels, write_npz

LABELS = np.array([3, 0, 7, 3, 0, 7, 7])

LABEL_FORMS = {
    "int64": lambda labels: labels.astype(np.int64),
    "uint8": lambda labels: labels.astype(np.uint8),
    "big-endian int32": lambda labels: labels.astype(">i4"),
    "integral float": lambda labels: labels.astype(np.float32),
    "column": lambda labels: labels[:, None].astype(np.uint8),
    "one-hot float": lambda labels: np.eye(8, dtype=np.float32)[labels],
    "one-hot bool": lambda labels: np.eye(8, dtype=bool)[labels],
    "one-hot by column": lambda labels: np.asfortranarray(np.eye(8, dtype=int)[labels]),
    "names": lambda labels: np.array(CLASS_NAMES)[labels],
    "titles": lambda labels: np.array([c.title for c in CLASSES])[labels],
    "abbreviations in bytes": lambda labels: np.array([c.aliases[0] for c in CLASSES], "S")[labels],
    "column of names": lambda labels: np.array(CLASS_NAMES)[labels][:, None],
}

IMAGE_FORMS = {
    "uint8": lambda images: images,
    "float32 in [0, 1]": lambda images: (images / 255).astype(np.float32),
    "float64 in [0, 1]": lambda images: images / 255,
    "float16 in [0, 1]": lambda images: (images / 255).astype(np.float16),
    "float32 in [0, 255]": lambda images: images.astype(np.float32),
    "big-endian float64 in [0, 255]": lambda images: images.astype(">f8"),
}

LAYOUTS = {
    "rgb": lambda images: images,
    "rgba": lambda images: np.concatenate([images, images[..., :1] // 2], axis=3),
    "grey": lambda images: images[..., 0],
    "grey with an axis": lambda images: images[..., :1],
}


def batch(n=7, height=12, width=None) -> np.ndarray:
    images = np.stack([pixels(k, height, width) for k in range(n)])
    images[0, 0, 0] = 255  # so that the range of floats is never in doubt
    return images


@pytest.fixture
def workspace(tmp_path):
    return Workspace(tmp_path / "home")


@pytest.mark.parametrize("form", LABEL_FORMS)
def test_labels_in_every_form(workspace, tmp_path, form):
    path = write_npz(tmp_path / "a.npz", images=batch(), labels=LABEL_FORMS[form](LABELS))
    dataset = import_source(workspace, path, "cells")
    np.testing.assert_array_equal(dataset.labels, LABELS)


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("form", IMAGE_FORMS)
def test_images_in_every_form(workspace, tmp_path, form, layout, order):
    images = batch()
    stored = np.asarray(IMAGE_FORMS[form](LAYOUTS[layout](images)), order=order)
    dataset = import_source(
        workspace, write_npz(tmp_path / "a.npz", images=stored, labels=LABELS), "cells"
    )
    expected = np.repeat(images[..., :1], 3, axis=3) if "grey" in layout else images
    np.testing.assert_array_equal(dataset.images, expected)


@settings(max_examples=40, deadline=None)
@given(
    labels=st.lists(st.integers(0, 7), min_size=1, max_size=12).map(lambda found: found * 2),
    side=st.integers(8, 24),
    image_form=st.sampled_from(sorted(IMAGE_FORMS)),
    label_form=st.sampled_from(sorted(LABEL_FORMS)),
    order=st.sampled_from("CF"),
    compress=st.booleans(),
)
def test_what_goes_in_comes_out(
    tmp_path_factory, labels, side, image_form, label_form, order, compress
):
    folder = tmp_path_factory.mktemp("round")
    labels = np.array(labels)
    images = batch(len(labels), side)
    save = np.savez_compressed if compress else np.savez
    save(
        folder / "a.npz",
        images=np.asarray(IMAGE_FORMS[image_form](images), order=order),
        labels=LABEL_FORMS[label_form](labels),
    )
    dataset = import_source(Workspace(folder), folder / "a.npz", "cells")
    np.testing.assert_array_equal(dataset.images, images)
    np.testing.assert_array_equal(dataset.labels, labels)
    assert dataset.items["name"].tolist() == [f"images[{i}]" for i in range(len(labels))]


@pytest.mark.parametrize("order", ["C", "F"])
def test_rows_are_the_same_however_small_the_chunks(workspace, tmp_path, order, monkeypatch):
    monkeypatch.setattr(arrays_module, "CHUNK_BYTES", 1000)
    monkeypatch.setattr(arrays_module, "GATHERED_BYTES", 1000)
    images = batch()
    path = write_npz(tmp_path / "a.npz", images=np.asarray(images, order=order), labels=LABELS)
    np.testing.assert_array_equal(import_source(workspace, path, "cells").images, images)


def test_the_range_of_floats_is_decided_over_all_images(workspace, tmp_path):
    """The first image alone would look like one in [0, 1]."""
    images = batch().astype(np.float32)
    images[0] = np.random.default_rng(0).random(images[0].shape)
    path = write_npz(tmp_path / "a.npz", images=images, labels=LABELS)
    dataset = import_source(workspace, path, "cells")
    np.testing.assert_array_equal(dataset.images[1:], batch()[1:])
    assert dataset.images[0].max() <= 1
    assert dataset.info["source_values"] == "float in [0, 255]"


class TestMedMNIST:
    @staticmethod
    def arrays(*parts, size=28, dtype=np.uint8):
        arrays = {}
        for k, part in enumerate(parts):
            arrays[f"{part}_images"] = batch(4, size).astype(dtype)
            arrays[f"{part}_labels"] = np.array([[k], [k], [7], [7]], np.uint8)
        return arrays

    def test_the_given_parts_are_kept(self, workspace, tmp_path):
        path = write_npz(tmp_path / "bloodmnist.npz", **self.arrays("train", "val", "test"))
        dataset = import_source(workspace, path, "cells")
        assert dataset.items["part"].tolist() == ["train"] * 4 + ["validation"] * 4 + ["test"] * 4
        assert dataset.items["name"].tolist()[5:9] == [
            "val_images[1]",
            "val_images[2]",
            "val_images[3]",
            "test_images[0]",
        ]
        assert dataset.labels.tolist() == [0, 0, 7, 7, 1, 1, 7, 7, 2, 2, 7, 7]
        assert dataset.size == (28, 28)
        assert dataset.info["source"] == "bloodmnist.npz"

    def test_a_file_without_a_validation_part(self, workspace, tmp_path):
        path = write_npz(tmp_path / "a.npz", **self.arrays("train", "test"))
        assert set(import_source(workspace, path, "cells").items["part"]) == {"train", "test"}

    @pytest.mark.parametrize("odd", ["train", "val", "test"])
    @pytest.mark.parametrize("other", [np.float32, np.uint8])
    def test_the_range_of_values_is_recognised_for_each_part(self, workspace, tmp_path, odd, other):
        arrays = self.arrays("train", "val", "test", dtype=other)
        arrays[f"{odd}_images"] = arrays[f"{odd}_images"].astype(np.float32) / 255
        dataset = import_source(workspace, write_npz(tmp_path / "a.npz", **arrays), "cells")
        np.testing.assert_array_equal(dataset.images, np.tile(batch(4, 28), (3, 1, 1, 1)))
        assert f"{odd}_images float in [0, 1]" in dataset.info["notes"][0]

    @pytest.mark.parametrize(
        ("images", "labels", "part"),
        [
            ("valid_images", "valid_labels", "validation"),
            ("validation_images", "validation_labels", "validation"),
            ("dev_images", "dev_labels", "validation"),
            ("Test_Images", "Test_Labels", "test"),
            ("x_test", "y_test", "test"),
            ("testing_x", "testing_y", "test"),
            ("images_val", "labels_val", "validation"),
            ("TestA/images", "TestA/labels", "test"),
        ],
    )
    def test_parts_under_other_keys(self, workspace, tmp_path, images, labels, part):
        more = {images: batch(4, 28)[::-1], labels: np.array([0, 0, 7, 7])}
        path = write_npz(tmp_path / "a.npz", **self.arrays("train"), **more)
        dataset = import_source(workspace, path, "cells")
        assert dataset.items["part"].value_counts().to_dict() == {"train": 4, part: 4}

    def test_a_part_that_is_none_is_not_lost(self, workspace, tmp_path):
        more = {"extra_images": batch(4, 28), "extra_labels": np.array([0, 0, 7, 7])}
        path = write_npz(tmp_path / "a.npz", **self.arrays("train"), **more)
        with pytest.raises(BadInput, match="images and labels of 'extra'"):
            import_source(workspace, path, "cells")
        mapped = import_source(workspace, path, "cells", mapped=["extra=test"])
        assert set(mapped.items["part"]) == {"train", "test"}
        assert len(import_source(workspace, path, "less", mapped=["extra=skip"])) == 4

    def test_parts_can_be_ignored_and_a_test_part_alone_says_so(self, workspace, tmp_path):
        path = write_npz(tmp_path / "a.npz", **self.arrays("test"))
        assert (
            "import again with --no-parts" in import_source(workspace, path, "t").info["notes"][0]
        )
        assert set(import_source(workspace, path, "u", parts=False).items["part"]) == {""}

    def test_the_part_of_each_image_in_an_array_of_its_own(self, workspace, tmp_path):
        path = write_npz(
            tmp_path / "a.npz", images=batch(4), labels=[0, 7, 0, 7], split=["train", "val"] * 2
        )
        dataset = import_source(workspace, path, "cells")
        assert dataset.items["part"].tolist() == ["train", "validation"] * 2

    def test_parts_of_other_sizes_are_brought_to_one(self, workspace, tmp_path):
        arrays = {**self.arrays("train", size=28), **self.arrays("test", size=40)}
        dataset = import_source(workspace, write_npz(tmp_path / "a.npz", **arrays), "cells")
        assert dataset.size == (96, 96)
        assert dataset.info["source_sizes"] == {"28x28": 4, "40x40": 4}


NAMES = ["neutrophil", "lymphocyte", "Monocytes"]


class TestNamesBesideNumbers:
    """Numbers mean what the file says they mean."""

    @pytest.mark.parametrize(
        "beside",
        [
            {"class_names": np.array(NAMES)},
            {"label_names": np.array(NAMES, "S")},
            {"classes": np.array([*NAMES, "blast"])},
            {"categories": np.array(NAMES)[:, None]},
            {"lookup": np.array(NAMES)},
            {"label_map": np.array('{"0": "neutrophil", "1": "lymphocyte", "2": "monocyte"}')},
            {"label_map": np.array('{"neutrophil": 0, "lymphocyte": 1, "monocyte": 2}')},
            {"class_names": np.array('["NGS", "LYT", "MON"]')},
            {"label_text": np.repeat(NAMES, 2)},
        ],
    )
    @pytest.mark.parametrize("one_hot", [False, True])
    def test_are_used(self, workspace, tmp_path, beside, one_hot):
        numbers = np.repeat([0, 1, 2], 2)
        width = len(beside["classes"]) if "classes" in beside else 3
        labels = np.eye(width, dtype=int)[numbers] if one_hot else numbers
        if one_hot and "label_text" in beside:
            labels = np.eye(8, dtype=int)[numbers]
        path = write_npz(tmp_path / "a.npz", images=batch(6), labels=labels, **beside)
        assert import_source(workspace, path, "cells").labels.tolist() == [6, 6, 4, 4, 5, 5]

    @pytest.mark.parametrize(
        ("beside", "says"),
        [
            ({"class_names": np.array(["neutrophil", "lymphocyte", "blast"])}, "eight: 'blast'"),
            ({"class_names": np.array(["neutrophil", "lymphocyte"])}, "label 2 at index 4"),
            ({"class_names": np.array(NAMES, object)}, "class_names in .* Python objects"),
            ({"class_names": np.array(NAMES), "classes": np.array(NAMES[::-1])}, "classes twice"),
            ({"kind": np.array([*NAMES, *NAMES])}, "contradict each other"),
        ],
    )
    def test_or_refused(self, workspace, tmp_path, beside, says):
        labels = np.repeat([0, 1, 2], 2)
        path = write_npz(tmp_path / "a.npz", images=batch(6), labels=labels, **beside)
        with pytest.raises(BadInput, match=says):
            import_source(workspace, path, "cells")

    def test_may_be_mapped(self, workspace, tmp_path):
        names = np.array(["neutrophil", "blast", "smudge"])
        labels = np.repeat([0, 1, 2], 2)
        path = write_npz(tmp_path / "a.npz", images=batch(6), labels=labels, class_names=names)
        dataset = import_source(workspace, path, "cells", mapped=["blast=other", "smudge=skip"])
        assert dataset.labels.tolist() == [6, 6, OTHER, OTHER]
        assert dataset.info["left_out"] == 2

    def test_other_arrays_are_named(self, workspace, tmp_path):
        path = write_npz(tmp_path / "a.npz", images=batch(), labels=LABELS, weight=np.ones(7))
        notes = import_source(workspace, path, "cells").info["notes"]
        assert notes == ["Arrays that were not used: weight."]


class TestRange:
    def test_floats_a_little_beyond_it_are_read(self, workspace, tmp_path):
        images = batch().astype(np.float32) / 255
        images[0, 0, 0, 0], images[1, 0, 0, 0] = 1.0000001, -1e-7
        path = write_npz(tmp_path / "a.npz", images=images, labels=LABELS)
        assert import_source(workspace, path, "cells").images[0, 0, 0, 0] == 255

    def test_whole_numbers_of_0_and_1_are_refused(self, workspace, tmp_path):
        images = (batch() / 255).astype(np.uint8)
        path = write_npz(tmp_path / "a.npz", images=images, labels=LABELS)
        with pytest.raises(BadInput, match=r"nothing above 1.*multiply by 255 first"):
            import_source(workspace, path, "cells")

    def test_dark_images_are_noticed(self, workspace, tmp_path):
        path = write_npz(tmp_path / "a.npz", images=batch() // 16, labels=LABELS)
        assert "7 images are nearly black" in import_source(workspace, path, "c").info["notes"][0]


class TestSize:
    def test_what_is_not_square_is_cut_to_the_shorter_side(self, workspace, tmp_path):
        images = batch(height=20, width=31)
        path = write_npz(tmp_path / "a.npz", images=images, labels=LABELS)
        dataset = import_source(workspace, path, "cells")
        assert dataset.size == (20, 20)
        assert dataset.info["crop"] == "centre square"
        assert dataset.info["source_sizes"] == {"31x20": len(LABELS)}
        np.testing.assert_array_equal(dataset.images, images[:, :, 5:25])

    def test_size_and_crop_can_be_chosen(self, workspace, tmp_path):
        images = batch(height=30)
        path = write_npz(tmp_path / "a.npz", images=images, labels=LABELS)
        dataset = import_source(workspace, path, "cells", size=16, crop=24)
        assert dataset.info["crop"] == "centre 24 px"
        np.testing.assert_array_equal(dataset.images[2], fit(images[2], 16, 24))

    def test_large_images_become_96(self, workspace, tmp_path):
        path = write_npz(tmp_path / "a.npz", images=batch(height=300), labels=LABELS)
        assert import_source(workspace, path, "cells").size == (96, 96)


def test_other_keys_are_never_opened(workspace, tmp_path):
    """Not even objects, whose unpickling could run code."""
    path = write_npz(
        tmp_path / "a.npz", images=batch(), labels=LABELS, notes=np.array([{"a": 1}], object)
    )
    assert len(import_source(workspace, path, "cells")) == len(LABELS)


def test_the_version_2_header_is_read(workspace, tmp_path):
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        for key, array in (("images", batch()), ("labels", LABELS)):
            buffer = io.BytesIO()
            np.lib.format.write_array(buffer, array, version=(2, 0))
            archive.writestr(f"{key}.npy", buffer.getvalue())
    np.testing.assert_array_equal(
        import_source(workspace, tmp_path / "a.npz", "cells").images, batch()
    )
