"""A slider is moved with the keyboard: the pictures follow, and it keeps the focus."""

from typing import Any

import pytest

pytestmark = pytest.mark.browser

PICTURES = ".st-key-preview_grid img"


def sources(page: Any) -> list[str]:
    return page.locator(PICTURES).evaluate_all("images => images.map(image => image.src)")


def test_the_pictures_follow_a_slider_step_by_step(page: Any, address: str):
    page.goto(f"{address}/augmentation?policy=gentle")
    page.locator("summary", has_text="Random hue").click()
    slider = page.get_by_role("slider", name="Angle")
    slider.focus()
    original, *seen = sources(page)
    for _ in range(3):
        page.keyboard.press("ArrowRight")
        page.wait_for_function(
            """([selector, before]) => {
              const now = [...document.querySelectorAll(selector)].map((image) => image.src);
              return now.length === before.length && now.at(-1) !== before.at(-1);
            }""",
            arg=[PICTURES, [original, *seen]],
        )
        same, *seen = sources(page)
        assert same == original
    assert slider.evaluate("slider => slider === document.activeElement")
    assert slider.input_value() == "8"
    page.get_by_text("Changed since gentle was loaded.").wait_for()


def test_train_with_this_opens_the_training_page_with_the_policy(page: Any, address: str):
    page.goto(f"{address}/augmentation?policy=lab-robust")
    page.get_by_role("link", name="Train with lab-robust").click()
    page.wait_for_url("**/training?policy=lab-robust")
    page.get_by_role("heading", name="Training").wait_for()
