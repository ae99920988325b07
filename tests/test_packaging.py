"""What an installed package has with it, built as pip builds it."""

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]


@pytest.mark.slow
def test_a_wheel_brings_the_reference_ensemble(tmp_path: Path):
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    if listed.returncode:
        pytest.skip("not a clone: there is no saying what belongs to it")
    source = tmp_path / "source"
    for name in filter(None, listed.stdout.split("\0")):
        if (REPOSITORY / name).is_file() and not name.startswith("tests/"):
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(REPOSITORY / name, source / name)
    command = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", tmp_path, source]
    subprocess.run(command, check=True)
    (wheel,) = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    share = ".data/data/share/bloodcell/ensembles/"
    inside = [n.partition(share)[2] for n in names if share in n]
    there = REPOSITORY / "artifacts" / "ensembles"
    wanted = [p.relative_to(there).as_posix() for p in there.rglob("*") if p.is_file()]
    assert sorted(inside) == sorted(wanted)
    assert "bloodcell/ui/common/state.py" in names
