"""Open a page of the real app on a workspace, without a browser."""

import time
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

REPOSITORY = Path(__file__).parents[2]
PATIENCE_S = 60.0


def open_page(home: Path, page: str, monkeypatch: pytest.MonkeyPatch) -> AppTest:
    """app.py with the page `page` ("classify", "evaluation", ...) open on the workspace `home`."""
    monkeypatch.setenv("BLOODCELL_HOME", str(home))
    app = AppTest.from_file(str(REPOSITORY / "app.py"), default_timeout=PATIENCE_S)
    app.run()
    if page != "classify":
        app.switch_page(f"pages/{page}.py").run()
    return settled(app)


def settled(app: AppTest) -> AppTest:
    """The page once no job is at work on it any more, and nothing went wrong."""
    end = time.monotonic() + PATIENCE_S
    while any(b.label == "Stop" for b in app.button) and time.monotonic() < end:
        time.sleep(0.2)
        app.run()
    assert not app.exception, app.exception[0].message
    return app


def words(app: AppTest) -> str:
    """All text on the page."""
    kinds = ("title", "subheader", "markdown", "caption", "info", "warning", "error", "text")
    return "\n".join(element.value for kind in kinds for element in app.get(kind))
