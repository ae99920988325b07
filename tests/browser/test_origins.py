"""From a dropped zip with a manifest to the judgement of each laboratory, by real clicks."""

import csv
import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from bloodcell.augment.laboratories import LABORATORIES
from bloodcell.augment.stain_transfer import Stains
from bloodcell.classes import CLASS_NAMES, OTHER
from bloodcell.data.store.dataset import open_dataset
from bloodcell.workspace import Workspace
from tests.browser.conftest import Server, settle

pytestmark = pytest.mark.browser


def png(image: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(image).save(file, "PNG")
    return file.getvalue()


@pytest.fixture
def archive(trained_home: Path, tmp_path: Path) -> Path:
    """Cells of two laboratories, platelets of one only, and pictures of none of the eight."""
    demo = open_dataset(Workspace(trained_home), "demo")
    stains, rng = Stains(LABORATORIES), np.random.default_rng(0)
    rows = [("file", "label", "laboratory", "patient")]
    target = tmp_path / "cells.zip"
    with zipfile.ZipFile(target, "w") as packed:
        for i in range(0, len(demo), 3):
            name = CLASS_NAMES[demo.labels[i]]
            for laboratory in ("north",) if name == "platelet" else ("north", "south"):
                image = np.array(demo.images[i])
                if laboratory == "south":
                    image = stains.carried(image, 1, source=0)
                rows.append((f"{laboratory}{i}.png", name, laboratory, f"{laboratory[0]}{i % 9}"))
                packed.writestr(rows[-1][0], png(image))
        for i in range(12):
            rows.append((f"other{i}.png", "other", "north", "n0"))
            packed.writestr(rows[-1][0], png(rng.integers(0, 256, (48, 48, 3), dtype=np.uint8)))
        table = io.StringIO()
        csv.writer(table).writerows(rows)
        packed.writestr("manifest.csv", table.getvalue())
    return target


def test_from_a_manifest_to_the_judgement_of_each_laboratory(
    page: Any, server: Server, home: Path, archive: Path
):
    address = server.show(home)
    page.goto(f"{address}/dataset")
    page.get_by_role("tab", name="Import", exact=True).click()
    settle(page)
    page.locator("input[type=file]").set_input_files(archive)
    page.get_by_role("button", name="Import", exact=True).click()
    page.get_by_text("Platelet comes only from north").wait_for()
    cells = open_dataset(Workspace(home), "cells")
    assert set(cells.origin("laboratory")) == {"north", "south"}
    assert (cells.labels == OTHER).sum() == 12

    page.goto(f"{address}/evaluation?dataset=cells&part=All")
    page.get_by_text("Worst laboratory:").wait_for()
    settle(page)
    assert "of 2 in all" in page.get_by_text("Worst laboratory:").inner_text()
    page.get_by_text("By origin", exact=True).click()
    page.get_by_text("cells labelled as none of the eight").wait_for()
