"""Twenty people at once on one server: right answers for each, and bounded memory."""

import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from bloodcell.data.synthetic.drawing.draw import draw_cell
from bloodcell.ensemble.answer_files import answers_json
from bloodcell.ensemble.classify import classify
from bloodcell.ensemble.ensemble import open_ensemble
from bloodcell.ui.common.gallery import png_bytes
from bloodcell.workspace import Workspace
from tests.browser.conftest import serving

pytestmark = [pytest.mark.browser, pytest.mark.slow]

SESSIONS = 20
CELLS = 3


def server_bytes(address: str) -> int:
    """Resident bytes of the server behind an address."""
    port = int(address.rsplit(":", 1)[1])
    for process in psutil.process_iter(["cmdline"]):
        if str(port) in (process.info["cmdline"] or []):
            return process.memory_info().rss
    return 0


def test_twenty_sessions_at_once(
    chromium: Any, trained_home: Path, tmp_path: Path, record_property: Any
):
    ensemble = open_ensemble(Workspace(trained_home), "first")
    wanted, pages = [], []
    with serving(trained_home, tmp_path / "log.txt") as address:
        for session in range(SESSIONS):
            files = []
            for k in range(CELLS):
                file = tmp_path / f"s{session}-{k}.png"
                cell = draw_cell((session + k) % 8, np.random.default_rng([session, k]), 60)
                file.write_bytes(png_bytes(cell))
                files.append(file)
            wanted.append(
                answers_json(classify(ensemble, [(f.name, f.read_bytes()) for f in files]))
            )
            page = chromium.new_context(viewport={"width": 900, "height": 700}).new_page()
            page.set_default_timeout(180_000)
            page.goto(address)
            page.get_by_test_id("stFileUploaderDropzone").first.wait_for()
            pages.append((page, files))
        before = server_bytes(address)
        begin = time.perf_counter()
        for page, files in pages:
            page.locator("input[type=file]").first.set_input_files(files)
        waited = []
        for page, _ in pages:
            page.locator(".st-key-classify_card").wait_for()
            waited.append(time.perf_counter() - begin)
        after = server_bytes(address)
        for (page, _), rows in zip(pages, wanted, strict=True):
            page.locator("[data-testid=stApp][data-test-script-state=notRunning]").wait_for()
            with page.expect_download() as download:
                page.get_by_role("button", name="JSON").click()
            found = json.loads(Path(download.value.path()).read_text(encoding="utf-8"))
            assert found == rows
        assert "Traceback" not in (tmp_path / "log.txt").read_text()
        for page, _ in pages:
            page.context.close()
    record_property("worst_wait_s", max(waited))
    print(f"worst wait {max(waited):.1f} s, memory {before >> 20} to {after >> 20} MiB")
    # A session holds its few files and answers, not an ensemble of its own.
    assert after - before < SESSIONS * 15 * 2**20
