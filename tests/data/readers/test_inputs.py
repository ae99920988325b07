"""Files, folders and zips of photographs, read without trusting them."""

import io
import os
import zipfile
from pathlib import Path

import pytest

from bloodcell.data.imaging.decode import MAX_BYTES
from bloodcell.data.readers import inputs
from bloodcell.data.readers.inputs import content_of, gathered, unpacked
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
    wanted = [("x.png", b"0"), ("cells.zip/a.png", b"1"), ("cells.zip/b/c.png", b"2")]
    assert [(name, content_of(one)) for name, one in found] == wanted


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
    monkeypatch.setattr(inputs, "MOST_IN_ZIPS", 2)
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
    read = [(name, content_of(one)) for name, one in found[:3]]
    assert read == [(str(tmp_path / name), content) for name, content in inside.items()]
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


class TestLimits:
    """What a thing is, and how large, is looked at before it is read."""

    def test_a_pipe_and_a_device_are_never_read(self, tmp_path: Path):
        os.mkfifo(tmp_path / "pipe")
        found = gathered([str(tmp_path / "pipe"), "/dev/zero", str(tmp_path)])
        kinds = [str(error) for _, error in found]
        assert ["is a pipe" in kinds[0], "is a device" in kinds[1], "is a pipe" in kinds[2]] == [
            True
        ] * 3

    def test_a_file_too_large_is_refused_unread(self, tmp_path: Path):
        with (tmp_path / "large.png").open("wb") as file:
            file.truncate(MAX_BYTES + 1)
        ((_, content),) = unpacked(gathered([str(tmp_path / "large.png")]))
        with pytest.raises(BadInput, match=r"large\.png has 256 MiB, expected at most 256 MiB"):
            content_of(content)

    def test_several_zips_share_one_limit(self, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setattr(inputs, "MOST_BYTES", 250)
        zips = [(f"{k}.zip", zipped({"a.png": bytes(100)})) for k in range(3)]
        *read, (_, error) = unpacked(zips)
        assert [content_of(one) for _, one in read] == [bytes(100)] * 2
        assert "2.zip and the zips before it hold 3 files" in str(error)

    def test_many_members_of_zeros_are_refused_though_each_is_small(self):
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
            for k in range(3):
                archive.writestr(f"{k}.png", bytes(8 * 2**20))
        ((_, error),) = unpacked([("bomb.zip", buffer.getvalue())])
        assert "would unpack to" in str(error)

    def test_a_zip_is_read_a_file_at_a_time(self, tmp_path: Path):
        (tmp_path / "cells.zip").write_bytes(zipped({"a.png": b"1", "b.png": b"2"}))
        found = unpacked(gathered([str(tmp_path / "cells.zip")]))
        assert all(callable(content) for _, content in found)
        assert [content_of(content) for _, content in found] == [b"1", b"2"]
