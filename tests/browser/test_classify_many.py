"""Twenty people at once on one server: right answers for each, and bounded memory."""

import json
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bloodcell.data.readers.decoded import Decoded
from bloodcell.data.synthetic.drawing.draw import draw_cell
from bloodcell.ensemble.answer_files import answers_json
from bloodcell.ensemble.classify import classify
from bloodcell.ensemble.ensemble import open_ensemble
from bloodcell.smear.squares import squares
from bloodcell.ui.common.gallery import png_bytes
from bloodcell.workspace import Workspace
from tests.browser.conftest import Server, settle
from tests.browser.session import Session

pytestmark = [pytest.mark.browser, pytest.mark.nightly]

SESSIONS = 20
CELLS = 3
PATIENCE_S = 180.0


def cells_of(session: int) -> list[tuple[str, bytes]]:
    """The files of one visitor: others than everybody else's."""
    drawn = (
        draw_cell((session + k) % 8, np.random.default_rng([session, k]), 60) for k in range(CELLS)
    )
    return [(f"s{session}-{k}.png", png_bytes(cell)) for k, cell in enumerate(drawn)]


def test_twenty_sessions_at_once(page: Any, server: Server, trained_home: Path, tmp_path: Path):
    ensemble = open_ensemble(Workspace(trained_home), "first")
    cells = [cells_of(k) for k in range(SESSIONS)]
    known = ensemble.description.field_of_view.sizes
    wanted = [
        answers_json(classify(ensemble, files, moved=squares(Decoded(files), known)[0]))
        for files in cells
    ]
    own = [tmp_path / name for name, _ in cells[0]]
    for file, (_, data) in zip(own, cells[0], strict=True):
        file.write_bytes(data)

    # One of them is seen in a browser; drawing the page for the others would be their machines'
    # work, not the server's.
    address = server.show(trained_home)
    page.set_default_timeout(1000 * PATIENCE_S)
    page.goto(address)
    page.get_by_test_id("stFileUploaderDropzone").first.wait_for()
    with ExitStack() as stack:
        others = [stack.enter_context(Session(address, PATIENCE_S)) for _ in range(1, SESSIONS)]
        before = server.resident_bytes
        uploads = [other.upload(files) for other, files in zip(others, cells[1:], strict=True)]
        for other, upload in zip(others, uploads, strict=True):
            other.rerun(upload)
        page.locator("input[type=file]").first.set_input_files(own)
        for other in others:
            other.wait()
            while not other.offers("JSON"):
                other.rerun()
                other.wait()
        page.locator(".st-key-classify_card").wait_for()
        settle(page)
        after = server.resident_bytes

        with page.expect_download() as download:
            page.get_by_role("button", name="JSON").click()
        found = [Path(download.value.path()).read_bytes()]
        found += [other.download("JSON") for other in others]
    assert [json.loads(answers) for answers in found] == wanted
    print(f"memory {before >> 20} to {after >> 20} MiB")
    # A session holds its few files and answers, not an ensemble of its own.
    assert after - before < SESSIONS * 15 * 2**20
