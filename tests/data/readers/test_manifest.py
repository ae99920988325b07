"""A table beside the images says what each is and where it comes from."""

import numpy as np
import pytest

from bloodcell.classes import OTHER
from bloodcell.data.readers.manifest import Given
from bloodcell.data.readers.source import import_source
from bloodcell.data.store.dataset import open_dataset
from bloodcell.data.store.export import export_dataset
from bloodcell.errors import BadInput, NotFound
from bloodcell.workspace import Workspace
from tests.data.samples import (
    encoded,
    left_in,
    pixels,
    two_each,
    write_folder,
    write_npz,
    write_zip,
)

TABLE = """file,label,laboratory,patient,magnification
a/1.png,neutrophil,north,p1,100
a/2.png,Neutrophils,north,p1,100
a/3.png,monocyte,south,p1,63
a/4.png,monocyte,south,,63
a/5.png,other,south,p2,63
"""


@pytest.fixture
def workspace(tmp_path):
    return Workspace(tmp_path / "home")


def images(n: int = 5, top: str = "") -> dict[str, bytes]:
    return {f"{top}a/{i + 1}.png": encoded(pixels(i)) for i in range(n)}


def by_name(dataset, column: str) -> dict[str, str]:
    names = [n.rsplit("/")[-1] for n in dataset.items["name"]]
    return dict(zip(names, dataset.origin(column), strict=True))


@pytest.mark.parametrize("kind", ["folder", "zip", "zip with a top folder", "beside"])
def test_labels_and_origins_come_from_the_table(workspace, tmp_path, kind):
    given = Given()
    top = "cells/" if kind == "zip with a top folder" else ""
    files = images(top=top)
    if kind == "beside":
        (tmp_path / "t.csv").write_text(TABLE)
        given = Given(manifest=tmp_path / "t.csv")
    else:
        files[f"{top}manifest.csv"] = TABLE.encode()
    write = write_zip if "zip" in kind else write_folder
    dataset = import_source(workspace, write(tmp_path / "source", files), "d", given=given)
    assert dataset.counts() == {
        **dict.fromkeys(dataset.counts(), 0),
        "neutrophil": 2,
        "monocyte": 2,
        "other": 1,
    }
    assert dataset.labels.min() == OTHER
    assert dataset.origins == ("laboratory", "patient")
    assert by_name(dataset, "patient") == {
        "1.png": "p1", "2.png": "p1", "3.png": "p1", "4.png": "", "5.png": "p2"
    }  # fmt: skip
    assert by_name(dataset, "magnification")["3.png"] == "63"
    assert dataset.info["manifest"]["rows"] == 5


@pytest.mark.parametrize(
    ("encoding", "old", "new"),
    [
        ("utf-8-sig", ",", ";"),
        ("utf-16", ",", "\t"),
        ("utf-8", "\n", "\r\n"),
        ("utf-8", "a/", ".\\a\\"),
        ("utf-8", "file,label", " File , LABEL "),
        ("utf-8", "a/", ""),
    ],
)
def test_however_a_spreadsheet_wrote_it(workspace, tmp_path, encoding, old, new):
    files = images() | {"manifest.csv": TABLE.replace(old, new).encode(encoding)}
    dataset = import_source(workspace, write_folder(tmp_path / "s", files), "d")
    assert by_name(dataset, "laboratory")["3.png"] == "south"


