"""A group's server: nothing is shown before somebody has signed in, and what they do has a name."""

from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from bloodcell import people
from bloodcell.data.store.dataset import open_dataset
from bloodcell.data.store.decisions import decisions_csv, import_decisions
from bloodcell.runs.launch import ask_to_stop, prepare
from bloodcell.runs.queue import enqueue
from bloodcell.training.config import make_config
from bloodcell.ui.common import sign_in
from bloodcell.workspace import Workspace
from tests.pages.opened import words

APP = Path(__file__).parents[2] / "app.py"
AUTH = {
    "redirect_uri": "https://lab.example.org/lab/oauth2callback", "cookie_secret": "x" * 48,
    "client_id": "lab", "client_secret": "x",
    "server_metadata_url": "https://login.example.org/.well-known/openid-configuration",
}  # fmt: skip


@pytest.fixture(autouse=True)
def nobody_known(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(people, "_ask", [])


def opened(home: Path, page: str, monkeypatch: pytest.MonkeyPatch, auth: dict | None) -> AppTest:
    monkeypatch.setenv("BLOODCELL_HOME", str(home))
    app = AppTest.from_file(str(APP), default_timeout=60)
    if auth:
        app.secrets["auth"] = auth
    return app.switch_page(f"pages/{page}.py").run()


@pytest.mark.parametrize("page", ["classify", "training", "dataset"])
def test_before_signing_in_there_is_a_button_and_nothing_else(
    demo_home: Path, page: str, monkeypatch: pytest.MonkeyPatch
):
    app = opened(demo_home, page, monkeypatch, AUTH)
    assert not app.exception
    assert [b.key for b in app.button] == ["sign_in"]
    assert not app.selectbox
    assert "demo" not in words(app)


def test_where_it_is_not_set_up_there_is_no_trace_of_it(
    demo_home: Path, monkeypatch: pytest.MonkeyPatch
):
    app = opened(demo_home, "training", monkeypatch, None)
    assert not app.exception
    assert not {"sign_in", "sign_out"} & {b.key for b in app.button}
    assert people.who() == ""


def test_whoever_signed_in_sees_the_page_and_can_sign_out(
    demo_home: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(sign_in, "person", lambda: "ada@example.org")
    app = opened(demo_home, "training", monkeypatch, AUTH)
    assert not app.exception
    assert "sign_out" in [b.key for b in app.button]
    assert app.button(key="start")


def test_who_launched_and_who_stopped_is_recorded_where_it_is_known(demo_copy: Path):
    workspace = Workspace(demo_copy)
    config = make_config("demo", backbone="tiny", input_size=48)
    assert "launched_by" not in prepare(workspace, config).record()
    people.asked_of(lambda: "ada@example.org\n")
    run = prepare(workspace, config)
    assert run.record()["launched_by"] == "ada@example.org"
    enqueue(workspace, [run])
    ask_to_stop(run)
    assert run.status()["reason"] == "stopped before it began by ada@example.org"


def test_who_decided_about_an_image_is_recorded_and_goes_with_the_decision(demo_copy: Path):
    dataset = open_dataset(Workspace(demo_copy), "demo")
    dataset.curation.exclude([0], "blurred")
    people.asked_of(lambda: "ada@example.org")
    dataset.curation.exclude([1], "blurred")
    found = dataset.curation.decisions
    assert "by" not in found[0]
    assert found[1]["by"] == "ada@example.org"
    table = decisions_csv(dataset)
    dataset.curation.undo([0, 1])
    # Somebody else takes them over, with the names that they have.
    people.asked_of(lambda: "bob@example.org")
    import_decisions(dataset, table, "decisions.csv")
    found = dataset.curation.decisions
    assert [found[i]["by"] for i in (0, 1)] == ["bob@example.org", "ada@example.org"]


def test_whoever_is_signed_in_labels_under_no_other_name():
    def page() -> None:
        import streamlit as st

        from bloodcell.ui.classify.batch import ask_reader

        st.code(ask_reader())

    app = AppTest.from_function(page).run()
    assert [field.key for field in app.text_input] == ["label_reader"]
    people.asked_of(lambda: "ada@example.org")
    app.run()
    assert not app.text_input
    assert app.code[0].value == "ada@example.org"
