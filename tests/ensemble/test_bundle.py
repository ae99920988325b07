"""An ensemble on disk: folder and zip say the same, and nothing else gets in."""

import hashlib
import io
import json
import os
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bloodcell.ensemble.bundle import Bundle, write_zip
from bloodcell.ensemble.ensemble import Ensemble, open_ensemble
from bloodcell.errors import BadInput, NotFound
from bloodcell.workspace import Workspace


def cells(n: int = 20) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (n, 48, 48, 3), dtype=np.uint8)


@pytest.fixture
def folder(home: Path) -> Path:
    return home / "ensembles" / "first"


def answers(path: Path, content: bytes | None = None):
    return Ensemble(Bundle(path, content)).predict(cells())


def same(a, b) -> bool:
    return all(
        np.array_equal(getattr(a, k), getattr(b, k))
        for k in ("probabilities", "members", "prediction_sets", "novelty", "recognised")
    )


def sentence(path: Path, content: bytes | None = None) -> str:
    with pytest.raises(BadInput) as caught:
        answers(path, content)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 1000
    return str(caught.value)


def change(folder: Path, edit) -> None:
    path = folder / "ensemble.json"
    info = json.loads(path.read_text())
    info.pop("checksum", None)
    edit(info)
    path.write_text(json.dumps(info))


def replace_file(folder: Path, name: str, content: bytes) -> None:
    """Put something else in place of a file, with its checksum set right."""
    (folder / name).write_bytes(content)
    digest = hashlib.sha256(content).hexdigest()
    change(folder, lambda info: info["files"].update({name: digest}))


def npy(array: np.ndarray, **how) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, **how)
    return buffer.getvalue()


def test_folder_and_zip_answer_alike_to_the_last_bit(trained_home: Path):
    ensembles = trained_home / "ensembles"
    wanted = answers(ensembles / "first")
    assert same(wanted, answers(ensembles / "first.zip"))
    assert same(wanted, answers(Path("uploaded.zip"), (ensembles / "first.zip").read_bytes()))


def test_it_needs_nothing_but_itself(trained_home: Path, tmp_path: Path):
    alone = Path(shutil.copy(trained_home / "ensembles" / "first.zip", tmp_path / "mine.zip"))
    found = open_ensemble(Workspace(tmp_path / "nowhere"), str(alone))
    assert same(found.predict(cells()), answers(trained_home / "ensembles" / "first"))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["mine.zip"]


def test_the_same_content_makes_the_same_zip(trained_home: Path, tmp_path: Path):
    folder = Path(shutil.copytree(trained_home / "ensembles" / "first", tmp_path / "first"))
    for file in folder.rglob("*"):
        os.utime(file, (0, 0))
    (folder / "notes.txt").write_text("not part of it")
    write_zip(folder, tmp_path / "again.zip")
    first = (trained_home / "ensembles" / "first.zip").read_bytes()
    assert (tmp_path / "again.zip").read_bytes() == first


def test_a_zip_made_of_the_folder_from_outside_works(folder: Path, tmp_path: Path):
    shutil.make_archive(str(tmp_path / "by hand"), "zip", folder.parent, "first")
    names = zipfile.ZipFile(tmp_path / "by hand.zip").namelist()
    assert "first/ensemble.json" in names
    assert same(answers(tmp_path / "by hand.zip"), answers(folder))


def test_what_the_bundle_holds_is_what_the_contract_says(folder: Path):
    names = sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())
    assert names == [
        "card.md",
        "ensemble.json",
        "home.npz",
        "known.npy",
        "members/tiny.basis.npy",
        "members/tiny.detector.npy",
        "members/tiny.features.npy",
        "members/tiny.tflite",
        "seen.npy",
    ]
    info = json.loads((folder / "ensemble.json").read_text())
    assert len(info["classes"]) == 8
    assert {"members", "temperature", "novelty", "crop", "trained_on", "measured"} <= set(info)
    assert "**For research use only. Not a medical device.**" in (folder / "card.md").read_text()


