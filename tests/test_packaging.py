"""What an installed package has with it, built as pip builds it."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]


@pytest.mark.slow
def test_a_wheel_brings_the_reference_ensemble(tmp_path: Path):
    copied = subprocess.run(
        ["git", "archive", "--format=tar", "HEAD"], cwd=REPOSITORY, capture_output=True, check=False
    )
    if copied.returncode:
        pytest.skip("not a clone: there is nothing to build from")
    source = tmp_path / "source"
    source.mkdir()
    subprocess.run(["tar", "x", "-C", source], input=copied.stdout, check=True)
    command = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", tmp_path, source]
    subprocess.run(command, check=True)
    (wheel,) = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    inside = [n.partition("/data/share/bloodcell/ensembles/")[2] for n in names if "/data/" in n]
    there = REPOSITORY / "artifacts" / "ensembles"
    wanted = [p.relative_to(there).as_posix() for p in there.rglob("*") if p.is_file()]
    assert sorted(inside) == sorted(wanted)
    assert "bloodcell/ui/common/state.py" in names
