"""A slider is moved with the keyboard: the pictures follow, and it keeps the focus."""

from typing import Any

import pytest

from tests.browser.conftest import settle

pytestmark = pytest.mark.browser

PATIENCE_S = 60


def sources(page: Any) -> list[str]:
    pictures = page.locator(".st-key-preview_grid img")
    return pictures.evaluate_all("images => images.map((image) => image.src)")


def changed(page: Any, before: list[str]) -> list[str]:
    """The pictures once they are others than before."""
    for _ in range(20 * PATIENCE_S):
        now = sources(page)
        # More than before: some were not drawn yet when they were looked at.
        if len(now) >= len(before) and now != before:
            return now
        page.wait_for_timeout(50)
    raise AssertionError("the pictures are still the same")


def press_until_moved(page: Any, slider: Any, key: str) -> None:
    """Press a key until the slider heeds it: while a page is being drawn one can be lost."""
    before = slider.input_value()
    for _ in range(20):
        settle(page)
        page.keyboard.press(key)
        for _ in range(40):
            if slider.input_value() != before:
                return
            page.wait_for_timeout(50)
    raise AssertionError(f"the slider stays at {before}")


def open_hue(page: Any) -> Any:
    """Open the step at once; returns its slider. A click on a page being drawn can be lost."""
    slider = page.get_by_role("slider", name="Angle")
    for _ in range(10):
        page.locator("summary", has_text="Random hue").click()
        page.locator(".st-key-preview_grid img").last.wait_for()
        settle(page)
        # A second click would close what is only slow to open.
        for _ in range(200):
            if slider.count():
                settle(page)
                return slider
            page.wait_for_timeout(50)
    raise AssertionError("the step stays closed")


def test_the_pictures_follow_a_slider_step_by_step(page: Any, address: str):
    page.goto(f"{address}/augmentation?policy=gentle")
    slider = open_hue(page)
    slider.focus()
    seen = sources(page)
    for _ in range(3):
        press_until_moved(page, slider, "ArrowRight")
        now = changed(page, seen)
        assert now[0] == seen[0], "the original stays"
        seen = now
    assert slider.evaluate("slider => slider === document.activeElement")
    assert slider.input_value() == "8"
    page.get_by_text("gentle was edited.").wait_for()


def test_a_step_that_is_opened_before_the_page_is_whole_leaves_all_steps_on(
    page: Any, address: str
):
    for _ in range(3):
        page.goto(f"{address}/augmentation?policy=gentle")
        slider = open_hue(page)
        slider.focus()
        press_until_moved(page, slider, "ArrowRight")
        settle(page)
        switches = page.locator("[class*=st-key-step_][class*=_on] input")
        assert switches.evaluate_all("inputs => inputs.map((input) => input.checked)") == [True] * 7


def test_train_with_this_opens_the_training_page_with_the_policy(page: Any, address: str):
    page.goto(f"{address}/augmentation?policy=lab-robust")
    page.get_by_role("link", name="Train with lab-robust").click()
    page.wait_for_url("**/training?policy=lab-robust")
    page.get_by_role("heading", name="Training").wait_for()
