"""From a cell of the confusion matrix to its images, by a real click."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bloodcell.classes import title
from bloodcell.data.store.dataset import open_dataset
from bloodcell.ensemble.ensemble import open_ensemble
from bloodcell.evaluation.evaluate import evaluate
from bloodcell.workspace import Workspace
from tests.browser.conftest import settle

pytestmark = pytest.mark.browser


def point_at(page: Any, mark: Any, words: Any) -> None:
    """Move the pointer to a mark until the figure says what lies there.

    Plotly knows what is clicked from what the pointer rests on; while the page is still being
    drawn, the mark moves away from under it.
    """
    for _ in range(60):
        mark.hover(force=True)
        page.wait_for_timeout(500)
        if words.is_visible():
            return
        page.mouse.move(0, 0)
    pytest.fail("the figure does not say what the pointer rests on")


def test_a_click_on_the_matrix_shows_the_images_of_that_cell(
    page: Any, address: str, trained_home: Path
):
    workspace = Workspace(trained_home)
    found = evaluate(open_ensemble(workspace, "first"), open_dataset(workspace, "demo"), "all")
    errors = np.array(found.judgement.confusion_matrix) * (1 - np.eye(8, dtype=int))
    true, predicted = (int(k) for k in np.unravel_index(errors.argmax(), errors.shape))
    n = int(errors[true, predicted])
    assert n > 0

    page.goto(f"{address}/evaluation?part=All")
    # Until the page is drawn to its end, what is to be clicked still moves.
    page.get_by_text("Click a cell of the matrix").wait_for()
    page.locator("button.tile").first.wait_for()
    settle(page)
    figure = page.locator(".js-plotly-plot").first
    mark = figure.locator(".scatterlayer .point").nth(8 * true + predicted)
    said = f"{title(true)} predicted as {title(predicted).lower()}"
    point_at(page, mark, figure.locator(".hoverlayer .hovertext", has_text=said))
    page.mouse.down()
    page.mouse.up()

    page.get_by_text(f"{title(true)} → {title(predicted)}").wait_for()
    tiles = page.locator("button.tile")
    words = f"{title(true)}, predicted {title(predicted).lower()} with"
    # The gallery before goes, and the new one comes to its end.
    page.locator(f"button.tile:not([title^='{words}'])").first.wait_for(state="hidden")
    tiles.nth(min(n, 24) - 1).wait_for()
    settle(page)
    assert tiles.count() == min(n, 24)
    assert all(tile.get_attribute("title").startswith(words) for tile in tiles.all())

    tiles.first.click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_text(f"Labelled {title(true)}").wait_for()
    # What the network sees, and the training cells it resembles.
    dialog.get_by_role("img", name="marked on photograph").wait_for()
    dialog.get_by_text("The most similar training cells").wait_for()
    dialog.locator(".tile[title^='Training cell']").nth(5).wait_for()


def test_the_report_opens_without_a_network(page: Any, address: str, tmp_path: Path):
    page.goto(f"{address}/evaluation")
    page.get_by_text("Click a cell of the matrix").wait_for()
    settle(page)
    page.get_by_role("tab", name="Export").click()
    button = page.get_by_role("button", name="Report (HTML)")
    button.wait_for()
    with page.expect_download() as download:
        button.click()
    file = tmp_path / download.value.suggested_filename
    download.value.save_as(file)

    context = page.context.browser.new_context(offline=True)
    try:
        report, asked, failed = context.new_page(), [], []
        report.on("request", lambda request: asked.append(request.url))
        report.on("pageerror", lambda error: failed.append(str(error)))
        report.goto(file.as_uri())
        report.get_by_role("heading", name="first on demo, test part").wait_for()
        report.locator("figure .main-svg").nth(5).wait_for(state="attached")
        figures = report.locator("figure[data-figure]").count()
        drawn = report.locator("figure[data-figure].js-plotly-plot").count()
        assert figures == drawn >= 6
        assert asked == [file.as_uri()]
        assert failed == []
    finally:
        context.close()
