"""Runs from the first click to the comparison, in a real browser; it is closed in between."""

import dataclasses
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from streamlit.proto.BackMsg_pb2 import BackMsg

from bloodcell.runs.execute import execute
from bloodcell.runs.labels import read_labels, write_labels
from bloodcell.runs.launch import ask_to_stop, prepare
from bloodcell.runs.run import Run, list_runs
from bloodcell.workspace import Workspace
from tests.browser.conftest import Server, serving, settle

pytestmark = [pytest.mark.browser, pytest.mark.slow]

# Always stopped: long enough for a machine ten times as fast.
LONG = 1000
PATIENCE_S = 180.0


@pytest.fixture
def busy_home(demo_home: Path, tmp_path: Path) -> Iterator[Path]:
    """A copy of the drawn dataset's workspace; whatever is still at work at the end is stopped."""
    home = Path(shutil.copytree(demo_home, tmp_path / "home"))
    yield home
    for run in list_runs(Workspace(home)):
        ask_to_stop(run, wait_s=30)


def wait_for_state(run: Run, state: str) -> None:
    end = time.monotonic() + PATIENCE_S
    while run.status()["state"] != state:
        assert time.monotonic() < end, f"{run.status()}: {run.log_tail()}"
        time.sleep(0.05)


def open_run(page: Any, address: str, run: Run) -> Any:
    """Open the page of a run; returns the connection over which it asks the server."""
    with page.expect_websocket() as connection:
        page.goto(f"{address}/training?run={run.id}")
    return connection.value


def wait_for_redrawing(connection: Any, fragments: int) -> None:
    """Wait until so many parts of the page have asked by themselves to be drawn again."""
    asked = set()

    def all_have(payload: bytes) -> bool:
        rerun = BackMsg.FromString(payload).rerun_script
        if rerun.is_auto_rerun:
            asked.add(rerun.fragment_id)
        return len(asked) == fragments

    connection.wait_for_event("framesent", all_have)


def fill(page: Any, label: str, value: str) -> None:
    field = page.get_by_label(label, exact=True)
    field.fill(value)
    field.press("Tab")
    settle(page)


def choose(page: Any, label: str, option: str) -> None:
    page.get_by_test_id("stSelectbox").filter(has_text=label).locator("input").click()
    page.get_by_role("option", name=option).click()
    settle(page)


def button(page: Any, key: str) -> Any:
    # One with a help text is there twice, and only one of them can be seen.
    return page.locator(f".st-key-{key} button:visible").first


def launch_tiny(page: Any, epochs: int) -> None:
    """Fill the form with a small run of the tiny network."""
    button(page, "start").wait_for()
    choose(page, "Backbone", "Tiny")
    fill(page, "Epochs", str(epochs))
    fill(page, "Input size (pixels)", "48")


def launch_two(page: Any, address: str, home: Path, epochs: int) -> list[Run]:
    """Two seeds at once, in the order in which they were queued."""
    page.goto(f"{address}/training")
    launch_tiny(page, epochs)
    page.get_by_text("Several seeds", exact=True).click()
    settle(page)
    fill(page, "Number of seeds", "2")
    button(page, "start").click()
    end = time.monotonic() + PATIENCE_S
    while len(runs := list_runs(Workspace(home))) < 2:
        assert time.monotonic() < end, "no two runs were made"
        time.sleep(0.05)
    return sorted(runs, key=lambda run: run.status()["created"])


def does_not_jump(page: Any, connection: Any, run: Run) -> None:
    """While epochs pass, what the reader looks at stays where it is."""
    page.get_by_text("Confusion matrix of the validation part").scroll_into_view_if_needed()
    main = page.get_by_test_id("stMain")
    place, epochs = main.evaluate("e => e.scrollTop"), len(run.metrics())
    assert place > 0
    end = time.monotonic() + PATIENCE_S
    while len(run.metrics()) < epochs + 3:
        assert time.monotonic() < end, run.log_tail()
        page.wait_for_timeout(50)
    # The table, the progress and the curves.
    wait_for_redrawing(connection, 3)
    settle(page)
    assert abs(main.evaluate("e => e.scrollTop") - place) < 5


def at_work(page: Any) -> Any:
    """The epoch's bar of the run that is shown."""
    return page.get_by_test_id("stProgress").filter(has_text="Batch ").first


