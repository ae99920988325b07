"""The Evaluation page with an ensemble that answers by a cascade."""

import shutil
from pathlib import Path

import pytest

from tests.ensemble.test_cascade import with_cascade
from tests.pages.opened import open_page, settled, words

VIEWS = ("Confusion matrix", "Class pair", "Members", "Calibration", "Images", "All metrics")


@pytest.fixture(scope="module")
def home(trained_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace whose only ensemble is a cascade of two."""
    made = with_cascade(trained_home, tmp_path_factory.mktemp("cascade_page") / "home")
    shutil.rmtree(made.ensembles / "first")
    return made.home


def test_every_view_shows_what_the_first_member_and_the_cascade_say(home: Path, monkeypatch):
    app = open_page(home, "evaluation", monkeypatch)
    (every,) = [t for t in app.toggle if t.label == "All networks"]
    assert not every.value
    for view in VIEWS:
        app.session_state["view"] = view
        settled(app.run())
        if view == "Members":
            assert "Only tiny looked at every image" in words(app)


def test_all_networks_can_be_asked(home: Path, monkeypatch):
    app = open_page(home, "evaluation", monkeypatch)
    app.session_state["view"] = "Members"
    next(t for t in app.toggle if t.label == "All networks").set_value(True)
    settled(app.run())
    if any(b.label.startswith("Evaluate (") for b in app.button):
        next(b for b in app.button if b.label.startswith("Evaluate (")).click()
        settled(app.run())
    text = words(app)
    assert "Only tiny looked at every image" not in text
    assert "Contribution of each member" in text
