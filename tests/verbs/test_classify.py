"""The classify verb: fields of view, zips, and a warning where the light is another."""

import json
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

from bloodcell.cli import main
from bloodcell.data.synthetic.drawing.draw import draw_cell
from bloodcell.ui.common.gallery import png_bytes

REPOSITORY = Path(__file__).parents[2]


def run(home: Path, folder: Path, *arguments: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-m", "bloodcell", "--home", str(home), "classify", "first", *arguments],
        cwd=folder,
        env={"PYTHONPATH": str(REPOSITORY), "PATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )


def cell(label: int, size: int = 100) -> np.ndarray:
    return draw_cell(label, np.random.default_rng(label), size)


def test_a_square_is_given_in_pixels(trained_home: Path, tmp_path: Path):
    (tmp_path / "a.png").write_bytes(png_bytes(cell(1)))
    done = run(trained_home, tmp_path, "a.png", "--crop", "10,20,60", "--json")
    assert json.loads(done.stdout)[0]["crop"] == [10, 20, 60]
    whole = run(trained_home, tmp_path, "a.png", "--crop", "centre", "--json")
    assert "crop" not in json.loads(whole.stdout)[0]


@pytest.mark.parametrize("crop", ["1,2", "middle", "0,0,500"])
def test_another_square_is_one_line(trained_home: Path, tmp_path: Path, crop: str):
    (tmp_path / "a.png").write_bytes(png_bytes(cell(1)))
    done = run(trained_home, tmp_path, "a.png", "--crop", crop)
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith("error: ")
    assert "Traceback" not in done.stderr


def test_a_zip_is_looked_into(trained_home: Path, tmp_path: Path):
    with zipfile.ZipFile(tmp_path / "cells.zip", "w") as archive:
        archive.writestr("slide/a.png", png_bytes(cell(2)))
        archive.writestr("notes.txt", "no image")
    done = run(trained_home, tmp_path, "cells.zip", "--json")
    rows = json.loads(done.stdout)
    assert [row["file"] for row in rows] == ["cells.zip/slide/a.png"]
    assert "Passed over 1 file that is no photograph: cells.zip/notes.txt." in done.stderr
    assert "label" in rows[0]


def test_another_light_is_a_warning_beside_the_answer(trained_home: Path, tmp_path: Path):
    for label in range(3):
        blue = np.clip(cell(label, 48) * np.array([0.6, 0.75, 0.95]), 0, 255).astype(np.uint8)
        (tmp_path / f"{label}.png").write_bytes(png_bytes(blue))
    done = run(trained_home, tmp_path, ".", "--json")
    assert done.returncode == 0
    assert len(json.loads(done.stdout)) == 3
    assert "warning: As a whole these differ" in done.stderr
    balanced = run(trained_home, tmp_path, ".", "--json", "--balance")
    assert json.loads(balanced.stdout) != json.loads(done.stdout)


@pytest.mark.parametrize("output", ["--json", "--csv", None])
def test_where_no_file_got_an_answer_every_output_ends_alike(
    trained_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys, output: str | None
):
    (tmp_path / "README.md").write_text("no photograph")
    words = ["classify", "first", str(tmp_path / "README.md"), *filter(None, [output])]
    monkeypatch.setattr(sys, "argv", ["bloodcell", "--home", str(trained_home), *words])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    said = capsys.readouterr()
    assert "README.md" in said.out
    assert "error: None of the 1 files got an answer" in said.err
