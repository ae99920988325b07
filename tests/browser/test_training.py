"""Runs from the first click to the comparison, in a real browser; it is closed in between."""

import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bloodcell.runs.labels import read_labels, write_labels
from bloodcell.runs.launch import ask_to_stop
from bloodcell.runs.run import Run, list_runs
from bloodcell.workspace import Workspace
from tests.browser.conftest import serving

pytestmark = [pytest.mark.browser, pytest.mark.slow]

# The long ones are always stopped: long enough for a machine ten times as fast.
LONG, SHORT = 1000, 3
PATIENCE_S = 180.0


@pytest.fixture
def busy_home(demo_home: Path, tmp_path: Path) -> Iterator[Path]:
    """A copy of the drawn dataset's workspace; whatever is still at work at the end is stopped."""
    home = Path(shutil.copytree(demo_home, tmp_path / "home"))
    yield home
    for run in list_runs(Workspace(home)):
        ask_to_stop(run, wait_s=30)


def settled(page: Any) -> None:
    page.locator("[data-testid=stApp][data-test-script-state=notRunning]").wait_for()


def wait_for_state(run: Run, state: str) -> None:
    end = time.monotonic() + PATIENCE_S
    while run.status()["state"] != state:
        assert time.monotonic() < end, f"{run.status()}: {run.log_tail()}"
        time.sleep(0.2)


def fill(page: Any, label: str, value: str) -> None:
    field = page.get_by_label(label, exact=True)
    field.fill(value)
    field.press("Tab")
    settled(page)


def choose(page: Any, label: str, option: str) -> None:
    page.get_by_test_id("stSelectbox").filter(has_text=label).locator("input").click()
    page.get_by_role("option", name=option).click()
    settled(page)


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
    settled(page)
    fill(page, "Number of seeds", "2")
    button(page, "start").click()
    end = time.monotonic() + PATIENCE_S
    while len(runs := list_runs(Workspace(home))) < 2:
        assert time.monotonic() < end, "no two runs were made"
        time.sleep(0.2)
    return sorted(runs, key=lambda run: run.status()["created"])


def does_not_jump(page: Any, run: Run) -> None:
    """While epochs pass, what the reader looks at stays where it is."""
    page.get_by_text("Confusion matrix of the validation part").scroll_into_view_if_needed()
    main = page.get_by_test_id("stMain")
    place, epochs = main.evaluate("e => e.scrollTop"), len(run.metrics())
    assert place > 0
    end = time.monotonic() + PATIENCE_S
    while len(run.metrics()) < epochs + 3:
        assert time.monotonic() < end, run.log_tail()
        page.wait_for_timeout(200)
    page.wait_for_timeout(6000)  # longer than the curves wait to be drawn again
    assert abs(main.evaluate("e => e.scrollTop") - place) < 5


def at_work(page: Any) -> Any:
    """The epoch's bar of the run that is shown."""
    return page.get_by_test_id("stProgress").filter(has_text="Batch ").first


def is_labelled_undisturbed(page: Any, run: Run, other: Run) -> None:
    """What becomes of other runs does not close a dialog with what was typed into it."""
    button(page, "label_run").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Name", exact=True).fill("the long one")
    dialog.get_by_label("Name", exact=True).press("Tab")
    write_labels(other, name="renamed in the shell")
    page.wait_for_timeout(8000)  # longer than the table waits to be drawn again
    button(dialog, "save_labels").click()
    page.get_by_text("the long one").locator("visible=true").first.wait_for()
    assert read_labels(run).name == "the long one"

    # Given up without saving, it closes, and the page goes on by itself.
    button(page, "label_run").click()
    dialog.get_by_label("Close").click()
    dialog.wait_for(state="hidden")
    write_labels(run, name="renamed again")
    page.get_by_text("renamed again").locator("visible=true").first.wait_for()


