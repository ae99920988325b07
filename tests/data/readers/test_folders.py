"""A folder a class, on disk or in a zip archive, becomes a dataset."""

import json
import os
import shutil

import numpy as np
import pytest
from PIL import Image

from bloodcell.classes import CLASS_NAMES
from bloodcell.data.imaging.decode import decode_image, fit, printable
from bloodcell.data.readers.names import UnknownNames
from bloodcell.data.readers.source import import_source
from bloodcell.errors import BadInput
from bloodcell.workspace import Workspace
from tests.data.samples import encoded, left_in, pixels, two_each, write_folder, write_zip


@pytest.fixture
def workspace(tmp_path):
    return Workspace(tmp_path / "home")


@pytest.fixture(params=["folder", "zip"])
def bring(request, workspace, tmp_path):
    """Import files given as path → bytes, as a folder and as a zip of it."""

    def bring(files, name="cells", **options):
        if request.param == "folder":
            source = write_folder(tmp_path / f"source-{name}", files)
        else:
            source = write_zip(tmp_path / f"source-{name}.zip", files)
        return import_source(workspace, source, name, **options)

    return bring


class TestWhatComesIn:
    def test_pixels_labels_and_names(self, bring):
        files = two_each("platelet", "basophil")
        dataset = bring(files)
        assert dataset.items["name"].tolist() == [
            "basophil/ba_0.png",
            "basophil/ba_1.png",
            "platelet/pl_0.png",
            "platelet/pl_1.png",
        ]
        assert dataset.labels.tolist() == [0, 0, 7, 7]
        for image, name in zip(dataset.images, dataset.items["name"], strict=True):
            np.testing.assert_array_equal(image, decode_image(files[name], name))

    def test_dataset_json_says_where_it_came_from(self, bring):
        info = bring(two_each("basophil", "monocyte")).info
        assert info["source"].startswith("source-cells")
        assert info["crop"] == "none"
        assert info["source_sizes"] == {"12x12": 4}
        assert info["skipped"] == []

    def test_all_eight_classes_or_only_some(self, bring):
        assert set(bring(two_each(*CLASS_NAMES), "all").labels) == set(range(8))
        assert set(bring(two_each("neutrophil", "monocyte"), "two").labels) == {5, 6}

    @pytest.mark.parametrize("folder", ["IG", "Immature Granulocytes", "immature-granulocyte"])
    def test_class_folders_may_be_spelled_as_usual(self, bring, folder):
        files = {f"{folder}/{i}.png": encoded(pixels(i)) for i in range(2)}
        assert bring(files).labels.tolist() == [3, 3]

    @pytest.mark.parametrize("top", ["", "cells/", "a/b/c/"])
    def test_folders_around_the_classes_do_not_matter(self, bring, top):
        files = two_each("basophil", "monocyte")
        dataset = bring({top + name: data for name, data in files.items()})
        assert sorted(dataset.items["name"]) == sorted(files)
        assert set(dataset.items["part"]) == {""}

    def test_given_parts_are_kept(self, bring):
        files = {
            f"top/{part}/{name}": data
            for part in ("Train", "valid", "test")
            for name, data in two_each("basophil", "monocyte").items()
        }
        dataset = bring(files)
        assert set(dataset.items["name"].str.split("/").str[0]) == {"Train", "valid", "test"}
        assert dataset.items["part"].value_counts().to_dict() == {
            "train": 4,
            "validation": 4,
            "test": 4,
        }

    def test_one_part_beside_other_folders_is_no_part_and_the_import_says_so(self, bring):
        files = {
            f"{folder}/{name}": data
            for folder in ("train", "slide 7")
            for name, data in two_each("basophil").items()
        }
        dataset = bring(files)
        assert set(dataset.items["part"]) == {""}
        assert len(dataset) == 4
        assert "2 outside of them (for example in 'slide 7/basophil')" in dataset.info["notes"][0]

    @pytest.mark.parametrize(
        "extra",
        [
            "README.md",
            "basophil/notes.txt",
            "basophil/Thumbs.db",
            "basophil/.DS_Store",
            ".git/objects/ab",
            "__MACOSX/basophil/._a.png",
            "labels.CSV",
            "docs/paper.pdf",
        ],
    )
    def test_what_is_clearly_no_image_is_passed_over(self, bring, extra):
        assert len(bring({**two_each("basophil", "monocyte"), extra: b"no image"})) == 4

    def test_images_are_recognised_by_content_whatever_their_suffix(self, bring):
        files = {f"basophil/{i}{suffix}": encoded(pixels(i)) for i, suffix in enumerate(["", ".x"])}
        assert len(bring(files)) == 2

    def test_names_with_strange_characters_survive_as_one_line(self, bring):
        files = {
            'basophil/ä, "b"\n;c.png': encoded(pixels(0)),
            "basophil/2.png": encoded(pixels(1)),
        }
        names = bring(files).items["name"].tolist()
        assert 'basophil/ä, "b"\N{REPLACEMENT CHARACTER};c.png' in names

    def test_names_that_are_no_text_survive_too(self, workspace, tmp_path):
        source = write_folder(tmp_path / "source", two_each("basophil"))
        with open(os.fsencode(source / "basophil") + b"/\xff.png", "wb") as file:
            file.write(encoded(pixels(5)))
        names = import_source(workspace, source, "cells").items["name"].tolist()
        assert "basophil/\N{REPLACEMENT CHARACTER}.png" in names

    def test_the_order_of_files_does_not_matter(self, workspace, tmp_path):
        files = two_each("monocyte", "basophil", "platelet")
        there = import_source(workspace, write_zip(tmp_path / "a.zip", files), "there")
        back = dict(reversed(files.items()))
        here = import_source(workspace, write_zip(tmp_path / "b.zip", back), "back")
        assert here.fingerprint == there.fingerprint
        assert here.items.equals(there.items)
        np.testing.assert_array_equal(here.images, there.images)

    def test_folder_and_zip_give_the_same_dataset(self, workspace, tmp_path):
        files = {f"cells/{k}": v for k, v in two_each("monocyte", "basophil").items()}
        packed = import_source(workspace, write_zip(tmp_path / "a.zip", files), "packed")
        plain = import_source(workspace, write_folder(tmp_path / "a", files), "plain")
        assert packed.items.equals(plain.items)
        assert packed.fingerprint == plain.fingerprint


