"""The frame around the pages: there from the first request on, whichever page that asks for."""

from pathlib import Path
from typing import Any

import pytest

from bloodcell.data.synthetic.demo import make_demo
from bloodcell.ui.common.frame import PAGES
from bloodcell.workspace import Workspace
from tests.browser.conftest import serving

pytestmark = pytest.mark.browser


def test_a_deep_link_is_the_first_request_to_a_new_server(page: Any, tmp_path: Path):
    home = tmp_path / "home"
    for name in ("a", "b"):
        make_demo(Workspace(home), name, per_class=2, size=32)
    with serving(home, tmp_path / "log.txt") as server:
        page.goto(f"{server.address}/dataset?dataset=b&view=Split")
        page.get_by_text("images shared between parts").wait_for()
        links = page.get_by_test_id("stSidebarNav").get_by_role("link")
        # Before the title stands the name of its icon.
        assert [text.split()[-1] for text in links.all_inner_texts()] == [p.title for p in PAGES]
        sidebar = page.get_by_test_id("stSidebar")
        assert sidebar.get_by_text("For research use only").count() == 1
        assert sidebar.get_by_role("combobox", name="Dataset").input_value() == "b"
        assert "dataset=b" in page.url
        assert page.get_by_role("tab", name="Split").get_attribute("aria-selected") == "true"
    assert "Traceback" not in (tmp_path / "log.txt").read_text()


def test_so_it_is_on_another_page_and_in_an_empty_workspace(page: Any, tmp_path: Path):
    with serving(tmp_path / "home", tmp_path / "log.txt") as server:
        page.goto(f"{server.address}/evaluation")
        page.get_by_role("heading", name="Evaluation").wait_for()
        links = page.get_by_test_id("stSidebarNavLink")
        links.nth(len(PAGES) - 1).wait_for()
        assert [text.split()[-1] for text in links.all_inner_texts()] == [p.title for p in PAGES]