def test_runs_from_launch_to_comparison(page: Any, chromium: Any, busy_home: Path, tmp_path: Path):
    page.set_default_timeout(1000 * PATIENCE_S)
    with serving(busy_home, tmp_path / "log.txt") as address:
        first, waits = launch_two(page, address, busy_home, LONG)
        # The queue gives the first a slot, and it is shown without a click; the second waits.
        page.get_by_text("1 run waiting").wait_for()
        at_work(page).wait_for()
        assert waits.status()["state"] == "queued"
        page.get_by_text("Validation accuracy, epoch").wait_for()

        # A deep link in another browser shows the same, and what is done there shows here.
        other = chromium.new_context(viewport={"width": 1280, "height": 900}).new_page()
        other.set_default_timeout(1000 * PATIENCE_S)
        other.goto(f"{address}/training?run={first.id}")
        at_work(other).wait_for()
        page.goto(f"{address}/training?run={first.id}")
        at_work(page).wait_for()

        does_not_jump(page, first)

        button(other, "stop_run").click()
        wait_for_state(first, "stopped")
        button(page, "resume_run").wait_for()
        before = first.metrics()

        # The slot is free now: the other one begins by itself.
        wait_for_state(waits, "running")
        other.context.close()
        page.context.close()

    # The browser and the server are gone; the run is not.
    assert waits.status()["state"] == "running"
    with serving(busy_home, tmp_path / "log2.txt") as address:
        context = chromium.new_context(viewport={"width": 1280, "height": 900})
        page = context.new_page()
        page.set_default_timeout(1000 * PATIENCE_S)
        page.goto(f"{address}/training?run={waits.id}")
        at_work(page).wait_for()
        button(page, "stop_run").click()
        wait_for_state(waits, "stopped")

        # Resumed where it was stopped.
        page.goto(f"{address}/training?run={first.id}")
        button(page, "resume_run").click()
        wait_for_state(first, "running")
        at_work(page).wait_for()
        end = time.monotonic() + PATIENCE_S
        while len(first.metrics()) <= len(before):
            assert time.monotonic() < end, first.log_tail()
            time.sleep(0.2)
        assert first.metrics()[: len(before)] == before
        button(page, "stop_run").click()
        wait_for_state(first, "stopped")
        button(page, "resume_run").wait_for()

        is_labelled_undisturbed(page, first, waits)
        context.close()


def test_two_runs_are_compared_in_words(page: Any, busy_home: Path, tmp_path: Path):
    page.set_default_timeout(1000 * PATIENCE_S)
    with serving(busy_home, tmp_path / "log.txt") as address:
        runs = launch_two(page, address, busy_home, SHORT)
        for run in runs:
            wait_for_state(run, "finished")

        page.get_by_text("Compare", exact=True).click()
        page.get_by_role("heading", name="Is the difference measurable?").wait_for()
        page.get_by_text("Of 16 test images").wait_for()
        page.get_by_text("standard deviation").wait_for()
        settled(page)
        assert {run.id for run in runs} <= set(
            page.url.split("compare=")[1].split("&")[0].split("%2C")
        )

        # More epochs, from where it ended.
        page.goto(f"{address}/training?run={runs[0].id}")
        button(page, "more_run").click()
        button(page.get_by_role("dialog"), "go_on").click()

        end = time.monotonic() + PATIENCE_S
        while len(runs[0].metrics()) < 2 * SHORT:
            assert time.monotonic() < end, runs[0].log_tail()
            time.sleep(0.2)
        wait_for_state(runs[0], "finished")

        # Deleted, and brought back.
        page.get_by_text("Evaluate it or add it").wait_for()
        settled(page)
        button(page, "delete_run").click()
        button(page, "undo_delete").wait_for()
        assert [run.id for run in list_runs(Workspace(busy_home))] == [runs[1].id]
        button(page, "undo_delete").click()
        # Its name stood on the page before: the button that goes is what tells.
        button(page, "undo_delete").wait_for(state="hidden")
        assert len(list_runs(Workspace(busy_home))) == 2