def in_each(*tops, classes=("basophil", "monocyte")):
    """Two images of each class, other ones for each place: PLACE with {c} for the class."""
    return {
        f"{top.format(c=name)}/{k}{i}.png": encoded(pixels(100 * k + 10 * j + i))
        for k, top in enumerate(tops)
        for j, name in enumerate(classes)
        for i in range(2)
    }


class TestParts:
    """A part that is there is taken, or the import says that it was not."""

    @pytest.mark.parametrize(
        ("train", "test", "part"),
        [
            ("Train/{c}", "Test-A/{c}", "test"),
            ("data/Training/{c}", "data/Testing/{c}", "test"),
            ("images/train/{c}", "images/val/{c}", "validation"),
            ("train/images/{c}", "dev/images/{c}", "validation"),
            ("{c}/train", "{c}/TestB", "test"),
            ("TrainingSet/{c}/patient_1", "TEST_SIMPLE/{c}/patient_2", "test"),
            ("Raabin_train/{c}", "Raabin_test/{c}", "test"),
            ("train/{c}", "train/valid/{c}", "validation"),
        ],
    )
    def test_under_other_names_or_deeper(self, bring, train, test, part):
        dataset = bring(in_each(train, test))
        assert dataset.items["part"].value_counts().to_dict() == {"train": 4, part: 4}
        assert dataset.info["notes"] == []

    def test_images_outside_of_several_parts_are_not_mixed_in(self, bring, workspace):
        files = in_each("train/{c}", "test/{c}", "more/{c}")
        with pytest.raises(BadInput, match=r"4 outside of them .*'more/basophil'.*--no-parts"):
            bring(files)
        assert left_in(workspace) == []
        mapped = bring(files, "mapped", mapped=["more=validation"])
        assert set(mapped.items["part"]) == {"train", "test", "validation"}
        assert set(bring(files, "without", parts=False).items["part"]) == {""}

    def test_a_folder_of_two_parts_is_refused(self, bring):
        with pytest.raises(BadInput, match="is of two parts, test and train"):
            bring(in_each("test/train/{c}"))

    @pytest.mark.parametrize(
        ("top", "says"),
        [
            ("test/{c}", "nothing to train on: import again with --no-parts"),
            ("WBC_train/{c}", "not taken for parts (WBC_train)"),
            ("trainval/{c}", "not taken for parts (trainval)"),
        ],
    )
    def test_what_leaves_a_question_is_said(self, bring, top, says):
        assert says in bring(in_each(top)).info["notes"][0]

    @pytest.mark.parametrize("top", ["blood test/{c}", "contest/{c}", "slides/{c}"])
    def test_other_folders_are_no_parts(self, bring, top):
        assert set(bring(in_each(top)).items["part"]) == {""}


