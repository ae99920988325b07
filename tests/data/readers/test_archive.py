"""Zip archives that lie, and what is still read from honest ones."""

import stat
import zipfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bloodcell.data.readers import archive as archive_module
from bloodcell.data.readers.archive import ZipFiles, open_archive
from bloodcell.errors import BadInput
from tests.data.samples import two_each, write_zip


def with_member(path, name, data=b"x", *, mode=0, compression=zipfile.ZIP_STORED):
    info = zipfile.ZipInfo("placeholder")
    info.filename = name  # as a hostile program would: ZipInfo() itself tidies names
    info.external_attr = mode << 16
    info.compress_type = compression
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(info, data)
    return path


def declaring(path, size: int):
    """Let members of 10 stored bytes claim another unpacked size."""
    ten = (10).to_bytes(4, "little")
    data = path.read_bytes()
    assert ten + ten in data
    path.write_bytes(data.replace(ten + ten, ten + size.to_bytes(4, "little")))
    return path


def read_all(path):
    with open_archive(path) as archive:
        tree = ZipFiles(archive)
        return {file: tree.read(file) for file in tree.files}


def test_honest_members_come_back_byte_for_byte(tmp_path):
    files = two_each("basophil", "monocyte")
    for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        assert read_all(write_zip(tmp_path / "a.zip", files, method)) == files


def test_a_part_of_a_member_can_be_read(tmp_path):
    with open_archive(write_zip(tmp_path / "a.zip", {"basophil/a.bin": b"0123456789"})) as archive:
        assert ZipFiles(archive).read("basophil/a.bin", 4) == b"0123"


def test_backslashes_of_windows_programs_separate_folders(tmp_path):
    path = with_member(tmp_path / "a.zip", "cells\\basophil\\a.png")
    with open_archive(path) as archive:
        assert ZipFiles(archive).files == ["cells/basophil/a.png"]


@pytest.mark.parametrize(
    "name",
    [
        "../basophil/a.png",
        "basophil/../../a.png",
        "/etc/basophil/a.png",
        "C:/basophil/a.png",
        "c:basophil/a.png",
        "..\\basophil\\a.png",
        "\\\\server\\basophil\\a.png",
    ],
)
def test_a_path_that_leads_out_is_refused(tmp_path, name):
    with pytest.raises(BadInput, match="leads out of the archive"):
        read_all(with_member(tmp_path / "a.zip", name))


def test_a_member_without_a_name_is_refused(tmp_path):
    with pytest.raises(BadInput, match="a file without a name"):
        read_all(with_member(tmp_path / "a.zip", ""))


def test_a_leading_dot_and_doubled_slashes_are_no_part_of_a_path(tmp_path):
    files = {"./basophil/a.png": b"1", "basophil//b.png": b"2", "./": b"", "a/./c.png": b"3"}
    found = read_all(write_zip(tmp_path / "a.zip", files))
    assert found == {"basophil/a.png": b"1", "basophil/b.png": b"2", "a/c.png": b"3"}


