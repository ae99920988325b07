"""A group's server as docs/server.md has it: nginx, HTTPS, a base path, and signing in.

nginx is a real one on loopback, with the configuration of the docs, of which only the port, the
certificate and the server's port are others.
"""

import os
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from bloodcell.data.store.dataset import open_dataset
from bloodcell.runs.run import Run, list_runs
from bloodcell.workspace import Workspace
from tests.browser.conftest import PATIENCE_S, Server, free_port, serving, settle
from tests.browser.sign_in_provider import CLIENT, SECRET, provider
from tests.browser.test_dataset import exclude_the_first_image
from tests.browser.test_training import (
    at_work,
    busy_home,
    button,
    launch_tiny,
    wait_for_redrawing,
    wait_for_state,
)

__all__ = ["busy_home"]

pytestmark = [
    pytest.mark.browser,
    pytest.mark.nightly,
    pytest.mark.skipif(shutil.which("nginx") is None, reason="no nginx: install Debian's"),
]

DOCS = (Path(__file__).parents[2] / "docs" / "server.md").read_text(encoding="utf-8")
LONG = 1000


def block(kind: str) -> str:
    """The one block of this kind in the docs."""
    (found,) = re.findall(rf"```{kind}\n(.*?)```", DOCS, re.DOTALL)
    return found


def changed(text: str, changes: dict[str, str]) -> str:
    for old, new in changes.items():
        assert text.count(old) == 1, f"{old} is not once in the block of docs/server.md"
        text = text.replace(old, new)
    return text


@contextmanager
def nginx(folder: Path, port: int, behind: str) -> Iterator[None]:
    """nginx as in the docs, in front of the server at `behind`."""
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj",
         "/CN=lab.example.org", "-keyout", folder / "lab.key", "-out", folder / "lab.pem"],
        check=True, capture_output=True,
    )  # fmt: skip
    site = changed(
        block("nginx"),
        {
            "listen 443 ssl": f"listen 127.0.0.1:{port} ssl",
            "/etc/ssl/lab.pem": str(folder / "lab.pem"),
            "/etc/ssl/lab.key": str(folder / "lab.key"),
            "http://127.0.0.1:8501": behind,
        },
    )
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    places = "\n".join(f"{kind}_temp_path {folder}/{kind};" for kind in kinds)
    user = "" if os.getuid() else "user root;"
    (folder / "nginx.conf").write_text(
        f"{user} daemon off; pid {folder}/pid; error_log {folder}/error.log;\nevents {{}}\n"
        f"http {{ access_log off; {places}\n{site} }}\n"
    )
    words = ["nginx", "-p", folder, "-c", folder / "nginx.conf", "-e", folder / "error.log"]
    subprocess.run([*words, "-t"], check=True, capture_output=True)
    process = subprocess.Popen(words)
    try:
        end = time.monotonic() + 30
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                log = (folder / "error.log").read_text()
                assert process.poll() is None, log
                assert time.monotonic() < end, log
                time.sleep(0.05)
        yield
    finally:
        process.terminate()
        process.wait(30)


@pytest.fixture
def group(busy_home: Path, tmp_path: Path) -> Iterator[tuple[str, Server]]:
    """Where a browser finds the server of a group, with signing in."""
    options = re.search(r"streamlit run app\.py (--server\.baseUrlPath lab)\n", DOCS)
    port = free_port()
    address = f"https://127.0.0.1:{port}/lab"
    with provider() as people:
        secrets = tmp_path / "secrets.toml"
        secrets.write_text(
            changed(
                block("toml"),
                {
                    "https://lab.example.org/lab": address,
                    '"…"        # python': f'"{"c" * 64}" # python',
                    'client_id = "bloodcell-lab"': f'client_id = "{CLIENT}"',
                    'client_secret = "…"': f'client_secret = "{SECRET}"',
                    "https://login.example.org": people.address,
                },
            )
        )
        words = (*options[1].split(), "--secrets.files", str(secrets))
        with (
            serving(busy_home, tmp_path / "log.txt", *words, base="/lab") as server,
            nginx(tmp_path, port, server.address),
        ):
            yield address, server


@pytest.fixture
def visitor(chromium: Any) -> Iterator[Any]:
    context = chromium.new_context(
        viewport={"width": 1280, "height": 900}, reduced_motion="reduce", ignore_https_errors=True
    )
    context.set_default_timeout(1000 * PATIENCE_S)
    yield context.new_page()
    context.close()


def the_run(home: Path) -> Run:
    end = time.monotonic() + PATIENCE_S
    while not (runs := list_runs(Workspace(home))):
        assert time.monotonic() < end, "no run was made"
        time.sleep(0.05)
    return runs[0]


def test_behind_nginx_a_person_signs_in_and_what_they_do_has_their_name(
    visitor: Any, group: tuple[str, Server], busy_home: Path
):
    address, server = group
    visitor.goto(f"{address}/training")
    button(visitor, "sign_in").wait_for()
    assert visitor.locator(".st-key-start").count() == 0
    button(visitor, "sign_in").click()
    visitor.get_by_label("Name").fill("ada")
    with visitor.expect_websocket() as opened:
        visitor.get_by_role("button", name="Go on").click()
    assert opened.value.url.startswith(address.replace("https", "wss") + "/_stcore/stream")
    visitor.get_by_text("ada@example.org").wait_for()

    # A run that is launched here is seen live, through the proxy.
    with visitor.expect_websocket() as opened:
        visitor.goto(f"{address}/training")
    launch_tiny(visitor, LONG)
    button(visitor, "start").click()
    run = the_run(busy_home)
    at_work(visitor).wait_for()
    wait_for_redrawing(opened.value, 1)
    assert run.record()["launched_by"] == "ada@example.org"
    button(visitor, "stop_run").click()
    wait_for_state(run, "stopped")
    assert run.status()["reason"] == "a stop was asked for by ada@example.org"
    button(visitor, "resume_run").wait_for()

    # Who decided about an image stands in the decision, and on the page.
    visitor.goto(f"{address}/dataset")
    exclude_the_first_image(visitor)
    (decision,) = open_dataset(Workspace(busy_home), "demo").curation.decisions.values()
    assert decision["by"] == "ada@example.org"

    # After signing out there is the button again, and nothing else.
    settle(visitor)
    button(visitor, "sign_out").click()
    button(visitor, "sign_in").wait_for()
    assert visitor.get_by_text("demo").count() == 0
    assert "Traceback" not in server.log.read_text()