class TestClassFolders:
    """Well-known names are understood, the rest is asked for."""

    @pytest.mark.parametrize(
        ("folder", "label"),
        [
            ("SNE", 6), ("BNE", 6), ("NGS", 6), ("NGB", 6), ("Neutrophil Segmented", 6),
            ("band_neutrophils", 6), ("0_neutrophil", 6), ("neutrophil/SNE", 6),
            ("neutrophil/patient_1", 6), ("neutrophil/S12/2021-03-01", 6), ("MMY", 3), ("PMY", 3),
            ("MYB", 3), ("ig/MMY", 3), ("LYT", 4), ("LYA", 4), ("MON", 5), ("EBO", 2),
            ("Erythroblast(NRBC)", 2), ("EOS", 1), ("BAS", 0), ("PLT", 7), ("04 - Basophils", 0),
        ],
    )  # fmt: skip
    def test_of_public_sets(self, bring, folder, label):
        assert bring(in_each(folder, classes=[""])).labels.tolist() == [label] * 2

    @pytest.mark.parametrize(
        ("folder", "named"),
        [
            ("MYO", r"'MYO' \(myeloblasts in public sets\)"),
            ("KSC", "'KSC'"),
            ("monocyte/blasts", "'monocyte/blasts'"),
            ("neutrophil/not sure", "'neutrophil/not sure'"),
            ("masks/neutrophil", "'masks'"),
            ("immature monocyte", "'immature monocyte'"),
            ("my cells", "'my cells'"),
            ("blast/patient_1", "'blast' "),
        ],
    )
    def test_what_is_none_of_the_eight_is_refused_by_name(self, bring, folder, named):
        with pytest.raises(UnknownNames, match=f"none of the eight: {named}") as caught:
            bring(in_each("basophil", folder, classes=[""]))
        assert list(caught.value.names.values()) == [2]
        assert "--map" in str(caught.value)

    def test_every_unknown_folder_is_named_at_once_with_its_images(self, bring):
        with pytest.raises(UnknownNames) as caught:
            bring(in_each("a/blast", "b/blast/p1", "b/smudge", "basophil", classes=[""]))
        assert caught.value.names == {"a/blast": 2, "b/blast": 2, "b/smudge": 2}

    def test_a_folder_of_two_classes_is_refused(self, bring):
        with pytest.raises(BadInput, match="of two classes, 'neutrophil' and 'MO'"):
            bring(in_each("neutrophil/MO", classes=[""]))

    def test_what_is_mapped_is_taken_or_left_out(self, bring):
        files = in_each("basophil", "Blast", "x/odd/p1", "Set2/monocyte", classes=[""])
        mapped = ["blast=skip", "x/odd=Platelet", "set*=validation", "basophil=train"]
        dataset = bring(files, mapped=[*mapped, "odd=train"])
        assert dataset.labels.tolist() == [0, 0, 5, 5, 7, 7]
        assert dataset.items["part"].tolist() == ["train"] * 2 + ["validation"] * 2 + ["train"] * 2
        assert dataset.info["left_out"] == 2

    @pytest.mark.parametrize(
        ("entry", "says"),
        [
            ("blast", "expected FOLDER=VALUE"),
            ("blast=lion", "expected FOLDER=VALUE"),
            ("=skip", "expected FOLDER=VALUE"),
            ("blsat=skip", "no folder or class 'blsat'"),
        ],
    )
    def test_a_slip_in_a_mapping_is_refused(self, bring, entry, says):
        with pytest.raises(BadInput, match=says):
            bring(two_each("basophil"), mapped=[entry])