def is_labelled_undisturbed(page: Any, connection: Any, run: Run, other: Run) -> None:
    """What becomes of other runs does not close a dialog with what was typed into it."""
    dialog = page.get_by_role("dialog")
    # A click that meets the page while it is drawn anew is lost, as for a person.
    for _ in range(3):
        button(page, "label_run").click()
        page.wait_for_timeout(5000)
        if dialog.is_visible():
            break
    dialog.get_by_label("Name", exact=True).fill("the long one")
    dialog.get_by_label("Name", exact=True).press("Tab")
    write_labels(other, name="renamed in the shell")
    wait_for_redrawing(connection, 1)  # the table
    settle(page)
    button(dialog, "save_labels").click()
    page.get_by_text("the long one").locator("visible=true").first.wait_for()
    assert read_labels(run).name == "the long one"

    # Given up without saving, it closes, and the page goes on by itself.
    button(page, "label_run").click()
    dialog.get_by_label("Close").click()
    dialog.wait_for(state="hidden")
    write_labels(run, name="renamed again")
    page.get_by_text("renamed again").locator("visible=true").first.wait_for()


@pytest.mark.nightly
def test_runs_from_launch_to_comparison(
    page: Any, window: Any, server: Server, busy_home: Path, tmp_path: Path
):
    page.set_default_timeout(1000 * PATIENCE_S)
    with serving(busy_home, tmp_path / "log.txt") as other_server:
        address = other_server.address
        first, waits = launch_two(page, address, busy_home, LONG)
        # The queue gives the first a slot, and it is shown without a click; the second waits.
        page.get_by_text("1 run waiting").wait_for()
        at_work(page).wait_for()
        assert waits.status()["state"] == "queued"
        page.get_by_text("Validation accuracy, epoch").wait_for()

        # A deep link in another browser shows the same, and what is done there shows here.
        other = window.new_page()
        other.set_default_timeout(1000 * PATIENCE_S)
        does_not_jump(other, open_run(other, address, first), first)
        at_work(other).wait_for()

        button(other, "stop_run").click()
        wait_for_state(first, "stopped")
        button(page, "resume_run").wait_for()
        before = first.metrics()

        # The slot is free now: the other one begins by itself.
        wait_for_state(waits, "running")
        other.close()
        page.close()

    # The browser and the server are gone; the run is not.
    assert waits.status()["state"] == "running"
    address = server.show(busy_home)
    page = window.new_page()
    page.set_default_timeout(1000 * PATIENCE_S)
    open_run(page, address, waits)
    at_work(page).wait_for()
    button(page, "stop_run").click()
    wait_for_state(waits, "stopped")

    # Resumed where it was stopped.
    connection = open_run(page, address, first)
    button(page, "resume_run").click()
    wait_for_state(first, "running")
    at_work(page).wait_for()
    end = time.monotonic() + PATIENCE_S
    while len(first.metrics()) <= len(before):
        assert time.monotonic() < end, first.log_tail()
        time.sleep(0.05)
    assert first.metrics()[: len(before)] == before
    button(page, "stop_run").click()
    wait_for_state(first, "stopped")
    button(page, "resume_run").wait_for()

    is_labelled_undisturbed(page, connection, first, waits)


@pytest.fixture
def two_runs(home: Path) -> list[Run]:
    """Two finished runs of a workspace that differ in nothing but the seed."""
    workspace = Workspace(home)
    (run,) = list_runs(workspace)
    other = prepare(workspace, dataclasses.replace(run.config(), seed=run.config().seed + 1))
    assert execute(workspace, other, echo=False) == "finished"
    return [run, other]


def test_two_runs_are_compared_in_words(page: Any, server: Server, home: Path, two_runs: list[Run]):
    page.set_default_timeout(1000 * PATIENCE_S)
    address = server.show(home)
    page.goto(f"{address}/training")
    page.get_by_text("Compare", exact=True).click()
    page.get_by_role("heading", name="Is the difference measurable?").wait_for()
    page.get_by_text("Of 16 test images").wait_for()
    page.get_by_text("standard deviation").wait_for()
    settle(page)
    assert {run.id for run in two_runs} <= set(
        page.url.split("compare=")[1].split("&")[0].split("%2C")
    )

    # More epochs, from where it ended.
    run, epochs = two_runs[0], len(two_runs[0].metrics())
    open_run(page, address, run)
    button(page, "more_run").click()
    button(page.get_by_role("dialog"), "go_on").click()
    end = time.monotonic() + PATIENCE_S
    while len(run.metrics()) < 2 * epochs:
        assert time.monotonic() < end, run.log_tail()
        time.sleep(0.05)
    wait_for_state(run, "finished")

    # Deleted, and brought back.
    page.get_by_text("Evaluate it or add it").wait_for()
    settle(page)
    button(page, "delete_run").click()
    button(page, "undo_delete").wait_for()
    assert [left.id for left in list_runs(Workspace(home))] == [two_runs[1].id]
    button(page, "undo_delete").click()
    # Its name stood on the page before: the button that goes is what tells.
    button(page, "undo_delete").wait_for(state="hidden")
    assert len(list_runs(Workspace(home))) == 2
