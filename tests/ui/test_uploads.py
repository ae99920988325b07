"""A page left open while its session ends: what was dropped is asked for again, in one sentence."""

import re
from pathlib import Path

import pytest
from streamlit.elements.widgets import file_uploader
from streamlit.runtime.uploaded_file_manager import DeletedFile, UploadedFile, UploadedFileRec
from streamlit.testing.v1 import AppTest

REPOSITORY = Path(__file__).parents[2]


def there(name: str) -> UploadedFile:
    return UploadedFile(UploadedFileRec(name, name, "image/png", b"1"), None)


def page():
    import streamlit as st

    from bloodcell.ui.common.uploads import drop_zone, dropped

    files = drop_zone("Drop", key="zone", accept_multiple_files=True)
    st.text(" ".join(file.name for file in files))
    st.text(" ".join(file.name for file in dropped("zone")))


@pytest.mark.parametrize(
    ("files", "names", "says"),
    [
        ([], "", ""),
        ([there("a"), there("b")], "a b", ""),
        ([DeletedFile("1")], "", "This file is no longer on the server"),
        ([DeletedFile("1"), there("b"), DeletedFile("2")], "b", "These 2 files are no longer"),
    ],
)
def test_files_that_are_gone_are_asked_for_and_the_others_taken(monkeypatch, files, names, says):
    monkeypatch.setattr(file_uploader, "_get_upload_files", lambda _: files)
    app = AppTest.from_function(page).run()
    assert not app.exception
    assert [text.value for text in app.text] == [names, names]
    assert [says in warning.value for warning in app.warning] == ([True] if says else [])


def test_every_page_takes_files_from_there():
    """Whoever calls st.file_uploader itself gets files that are gone."""
    folders = (REPOSITORY / "bloodcell" / "ui", REPOSITORY / "pages")
    sources = [path for folder in folders for path in folder.rglob("*.py")]
    calls = [p.name for p in sources if re.search(r"\bst\.file_uploader\(", p.read_text("utf-8"))]
    assert calls == ["uploads.py"]


def counting_page():
    import streamlit as st

    from bloodcell.ui.common.uploads import drop_round, drop_zone, dropped

    def take() -> None:
        st.session_state["took"] = [*st.session_state.get("took", []), *dropped(key)]

    key = f"zone_{drop_round('drops')}"
    drop_zone("Drop", key=key, accept_multiple_files=True, on_change=take)
    st.text(f"{key}: {' '.join(file.name for file in st.session_state.get('took', []))}")


def test_what_was_dropped_on_a_page_that_a_lost_session_left_open_is_taken_once(monkeypatch):
    """The new session has never drawn that zone, so Streamlit calls nobody."""
    monkeypatch.setattr(file_uploader, "_get_upload_files", lambda _: [there("a")])
    app = AppTest.from_function(counting_page)
    # Its zone had been emptied three times; the address is what the browser still has.
    app.query_params["drops"] = "3"
    assert [text.value for text in app.run().text] == ["zone_3: a"]
    assert [text.value for text in app.run().text] == ["zone_3: a"]


@pytest.mark.parametrize("address", ["-1", "x", "1" * 40, "٣٣٣٣٣٣٣"])
def test_an_address_that_no_zone_gave_is_none(monkeypatch, address: str):
    monkeypatch.setattr(file_uploader, "_get_upload_files", lambda _: [])
    app = AppTest.from_function(counting_page)
    app.query_params["drops"] = address
    app.run()
    assert not app.exception
    assert [text.value for text in app.text] == ["zone_0:"]


def test_a_new_zone_that_is_empty_has_not_been_emptied(monkeypatch):
    """A browser tells of both alike; what is shown, such as drawn cells, must stay."""
    import streamlit as st

    from bloodcell.ui.common import uploads

    state, told, called = {}, [], []
    monkeypatch.setattr(uploads.st, "session_state", state)
    monkeypatch.setattr(st, "file_uploader", lambda *_, **how: told.append(how["on_change"]))
    uploads.drop_zone("Drop", key="zone", on_change=lambda: called.append(len(state["zone"])))
    for files in ([], [there("a")], [there("a")], []):
        state["zone"] = files
        told[0]()
    assert called == [1, 0]