class TestStrays:
    """What systems and people leave among photographs is passed over, and named."""

    @pytest.mark.parametrize(
        "stray",
        [
            "Icon\r",
            "basophil/@eaDir/ba_0.png/SYNOPHOTO_THUMB_M.jpg",
            "$RECYCLE.BIN/S-1-5/x.png",
            "System Volume Information/x",
            "LICENSE",
            "labels.xlsx",
            "basophil/ba_0.xmp",
            "basophil/ba_0_thumb.png",
            "thumbnails/ba_0.png",
            "~$labels.xlsx",
            "basophil/._ba_0.png",
            "basophil/desktop.ini",
        ],
    )
    def test_is_passed_over_and_named(self, bring, stray):
        dataset = bring({**two_each("basophil"), stray: encoded(pixels(9))})
        assert len(dataset) == 2
        assert dataset.info["passed_over"] == {"n": 1, "names": [printable(stray)]}

    @pytest.mark.parametrize("photograph", ["readme.png", "thumb_7.png", "scan", "1.heic"])
    def test_what_may_be_a_photograph_is_not(self, bring, photograph):
        assert (
            len(bring({**two_each("basophil"), f"basophil/{photograph}": encoded(pixels(9))})) == 3
        )


class TestSize:
    def test_squares_of_one_size_up_to_256_are_kept(self, bring):
        assert bring(two_each("basophil", size=40)).size == (40, 40)

    def test_mixed_sizes_become_96(self, bring):
        files = {**two_each("basophil", size=40), **two_each("monocyte", size=50)}
        dataset = bring(files)
        assert dataset.size == (96, 96)
        assert dataset.info["crop"] == "none"
        assert dataset.info["source_sizes"] == {"40x40": 2, "50x50": 2}

    def test_large_squares_become_96(self, bring):
        assert bring(two_each("basophil", size=300)).size == (96, 96)

    def test_what_is_not_square_is_cut_in_the_centre(self, bring):
        files = {f"basophil/{i}.png": encoded(pixels(i, 20, 30)) for i in range(2)}
        dataset = bring(files)
        assert dataset.size == (96, 96)
        assert dataset.info["crop"] == "centre square"
        assert dataset.info["source_sizes"] == {"30x20": 2}
        np.testing.assert_array_equal(dataset.images[0], fit(pixels(0, 20, 30), 96))

    def test_the_recipe_of_bloodmnist(self, bring):
        files = {f"basophil/{i}.png": encoded(pixels(i, 363, 360)) for i in range(2)}
        dataset = bring(files, crop=200, size=64)
        assert dataset.size == (64, 64)
        assert dataset.info["crop"] == "centre 200 px"
        np.testing.assert_array_equal(dataset.images[1], fit(pixels(1, 363, 360), 64, 200))

    def test_sizes_beyond_the_20_most_frequent_are_counted_together(self, bring):
        files = {f"basophil/{i}.png": encoded(pixels(i, 10 + i)) for i in range(25)}
        histogram = bring(files).info["source_sizes"]
        assert len(histogram) == 21
        assert histogram["other"] == 5

    @pytest.mark.parametrize("option", ["size", "crop"])
    @pytest.mark.parametrize("value", [0, -5, 7, 5000])
    def test_impossible_sizes_are_refused(self, bring, workspace, option, value):
        with pytest.raises(BadInput, match=f"The {option} of {value} pixels cannot be used"):
            bring(two_each("basophil"), **{option: value})
        assert left_in(workspace) == []


