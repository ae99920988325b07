"""Nothing is ever half written, and nothing is left lying about."""

import json
import os
import resource
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from bloodcell.errors import BadInput, NameTaken, NoSpace, NotFound, ReadOnly
from bloodcell.files import (
    new_folder,
    read_json,
    replacing,
    sweep_leftovers,
    temporary_beside,
    unless_read_only,
    write_json,
    write_text,
)


def run_python(code: str, *arguments: object) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code), *map(str, arguments)],
        cwd=Path(__file__).parents[1],
        stdout=subprocess.PIPE,
        text=True,
    )


def test_json_comes_back_as_it_was_written(tmp_path: Path):
    value = {"µ": [1, 2.5, None, True], "nested": {"a": "ä"}}
    write_json(tmp_path / "deep" / "a.json", value)
    assert read_json(tmp_path / "deep" / "a.json") == value


def test_json_that_no_other_program_could_read_is_never_written(tmp_path: Path):
    with pytest.raises(ValueError, match="JSON"):
        write_json(tmp_path / "a.json", {"loss": float("nan")})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", [b"{", b"\xff\xfe", b"", b"[" * 100_000])
def test_what_is_not_json_is_named(tmp_path: Path, content: bytes):
    path = tmp_path / "broken.json"
    path.write_bytes(content)
    with pytest.raises(BadInput, match=r"broken\.json is not readable as JSON"):
        read_json(path)


def test_an_exception_leaves_the_old_file_and_nothing_else(tmp_path: Path):
    path = tmp_path / "a.txt"
    write_text(path, "old")

    def half() -> None:
        with replacing(path) as temporary:
            temporary.write_text("half of the n")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        half()
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]
    assert path.read_text() == "old"


def test_the_temporary_file_keeps_the_suffix(tmp_path: Path):
    with replacing(tmp_path / "model.keras") as temporary:
        assert temporary.suffix == ".keras"
        temporary.write_text("x")
    assert (tmp_path / "model.keras").read_text() == "x"


def test_an_exception_leaves_no_folder(tmp_path: Path):
    def half() -> None:
        with new_folder(tmp_path / "data") as folder:
            (folder / "images.npy").write_bytes(b"x" * 1000)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        half()
    assert list(tmp_path.iterdir()) == []


def test_of_two_that_make_one_folder_the_second_is_told(tmp_path: Path):
    def overtaken() -> None:
        with new_folder(tmp_path / "data") as slow:
            (slow / "who").write_text("slow")
            with new_folder(tmp_path / "data") as fast:
                (fast / "who").write_text("fast")

    with pytest.raises(NameTaken, match="choose another name"):
        overtaken()
    assert (tmp_path / "data" / "who").read_text() == "fast"
    assert [p.name for p in tmp_path.iterdir()] == ["data"]


def test_what_a_killed_process_left_is_swept_by_the_next_write(tmp_path: Path):
    code = """
        import sys, time
        from pathlib import Path
        from bloodcell.files import new_folder, replacing
        with new_folder(Path(sys.argv[1], "data")) as folder, \\
                replacing(Path(sys.argv[1], "state.npz")) as file:
            (folder / "images.npy").write_bytes(b"x" * 1000)
            file.write_bytes(b"x" * 1000)
            print("writing", flush=True)
            time.sleep(60)
    """
    process = run_python(code, tmp_path)
    assert process.stdout.readline() == "writing\n"
    during = {p.name for p in tmp_path.iterdir()}
    assert len(during) == 2
    sweep_leftovers(tmp_path)
    assert {p.name for p in tmp_path.iterdir()} == during, "a living process' files were taken"
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert {p.name for p in tmp_path.iterdir()} == during
    write_text(tmp_path / "other.txt", "x")
    assert [p.name for p in tmp_path.iterdir()] == ["other.txt"]


def test_what_another_machine_writes_is_left_alone_for_a_day(tmp_path: Path):
    foreign = tmp_path / ".data.999999-0123abcd-0123abcd.tmp"
    foreign.mkdir()
    sweep_leftovers(tmp_path)
    assert foreign.exists()
    old = time.time() - 2 * 24 * 3600
    os.utime(foreign, (old, old))
    sweep_leftovers(tmp_path)
    assert not foreign.exists()


def test_files_of_others_are_not_swept(tmp_path: Path):
    for name in (".hidden", "a.tmp", ".a.1234-5678.tmp.part", "data", ".a.tmp"):
        (tmp_path / name).write_text("mine")
    before = sorted(p.name for p in tmp_path.iterdir())
    sweep_leftovers(tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == before


def test_a_full_disk_is_a_sentence_and_harms_nothing(tmp_path: Path):
    code = """
        import resource, sys
        from pathlib import Path
        import numpy as np
        from bloodcell.errors import NoSpace
        from bloodcell.files import new_folder, replacing, write_array
        path = Path(sys.argv[1])
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
        said = []
        try:
            with replacing(path / "a.txt") as temporary:
                temporary.write_bytes(b"x" * 10_000)
        except NoSpace as error:
            said.append(str(error))
        try:
            with new_folder(path / "data") as folder:
                write_array(folder / "labels.npy", np.zeros(10_000))
        except NoSpace as error:
            said.append(str(error))
        print(len(said), all("disk is full" in s for s in said))
    """
    (tmp_path / "a.txt").write_text("old")
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[1] == resource.RLIM_INFINITY
    said, _ = run_python(code, tmp_path).communicate()
    assert said == "2 True\n"
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]
    assert (tmp_path / "a.txt").read_text() == "old"
    assert issubclass(NoSpace, Exception)


def test_a_folder_that_cannot_be_is_a_sentence(tmp_path: Path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(BadInput, match="choose another place"):
        write_text(tmp_path / "file" / "a.txt", "x")


def test_a_file_or_folder_that_cannot_be_made_is_a_sentence(tmp_path: Path):
    with pytest.raises(BadInput, match=r"txt cannot be written to .*choose another place"):
        write_text(tmp_path / f"{'a' * 250}.txt", "x")
    with (
        pytest.raises(BadInput, match=r"a cannot be written to .*choose another place"),
        new_folder(tmp_path / ("a" * 250)),
    ):
        pass
    assert list(tmp_path.iterdir()) == []


def test_written_json_is_for_people_too(tmp_path: Path):
    write_json(tmp_path / "a.json", {"class": "Erythroblast – µ"})
    text = (tmp_path / "a.json").read_text(encoding="utf-8")
    assert "Erythroblast – µ" in text
    assert text.endswith("}\n")
    assert json.loads(text)


def test_what_was_deleted_meanwhile_is_not_made_anew(tmp_path: Path):
    folder = tmp_path / "gone"
    with pytest.raises(NotFound, match=r"gone is not there any more, so a\.json was not written"):
        write_json(folder / "deep" / "a.json", {}, within=folder)
    assert not folder.exists()
    folder.mkdir()
    write_json(folder / "deep" / "a.json", {}, within=folder)
    assert read_json(folder / "deep" / "a.json") == {}


@pytest.mark.parametrize("name", ["a.txt", "deep/a.txt"])
def test_where_one_may_only_read_is_told_from_other_errors(tmp_path: Path, only_to_be_read, name):
    only_to_be_read(tmp_path)
    with pytest.raises(ReadOnly, match="Read-only file system"):
        write_text(tmp_path / name, "x")
    with unless_read_only():
        write_text(tmp_path / name, "x")
    with pytest.raises(BadInput), unless_read_only():
        write_text(tmp_path, "a folder")


def test_a_temporary_of_any_kind_goes_with_its_process(tmp_path: Path):
    code = """
        import sys
        from pathlib import Path
        from bloodcell.files import temporary_beside
        folder = temporary_beside(Path(sys.argv[1]) / "upload")
        folder.mkdir()
        (folder / "cells.zip").write_bytes(b"x")
    """
    assert run_python(code, tmp_path).wait() == 0
    mine = temporary_beside(tmp_path / "upload")
    mine.mkdir()
    sweep_leftovers(tmp_path)
    assert list(tmp_path.iterdir()) == [mine]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_json_as_windows_programs_write_it_is_read(tmp_path: Path, encoding: str):
    (tmp_path / "a.json").write_text('{"name": "größer"}', encoding=encoding)
    assert read_json(tmp_path / "a.json") == {"name": "größer"}
