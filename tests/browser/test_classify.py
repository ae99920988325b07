"""A photograph is dragged onto the page, and the answer is that of the command line."""

import base64
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bloodcell.classes import class_id, title
from bloodcell.data.synthetic.drawing.draw import draw_cell
from bloodcell.ui.common.format import percent
from bloodcell.ui.common.gallery import png_bytes

pytestmark = pytest.mark.browser

REPOSITORY = Path(__file__).parents[2]
# What a browser hands to a page when a file is dragged in from the desktop.
TRANSFER = """([name, data]) => {
  const bytes = Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0));
  const transfer = new DataTransfer();
  transfer.items.add(new File([bytes], name, { type: "image/png" }));
  return transfer;
}"""


def drop(page: Any, file: Path) -> None:
    data = base64.b64encode(file.read_bytes()).decode("ascii")
    transfer = page.evaluate_handle(TRANSFER, [file.name, data])
    zone = page.get_by_test_id("stFileUploaderDropzone").first
    for event in ("dragenter", "dragover", "drop"):
        zone.dispatch_event(event, {"dataTransfer": transfer})


def command_line(home: Path, file: Path) -> str:
    command = ["-m", "bloodcell", "--home", str(home), "classify", "first", "--json", file.name]
    done = subprocess.run(
        [sys.executable, *command],
        cwd=file.parent,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


def test_a_dropped_photograph_gets_the_answer_of_the_command_line(
    page: Any, address: str, trained_home: Path, tmp_path: Path
):
    file = tmp_path / "cell.png"
    file.write_bytes(png_bytes(draw_cell(1, np.random.default_rng(5), 96)))
    page.goto(address)
    page.get_by_test_id("stFileUploaderDropzone").first.wait_for()
    drop(page, file)
    card = page.locator(".st-key-classify_card")
    card.wait_for()
    printed = command_line(trained_home, file)
    (row,) = json.loads(printed)

    heading = card.get_by_role("heading").first
    expected = "None of the eight"
    if row["recognised"]:
        expected = f"{title(class_id(row['label']))} · {percent(row['probability'])}"
    assert heading.inner_text() == expected
    with page.expect_download() as download:
        page.get_by_role("button", name="JSON").click()
    assert Path(download.value.path()).read_text(encoding="utf-8") == printed
