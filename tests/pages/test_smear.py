"""The Smear page: whole photographs in, a reviewed differential out."""

from pathlib import Path

from tests.pages.opened import settled, words


def drawn(open_page, home: Path):
    app = open_page(home, "smear")
    app.button(key="smear_drawn").click().run()
    return settled(app)


def test_without_an_ensemble_it_says_how_to_get_one(open_page, tmp_path: Path):
    assert "There is no ensemble yet" in words(open_page(tmp_path, "smear"))


def test_a_smear_is_counted_corrected_and_told(open_page, trained_home: Path):
    app = drawn(open_page, trained_home)
    assert "drawn, not photographed" in words(app)
    app.button(key="smear_as_basophil").click().run()
    app.button(key="smear_remove").click().run()
    app.segmented_control(key="smear_view").set_value("Gallery").run()
    assert "least certain first" in words(app)
    app.segmented_control(key="smear_view").set_value("Differential").run()
    assert not app.exception
    text = words(app)
    assert "** after review" in text
    assert "Beside them" in text
    table = app.dataframe[0].value
    assert table.set_index("Class").loc["Basophil", "Reviewed"] >= 1
    app.button(key="smear_clear").click().run()
    assert "Drop whole photographs" in words(app)
