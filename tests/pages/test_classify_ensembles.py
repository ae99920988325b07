"""The Classify page: an ensemble is imported, and a damaged one is a sentence."""

from pathlib import Path

import pytest

from bloodcell.ui.common.format import plain
from tests.pages.opened import open_page, settled, words


class TestImport:
    def upload(self, app, name: str, content: bytes):
        uploader = next(u for u in app.file_uploader if "ensemble" in u.label)
        uploader.upload(name, content, "application/zip")
        return settled(app.run())

    def test_one_from_elsewhere_is_imported_and_made_active(
        self, trained_home: Path, tmp_path: Path, monkeypatch
    ):
        app = open_page(tmp_path / "empty", "classify", monkeypatch)
        content = (trained_home / "ensembles" / "first.zip").read_bytes()
        self.upload(app, "first.zip", content)
        text = words(app)
        assert "Imported first. It is now the active ensemble." in "".join(
            s.value for s in app.success
        )
        assert "Ensemble **first**" in text
        assert "Only the eight classes" in text

    @pytest.mark.parametrize(
        ("content", "sentence"),
        [
            (b"nonsense", "is not a readable zip of an ensemble"),
            (b"", "is not a readable zip of an ensemble"),
        ],
    )
    def test_what_is_none_is_a_sentence(self, tmp_path: Path, monkeypatch, content, sentence):
        app = open_page(tmp_path / "empty", "classify", monkeypatch)
        self.upload(app, "other.zip", content)
        assert sentence in app.error[0].value
        assert not (tmp_path / "empty" / "ensembles" / "other").exists()

    def test_one_whose_name_is_taken_is_imported_beside_it(self, home: Path, monkeypatch):
        app = open_page(home, "classify", monkeypatch)
        self.upload(app, "first.zip", (home / "ensembles" / "first.zip").read_bytes())
        assert "There is a first already: the new one is first-2" in app.success[0].value
        assert f"Ensemble **{plain('first-2')}**" in words(app)


@pytest.mark.parametrize("page", ["classify", "evaluation"])
def test_a_damaged_ensemble_is_a_sentence(home: Path, page: str, monkeypatch):
    described = home / "ensembles" / "first" / "ensemble.json"
    described.write_text("{}")
    app = open_page(home, page, monkeypatch)
    assert "its ensemble.json is not that of an ensemble" in app.error[0].value
    described.unlink()
    app = open_page(home, page, monkeypatch)
    assert "lacks 'ensemble.json'" in app.error[0].value