class TestBrokenImages:
    BROKEN = {  # noqa: RUF012
        "cut.png": encoded(pixels(1, 64))[:2000],
        "empty.jpg": b"",
        "text.jpg": b"not an image",
        "tiny.png": encoded(pixels(1, 4)),
    }

    @pytest.mark.parametrize("name", BROKEN)
    def test_stops_at_a_broken_image_and_says_what_to_do(self, bring, workspace, name):
        files = {**two_each("basophil"), f"basophil/{name}": self.BROKEN[name]}
        with pytest.raises(BadInput, match=r"remove it, or import with --skip-broken\.$") as caught:
            bring(files)
        assert f"basophil/{name}" in str(caught.value)
        assert left_in(workspace) == []

    def test_leaves_broken_images_out_when_asked_and_lists_them(self, bring):
        broken = {f"basophil/{name}": data for name, data in self.BROKEN.items()}
        dataset = bring({**two_each("basophil", "monocyte"), **broken}, skip_broken=True)
        assert len(dataset) == 4
        assert [entry["name"] for entry in dataset.info["skipped"]] == sorted(broken)
        assert all(entry["reason"] for entry in dataset.info["skipped"])
        assert dataset.info["source_sizes"]["12x12"] == 4

    def test_too_many_broken_ones_leave_a_class_too_small(self, bring, workspace):
        files = two_each("basophil", "monocyte")
        files["monocyte/mo_1.png"] = b"broken"
        with pytest.raises(BadInput, match="1 image of the class monocyte after broken images"):
            bring(files, skip_broken=True)
        assert left_in(workspace) == []

    def test_a_class_with_no_image_left_is_not_silently_lost(self, bring):
        files = two_each("basophil", "monocyte")
        files.update({name: b"broken" for name in files if name.startswith("monocyte")})
        with pytest.raises(BadInput, match="no images of the class monocyte"):
            bring(files, skip_broken=True)


class TestLinks:
    """What a folder links to is not part of it."""

    def test_a_link_out_of_the_folder_is_refused(self, workspace, tmp_path):
        (tmp_path / "secret.png").write_bytes(encoded(pixels(5)))
        source = write_folder(tmp_path / "source", two_each("basophil"))
        (source / "basophil" / "link.png").symlink_to(tmp_path / "secret.png")
        with pytest.raises(BadInput, match=r"basophil/link\.png .* leads out of the folder"):
            import_source(workspace, source, "cells", skip_broken=True)
        assert left_in(workspace) == []

    def test_a_link_to_nowhere_is_refused(self, workspace, tmp_path):
        source = write_folder(tmp_path / "source", two_each("basophil"))
        (source / "basophil" / "link.png").symlink_to("gone.png")
        with pytest.raises(BadInput, match="or nowhere"):
            import_source(workspace, source, "cells")

    def test_a_link_to_a_folder_is_refused(self, workspace, tmp_path):
        source = write_folder(tmp_path / "source", two_each("basophil"))
        (source / "monocyte").symlink_to(source / "basophil")
        with pytest.raises(BadInput, match="monocyte in source is a link to a folder"):
            import_source(workspace, source, "cells")

    def test_a_link_to_an_image_inside_is_that_image(self, workspace, tmp_path):
        source = write_folder(tmp_path / "source", two_each("basophil"))
        (source / "basophil" / "link.png").symlink_to("ba_0.png")
        assert len(import_source(workspace, source, "cells")) == 3

    def test_the_source_itself_may_be_a_link(self, workspace, tmp_path):
        write_folder(tmp_path / "source", two_each("basophil"))
        (tmp_path / "link").symlink_to("source")
        assert len(import_source(workspace, tmp_path / "link", "cells")) == 2

    def test_a_pipe_is_refused_and_not_waited_for(self, workspace, tmp_path):
        source = write_folder(tmp_path / "source", two_each("basophil"))
        os.mkfifo(source / "basophil" / "pipe.png")
        with pytest.raises(BadInput, match="no plain file"):
            import_source(workspace, source, "cells")


