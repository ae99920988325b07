"""An ensemble and its dataset, opened once."""

from pathlib import Path

import pytest

from bloodcell.data.store.dataset import Dataset, open_dataset
from bloodcell.ensemble.ensemble import Ensemble, open_ensemble
from bloodcell.workspace import Workspace


@pytest.fixture(scope="session")
def first(trained_home: Path) -> Ensemble:
    return open_ensemble(Workspace(trained_home), "first")


@pytest.fixture
def own(demo_home: Path, tmp_path: Path) -> Dataset:
    """A copy of the dataset "demo" to keep evaluations beside."""
    import shutil

    folder = Path(shutil.copytree(demo_home / "datasets" / "demo", tmp_path / "demo"))
    return open_dataset(Workspace(tmp_path), str(folder))
