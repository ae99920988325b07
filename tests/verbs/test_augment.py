"""``augment``: what a policy does to cells as one picture, and what there is to choose from."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bloodcell.augment import CATALOGUE, PRESETS, Policy, policy_to_json, save_policy, step
from bloodcell.augment.keras_cv_engine import describe_engine
from bloodcell.augment.sheet import catalogue_sheet, policy_sheet
from bloodcell.classes import CLASS_NAMES
from bloodcell.cli import app
from bloodcell.data.store.dataset import open_dataset
from bloodcell.errors import BadInput, NotFound
from bloodcell.workspace import Workspace


def run(home: Path, *arguments: object) -> None:
    app(["--home", str(home), "augment", *map(str, arguments)], standalone_mode=False)


def document(home: Path, capsys, *arguments: object) -> dict:
    run(home, *arguments, "--json")
    return json.loads(capsys.readouterr().out)


def pixels(file: Path) -> np.ndarray:
    with Image.open(file) as image:
        return np.asarray(image.convert("RGB"))


def test_draws_the_cells_that_it_names(demo_home: Path, tmp_path: Path, capsys):
    out = tmp_path / "folder" / "grid.png"
    found = document(demo_home, capsys, "strong", "--dataset", "demo", "--out", out, "--seed", 3)
    dataset = open_dataset(Workspace(demo_home), "demo")
    chosen = [cell["index"] for cell in found["cells"]]
    assert [cell["label"] for cell in found["cells"]] == list(CLASS_NAMES)
    assert [CLASS_NAMES[dataset.labels[i]] for i in chosen] == list(CLASS_NAMES)
    drawn = pixels(out)
    assert (found["height"], found["width"]) == drawn.shape[:2]
    expected = policy_sheet(PRESETS["strong"], dataset.images[chosen], np.arange(8), 8, 3)
    np.testing.assert_array_equal(drawn, expected)


def test_says_which_settings_go_too_far(demo_home: Path, tmp_path: Path, capsys):
    file = tmp_path / "mine.json"
    policy = Policy("mine", (step("flip"), step("zoom", amount=0.5)))
    file.write_text(json.dumps(policy_to_json(policy)), encoding="utf-8")
    run(demo_home, file, "--out", tmp_path / "a.png")
    said = capsys.readouterr().out
    assert "Step 2, Random zoom: amount 0.5 is beyond 0.15" in said
    assert document(demo_home, capsys, "gentle", "--out", tmp_path / "b.png")["cautions"] == []


def test_needs_no_dataset(tmp_path: Path, capsys):
    save_policy(Workspace(tmp_path), Policy("own", (step("hue"),)))
    out = tmp_path / "grid.png"
    found = document(tmp_path, capsys, "own", "--out", out, "--copies", 2)
    assert (found["policy"], found["dataset"], found["copies"]) == ("own", None, 2)
    assert {cell["name"] for cell in found["cells"]} == {"drawn"}
    assert out.is_file()


def test_the_catalogue_is_drawn_whole(demo_home: Path, tmp_path: Path, capsys):
    out = tmp_path / "sheet.png"
    found = document(demo_home, capsys, "--catalogue", "--dataset", "demo", "--out", out)
    dataset = open_dataset(Workspace(demo_home), "demo")
    chosen = [cell["index"] for cell in found["cells"]]
    np.testing.assert_array_equal(pixels(out), catalogue_sheet(dataset.images[chosen], range(8)))


def test_excluded_images_are_not_drawn(demo_copy: Path, tmp_path: Path, capsys):
    dataset = open_dataset(Workspace(demo_copy), "demo")
    dataset.curation.exclude(np.flatnonzero(dataset.labels == 2), "not wanted")
    found = document(demo_copy, capsys, "gentle", "--dataset", "demo", "--out", tmp_path / "a.png")
    assert CLASS_NAMES[2] not in {cell["label"] for cell in found["cells"]}
    assert len(found["cells"]) == 7


def test_the_list_names_everything(tmp_path: Path, capsys):
    found = document(tmp_path, capsys, "--list")
    assert [a["key"] for a in found["augmentations"]] == list(CATALOGUE)
    assert [p["name"] for p in found["presets"]] == list(PRESETS)
    run(tmp_path, "--list")
    said = capsys.readouterr().out
    for augmentation in CATALOGUE.values():
        assert f"{augmentation.key} ({augmentation.group})" in said
        assert augmentation.source in said
        assert f"keras-cv: {describe_engine(augmentation.key)}" in said
        assert all(p.help in said for p in augmentation.parameters)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--out", "a.png"], "neither of POLICY and --catalogue"),
        (["gentle", "--catalogue", "--out", "a.png"], "both of POLICY and --catalogue"),
        (["gentle"], "--out is missing"),
        (["gentle", "--engine", "cv", "--out", "a.png"], "--engine is cv where one of own, keras"),
        (["--catalogue", "--engine", "keras-cv", "--out", "a.png"], "--catalogue is drawn by our"),
        (["gentle", "--engine", "keras-cv", "--out", "a.png"], "step 2, Quarter turns"),
        (["gentle", "--out", "a.jpg"], r"--out is a\.jpg"),
    ],
)
def test_a_wrong_call_is_refused_in_one_sentence(tmp_path: Path, arguments, said):
    with pytest.raises(BadInput, match=said):
        run(tmp_path, *arguments)
    assert list(tmp_path.iterdir()) == []


def test_what_is_not_there_is_named(tmp_path: Path):
    out = tmp_path / "a.png"
    with pytest.raises(NotFound, match="'nope'"):
        run(tmp_path, "nope", "--out", out)
    with pytest.raises(NotFound, match="'absent'"):
        run(tmp_path, "gentle", "--dataset", "absent", "--out", out)
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(BadInput, match=r"folder\.png is a folder"):
        run(tmp_path, "gentle", "--out", tmp_path / "folder.png")