def test_an_empty_class_folder_is_an_error_on_disk(workspace, tmp_path):
    source = write_folder(tmp_path / "source", two_each("basophil"))
    (source / "platelet").mkdir()
    with pytest.raises(BadInput, match="'platelet' in source holds no image"):
        import_source(workspace, source, "cells")


def test_an_empty_class_folder_is_an_error_in_a_zip(workspace, tmp_path):
    source = write_zip(tmp_path / "a.zip", {**two_each("basophil"), "platelet/": b""})
    with pytest.raises(BadInput, match=r"'platelet' in a\.zip holds no image"):
        import_source(workspace, source, "cells")


def test_the_source_is_only_read(workspace, tmp_path):
    source = write_folder(tmp_path / "source", two_each("basophil"))
    before = {p: p.stat().st_mtime_ns for p in source.rglob("*")}
    import_source(workspace, source, "cells")
    assert {p: p.stat().st_mtime_ns for p in source.rglob("*")} == before
    shutil.rmtree(source)
    assert json.loads((workspace.datasets / "cells" / "dataset.json").read_text())["n"] == 2


def test_photographs_are_turned_upright(workspace, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    image = pixels(1, 12, 12)
    files = {f"basophil/{i}.png": encoded(image, exif=exif) for i in range(2)}
    dataset = import_source(workspace, write_zip(tmp_path / "a.zip", files), "cells")
    np.testing.assert_array_equal(dataset.images[0], np.rot90(image, -1))


@pytest.mark.parametrize("what", ["a link", "a pipe", "nobody may read"])
def test_what_lies_in_a_folder_of_a_system_is_not_looked_at(workspace, tmp_path, what, monkeypatch):
    source = write_folder(tmp_path / "source", two_each("basophil"))
    bin_ = source / "$RECYCLE.BIN"
    bin_.mkdir()
    if what == "a link":
        (bin_ / "x").symlink_to("/etc")
    elif what == "a pipe":
        os.mkfifo(bin_ / "x")
    else:
        real = os.scandir

        def scandir(path):
            if os.fspath(path).endswith("$RECYCLE.BIN"):
                raise PermissionError(13, "Permission denied", os.fspath(path))
            return real(path)

        monkeypatch.setattr(os, "scandir", scandir)
    assert len(import_source(workspace, source, "cells")) == 2


class TestDepth:
    """12 bits in 16 are never taken for black pictures without a word."""

    FILES = {  # noqa: RUF012
        f"basophil/{i}.png": encoded(pixels(i)[..., 0].astype(np.uint16) * 16) for i in range(2)
    }

    def test_is_noticed_at_import(self, bring):
        dataset = bring(self.FILES)
        assert dataset.images.max() < 17
        assert dataset.info["notes"][0].startswith(
            "2 images are nearly black (for example basophil"
        )
        assert "--depth" in dataset.info["notes"][0]

    def test_can_be_said(self, bring):
        dataset = bring(self.FILES, depth=12)
        assert np.abs(dataset.images[0, ..., 0].astype(int) - pixels(0)[..., 0]).max() <= 1
        assert dataset.info["notes"] == []

    def test_cannot_be_any_number(self, bring):
        with pytest.raises(BadInput, match="depth of 8 bits cannot be used: give 9 to 16"):
            bring(self.FILES, depth=8)