def test_folder_entries_of_windows_programs_are_folders(tmp_path):
    path = write_zip(tmp_path / "a.zip", {"cells\\basophil\\a.png": b"1"})
    with zipfile.ZipFile(path, "a") as archive:
        for name, attributes in (("cells\\basophil\\", 0x10), ("cells", 0x10), ("a\\", 0)):
            info = zipfile.ZipInfo("x")
            info.filename, info.create_system, info.external_attr = name, 0, attributes
            archive.writestr(info, b"")
    with open_archive(path) as archive:
        tree = ZipFiles(archive)
    assert tree.files == ["cells/basophil/a.png"]
    assert tree.folders == ["cells/basophil", "cells", "a"]


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_files_of_the_same_name_are_all_read_and_that_is_said(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for name, data in (("b/a.png", b"1"), ("b/a.png", b"2"), ("./b/a.png", b"3")):
            archive.writestr(name, data)
    with open_archive(tmp_path / "a.zip") as archive:
        tree = ZipFiles(archive)
        found = {file: tree.read(file) for file in tree.files}
    assert found == {"b/a.png": b"1", "b/a (2).png": b"2", "b/a (3).png": b"3"}
    assert "holds 2 names more than once" in tree.notes[0]


def test_two_dots_inside_a_name_are_no_way_out(tmp_path):
    path = with_member(tmp_path / "a.zip", "basophil/cell..1.png")
    assert list(read_all(path)) == ["basophil/cell..1.png"]


@pytest.mark.parametrize(
    ("mode", "what"), [(stat.S_IFLNK | 0o777, "a link"), (stat.S_IFIFO | 0o600, "a special file")]
)
def test_links_and_special_files_are_refused(tmp_path, mode, what):
    with pytest.raises(BadInput, match=what):
        read_all(with_member(tmp_path / "a.zip", "basophil/a.png", b"/etc/passwd", mode=mode))


def test_encrypted_members_are_refused(tmp_path):
    path = write_zip(tmp_path / "a.zip", {"basophil/a.png": b"x"}, zipfile.ZIP_STORED)
    data = bytearray(path.read_bytes())
    data[6] |= 1  # general purpose flag of the local header
    data[data.index(b"PK\x01\x02") + 8] |= 1  # and of the central one
    path.write_bytes(data)
    with pytest.raises(BadInput, match="pack the archive without a password"):
        read_all(path)


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_methods_that_unpack_without_bound_are_refused(tmp_path, method):
    path = write_zip(tmp_path / "a.zip", {"basophil/a.png": bytes(100)}, method)
    with pytest.raises(BadInput, match="packed with the method"):
        read_all(path)


def test_a_member_that_unpacks_to_far_more_than_an_image_is_refused(tmp_path):
    path = write_zip(tmp_path / "a.zip", {"basophil/a.bmp": bytes(17 * 2**20)})
    with pytest.raises(BadInput, match=r"times its size, expected at most 200 times"):
        read_all(path)


def test_a_member_larger_than_any_image_is_refused_before_it_is_read(tmp_path):
    path = write_zip(tmp_path / "a.zip", {"basophil/a.bmp": b"x" * 10}, zipfile.ZIP_STORED)
    declaring(path, 300 * 2**20)
    with pytest.raises(BadInput, match="would unpack to 300 MiB, expected an image of at most"):
        read_all(path)


def test_an_archive_that_declares_too_much_in_all_is_refused(tmp_path):
    path = write_zip(tmp_path / "a.zip", {f"basophil/{i}": b"x" * 10 for i in range(20)}, 0)
    declaring(path, 0xFFFFFFF0)
    with pytest.raises(BadInput, match=r"would unpack to 80 GiB, expected at most 64 GiB"):
        read_all(path)


def test_an_archive_with_too_many_members_is_refused(tmp_path, monkeypatch):
    path = write_zip(tmp_path / "a.zip", two_each("basophil", "monocyte"))
    monkeypatch.setattr(archive_module, "MAX_MEMBERS", 3)
    with pytest.raises(BadInput, match="holds 4 files, expected at most 3"):
        read_all(path)


def test_a_member_that_unpacks_to_more_than_it_declares_stays_bounded(tmp_path):
    """zlib must not be asked for more than the declared size."""
    path = write_zip(tmp_path / "a.zip", {"basophil/a.png": bytes(2**20)})
    size = (2**20).to_bytes(4, "little")
    data = path.read_bytes()
    assert data.count(size) == 2
    path.write_bytes(data.replace(size, (100).to_bytes(4, "little")))
    with pytest.raises(BadInput, match="damaged or cut off"):
        read_all(path)


def test_a_wrong_checksum_is_found(tmp_path):
    files = {"basophil/a.png": bytes(range(200))}
    path = write_zip(tmp_path / "a.zip", files, zipfile.ZIP_STORED)
    path.write_bytes(path.read_bytes().replace(bytes(range(50, 60)), bytes(10)))
    with pytest.raises(BadInput, match=r"a\.png in a\.zip is damaged .*CRC"):
        read_all(path)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.99])
def test_an_archive_cut_off_anywhere_is_refused(tmp_path, share):
    path = write_zip(tmp_path / "a.zip", two_each("basophil"))
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    with pytest.raises(BadInput, match=r"a\.zip is damaged or cut off"):
        read_all(path)


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_altered_bytes_give_the_files_or_bad_input_and_nothing_else(tmp_path_factory, data):
    path = tmp_path_factory.getbasetemp() / "fuzzed.zip"
    content = bytearray(write_zip(path, two_each("basophil", size=8)).read_bytes())
    for _ in range(data.draw(st.integers(1, 6))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(content)
    try:
        files = read_all(path)
    except BadInput:
        return
    assert all(isinstance(value, bytes) for value in files.values())
