"""An ensemble from elsewhere becomes one of the workspace, or a sentence."""

import io
import json
import shutil
import zipfile
from pathlib import Path

import pytest

from bloodcell.ensemble import trial
from bloodcell.ensemble.ensemble import open_ensemble
from bloodcell.ensemble.import_zip import import_ensemble
from bloodcell.ensemble.trial import try_apart, try_here
from bloodcell.errors import BadInput, BloodCellError, NameTaken
from bloodcell.workspace import Workspace


@pytest.fixture(autouse=True)
def in_this_process(monkeypatch: pytest.MonkeyPatch):
    """A process of its own for each would cost seconds; one test has it."""
    monkeypatch.setattr("bloodcell.ensemble.import_zip.try_apart", try_here)


@pytest.fixture
def content(trained_home: Path) -> bytes:
    return (trained_home / "ensembles" / "first.zip").read_bytes()


def changed(content: bytes, file: str, data: bytes) -> bytes:
    """The zip with other content in one of its files."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(buffer, "w") as new:
        for name in old.namelist():
            new.writestr(name, data if name == file else old.read(name))
        if file not in old.namelist():
            new.writestr(file, data)
    return buffer.getvalue()


def test_it_answers_as_where_it_came_from(trained_home: Path, tmp_path: Path, content: bytes):
    workspace = Workspace(tmp_path)
    path = import_ensemble(workspace, content, "first.zip", "second")
    assert path == tmp_path / "ensembles" / "second"
    assert open_ensemble(workspace, "second").name == "second"
    origin = trained_home / "ensembles" / "first"
    for file in (p for p in origin.rglob("*") if p.is_file() and p.name != "ensemble.json"):
        assert (path / file.relative_to(origin)).read_bytes() == file.read_bytes()
    assert open_ensemble(workspace, str(path.with_name("second.zip"))).name == "second"


def test_a_name_that_is_taken_is_left_alone(tmp_path: Path, content: bytes):
    import_ensemble(Workspace(tmp_path), content, "first.zip")
    with pytest.raises(NameTaken, match="'first' is taken"):
        import_ensemble(Workspace(tmp_path), content, "first.zip")


def test_or_it_is_numbered(tmp_path: Path, content: bytes):
    workspace = Workspace(tmp_path)
    paths = [import_ensemble(workspace, content, "first.zip", numbered=True) for _ in range(3)]
    assert [path.name for path in paths] == ["first", "first-2", "first-3"]
    assert open_ensemble(workspace, "first-3").name == "first-3"


def test_a_zip_that_was_left_behind_is_not_taken_for_its_own(tmp_path: Path, content: bytes):
    workspace = Workspace(tmp_path)
    path = import_ensemble(workspace, content, "first.zip")
    shutil.rmtree(path)
    with pytest.raises(NameTaken, match=r"first\.zip without a folder"):
        import_ensemble(workspace, content, "first.zip")
    assert import_ensemble(workspace, content, "first.zip", numbered=True).name == "first-2"


def info_with(content: bytes, **other) -> bytes:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        info = json.loads(archive.read("ensemble.json"))
    del info["checksum"]
    return changed(content, "ensemble.json", json.dumps(info | other).encode())


def test_what_is_damaged_foreign_or_too_new_leaves_nothing_behind(tmp_path: Path, content: bytes):
    bad = {
        "not a readable zip": content[: len(content) // 2],
        "format_version 99": info_with(content, format_version=99),
        "tells the classes": info_with(content, classes=["cat", "dog"]),
        "field.crop_px": info_with(
            content, field={"crop_px": "x", "source_sizes": [], "stained": None}
        ),
        "light.background": info_with(content, light={"background": [[0, 0]]}),
        "seen.npy has the checksum": changed(content, "seen.npy", b"other"),
        "lacks 'ensemble.json'": changed(b"PK\x05\x06" + b"\0" * 18, "notes.txt", b""),
    }
    for words, zipped in bad.items():
        with pytest.raises(BadInput) as caught:
            import_ensemble(Workspace(tmp_path), zipped, "other.zip")
        assert words in str(caught.value)
        assert str(caught.value).startswith("other.zip")
    assert not list(tmp_path.rglob("*.tflite"))


@pytest.mark.parametrize("name", ["../out", "a/b", "", "CON", ".hidden"])
def test_a_name_that_leads_elsewhere_is_refused(tmp_path: Path, content: bytes, name: str):
    zipped = info_with(content, name=name)
    with pytest.raises(BloodCellError):
        import_ensemble(Workspace(tmp_path / "home"), zipped, "other.zip")
    assert not list(tmp_path.rglob("ensemble.json"))


class TestTheTrial:
    """Foreign networks are opened in a process of their own first."""

    def test_a_sound_ensemble_passes_and_a_damaged_one_is_named(self, content: bytes):
        try_apart(content, "mine.zip")
        damaged = changed(content, "members/tiny.tflite", b"TFL3")
        with pytest.raises(BadInput, match=r"mine\.zip: members/tiny\.tflite has the checksum"):
            try_apart(damaged, "mine.zip")

    @pytest.mark.parametrize(
        ("program", "words"),
        [("kill -SEGV $$", "ended the program"), ("sleep 60", "took longer than")],
    )
    def test_a_crash_and_an_endless_wait_are_one_sentence(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, program: str, words: str
    ):
        (tmp_path / "python").write_text(f"#!/bin/sh\nexec 2>&-\n{program}\n")
        (tmp_path / "python").chmod(0o755)
        monkeypatch.setattr(trial.sys, "executable", str(tmp_path / "python"))
        monkeypatch.setattr(trial, "TIME_LIMIT_S", 0.3)
        with pytest.raises(BadInput, match=words):
            trial.try_apart(b"", "mine.zip")


def test_a_zip_that_unpacks_to_far_more_is_refused_before_it_is(tmp_path: Path, content: bytes):
    zeros = io.BytesIO()
    with zipfile.ZipFile(zeros, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("ensemble.json", b"{}")
        for name in ("a", "b"):
            archive.writestr(f"members/{name}.features.npy", bytes(40 * 2**20))
    with pytest.raises(BadInput, match=r"would unpack to 80 MiB, .* most of it members/a"):
        import_ensemble(Workspace(tmp_path), zeros.getvalue(), "bomb.zip")
