"""A drawn dataset with every kind of fault, audited once for all tests here. Do not change it."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from bloodcell.audit import Audit, audit, save_audit
from bloodcell.data.store.dataset import Dataset, new_dataset, open_dataset
from bloodcell.data.synthetic.demo import Faults, make_demo
from bloodcell.workspace import Workspace

FAULTS = Faults(copies=3, conflicting=2, repeated=6, foreign=8, wrong_labels=12)
NEAR = 4


@pytest.fixture(scope="session")
def faulty_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with "faulty": 30 cells of each class, FAULTS, and mirrored copies of the
    first NEAR images at the end."""
    home = tmp_path_factory.mktemp("faulty") / "home"
    workspace = Workspace(home)
    drawn = make_demo(workspace, "drawn", per_class=30, size=48, faults=FAULTS)
    extra = {"planted": drawn.info["planted"], "planted_classes": drawn.info["planted_classes"]}
    with new_dataset(workspace, "faulty", drawn.size, "drawn", "none", extra) as writer:
        for i in range(len(drawn)):
            writer.add(drawn.images[i], int(drawn.labels[i]), drawn.items["name"][i])
        for i in range(NEAR):
            mirrored = np.ascontiguousarray(drawn.images[i][:, ::-1])
            writer.add(mirrored, int(drawn.labels[i]), f"mirrored_{i}.png")
    faulty = open_dataset(workspace, "faulty")
    save_audit(faulty, audit(faulty))
    return home


@pytest.fixture(scope="session")
def faulty(faulty_home: Path) -> Dataset:
    return open_dataset(Workspace(faulty_home), "faulty")


@pytest.fixture(scope="session")
def audited(faulty: Dataset) -> Audit:
    from bloodcell.audit import load_audit

    found = load_audit(faulty)
    assert found is not None
    return found


@pytest.fixture
def own(faulty_home: Path, tmp_path: Path) -> Dataset:
    """A private copy of "faulty" with its audit, to decide on at will."""
    home = shutil.copytree(faulty_home, tmp_path / "own")
    return open_dataset(Workspace(Path(home)), "faulty")
