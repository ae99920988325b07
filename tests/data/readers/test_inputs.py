"""Files, folders and zips of photographs, read without trusting them."""

import io
import zipfile
from pathlib import Path

import pytest

from bloodcell.data.readers import inputs as dropped
from bloodcell.data.readers.inputs import gathered, unpacked
from bloodcell.errors import BadInput, NotFound


def zipped(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def test_a_zip_is_replaced_by_its_files():
    content = zipped({"a.png": b"1", "b/c.png": b"2", "__MACOSX/._a.png": b"", ".DS_Store": b""})
    found = unpacked([("x.png", b"0"), ("cells.zip", content)])
    assert found == [("x.png", b"0"), ("cells.zip/a.png", b"1"), ("cells.zip/b/c.png", b"2")]


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"../../etc/passwd": b"x"}, "leads out of the archive"),
        ({}, "an archive without a photograph in it"),
        ({".hidden": b"x"}, "an archive without a photograph in it"),
    ],
)
def test_a_zip_that_holds_no_photographs_is_one_sentence(files, words):
    ((name, error),) = unpacked([("cells.zip", zipped(files))])
    assert name == "cells.zip"
    assert isinstance(error, BadInput)
    assert words in str(error)


def test_a_zip_cut_off_is_one_sentence():
    ((_, error),) = unpacked([("cells.zip", zipped({"a.png": b"1" * 100})[:60])])
    assert isinstance(error, BadInput)
    assert "cells.zip is damaged or cut off" in str(error)


def test_too_many_files_are_refused(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(dropped, "MOST_IN_ZIP", 2)
    ((_, error),) = unpacked([("cells.zip", zipped({f"{k}.png": b"" for k in range(3)}))])
    assert "holds 3 files" in str(error)
    assert "expected at most 2 files" in str(error)


def test_folders_are_looked_into_and_missing_files_say_so(tmp_path: Path):
    (tmp_path / "b.png").write_bytes(b"2")
    (tmp_path / "a.png").write_bytes(b"1")
    (tmp_path / "deeper").mkdir()
    (tmp_path / "deeper" / "c.png").write_bytes(b"3")
    (tmp_path / ".DS_Store").write_bytes(b"4")
    found = gathered([str(tmp_path), str(tmp_path / "none.png"), "a\0b"])
    inside = {"a.png": b"1", "b.png": b"2", "deeper/c.png": b"3"}
    assert found[:3] == [(str(tmp_path / name), content) for name, content in inside.items()]
    assert all(isinstance(error, NotFound) for _, error in found[3:])
    assert len(found) == 5


def test_a_file_is_called_what_it_was_asked_for_by(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    Path("a.png").write_bytes(b"1")
    asked = ["./a.png", "a.png", f"{tmp_path}//a.png", "./none.png"]
    assert [name for name, _ in gathered(asked)] == asked


def test_an_empty_folder_is_a_sentence(tmp_path: Path):
    ((name, error),) = gathered([str(tmp_path)])
    assert name == str(tmp_path)
    assert "folder without a photograph" in str(error)
