"""A real server and a real Chromium; without either the tests are skipped and say why."""

import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

REPOSITORY = Path(__file__).parents[2]
# Of a busy machine, on which alone scikit-learn takes half a minute to import.
PATIENCE_S = 180.0
# No sandbox: containers have none to offer. The rest keeps it from calling home.
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    # Streamlit's scripts are megabytes: pages that share a process compile them once.
    "--process-per-site",
]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@dataclass(frozen=True)
class Server:
    """A server of its own.

    Attributes:
        address: where a browser finds it.
        process: it is what `show` speaks to.
        log: what it has printed.
    """

    address: str
    process: subprocess.Popen[str]
    log: Path

    def show(self, home: Path) -> str:
        """From now on the server shows the workspace `home`; returns the address."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{home}\n")
        self.process.stdin.flush()
        assert self.process.stdout.readline() == f"{home}\n"
        return self.address

    @property
    def resident_bytes(self) -> int:
        return psutil.Process(self.process.pid).memory_info().rss


@contextmanager
def serving(home: Path, log: Path, *options: str, base: str = "") -> Iterator[Server]:
    """A server of its own that shows the workspace `home`.

    Args:
        options: of Streamlit.
        base: the path that they have it answer at.
    """
    port = free_port()
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.browser.server", str(port), *options],
            cwd=REPOSITORY,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=output,
            text=True,
        )
    try:
        server = Server(f"http://127.0.0.1:{port}", process, log)
        server.show(home)
        end = time.monotonic() + PATIENCE_S
        while True:
            try:
                with urllib.request.urlopen(f"{server.address}{base}/_stcore/health", timeout=5):
                    break
            except OSError:
                if process.poll() is not None or time.monotonic() > end:
                    pytest.fail(f"the server does not answer: {log.read_text()[-2000:]}")
                time.sleep(0.05)
        yield server
    finally:
        process.terminate()
        try:
            process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@pytest.fixture(scope="session")
def _server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("server")
    with serving(folder / "nothing", folder / "log.txt") as found:
        yield found


@pytest.fixture
def server(_server: Server) -> Iterator[Server]:
    """The server that all tests use, one after the other: tell it what to `show`."""
    before = _server.log.stat().st_size
    yield _server
    assert "Traceback" not in _server.log.read_text()[before:]


@pytest.fixture
def address(server: Server, trained_home: Path) -> str:
    """The address of a server on `trained_home`."""
    return server.show(trained_home)


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    """A running browser."""
    api = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
    names = ("chromium", "chromium-browser", "google-chrome", "chrome")
    program = next(filter(None, map(shutil.which, names)), None)
    if program is None:
        pytest.skip(f"no Chromium on the path (looked for {', '.join(names)})")
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def window(chromium: Any, _server: Server) -> Iterator[Any]:
    """A browser window whose tabs share what is fetched and compiled, and nothing on the server."""
    context = chromium.new_context(viewport={"width": 1280, "height": 900}, reduced_motion="reduce")
    context.set_default_timeout(1000 * PATIENCE_S)
    # While one tab is there, their process is, and what it has compiled.
    context.new_page().goto(f"{_server.address}/_stcore/health")
    yield context
    context.close()


@pytest.fixture
def page(window: Any) -> Iterator[Any]:
    """An empty tab. Nothing that is shown may load anything from elsewhere: no font, no icon."""
    asked: list[str] = []

    def note(request: Any) -> None:
        asked.append(request.url)

    window.on("request", note)
    yield window.new_page()
    for tab in window.pages[1:]:
        tab.close()
    window.remove_listener("request", note)
    own = ("http://127.0.0.1:", "ws://127.0.0.1:", "data:", "blob:", "about:")
    assert not [url for url in asked if not url.startswith(own)]


def settle(page: Any) -> None:
    """Wait until the server has drawn the page to its end."""
    page.locator("[data-testid=stApp][data-test-script-state=notRunning]").wait_for()