@pytest.mark.parametrize(
    "name", ["members/tiny.tflite", "members/tiny.features.npy", "members/tiny.basis.npy"]
)
@pytest.mark.parametrize("how", ["flipped", "cut", "empty", "missing"])
def test_a_damaged_member_is_named(folder: Path, name: str, how: str):
    content = bytearray((folder / name).read_bytes())
    content[len(content) // 2] ^= 0xFF
    damaged = {"flipped": bytes(content), "cut": bytes(content[:-9]), "empty": b""}
    if how == "missing":
        (folder / name).unlink()
    else:
        (folder / name).write_bytes(damaged[how])
    said = sentence(folder)
    assert name in said
    assert "first" in said


def test_a_damaged_list_of_seen_images_is_named(folder: Path):
    (folder / "seen.npy").write_bytes(b"x")
    with pytest.raises(BadInput, match=r"seen\.npy"):
        Ensemble(Bundle(folder)).seen()


def test_another_model_with_a_right_checksum_is_no_member(folder: Path):
    replace_file(folder, "members/tiny.tflite", b"x" * 5000)
    assert "is not a LiteRT model" in sentence(folder)


@pytest.mark.parametrize(
    "content",
    [
        npy(np.zeros((4, 63), np.float16)),
        npy(np.zeros((0, 64), np.float16)),
        npy(np.zeros(64, np.float16)),
        npy(np.full((4, 64), np.nan, np.float16)),
        npy(np.full((4, 64), 1e300)),
        npy(np.zeros((4, 64), int)),
        npy(np.array([{"a": 1}], object), allow_pickle=True),
        npy(np.zeros((4, 64), np.float16)).replace(b"(4, 64)", b"(9999999999, 64)"),
        b"hello",
        b"",
    ],
    ids=["width", "empty", "flat", "nan", "1e300", "int", "pickle", "huge", "text", "nothing"],
)
def test_other_features_with_a_right_checksum_are_refused(folder: Path, content: bytes):
    replace_file(folder, "members/tiny.features.npy", content)
    assert "features.npy" in sentence(folder)


def set_to(key: str, value):
    def edit(info: dict) -> None:
        *path, last = key.split(".")
        for part in path:
            info = info[int(part)] if part.isdigit() else info[part]
        if value is ...:
            del info[last]
        else:
            info[last] = value

    return edit


@pytest.mark.parametrize(
    ("key", "value"),
    [
        *((k, ...) for k in ("name", "input_size", "temperature", "tta", "novelty", "conformal")),
        *((k, ...) for k in ("members", "files", "trained_on", "measured", "crop", "created")),
        *((f"members.0.{k}", ...) for k in ("name", "file", "features", "weight", "run")),
        *((f"members.0.{k}", ...) for k in ("novelty_scale", "validation_accuracy", "backbone")),
        ("members", []),
        ("members", {}),
        ("members", [{}] * 33),
        ("members", ["tiny"]),
        ("members.0.weight", -1),
        ("members.0.weight", 0),
        ("members.0.weight", float("nan")),
        ("members.0.weight", "1"),
        ("members.0.novelty_scale", 0),
        ("temperature", 0),
        ("temperature", float("inf")),
        ("temperature", None),
        ("tta", "no"),
        ("input_size", 10**6),
        ("input_size", 96.5),
        ("novelty", []),
        ("novelty.neighbours", 0),
        ("novelty.threshold", float("nan")),
        ("novelty.stained", [0.2]),
        ("novelty.stained", [0.2, 0]),
        ("conformal.threshold", 2),
        ("trained_on.split_shares", [1, 2, 3]),
        ("trained_on.split_seed", "0"),
        ("files", []),
        ("files", {"seen.npy": 5}),
    ],
)
def test_every_value_that_is_relied_on_is_looked_at(folder: Path, key: str, value):
    change(folder, set_to(key, value))
    said = sentence(folder)
    assert "ensemble.json" in said or "weights" in said


def test_other_classes_are_refused(folder: Path):
    change(folder, set_to("classes", ["cat", "dog"]))
    assert "'cat', 'dog'" in sentence(folder)


def test_a_newer_format_says_so(folder: Path):
    change(folder, set_to("format_version", 2))
    assert "format_version 2 where 1 was expected" in sentence(folder)


@pytest.mark.parametrize(
    "name",
    [
        "../../../secret.tflite",
        "/etc/passwd",
        "members/../../secret.tflite",
        "members/a/b.tflite",
        "members\\tiny.tflite",
        "ensemble.json\n",
        "",
        "members/tiny.tflite\0",
        "config.json",
    ],
)
@pytest.mark.parametrize("key", ["file", "features", "basis"])
def test_names_that_lead_elsewhere_are_refused(folder: Path, key: str, name: str):
    secret = folder.parents[1] / "secret.tflite"
    secret.write_bytes((folder / "members" / "tiny.tflite").read_bytes())
    digest = hashlib.sha256(secret.read_bytes()).hexdigest()
    change(folder, lambda info: info["files"].update({name: digest}))
    change(folder, set_to(f"members.0.{key}", name))
    assert "lacks" in sentence(folder)


@pytest.mark.parametrize("content", ["{", "[]", '"x"', "{}", "null", "[" * 100_000])
def test_a_broken_json_is_a_sentence(folder: Path, content: str):
    (folder / "ensemble.json").write_text(content)
    assert "ensemble.json" in sentence(folder)


def zipped(**files: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, content in files.items():
            packed.writestr(name.replace("__", "/"), content)
    return buffer.getvalue()


@pytest.mark.parametrize(
    "content",
    [b"", b"hello", b"PK\x03\x04" + bytes(100), zipped(), zipped(photo=b"x")],
    ids=["empty", "text", "half a zip", "zip of nothing", "zip of a photo"],
)
def test_a_zip_of_something_else_is_a_sentence(tmp_path: Path, content: bytes):
    assert "other.zip" in sentence(tmp_path / "other.zip", content)


def test_a_bomb_is_not_unpacked(folder: Path, tmp_path: Path):
    bomb = tmp_path / "bomb.zip"
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as packed:
        for name in ("ensemble.json", "seen.npy", "members/tiny.features.npy"):
            packed.write(folder / name, name)
        with packed.open("members/tiny.tflite", "w", force_zip64=True) as file:
            for _ in range(600):
                file.write(bytes(2**20))
    assert bomb.stat().st_size < 2**20
    assert "members/tiny.tflite" in sentence(bomb)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(share=st.floats(0, 1, exclude_max=True), bits=st.integers(1, 255))
def test_a_flipped_byte_in_the_zip_is_noticed_or_harmless(trained_home, share, bits):
    content = bytearray((trained_home / "ensembles" / "first.zip").read_bytes())
    content[int(len(content) * share)] ^= bits
    try:
        found = answers(Path("flipped.zip"), bytes(content))
    except BadInput:
        return
    assert same(found, answers(trained_home / "ensembles" / "first"))


def test_an_ensemble_that_is_not_there(tmp_path: Path):
    with pytest.raises(NotFound, match="no ensemble yet"):
        open_ensemble(Workspace(tmp_path), "first")


def test_a_folder_of_something_else_is_a_sentence(tmp_path: Path):
    (tmp_path / "photos").mkdir()
    with pytest.raises(BadInput, match=r"lacks 'ensemble\.json'"):
        open_ensemble(Workspace(tmp_path), str(tmp_path / "photos"))
