"""Photographs of another laboratory: labelled by keyboard, adapted to, corrected."""

import io
import re
import shutil
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bloodcell.classes import CLASS_NAMES
from bloodcell.data.store.dataset import open_dataset
from bloodcell.data.store.labelling import labelled_cells
from bloodcell.data.synthetic.drawing.draw import draw_cell
from bloodcell.ensemble.bundle import Bundle
from bloodcell.ui.common.gallery import png_bytes
from bloodcell.workspace import Workspace
from tests.browser.conftest import REPOSITORY, Server, settle

pytestmark = [pytest.mark.browser, pytest.mark.nightly]

NATIVE = REPOSITORY.parent / "shared" / "data" / "labs_native.zip"
LABELLED = 6


def photographs() -> dict[str, bytes]:
    """Fourteen of Raabin where they are beside the repository, else drawn ones."""
    if not NATIVE.is_file():
        drawn = [(n % 3, np.random.default_rng(n)) for n in range(14)]
        return {
            f"{CLASS_NAMES[label]}_{i}.png": png_bytes(draw_cell(label, rng, 60))
            for i, (label, rng) in enumerate(drawn)
        }
    with zipfile.ZipFile(NATIVE) as archive:
        names = sorted(n for n in archive.namelist() if "/raabin/" in n)[::2]
        return {Path(name).name: archive.read(name) for name in names[:14]}


def press(page: Any, key: str, done: int) -> None:
    """Press a key; then so many are labelled."""
    page.keyboard.press(key)
    page.get_by_text(re.compile(rf"\b{done} labelled,")).wait_for()
    settle(page)


def typed(page: Any, label: str, text: str) -> None:
    page.get_by_role("textbox", name=label).fill(text)
    page.get_by_role("textbox", name=label).press("Tab")


def test_label_adapt_see_what_changed_and_correct(
    page: Any, server: Server, trained_home, tmp_path
):
    home = Path(shutil.copytree(trained_home, tmp_path / "home"))
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, content in photographs().items():
            archive.writestr(name, content)
    page.goto(server.show(home))
    page.get_by_text("Label and adapt").click()
    page.locator("input[type=file]").first.set_input_files(
        {"name": "cells.zip", "mimeType": "application/zip", "buffer": packed.getvalue()}
    )
    typed(page, "Laboratory", "Over there")
    page.get_by_role("button", name=re.compile(r"Keep these \d+ cells"), disabled=False).click()
    typed(page, "Your name", "Ada")

    picture = page.get_by_alt_text(re.compile("The cell to label"))
    page.get_by_role("button", name=re.compile("Basophil"), disabled=False).wait_for()

    for done in range(1, LABELLED + 1):
        shown = picture.get_attribute("alt").lower()
        label = next(k for k, name in enumerate(CLASS_NAMES) if name in shown)
        press(page, str(label + 1), done)
    press(page, "u", LABELLED - 1)
    assert picture.get_attribute("alt").lower() == shown
    press(page, str(label + 1), LABELLED)
    skipped = picture.get_attribute("alt")
    page.keyboard.press("Space")
    page.wait_for_function(
        "(old) => document.querySelector('img[alt^=\"The cell to label\"]').alt !== old",
        arg=skipped,
    )
    settle(page)

    page.get_by_role("button", name="Adapt first").click()
    page.get_by_text("The rest, adapted.").wait_for()
    workspace = Workspace(home)
    dataset = open_dataset(workspace, "Over-there")
    assert len(labelled_cells(dataset)) == LABELLED
    assert Bundle(workspace.ensembles / "Over-there").description.adapted.parent == "first"

    # What is here after a reload is what was here before it; a click on a cell is a correction.
    page.reload()
    page.get_by_text("The rest, adapted.").wait_for()
    typed(page, "Your name", "Bob")
    page.get_by_role("button", name=re.compile("Other"), disabled=False).wait_for()
    settle(page)
    changed = page.locator(".st-key-adapt_changed button.tile")
    if changed.count():
        changed.first.click()
        settle(page)
    press(page, "0", LABELLED + 1)
    dataset = open_dataset(workspace, "Over-there")
    (index,) = np.flatnonzero(dataset.origin("reader") == "Bob")
    assert dataset.kept[index]
    assert dataset.labels[index] == -1