def test_what_does_not_match_is_counted_and_named(workspace, tmp_path):
    files = images() | {"manifest.csv": (TABLE + "a/9.png,other,,,\n").encode()}
    files["a/more.png"] = encoded(pixels(9))
    dataset = import_source(workspace, write_folder(tmp_path / "s", files), "d")
    found = dataset.info["manifest"]
    assert len(dataset) == 5
    assert (found["rows_without_file"], found["names_without_file"]) == (1, ["a/9.png"])
    assert (found["files_without_row"], found["names_without_row"]) == (1, ["a/more.png"])


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("label", "class", "no label among its columns"),
        ("other", "blast", "line 6, has the label 'blast'"),
        ("a/3.png", "a/1.png", "line 4, says of a/1.png something else"),
        ("a/2.png,Neutrophils,", "a/2.png,Neutrophils", "line 3, has 4 values"),
        ("a/", "b/x", "None of the 5 files"),
        ("a/1.png", "", "line 2, names no file"),
        (TABLE[37:], "", "has no row"),
    ],
)
def test_a_wrong_table_is_refused_in_a_sentence(workspace, tmp_path, old, new, message):
    files = images() | {"manifest.csv": TABLE.replace(old, new).encode()}
    with pytest.raises(BadInput, match=message):
        import_source(workspace, write_folder(tmp_path / "s", files), "d")
    assert left_in(workspace) == []


def test_a_missing_table_is_named(workspace, tmp_path):
    source = write_folder(tmp_path / "s", images())
    with pytest.raises(NotFound, match=r"gone\.csv"):
        import_source(workspace, source, "d", given=Given(manifest=tmp_path / "gone.csv"))


def test_folders_above_a_class_are_patients(workspace, tmp_path):
    files = {f"p{k}/{f}": encoded(pixels(k, 12 + n)) for k in (1, 2)
             for n, f in enumerate(two_each("neutrophil"))}  # fmt: skip
    source = write_folder(tmp_path / "s", files)
    given = Given(laboratory="north", level="patient")
    dataset = import_source(workspace, source, "d", given=given, size=12)
    assert sorted(dataset.origin("patient")) == ["p1", "p1", "p2", "p2"]
    assert set(dataset.origin("laboratory")) == {"north"}
    flat = write_folder(tmp_path / "flat", two_each("neutrophil"))
    with pytest.raises(BadInput, match="expected a folder for each patient"):
        import_source(workspace, flat, "e", given=given)


def test_a_folder_other_keeps_what_it_holds_as_source_label(workspace, tmp_path):
    files = two_each("neutrophil") | {
        "other/1.png": encoded(pixels(7)),
        "other/blast/2.png": encoded(pixels(8)),
    }
    dataset = import_source(workspace, write_zip(tmp_path / "s.zip", files), "d")
    assert dataset.labels.tolist() == [OTHER, OTHER, 6, 6]
    assert by_name(dataset, "source_label")["2.png"] == "blast"


def test_arrays_have_a_laboratory_and_names_may_say_other(workspace, tmp_path):
    path = write_npz(
        tmp_path / "a.npz",
        images=np.stack([pixels(i) for i in range(3)]),
        labels=np.array(["monocyte", "other", "monocyte"]),
    )
    dataset = import_source(workspace, path, "d", given=Given(laboratory="north"))
    assert dataset.labels.tolist() == [5, OTHER, 5]
    assert set(dataset.origin("laboratory")) == {"north"}
    with pytest.raises(BadInput, match="leave out --level"):
        import_source(workspace, path, "e", given=Given(level="patient"))


@pytest.mark.parametrize("suffix", [".zip", ".npz"])
def test_an_export_comes_in_again_with_all_that_was_known(workspace, tmp_path, suffix):
    files = images() | {"manifest.csv": TABLE.encode()}
    first = import_source(workspace, write_folder(tmp_path / "s", files), "d")
    export_dataset(first, tmp_path / f"e{suffix}")
    again = import_source(workspace, tmp_path / f"e{suffix}", "again")
    order = [np.argsort(d.hashes) for d in (first, again)]
    assert first.labels[order[0]].tolist() == again.labels[order[1]].tolist()
    if suffix == ".zip":
        for column in ("laboratory", "patient", "magnification"):
            assert (first.origin(column)[order[0]] == again.origin(column)[order[1]]).all()


def test_a_dataset_without_origins_is_written_as_before(workspace, tmp_path):
    import_source(workspace, write_folder(tmp_path / "s", two_each("monocyte")), "d")
    opened = open_dataset(workspace, "d")
    assert list(opened.items.columns) == ["index", "name", "hash", "part"]
    assert opened.origins == ()
    assert opened.origin("patient").tolist() == ["", ""]
