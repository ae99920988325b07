"""From the drop of a zip to a curated, split dataset and out again, by real clicks."""

import time
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bloodcell.data.readers.source import import_source
from bloodcell.data.split import make_split
from bloodcell.data.split_choice import chosen_split
from bloodcell.data.store.dataset import PARTS, Dataset, open_dataset
from bloodcell.data.store.export import export_dataset
from bloodcell.data.synthetic.demo import Faults, make_demo
from bloodcell.workspace import Workspace
from tests.browser.conftest import Server, settle

pytestmark = pytest.mark.browser

PER_CLASS = 10
FAULTS = Faults(copies=3, conflicting=2)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """An empty workspace."""
    return tmp_path / "home"


@pytest.fixture
def site(server: Server, home: Path) -> str:
    return server.show(home)


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """A zip with a folder a class, in which five images are copies of others."""
    drawn = make_demo(
        Workspace(tmp_path / "other"), "drawn", per_class=PER_CLASS, size=48, faults=FAULTS
    )
    target = tmp_path / "cells.zip"
    export_dataset(drawn, target)
    assert len(zipfile.ZipFile(target).namelist()) == 8 * PER_CLASS + FAULTS.total
    return target


def view(page: Any, name: str) -> None:
    page.get_by_role("tab", name=name, exact=True).click()
    settle(page)


def import_archive(page: Any, site: str, archive: Path) -> None:
    page.goto(f"{site}/dataset")
    page.get_by_text("There is no dataset in this workspace yet").wait_for()
    page.locator("input[type=file]").set_input_files(archive)
    page.get_by_role("button", name="Import", exact=True).click()
    # What tells that it is done passes; the number stays.
    page.get_by_test_id("stMetric").filter(has_text="Images in use").filter(
        has_text="85"
    ).wait_for()
    page.get_by_role("heading", name="Mean image and colours").wait_for()


def exclude_what_is_suggested(page: Any) -> None:
    view(page, "Findings")
    for suggested in (3, 4):
        button = page.get_by_role("button", name=f"Exclude the {suggested} suggested")
        button.click()
        button.wait_for(state="hidden")


def exclude_the_first_image(page: Any) -> None:
    view(page, "Images")
    page.locator("button.tile").first.click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Reason").fill("out of focus")
    dialog.get_by_label("Reason").press("Tab")
    dialog.get_by_role("button", name="Exclude").click()
    dialog.wait_for(state="hidden")


def choose_split_shares(page: Any) -> None:
    view(page, "Split")
    page.get_by_text("0 images shared between parts").wait_for()
    for part, share in {"Train": "60", "Validation": "20", "Test": "20"}.items():
        page.get_by_label(f"{part}, %").fill(share)
        page.get_by_label(f"{part}, %").press("Tab")
    page.get_by_role("button", name="Split", exact=True).click()
    # The words stay the same; the fields of the new split have another key.
    page.locator("[class*=st-key-split_cells_0_-0-6--0-2--0-2-_][class*=_train]").wait_for()
    page.get_by_text("0 images shared between parts").wait_for()


def export(page: Any, target: Path) -> None:
    view(page, "All datasets")
    page.get_by_text("Export the curated dataset").click()
    # While the expander opens the box moves, and a click may miss it.
    box = page.get_by_role("checkbox", name="Separate train, validation and test")
    for _ in range(3):
        if not box.is_checked():
            page.get_by_text("Separate train, validation and test").click()
            page.wait_for_timeout(1000)
    assert box.is_checked()
    settle(page)
    page.get_by_role("button", name="Export", exact=True).click()
    with page.expect_download() as download:
        page.get_by_role("button", name="Download cells_parts.npz").click()
    download.value.save_as(target)


def test_from_a_zip_to_a_curated_and_split_dataset(
    page: Any, site: str, home: Path, archive: Path, tmp_path: Path
):
    def cells() -> Dataset:
        return open_dataset(Workspace(home), "cells")

    import_archive(page, site, archive)
    exclude_what_is_suggested(page)
    # Three copies; and of two conflicting pairs nobody can tell which label is right.
    assert len(cells().curation.excluded()) == 3 + 2 * 2
    exclude_the_first_image(page)
    assert cells().kept.sum() == 77
    choose_split_shares(page)
    assert chosen_split(cells()) == (0, (0.6, 0.2, 0.2))
    split = make_split(cells(), *chosen_split(cells()))
    assert split.shared_images() == 0

    taken = tmp_path / "taken.npz"
    export(page, taken)
    back = import_source(Workspace(tmp_path / "elsewhere"), taken, "back")
    assert sorted(back.hashes) == sorted(cells().hashes[cells().kept])
    parts = np.bincount(make_split(back).parts)
    assert parts.tolist() == [len(split.indices(p)) for p in PARTS]

    page.get_by_role("button", name="Delete", exact=True).click()
    page.get_by_role("dialog").get_by_role("button", name="Delete cells").click()
    page.get_by_text("cells is in the trash").wait_for()
    assert Workspace(home).names("datasets") == []
    page.get_by_role("button", name="Undo").click()
    page.get_by_text("Images in use").wait_for()
    assert cells().kept.sum() == 77


def draw_around(page: Any, box: dict[str, float]) -> None:
    """A lasso along the inner edge of a box."""
    x, y = box["x"] + 4, box["y"] + 4
    width, height = box["width"] - 8, box["height"] - 8
    page.mouse.move(x, y)
    page.mouse.down()
    for across, down in ((1, 0), (1, 1), (0, 1), (0, 0)):
        page.mouse.move(x + across * width, y + down * height, steps=5)
    page.mouse.up()


def still(area: Any) -> dict[str, float]:
    """Where something lies that has not moved for a moment."""
    before, now = None, area.bounding_box()
    while now != before:
        area.page.wait_for_timeout(200)
        before, now = now, area.bounding_box()
    return now


def appears(found: Any, seconds: float) -> bool:
    end = time.monotonic() + seconds
    while not (there := found.is_visible()) and time.monotonic() < end:
        found.page.wait_for_timeout(50)
    return there


def test_dots_drawn_around_on_the_map_show_their_images(page: Any, site: str, home: Path):
    make_demo(Workspace(home), "demo", per_class=6, size=48)
    page.goto(f"{site}/dataset?view=Embeddings")
    area = page.locator(".js-plotly-plot .nsewdrag").first
    area.wait_for()
    settle(page)
    found = page.get_by_text("1 to 24 of 48 images")
    for _ in range(20):  # a dot may be missed
        draw_around(page, still(area))
        if appears(found, 2.0):
            break
    found.wait_for()

    page.locator("button.tile").first.click()
    page.get_by_role("dialog").get_by_text("Exact duplicates").wait_for()
    page.keyboard.press("Escape")
    page.get_by_text("opened last").wait_for()
    # The figure is drawn anew, with a ring; what was chosen on it must outlive that.
    page.wait_for_timeout(1000)
    settle(page)
    page.get_by_text("1 to 24 of 48 images").wait_for()
