"""Pages are opened through the app, as a browser would open them."""

import functools
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from streamlit import config
from streamlit.components.v2 import manifest_scanner
from streamlit.testing.v1 import AppTest

COLLECT = "runner.postScriptGC"
APP = Path(__file__).parents[2] / "app.py"


@pytest.fixture(autouse=True, scope="session")
def scripts_that_only_run() -> Iterator[None]:
    """What Streamlit does beside each run of a script, again and again for the same answer.

    It collects garbage over all that this process holds, TensorFlow included, and reads the
    metadata of every installed package to find components.
    """
    collects = config.get_option(COLLECT)
    config.set_option(COLLECT, False)
    scan = manifest_scanner.scan_component_manifests
    manifest_scanner.scan_component_manifests = functools.cache(scan)
    yield
    manifest_scanner.scan_component_manifests = scan
    config.set_option(COLLECT, collects)


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
