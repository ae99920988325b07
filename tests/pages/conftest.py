"""Pages are opened through the app, as a browser would open them."""

from collections.abc import Callable
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

APP = Path(__file__).parents[2] / "app.py"


@pytest.fixture
def open_page(monkeypatch: pytest.MonkeyPatch) -> Callable[..., AppTest]:
    """`open_page(home, "dataset", view="Split")`: the page of the workspace `home`, run once.

    Further arguments are the query parameters of its address; `state` is what the visitor's
    session holds already.
    """

    def open_(home: Path, page: str, state: dict | None = None, **query: str) -> AppTest:
        monkeypatch.setenv("BLOODCELL_HOME", str(home))
        app = AppTest.from_file(str(APP), default_timeout=60)
        app.switch_page(f"pages/{page}.py")
        for key, value in query.items():
            app.query_params[key] = value
        for key, value in (state or {}).items():
            app.session_state[key] = value
        return app.run()

    return open_
